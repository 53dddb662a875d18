"""The story: its order, its folders, what it refuses, and how often a version is measured."""

import json

import pytest

from fettle import pipeline
from fettle.core.errors import LockHeld, SettingError, UnknownName
from fettle.core.plan import Reading
from fettle.core.progress import Note
from fettle.core.settings import Settings
from fettle.stages import training
from fettle.store import locks
from fettle.store.registry import Registry
from stories import asked, copy_of, last_of, texts_and_labels, write_rows


def test_the_nouns_come_in_the_order_of_the_story(told):
    assert list(told.nouns) == [
        "dataset", "audit", "split", "card", "plan", "rungresult", "run", "evaluation", "report",
        "version",
    ]  # fmt: skip


def test_a_run_folder_holds_what_the_design_lists(told):
    there = {path.name for path in told.run_folder.iterdir()}
    assert {"plan.json", "audit.json", "split.json", "metrics.jsonl", "evaluation.json",
            "report.html", "model-card.md", "checkpoints", "version"} <= there
    assert told.run_folder == told.registry / "runs" / f"tickets-{told.plan.id}"
    for path in told.run_folder.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))
    assert not list(told.run_folder.rglob("*.tmp"))


@pytest.mark.usefixtures("on_this_machine")
def test_a_finished_run_is_told_from_its_folder_without_training(told, monkeypatch):
    def train(*_, **__):
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(training, "train", train)
    assert last_of(pipeline.build(asked(told))) == told.version
    assert [one["number"] for one in Registry(told.registry).versions()] == [1]


@pytest.mark.usefixtures("on_this_machine")
def test_a_finished_run_that_was_moved_says_where_it_is_now(told, tmp_path):
    moved = copy_of(told, tmp_path / "moved")
    version = last_of(pipeline.build(asked(moved, out=str(moved.run_folder))))
    assert version.folder == str(moved.run_folder / "version")
    assert version.report.html == str(moved.run_folder / "report.html")


@pytest.mark.usefixtures("on_this_machine")
def test_rows_that_a_finished_version_keeps_are_told_to_who_wants_none_kept(told):
    events = list(pipeline.build(asked(told, keep_rows=False)))
    (said,) = [one.sentence for one in events
               if isinstance(one, Note) and "--no-keep-rows" in one.sentence]
    assert "comes too late" in said
    assert "--out" in said


def test_two_stories_of_one_plan_and_seed_train_the_same_bytes(told, tmp_path, tell, rows):
    again = tell(tmp_path, write_rows(tmp_path / "tickets.csv", rows), model=told.plan.model)
    assert again.plan.id == told.plan.id
    for rung in ("features", "full"):
        assert again.weights(rung) == told.weights(rung)
    assert again.run.kept == told.run.kept
    assert again.version.files["model.safetensors"] == told.version.files["model.safetensors"]


def test_another_seed_is_another_plan_in_another_folder(told, tmp_path, tell, rows):
    other = tell(tmp_path, write_rows(tmp_path / "tickets.csv", rows), model=told.plan.model,
                 seed=1)
    assert other.plan.id != told.plan.id
    assert other.split.vault != told.split.vault
    assert other.weights("full") != told.weights("full")


@pytest.mark.usefixtures("on_this_machine")
def test_each_evaluation_of_a_version_is_counted_on_its_rows(told, tmp_path, rows):
    new = texts_and_labels(12, seed=8, without=rows)
    data = write_rows(tmp_path / "new.csv", new)
    registry = str(copy_of(told, tmp_path / "copy").registry)
    first = pipeline.evaluate("tickets", data, registry=registry)
    second = pipeline.evaluate("tickets@1", data, registry=registry)
    assert (first.openings, second.openings) == (1, 2)
    assert any("looked at 2 times" in note for note in second.notes)
    assert first.rows == 12
    assert first.before is None


@pytest.mark.usefixtures("on_this_machine")
def test_rows_without_the_answers_column_cannot_be_evaluated(told, tmp_path):
    data = write_rows(tmp_path / "new.csv", [["lost card"]], header=["text"])
    with pytest.raises(SettingError, match=r"no column 'label'.*fettle predict"):
        pipeline.evaluate("tickets", data, registry=str(told.registry))


# Folders.


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_with_another_plans_run_is_left_as_it_is(told):
    before = {path: path.stat().st_mtime_ns for path in told.run_folder.rglob("*.json")}
    with pytest.raises(SettingError, match=rf"{told.plan.id}.*--out"):
        last_of(pipeline.build(asked(told, rungs=("features",), out=str(told.run_folder))))
    assert {p: p.stat().st_mtime_ns for p in told.run_folder.rglob("*.json")} == before


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_with_something_else_is_left_as_it_is(told, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(SettingError, match=r"thesis\.txt.*--out"):
        last_of(pipeline.build(asked(told, out=str(tmp_path))))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.usefixtures("on_this_machine")
def test_a_folder_that_is_in_use_is_not_entered(told):
    with locks.hold(told.run_folder), pytest.raises(LockHeld, match=r"in use by process \d+"):
        last_of(pipeline.build(asked(told)))


@pytest.mark.parametrize("name", ["../../elsewhere", "a/b", "a@2", "", "-rf", ".hidden", "a\nb"])
@pytest.mark.usefixtures("on_this_machine")
def test_a_name_is_never_a_path(told, tmp_path, name):
    with pytest.raises(SettingError, match="--name"):
        last_of(pipeline.build(asked(told, name=name, registry=str(tmp_path / "a" / "b"))))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("on_this_machine")
def test_a_files_stem_becomes_a_name_that_can_be_asked_for(tmp_path, tiny):
    data = write_rows(tmp_path / "tickets@may.csv", texts_and_labels(60))
    assert pipeline.plan(Settings(reading=Reading(data=str(data)), model=str(tiny))).name == (
        "tickets-may"
    )


@pytest.mark.usefixtures("on_this_machine")
def test_a_check_that_does_not_exist_cannot_be_allowed(told):
    with pytest.raises(UnknownName, match="Did you mean 'small_classes'"):
        last_of(pipeline.build(asked(told, allow=("smal_classes",))))
