"""A version of several labels a row in production: watched, told what was right, retrained."""

import csv
import json
from datetime import UTC, datetime

import numpy as np
import pytest

from fettle import pipeline
from fettle.core.journal import Answered
from fettle.core.labels import packed, unpacked
from fettle.formats.labelling import read_labels
from fettle.store import arrow, journal
from fettle.store.places import journal_folder
from fettle.store.registry import Registry
from labelled import NAMES, several, story
from stories import copy_of, write_rows

__all__ = ["story"]


def test_rows_of_a_file_are_watched_with_labels_and_without(story, fettle, tmp_path):
    same = write_rows(tmp_path / "same.csv",
                      [(text, "|".join(labels)) for text, labels in several(400, seed=7)],
                      header=("text", "labels"))
    page = tmp_path / "page.html"
    done = fettle("watch", "tickets@1", same, "--registry", story.registry, "--json",
                  "--html", page)
    assert done.code == 0, done.err
    told = done.json
    assert told["at_release"]["name"] == "row_f1"
    assert told["at_release"]["value"] == pytest.approx(
        story.evaluation.contender(story.evaluation.kept).score("row_f1").value)
    assert told["promised"]["metric"] == "micro_f1"
    assert [one["label"] for one in told["labels"]] == list(story.plan.classes)
    assert {"predictions", "labels", "confidence"} <= {one["signal"] for one in told["states"]}
    (judged,) = told["judged"]
    assert judged["score"]["name"] == "row_f1"
    assert judged["low"] < judged["score"]["value"] < judged["high"]
    shown = page.read_text()
    assert "Label by label" in shown
    assert "mean F1 of rows" in shown
    assert "accuracy" not in shown
    assert "lost card" in fettle("watch", "tickets@1", same, "--registry", story.registry).out


def test_what_was_served_is_watched_by_the_journal(story, fettle, tmp_path):
    here = copy_of(story, tmp_path / "copy")
    opened = pipeline.open_version(story.version.folder)
    rows = [(text,) for text, _ in several(60, seed=9)]
    said = opened.task.calibrated(opened.outputs(rows))
    journal.Journal(journal_folder(str(here.registry), "tickets")).write([
        Answered(f"{row:032x}", datetime.now(UTC), "tickets@1", packed(labels), said[row])
        for row, labels in enumerate(opened.task.labels(said))])
    done = fettle("watch", "tickets@1", "--journal", "--registry", here.registry, "--json")
    assert done.code == 0, done.err
    assert done.json["rows"] == 60
    assert done.json["windows"][0]["estimate"]["metric"] == "micro_f1"
    shares = {one["label"]: one["now"] for one in done.json["labels"]}
    assert shares == pytest.approx(dict(zip(
        story.plan.classes, (said >= opened.task.thresholds).mean(axis=0).tolist(), strict=True)),
        abs=0.02)


def served(folder, rows=12):
    """A journal of answers of tickets@1."""
    journal.Journal(journal_folder(str(folder), "tickets")).write(
        Answered(f"{row:032x}", datetime.now(UTC), "tickets@1", '["lost card"]',
                 np.array([0.1, 0.9, 0.1]), stream="audit" if row % 2 else "user")
        for row in range(rows))


def entered(folder):
    found = journal.labels(journal_folder(str(folder), "tickets")).labels
    return {int(one.id, 16): unpacked(one.label) for one in found}


FORMS = {
    "separator": (("id", "label"), [
        ("late payment | lost card",), ("top up",), ("[]",), ("",), ("lost card|top up",)]),
    "another": (("id", "label"), [
        ("late payment; lost card",), ("top up",), ("[]",), ("",), ("lost card;top up",)]),
    "lists": (("id", "label"), [
        ('["lost card","late payment"]',), ('["top up"]',), ("[]",), ("",),
        ('["top up", "lost card"]',)]),
    "columns": (("id", "top up", "lost card", "late payment"), [
        ("0", "1", "1"), ("1", "0", "0"), ("0", "0", "0"), ("", "1", "0"), ("1", "yes", "no")]),
}
SAID = {0: ("late payment", "lost card"), 1: ("top up",), 2: (), 4: ("lost card", "top up")}


@pytest.mark.parametrize("form", list(FORMS))
def test_feedback_with_several_labels_is_entered_in_every_form(story, fettle, tmp_path, form):
    here = copy_of(story, tmp_path / "copy").registry
    served(here)
    header, cells = FORMS[form]
    data = write_rows(tmp_path / "said.csv",
                      [(f"{row:032x}", *rest) for row, rest in enumerate(cells)], header=header)
    done = fettle("feedback", "tickets", data, "--registry", here, "--json")
    assert done.code == 0, done.err
    assert (done.json["entered"], len(done.json["empty"])) == (4, 1)
    assert entered(here) == SAID
    again = fettle("feedback", "tickets", data, "--registry", here, "--json")
    assert (again.json["entered"], again.json["known"]) == (0, 4)


def test_feedback_that_is_not_understood_is_not_entered_and_said(story, fettle, tmp_path):
    here = copy_of(story, tmp_path / "copy").registry
    served(here)

    def give(rows, *more, header=("id", "label")):
        data = write_rows(tmp_path / "said.csv", rows, header=header)
        return fettle("feedback", "tickets", data, "--registry", here, *more)

    done = give([(f"{0:032x}", "lost card|parcel"), (f"{1:032x}", "top up|lost card")], "--json")
    assert done.json["strange"] == {"parcel": 1}
    assert entered(here) == {1: ("lost card", "top up")}
    done = give([(f"{0:032x}", "lost card|parcel")], "--new-labels", "--json")
    assert done.json["entered"] == 1
    assert entered(here)[0] == ("lost card", "parcel")
    done = give([(f"{2:032x}", "1", "0")], header=("id", "top up", "lost card"))
    assert (done.code, "none called 'late payment'" in done.err) == (2, True)
    done = give([(f"{2:032x}", "lost card")], "--label-separator", "list")
    assert (done.code, "no JSON list" in done.err) == (2, True)
    done = give([(f"{2:032x}", "lost card")], "--label-separator", "+")
    assert (done.code, "No cell of column 'label' holds '+'" in done.err) == (2, True)
    done = give([(f"{2:032x}", "lost card+top up")], "--label-separator", "+", "--json")
    assert done.json["entered"] == 1
    assert entered(here)[2] == ("lost card", "top up")
    journal.Journal(journal_folder(str(here), "tickets")).write([Answered(
        "a" * 32, datetime.now(UTC), "gone@7", "top up", np.array([0.9, 0.1]))])
    done = give([(f"{3:032x}", "lost card"), ("a" * 32, "top up")])
    assert (done.code, "Give two files" in done.err) == (2, True)


def test_labels_that_came_later_show_how_well_it_does_and_the_audit_decides(
    story, fettle, tmp_path
):
    here = copy_of(story, tmp_path / "copy").registry
    served(here, rows=80)
    data = write_rows(tmp_path / "said.csv",
                      [(f"{row:032x}", "lost card" if row % 4 == 1 else "lost card|top up")
                       for row in range(1, 80, 2)], header=("id", "label"))
    done = fettle("feedback", "tickets", data, "--registry", here, "--audit", "--json")
    assert done.json["entered"] == 40
    done = fettle("watch", "tickets@1", "--journal", "--registry", here, "--json")
    assert done.code == 0, done.err
    (judged,) = done.json["judged"]
    assert (judged["stream"], judged["score"]["rows"]) == ("audit", 40)
    called = set(called_by(story))
    f1 = [2 * len(called & set(said)) / (len(called) + len(said))
          for said in (("lost card",), ("lost card", "top up"))]
    assert judged["score"]["value"] == pytest.approx(np.mean(f1))


def called_by(story):
    """The labels that the probabilities of `served` call."""
    cuts = {one.label: one.threshold for one in story.evaluation.rules}
    said = dict(zip(sorted(NAMES), (0.1, 0.9, 0.1), strict=True))
    return [label for label in NAMES if said[label] >= cuts[label]]


def rows_of(held, number):
    return arrow.read(held.paths(held.find(f"tickets@{number}")[2])["rows.arrow"])


def test_a_challenger_learns_from_new_rows_and_reads_files_as_the_champion_does(
    story, fettle, tmp_path
):
    here = copy_of(story, tmp_path / "copy").registry
    new = write_rows(tmp_path / "new.csv",
                     [(text, "|".join(labels)) for text, labels in several(60, seed=21)],
                     header=("text", "labels"))
    done = fettle("retrain", "tickets", new, "--registry", here, "--rungs", "features",
                  "--start", "base", "--json")
    assert done.code == 0, done.err
    assert (done.json["version"], done.json["measure"]) == ("tickets@2", "row_f1")
    held = Registry(str(here))
    before, after = rows_of(held, 1), rows_of(held, 2)
    sides = dict(zip(after.column("text").to_pylist(), after.column("side").to_pylist(),
                     strict=True))
    frozen = [text for text, side in zip(before.column("text").to_pylist(),
                                         before.column("side").to_pylist(), strict=True)
              if side == "test"]
    assert {sides[text] for text in frozen} == {"test"}
    labels = dict(zip(after.column("text").to_pylist(), after.column("labels").to_pylist(),
                      strict=True))
    known = [(text, said) for text, said in several(60, seed=21) if text in labels]
    assert len(known) > 50
    assert all(unpacked(labels[text]) == said for text, said in known)
    assert [one["metric"] for one in done.json["vaults"]] == [
        "test rows of tickets@1", "test rows of tickets@2"]
    assert done.json["verdict"]["challenger"] == "tickets@2"
    opened = pipeline.open_version("tickets@2", registry=str(here))
    assert opened.schema.several == "|"
    made = fettle("evaluate", "tickets@2", new, "--registry", here, "--json")
    assert made.code == 0, made.err


def test_what_was_asked_for_is_handed_on_and_the_plan_says_so(tell, tiny, fettle, tmp_path):
    rows = [(text, ";".join(labels)) for text, labels in several(240, seed=2)]
    made = tell(tmp_path / "first", write_rows(tmp_path / "t.csv", rows, header=("text", "labels")),
                model=tiny, rungs=("features", "top"),
                asked={"epochs": 2, "dropout": "0.25", "l2": "0.5"})
    assert made.plan.asked == {"epochs": 2, "dropout": "0.25", "l2": "0.5"}
    new = write_rows(tmp_path / "new.csv",
                     [(text, ";".join(labels)) for text, labels in several(40, seed=22)],
                     header=("text", "labels"))
    done = fettle("retrain", "t", new, "--registry", made.registry, "--rungs", "top", "--start",
                  "base", "--set", "dropout=0.05", "--json")
    assert done.code == 0, done.err
    plan = pipeline.open_version("t@2", registry=str(made.registry)).plan
    (rung,) = plan["rungs"]
    assert rung["settings"]["epochs"] == 2, "handed on"
    assert rung["settings"]["dropout"] == 0.05, "the new command says otherwise"
    told = " ".join(plan["reasons"])
    assert "Handed on from the version before" in told
    assert "epochs 2" in told
    assert "Not handed on, as none of these rungs has it: l2." in told


@pytest.fixture
def fresh(tmp_path):
    """60 new rows whose column of labels is still empty."""
    return write_rows(tmp_path / "fresh.csv",
                      [(text, "") for text, _ in several(90, seed=31)], header=("text", "labels"))


def test_rows_worth_labels_go_out_and_come_back_and_are_learned_from(
    story, fettle, fresh, tmp_path
):
    here = copy_of(story, tmp_path / "copy").registry
    out = tmp_path / "to-label.csv"
    done = fettle("label", "suggest", "tickets", fresh, "--count", "20", "--out", out,
                  "--registry", here, "--json")
    assert done.code == 0, done.err
    assert (done.json["random"], done.json["uncertain"], done.json["diverse"]) == (4, 8, 8)
    with out.open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert {one["fettle_between"] for one in lines} == {"|"}
    for one in lines:
        assert (one["fettle_predicted"] == "") == (one["fettle_why"] == "random")
        assert set(one["fettle_predicted"].split("|")) - {""} <= {*NAMES, "[]"}
    truth = dict(several(90, seed=31))
    for at, line in enumerate(lines):
        line["labels"] = "|".join(truth[line["text"]]) or "[]"
        if at == 0:
            line["labels"] = ""  # nobody knew
    filled = tmp_path / "ann.csv"
    with filled.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    reviewed = tmp_path / "reviewed.csv"
    done = fettle("label", "read", filled, "--target", "labels", "--out", reviewed, "--json")
    assert (done.json["labelled"], done.json["unlabelled"]) == (19, 1)
    with reviewed.open(newline="") as stream:
        back = {one["text"]: one["labels"] for one in csv.DictReader(stream)}
    assert back == {one["text"]: packed(truth[one["text"]]) for one in lines[1:]}
    done = fettle("retrain", "tickets", reviewed, "--registry", here, "--rungs", "features",
                  "--start", "base", "--json")
    assert done.code == 0, done.err
    table = rows_of(Registry(str(here)), 2)
    learned = dict(zip(table.column("text").to_pylist(), table.column("labels").to_pylist(),
                       strict=True))
    assert {text: learned[text] for text in back} == back


def test_label_studio_gets_choices_and_gives_several_or_none_back(story, fettle, fresh, tmp_path):
    out = tmp_path / "tasks.json"
    done = fettle("label", "suggest", "tickets@1", fresh, "--count", "10", "--out", out,
                  "--registry", story.registry)
    assert done.code == 0, done.err
    tasks = json.loads(out.read_text())
    for one in tasks:
        for prediction in one.get("predictions", ()):
            for result in prediction["result"]:
                assert set(result["value"]["choices"]) <= set(NAMES)

    def annotated(*choices, **more):
        result = [{"type": "choices", "from_name": "labels", "value": {"choices": list(choices)}}]
        return {"completed_by": 1, "result": result if choices else [], **more}

    tasks[0]["annotations"] = [annotated("top up", "lost card")]
    tasks[1]["annotations"] = [annotated()]
    tasks[2]["annotations"] = [annotated(was_cancelled=True)]
    back = tmp_path / "back.json"
    back.write_text(json.dumps(tasks[:3]))
    assert [one.label for one in read_labels(back, target="labels")] == [
        '["lost card","top up"]', "[]", ""]


def test_a_file_whose_labels_are_still_empty_is_watched_as_one_without(story, fettle, fresh):
    done = fettle("watch", "tickets@1", fresh, "--registry", story.registry, "--json")
    assert done.code == 0, done.err
    assert done.json["judged"] == []
    assert any("taken to have none yet" in note for note in done.json["notes"])


def test_columns_of_0_and_1_are_retrained_as_such(tell, tiny, fettle, tmp_path):
    def columns(rows):
        return [(text, *(int(name in labels) for name in NAMES)) for text, labels in rows]

    data = write_rows(tmp_path / "t.csv", columns(several(240, seed=4)), header=("text", *NAMES))
    made = tell(tmp_path / "first", data, model=tiny, rungs=("features",), target=",".join(NAMES))
    new = write_rows(tmp_path / "new.csv", columns(several(40, seed=23)), header=("text", *NAMES))
    done = fettle("retrain", "t", new, "--registry", made.registry, "--rungs", "features",
                  "--start", "base", "--json")
    assert done.code == 0, done.err
    opened = pipeline.open_version("t@2", registry=str(made.registry))
    assert (opened.schema.several, opened.schema.target) == ("columns", ",".join(NAMES))
    assert fettle("evaluate", "t@2", new, "--registry", made.registry, "--json").code == 0
