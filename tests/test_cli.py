"""The command line: every command of the README, what stands on which stream, and exit codes."""

import json
import sys

import pytest
import yaml

from fettle import cli, pipeline
from fettle.stages import training
from patience import PATIENCE
from stories import copy_of, fettle_in, texts_and_labels, write_rows

SCORE = {"name", "value", "low", "high", "rows"}


@pytest.fixture(scope="module")
def place(tmp_path_factory, rows):
    """A folder with a file of rows and a file of test rows, for all commands here."""
    folder = tmp_path_factory.mktemp("place")
    write_rows(folder / "tickets.csv", rows)
    write_rows(folder / "tickets_test.csv", texts_and_labels(40, seed=9, without=rows))
    return folder


@pytest.fixture
def inside(place, monkeypatch):
    monkeypatch.chdir(place)
    return place


@pytest.fixture(scope="module")
def tuned(place, machine, tiny):
    """What `fettle tune --json` gave, the first time."""
    return fettle_in(machine, "tune", "tickets.csv", "--test", "tickets_test.csv", "--model", tiny,
                     "--json", folder=place)


def test_tune_prints_one_object_with_the_keys_that_are_promised(tuned):
    assert tuned.code == 0, tuned.err
    found = tuned.json
    assert set(found) == {"version", "run", "task", "model", "rung", "rungs", "spread", "before",
                          "test", "seconds"}
    assert found["spread"] is None  # one seed was asked for
    assert found["version"] == "tickets@1"
    assert found["task"] == "classification"
    assert found["rung"] in {rung["name"] for rung in found["rungs"]} == {"features", "top", "full"}
    for rung in found["rungs"]:
        assert set(rung) == {"name", "validation", "seconds", "peak_bytes"}
        assert set(rung["validation"]) == SCORE
    for scores in (found["before"], found["test"]):
        assert [score["name"] for score in scores] == [
            "accuracy", "macro_precision", "macro_recall", "macro_f1",
        ]  # fmt: skip
        assert all(set(score) == SCORE and score["rows"] == 40 for score in scores)


def test_tune_tells_its_story_on_standard_error(tuned):
    for word in ("read", "audit", "split", "plan", "rung", "keep", "test", "report", "version"):
        assert any(line.startswith(word) for line in tuned.err.splitlines()), word
    assert "before (nearest_mean)" in tuned.err


def test_tune_without_json_prints_nothing_on_standard_output(tuned, inside, fettle, tiny):
    done = fettle("tune", "tickets.csv", "--test", "tickets_test.csv", "--model", tiny)
    assert done.code == 0
    assert done.out == ""
    assert "finished" in done.err


def test_the_same_command_prints_the_stored_result_without_training(
    tuned, inside, fettle, tiny, monkeypatch
):
    monkeypatch.setattr(training, "train", None)
    again = fettle("tune", "tickets.csv", "--test", "tickets_test.csv", "--model", tiny, "--json")
    assert again.code == 0, again.err
    assert again.json == tuned.json
    assert "This run is finished" in again.err


def test_audit_prints_findings_with_the_keys_that_are_promised(inside, fettle):
    done = fettle("audit", "tickets.csv", "--json")
    assert done.code == 0
    assert set(done.json) == {"findings"}
    assert done.json["findings"]
    for finding in done.json["findings"]:
        assert set(finding) == {"check", "severity", "count", "rows", "sentence", "remedy"}


def test_audit_in_words_names_each_finding(inside, fettle):
    done = fettle("audit", "tickets.csv")
    assert done.code == 0
    assert "300 rows of tickets" in done.out
    assert "balance" in done.out


@pytest.mark.parametrize(
    ("fail_on", "warned", "code"),
    [(None, True, 0), ("warn", True, 3), ("blocker", True, 0), ("warn", False, 0)],
)
def test_audit_ends_with_0_unless_told_what_to_fail_on(
    tmp_path, fettle, fail_on, warned, code
):
    rows = [("", "top up")] * 3 if warned else []
    for seed in range(25):
        rows += texts_and_labels(3, seed=seed, without=rows)  # no near twins
    data = write_rows(tmp_path / "a.csv", rows)
    asked = ["--fail-on", fail_on] if fail_on else []
    assert fettle("audit", data, *asked).code == code


def test_audit_fails_on_a_blocker_when_told(tmp_path, fettle, rows):
    data = write_rows(tmp_path / "a.csv", [*rows, ("my only now", "alone")])
    assert fettle("audit", data).code == 0
    assert fettle("audit", data, "--fail-on", "blocker").code == 3
    assert fettle("audit", data, "--fail-on", "warn").code == 3


def test_plan_prints_a_plan_in_yaml_or_json_and_makes_nothing(tmp_path, fettle, rows, tiny,
                                                              monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_rows(tmp_path / "tickets.csv", rows)
    written = fettle("plan", "tickets.csv", "--model", tiny)
    as_json = fettle("plan", "tickets.csv", "--model", tiny, "--json")
    assert (written.code, as_json.code) == (0, 0)
    assert yaml.safe_load(written.out) == as_json.json
    assert as_json.json["reasons"]
    assert {cost["rung"] for cost in as_json.json["predicted"]} == {"features", "top", "full"}
    assert [path.name for path in tmp_path.iterdir()] == ["tickets.csv"]


@pytest.fixture
def plan_file(tuned, inside, fettle, tiny, tmp_path):
    done = fettle("plan", "tickets.csv", "--test", "tickets_test.csv", "--model", tiny)
    path = tmp_path / "plan.yaml"
    path.write_text(done.out)
    return path


def test_a_plan_handed_back_unchanged_is_the_stored_result(tuned, plan_file, fettle, monkeypatch):
    monkeypatch.setattr(training, "train", None)
    done = fettle("tune", "--config", plan_file, "--json")
    assert done.code == 0, done.err
    assert done.json == tuned.json


def edit(path, change):
    values = yaml.safe_load(path.read_text())
    change(values)
    path.write_text(yaml.safe_dump(values, sort_keys=False))


def test_a_number_edited_in_a_plan_gives_another_run(tuned, plan_file, fettle, tmp_path):
    def change(values):
        del values["rungs"][1:]
        values["rungs"][0]["settings"]["poolings"] = "cls"

    edit(plan_file, change)
    done = fettle("tune", "--config", plan_file, "--json", "--registry", tmp_path / "r")
    assert done.code == 0, done.err
    assert done.json["run"] != tuned.json["run"]
    assert [rung["name"] for rung in done.json["rungs"]] == ["features"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda values: values.update(metrc="accuracy"), "Did you mean 'metric'"),
        (lambda values: values["reading"].update(tset="x.csv"), "Did you mean 'test'"),
        (lambda values: values["rungs"][1]["settings"].update(epoch=2), "Did you mean 'epochs'"),
        (lambda values: values.pop("classes"), "does not say 'classes'"),
        (lambda values: values.update(threads="two"), "threads"),
        (lambda values: values.update(seed=-1), "seed"),
        (lambda values: values.update(learning="0" * 64), "other rows"),
        (lambda values: values.update(name="../up"), "name"),
    ],
)
def test_a_plan_with_a_fault_ends_with_2_and_names_it(plan_file, fettle, change, words):
    edit(plan_file, change)
    done = fettle("tune", "--config", plan_file)
    assert done.code == 2
    assert words in done.err


def test_options_that_contradict_a_plan_are_refused(plan_file, fettle):
    done = fettle("tune", "--config", plan_file, "--rungs", "features")
    assert done.code == 2
    assert "--rungs and --config contradict each other" in done.err


def test_a_seed_that_contradicts_a_plan_is_not_ignored(plan_file, fettle):
    done = fettle("tune", "--config", plan_file, "--seed", "7")
    assert done.code == 2
    assert "--seed" in done.err


def test_predict_answers_texts_one_a_line(tuned, inside, fettle):
    done = fettle("predict", "tickets", "lost stolen card", "top up money")
    assert done.code == 0, done.err
    first, second = done.out.splitlines()
    assert first.startswith("lost card  (")
    assert first.endswith("lost stolen card")
    assert second.startswith("top up  (")


@pytest.mark.parametrize("given", [["lost stolen card"], ["--input", "tickets_test.csv"]])
def test_predict_as_json_prints_one_object_a_line(tuned, inside, fettle, given):
    done = fettle("predict", "tickets@1", *given, "--json")
    assert done.code == 0, done.err
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert len(lines) == (1 if len(given) == 1 else 40)
    for one in lines:
        assert set(one) == {"id", "value", "confidence", "version"}
        assert one["version"] == "tickets@1"
        assert 0 < one["confidence"] <= 1
    if len(given) == 2:
        assert [one["id"] for one in lines] == [f"tickets_test.csv:{n + 2}" for n in range(40)]


def test_predict_reads_texts_from_standard_input(tuned, place, fettle):
    done = fettle.fresh("predict", "tickets", "--input", "-", "--json", folder=place,
                        input="lost stolen card\ntop up money\n")
    assert done.code == 0, done.err
    assert [json.loads(x)["value"] for x in done.out.splitlines()] == ["lost card", "top up"]


def test_what_is_piped_into_a_reader_that_leaves_is_no_fault(tuned, place, fettle):
    process = fettle.start("predict", "tickets", "--input", "tickets_test.csv", "--json",
                           folder=place)
    process.stdout.close()
    err = process.stderr.read()
    assert process.wait(PATIENCE) == 0, err
    assert "Traceback" not in err


def test_evaluate_prints_scores_with_intervals_and_counts_the_look(tuned, inside, fettle):
    first = fettle("evaluate", "tickets", "tickets_test.csv")
    assert first.code == 0, first.err
    assert "accuracy" in first.out
    assert "on 40 rows" in first.out
    assert "looked at 2 times" in first.out  # tune was the first
    second = fettle("evaluate", "tickets", "tickets_test.csv", "--json")
    assert second.json["openings"] == 3
    assert set(second.json["contenders"][0]["scores"][0]) == SCORE


def test_versions_lists_what_there_is(tuned, inside, fettle):
    done = fettle("versions", "--json")
    assert done.code == 0
    (one,) = done.json
    assert set(one) == {"version", "champion", "pointers", "at", "given_up", "rung", "scores"}
    assert (one["version"], one["champion"]) == ("tickets@1", True)
    assert "tickets@1" in fettle("versions", "tickets").out


def test_versions_of_a_name_that_is_not_there_offers_the_nearest(tuned, inside, fettle):
    done = fettle("versions", "ticket")
    assert done.code == 2
    assert "Did you mean 'tickets'" in done.err


def test_report_says_where_the_page_is(tuned, inside, fettle):
    done = fettle("report", tuned.json["run"])
    assert done.code == 0
    page = inside / done.out.strip()
    assert page.read_text(encoding="utf-8").lower().startswith("<!doctype html>")


def test_doctor_says_what_this_machine_is(inside, fettle):
    done = fettle("doctor", "--json")
    assert done.code == 0
    assert {"processor", "memory", "gpu", "torch", "default model", "registry"} <= set(done.json)
    assert done.json["machine"]["flops_fp32"] > 1e6
    table = fettle("doctor").out
    assert "chosen, and why" in table
    assert "matrix products at" in table


def test_demo_copies_its_files(tmp_path, fettle):
    done = fettle("demo", "--copy", tmp_path)
    assert done.code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"messages.csv", "messages_test.csv"}
    assert len(done.out.splitlines()) == 2


@pytest.mark.slow
def test_demo_tells_the_whole_story(tmp_path, fettle):
    done = fettle.fresh("demo", folder=tmp_path)
    assert done.code == 0, done.err
    assert "messages@1" in done.out
    assert "fettle predict messages" in done.out
    assert len([line for line in done.out.splitlines() if "  (0." in line or "  (1." in line]) == 3


def test_markup_in_a_text_is_printed_as_it_stands(tuned, inside, fettle):
    done = fettle("predict", "tickets", "[bold red]lost card[/]")
    assert "[bold red]lost card[/]" in done.out


def test_help_is_printed_without_torch():
    import subprocess

    code = "import sys; sys.argv = ['fettle', '--help']\nfrom fettle.cli import main\n"
    code += "try: main()\nexcept SystemExit as end: assert not end.code\n"
    code += "assert not {'torch', 'transformers', 'sklearn', 'scipy', 'pandas'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("demo", "tune", "audit", "plan", "predict", "evaluate", "report", "versions",
                    "doctor"):
        assert command in done.stdout


def test_a_defect_of_ours_is_shown_and_not_called_the_users(inside, fettle, monkeypatch):
    def audit(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline, "audit", audit)
    with pytest.raises(ZeroDivisionError):  # the process then ends with 1
        fettle("audit", "tickets.csv")


def test_an_interrupt_ends_with_130_and_a_sentence(inside, fettle, monkeypatch):
    def audit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "audit", audit)
    done = fettle("audit", "tickets.csv")
    assert done.code == 130
    assert "The same command continues" in done.err


def test_what_is_exported_is_there():
    assert all(hasattr(cli, name) for name in cli.__all__)


def test_a_registry_can_be_carried_elsewhere(told, tmp_path, fettle, monkeypatch):
    monkeypatch.chdir(tmp_path)
    copied = copy_of(told, tmp_path / "copy")
    done = fettle("predict", "tickets", "lost card", "--registry", copied.registry)
    assert done.out.startswith("lost card")
