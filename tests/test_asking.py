"""Labels asked for and labels that came back, from the shell."""

import csv
import json
import shutil

import pytest

from fettle import asking
from fettle.core.errors import InputError
from fettle.core.labelling import Suggestion, Suggestions, Told
from fettle.formats.labelling import as_csv, as_tasks, read_labels
from fettle.stages import labelling
from stories import texts_and_labels, write_rows


@pytest.fixture
def here(told, tmp_path):
    shutil.copytree(told.registry, tmp_path / ".fettle",
                    ignore=shutil.ignore_patterns("runs", "cache"))
    return str(tmp_path / ".fettle")


@pytest.fixture
def fresh(told, tmp_path, rows):
    """120 rows without a label: 100 new ones, ten of them twice, ten that were learned from."""
    new = texts_and_labels(100, seed=9, without=rows)
    texts = [text for text, _ in (*new, *new[:10], *rows[:10])]
    return write_rows(tmp_path / "fresh.csv", [(text,) for text in texts], header=("text",))


def suggestions(*texts):
    rows = [Suggestion(f"r{at}", {"text": text}, "random" if at == 0 else "uncertain",
                       "" if at == 0 else "no", None if at == 0 else 0.6)
            for at, text in enumerate(texts)]
    return Suggestions("m@1", "label", ("no", "yes"), tuple(rows), 0)


def test_a_fifth_is_random_and_without_the_models_answer_and_twins_are_left_out(
    fettle, here, fresh, tmp_path
):
    out = tmp_path / "to-label.csv"
    done = fettle("label", "suggest", "tickets", fresh, "--count", "50", "--out", out,
                  "--registry", here, "--json")
    assert done.code == 0, done.err
    assert (done.json["random"], done.json["uncertain"], done.json["diverse"]) == (10, 20, 20)
    assert done.json["twins_left_out"] >= 20
    with out.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert len({one["fettle_id"] for one in lines}) == 50
    assert not any(one["label"] for one in lines)
    for one in lines:
        assert (one["fettle_predicted"] == "") == (one["fettle_why"] == "random")
    assert not {one["fettle_id"] for one in lines} & {f"fresh.csv:{row}" for row in range(102, 122)}


def test_somebodys_labels_are_not_written_over(fettle, here, fresh, tmp_path):
    out = tmp_path / "to-label.json"
    given = ("label", "suggest", "tickets", fresh, "--count", "10", "--out", out,
             "--registry", here)
    assert fettle(*given).code == 0
    done = fettle(*given)
    assert (done.code, "somebody's labels" in done.err) == (2, True)


def test_label_studio_gets_tasks_with_predictions_and_gives_annotations_back(tmp_path):
    tasks = as_tasks(suggestions("a text", "another"))
    assert "predictions" not in tasks[0]
    (prediction,) = tasks[1]["predictions"]
    assert prediction["model_version"] == "m@1"
    assert prediction["result"] == [{"from_name": "label", "to_name": "text", "type": "choices",
                                     "value": {"choices": ["no"]}}]

    def annotated(by, choice, **more):
        result = [{"type": "choices", "from_name": "label", "value": {"choices": [choice]}}]
        return {"completed_by": by, "result": result, **more}

    tasks[0]["annotations"] = [annotated(1, "yes"), annotated({"email": "ann@x.org"}, "no")]
    tasks[1]["annotations"] = [annotated(1, "no", was_cancelled=True)]
    path = tmp_path / "export.json"
    path.write_text(json.dumps(tasks))
    told = read_labels(path, target="label")
    assert [(one.id, one.person, one.label, one.why) for one in told] == [
        ("r0", "1", "yes", "random"), ("r0", "ann@x.org", "no", "random"),
        ("r1", "", "", "uncertain"),
    ]
    assert told[0].fields == {"text": "a text"}


@pytest.mark.parametrize(("content", "said"), [
    ("{}", "no list of tasks"), ('[{"data": {"text": "x"}}]', "task 1"), ("[1]", "task 1"),
    ('[{"data": {"fettle_id": "r0"}, "annotations": [{"result": [{"type": "choices", '
     '"from_name": "label", "value": {"choices": ["a", "b"]}}]}]}]', "2 choices"),
])
def test_an_export_that_cannot_be_read_says_which_task(tmp_path, content, said):
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_labels(path, target="label")


def test_a_csv_comes_back_as_it_went_formulas_too(tmp_path):
    texts = ("=1+1", "'=quoted", "plain, with a comma", "two\nlines", "-5")
    path = tmp_path / "ann.csv"
    path.write_text(as_csv(suggestions(*texts)).replace("\r\n", "\n"), encoding="utf-8")
    assert "\n'=1+1" not in path.read_text(encoding="utf-8-sig")
    told = read_labels(path, target="label")
    assert [one.fields["text"] for one in told] == list(texts)
    assert {one.person for one in told} == {"ann"}
    with pytest.raises(InputError, match="'target'"):
        read_labels(path, target="target")


def said(*rows):
    return [Told(id, {"text": id}, person, label) for id, person, label in rows]


def test_where_two_people_differ_the_row_is_named_and_has_no_label():
    found = labelling.review(said(
        ("r1", "ann", "yes"), ("r1", "bob", "yes"), ("r2", "ann", "yes"), ("r2", "bob", "no"),
        ("r3", "ann", "no"), ("r3", "bob", "no"), ("r4", "ann", "no"), ("r5", "ann", ""),
    ))
    assert [(one.id, one.label, one.people) for one in found.rows] == [
        ("r1", "yes", ("ann", "bob")), ("r3", "no", ("ann", "bob")), ("r4", "no", ("ann",))]
    assert [(one.id, dict(one.said)) for one in found.disputed] == [
        ("r2", {"ann": "yes", "bob": "no"})]
    (agreed,) = found.agreements
    assert (agreed.rows, agreed.agreed) == (3, pytest.approx(2 / 3))
    assert agreed.kappa == pytest.approx(0.4)  # 2/3 agreed, 4/9 by chance
    assert found.unlabelled == 1


def test_one_label_throughout_has_no_kappa_and_contradicting_oneself_is_refused():
    (agreed,) = labelling.review(said(("r1", "a", "x"), ("r1", "b", "x"))).agreements
    assert agreed.kappa is None
    with pytest.raises(InputError, match="both 'x' and 'y'"):
        labelling.review(said(("r1", "a", "x"), ("r1", "a", "y")))
    with pytest.raises(InputError, match="Nobody"):
        labelling.review(said(("r1", "a", "")))


def test_labels_of_two_files_are_read_compared_and_written(fettle, tmp_path):
    found = suggestions("one", "two", "three")
    for person, labels in (("ann", "yes yes no"), ("bob", "yes no no")):
        lines = as_csv(found).splitlines()
        filled = [line.replace(",,", f",{label},", 1)
                  for line, label in zip(lines[1:], labels.split(), strict=True)]
        (tmp_path / f"{person}.csv").write_text("\n".join([lines[0], *filled]), encoding="utf-8")
    out = tmp_path / "reviewed.csv"
    done = fettle("label", "read", tmp_path / "ann.csv", tmp_path / "bob.csv", "--out", out)
    assert done.code == 0, done.err
    assert "2 rows have a label, 1 are disputed" in done.out
    assert "ann and bob: 66.7% of 3 rows alike, Cohen's kappa 0.400" in done.out
    with out.open(newline="") as stream:
        assert [(one["text"], one["label"], one["person"]) for one in csv.DictReader(stream)] == [
            ("one", "yes", "ann; bob"), ("three", "no", "ann; bob")]


def test_there_must_be_rows_to_ask_for(fettle, here, fresh, tmp_path, rows):
    known = write_rows(tmp_path / "known.csv", [(text,) for text, _ in rows], header=("text",))
    full = write_rows(tmp_path / "full.csv", rows)
    for arguments, said in (
        ((known,), "unlike"), ((full,), "Every row"), ((), "one of the two"),
        ((fresh, "--count", "3"), "--count is 3"), (("--journal",), "no row with its inputs"),
    ):
        done = fettle("label", "suggest", "tickets", *arguments, "--registry", here,
                      "--out", tmp_path / "o.csv")
        assert (done.code, said in done.err) == (2, True), done.err
    assert not (tmp_path / "o.csv").exists()
    assert asking.KNOWN >= 1000
