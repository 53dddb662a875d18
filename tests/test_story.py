"""The whole story, in under a minute: a file of 250 rows, a model that answers, and its proof."""

import json

import pytest

from stories import digest, texts_and_labels, write_rows


@pytest.fixture(scope="module")
def rows():
    return texts_and_labels(250, seed=21)


def test_from_a_file_to_an_answer_in_under_a_minute(tmp_path, rows, tiny, fettle):
    write_rows(tmp_path / "tickets.csv", rows)
    tuned = fettle.fresh("tune", "tickets.csv", "--model", tiny, "--json", folder=tmp_path)
    assert tuned.code == 0, tuned.err
    asked = fettle.fresh("predict", "tickets", "stolen card lost lost", "--json", folder=tmp_path)
    assert asked.code == 0, asked.err

    answer = json.loads(asked.out)
    assert (answer["value"], answer["version"]) == ("lost card", "tickets@1")
    found = tuned.json
    accuracy = next(score for score in found["test"] if score["name"] == "accuracy")
    assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
    assert accuracy["rows"] == round(250 / 8)
    assert accuracy["value"] > 0.7  # the classes' words hardly overlap; a guess gives 0.33

    run = tmp_path / found["run"]
    held = json.loads((run / "version" / "version.json").read_text())
    for name, expected in held["files"].items():
        assert digest(run / "version" / name) == expected
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert f"{accuracy['value']:.3f}"[:4] in page or f"{accuracy['value']:.1%}" in page


@pytest.mark.slow
def test_the_model_that_comes_with_fettle_learns_a_real_file(tmp_path, fettle):
    assert fettle("demo", "--copy", tmp_path).code == 0
    few = (tmp_path / "messages.csv").read_text(encoding="utf-8").splitlines()[:251]
    (tmp_path / "few.csv").write_text("\n".join(few) + "\n", encoding="utf-8")
    done = fettle.fresh("tune", "few.csv", "--rungs", "features", "--json", folder=tmp_path)
    assert done.code == 0, done.err
    assert done.json["test"][0]["value"] > done.json["before"][0]["low"]
