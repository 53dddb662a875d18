"""The story: its order, its folders, what it repeats and what it does not."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest

from fettle import pipeline
from fettle.core.errors import LockHeld, SettingError, UnknownName
from fettle.core.plan import Plan, Reading, Rung
from fettle.core.progress import Note
from fettle.core.settings import Settings
from fettle.stages import planning, training
from fettle.store import locks, records, runs
from fettle.store.registry import Registry
from fettle.strategies import DEFAULTS
from stories import copy_of, texts_and_labels, write_rows


def asked(told, **changed):
    given = {"reading": told.plan.reading, "model": told.plan.model,
             "registry": str(told.registry), **changed}
    return Settings(**given)


def last_of(story):
    return list(story)[-1]


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


@pytest.fixture(scope="module")
def judged(tmp_path_factory, tell, tiny):
    """One file of learning rows, and two stories of it that differ in the test file alone."""
    folder = tmp_path_factory.mktemp("judged")
    rows = texts_and_labels(240, seed=5)
    data = write_rows(folder / "learn.csv", rows)
    tested = texts_and_labels(30, seed=6, without=rows)
    turned = [(text + " my my", label) for (text, _), (_, label)
              in pairwise(tested[:21])]
    write_rows(folder / "a.csv", tested)
    write_rows(folder / "b.csv", turned)
    return folder, [
        tell(folder / name, data, model=tiny, test=str(folder / f"{name}.csv")) for name in "ab"
    ]


def test_another_test_file_changes_neither_the_plan_nor_a_trained_byte(judged):
    _, (a, b) = judged
    assert a.split.vault.fingerprint != b.split.vault.fingerprint
    assert a.plan.id == b.plan.id
    plans = [replace(one.plan, reading=Reading(), reasons=()) for one in (a, b)]
    assert plans[0] == plans[1]
    for rung in ("features", "full"):
        assert a.weights(rung) == b.weights(rung)
        assert a.run.rung(rung).chosen == b.run.rung(rung).chosen
        assert a.run.rung(rung).validation == b.run.rung(rung).validation
    assert a.run.kept == b.run.kept
    assert a.evaluation.test != b.evaluation.test


def test_other_test_rows_in_the_same_folder_are_judged_anew_by_what_is_trained_already(
    judged, tell, tiny, monkeypatch
):
    folder, (a, b) = judged
    monkeypatch.setattr(training.climbing, "tuned", None)  # would fail if anything were trained
    again = tell(a.folder, folder / "learn.csv", model=tiny, test=str(folder / "b.csv"))
    assert again.version.number == 2
    assert again.evaluation.test == b.evaluation.test
    assert again.weights("full") == a.weights("full")
    opened = pipeline.open_version(again.version.folder)
    assert opened.id == "learn@2"


def test_a_test_set_that_is_looked_at_by_a_second_plan_says_so(judged, tell, tiny):
    folder, (_, b) = judged
    second = tell(b.folder, folder / "learn.csv", model=tiny, test=str(folder / "b.csv"),
                  rungs=("features",))
    assert (b.evaluation.openings, second.evaluation.openings) == (1, 2)
    assert any("looked at 2 times" in note for note in second.evaluation.notes)
    assert "looked at 2 times" in (second.run_folder / "report.html").read_text()


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
def test_evaluating_on_the_storys_own_test_rows_is_a_second_look(judged, tmp_path):
    folder, (a, _) = judged
    registry = str(copy_of(a, tmp_path / "copy").registry)
    made = pipeline.evaluate("learn@1", folder / "a.csv", registry=registry)
    assert made.test == a.evaluation.test
    assert made.openings == 2
    kept = a.evaluation.contender(a.evaluation.kept)
    expected = {score.name: score.value for score in kept.scores}
    found = {score.name: score.value for score in made.contenders[0].scores}
    assert found == pytest.approx(expected)


@pytest.mark.usefixtures("on_this_machine")
def test_rows_without_the_answers_column_cannot_be_evaluated(told, tmp_path):
    data = write_rows(tmp_path / "new.csv", [["lost card"]], header=["text"])
    with pytest.raises(SettingError, match=r"no column 'label'.*fettle predict"):
        pipeline.evaluate("tickets", data, registry=str(told.registry))


# Plans that a person hands back.


@pytest.mark.usefixtures("on_this_machine")
def test_an_unchanged_plan_is_the_same_run(told, monkeypatch):
    monkeypatch.setattr(training, "train", None)
    made = pipeline.plan(asked(told))
    assert last_of(pipeline.build(asked(told), given=made)) == told.version


@pytest.mark.usefixtures("on_this_machine")
def test_an_edited_plan_is_followed_to_the_letter(told, tmp_path):
    made = pipeline.plan(asked(told))
    given = replace(made, rungs=(Rung("features", {**made.rungs[0].settings, "poolings": "cls"}),))
    version = last_of(pipeline.build(asked(told, registry=str(tmp_path)), given=given))
    held = records.load(tmp_path / "runs" / f"tickets-{given.id}" / "plan.json", Plan)
    assert held == given
    assert version.plan == given.id != made.id


@pytest.mark.usefixtures("on_this_machine")
def test_a_plan_is_refused_for_other_rows(told, tmp_path, rows):
    made = pipeline.plan(asked(told))
    data = write_rows(tmp_path / "tickets.csv", rows[:-1])
    given = replace(made, reading=replace(made.reading, data=str(data)))
    with pytest.raises(SettingError, match="other rows"):
        last_of(pipeline.build(asked(told, registry=str(tmp_path / "r")), given=given))
    assert not (tmp_path / "r").exists()


def planned_by(settings, monkeypatch, **versions):
    """The plan of a run that is stopped as soon as it has begun, and what was said before it."""
    real, notes, made = runs.version, [], None
    with monkeypatch.context() as patch:
        patch.setattr(runs, "version", lambda name: versions.get(name) or real(name))
        work = pipeline.build(settings)
        for event in work:
            if made is not None:
                work.close()
            elif isinstance(event, Plan):
                made = event
            elif isinstance(event, Note):
                notes.append(event.sentence)
    return made, notes


@pytest.mark.parametrize("versions", [{}, {"fettle": "0.0.1"}, {"torch": "1.0"}])
@pytest.mark.usefixtures("on_this_machine")
def test_a_run_goes_on_with_its_plan_whatever_would_be_planned_today_and_says_who_made_it(
    told, tmp_path, monkeypatch, versions
):
    settings = asked(told, registry=str(tmp_path / "r"))
    before, _ = planned_by(settings, monkeypatch, **versions)
    monkeypatch.setattr(planning, "MOST_TOKENS", before.max_tokens - 1)  # as a new default would
    assert pipeline.plan(settings).id != before.id
    made, notes = planned_by(settings, monkeypatch)
    assert made.id == before.id
    said = [note for note in notes if note.startswith(f"Going on with plan {before.id}, made with")]
    assert len(said) == len(versions)
    for name, number in versions.items():
        assert f"{name} {number} (now " in said[0]


@pytest.mark.usefixtures("on_this_machine")
def test_a_plan_that_this_fettle_cannot_follow_is_made_anew_aloud(told, tmp_path, monkeypatch):
    settings = asked(told, registry=str(tmp_path / "r"), rungs=("features",))
    before, _ = planned_by(settings, monkeypatch, fettle="0.0.1")
    monkeypatch.setitem(DEFAULTS["features"], "of_later", 1)
    made, notes = planned_by(settings, monkeypatch)
    assert made.id != before.id
    assert any("begins anew" in note and "'of_later'" in note for note in notes)


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
