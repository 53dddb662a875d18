"""Plans that a person hands back, and plans that a run goes on with."""

from dataclasses import replace
from pathlib import Path

import pytest

from fettle import pipeline
from fettle.core.errors import CorruptFile, SettingError
from fettle.core.plan import Plan, Rung
from fettle.core.progress import Note
from fettle.modalities import wording
from fettle.stages import training
from fettle.store import records, runs
from fettle.strategies import DEFAULTS
from fettle.strategies.why import WHY
from stories import asked, last_of, write_rows


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


def planned_by(settings, monkeypatch, given=None, **versions):
    """The plan of a run that is stopped as soon as it has begun, and what was said before it."""
    real, notes, made = runs.version, [], None
    with monkeypatch.context() as patch:
        patch.setattr(runs, "version", lambda name: versions.get(name) or real(name))
        work = pipeline.build(settings, given=given)
        for event in work:
            if made is not None:
                work.close()
            elif isinstance(event, Plan):
                made = event
            elif isinstance(event, Note):
                notes.append(event.sentence)
    return made, notes


@pytest.mark.parametrize("versions", [
    {}, {"fettle": "0.0.1"}, {"torch": "1.0"}, {"tokenizers": "0.1"},
])
@pytest.mark.usefixtures("on_this_machine")
def test_a_run_goes_on_with_its_plan_whatever_would_be_planned_today_and_says_who_made_it(
    told, tmp_path, monkeypatch, versions
):
    settings = asked(told, registry=str(tmp_path / "r"))
    before, _ = planned_by(settings, monkeypatch, **versions)
    monkeypatch.setattr(wording, "MOST_TOKENS", before.max_tokens - 1)  # as a new default would
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
    monkeypatch.setitem(WHY, "of_later", "it came later")
    made, notes = planned_by(settings, monkeypatch)
    assert made.id != before.id
    assert any("begins anew" in note and "'of_later'" in note for note in notes)


@pytest.mark.usefixtures("on_this_machine")
def test_in_a_folder_that_was_asked_for_a_run_that_cannot_go_on_is_refused_in_one_sentence(
    told, tmp_path, monkeypatch
):
    settings = asked(told, registry=str(tmp_path / "r"), rungs=("features",),
                     out=str(tmp_path / "out"))
    planned_by(settings, monkeypatch, fettle="0.0.1")
    monkeypatch.setitem(DEFAULTS["features"], "of_later", 1)
    monkeypatch.setitem(WHY, "of_later", "it came later")
    held = (tmp_path / "out" / "plan.json").read_bytes()
    with pytest.raises(SettingError, match=r"out holds the run that fettle 0\.0\.1 \(now .*\) "
                       r"began, and it cannot go on: .*'of_later'.*name another folder with --out"):
        planned_by(settings, monkeypatch)
    assert (tmp_path / "out" / "plan.json").read_bytes() == held


@pytest.mark.usefixtures("on_this_machine")
def test_who_made_a_plan_is_said_once_until_another_version_goes_on_with_it(
    told, tmp_path, monkeypatch
):
    settings = asked(told, registry=str(tmp_path / "r"))
    planned_by(settings, monkeypatch, fettle="0.0.1")
    said = [[note for note in planned_by(settings, monkeypatch, **versions)[1]
             if note.startswith("Going on")]
            for versions in ({}, {}, {"torch": "1.0"}, {"torch": "1.0"}, {})]
    assert [len(notes) for notes in said] == [1, 0, 1, 0, 1]
    assert "torch" in said[2][0]


@pytest.mark.usefixtures("on_this_machine")
def test_slices_that_are_written_into_the_plan_of_a_begun_run_are_taken(
    told, tmp_path, monkeypatch
):
    settings = asked(told, registry=str(tmp_path / "r"))
    given = pipeline.plan(settings)
    planned_by(settings, monkeypatch, given)
    sliced = replace(given, reading=replace(given.reading, slices=("label",)))
    made, _ = planned_by(settings, monkeypatch, sliced)
    assert (made.id, made.reading.slices) == (given.id, ("label",))


@pytest.mark.usefixtures("on_this_machine")
def test_the_same_rows_by_another_name_are_another_model(told, tmp_path, monkeypatch):
    """The id of a plan covers no name: the run of one could be taken for that of another."""
    registry = str(tmp_path / "r")
    first, _ = planned_by(asked(told, registry=registry), monkeypatch)
    data = tmp_path / "orders.csv"
    data.write_bytes(Path(told.plan.reading.data).read_bytes())
    reading = replace(told.plan.reading, data=str(data))
    other, _ = planned_by(asked(told, registry=registry, reading=reading), monkeypatch)
    named, _ = planned_by(asked(told, registry=registry), monkeypatch, replace(first, name="calls"))
    assert [one.name for one in (first, other, named)] == ["tickets", "orders", "calls"]
    assert len({path.name for path in (tmp_path / "r" / "runs").iterdir()}) == 3


@pytest.mark.usefixtures("on_this_machine")
def test_a_run_goes_on_where_it_lies_although_this_fettle_would_name_its_folder_otherwise(
    told, tmp_path, monkeypatch
):
    """The id of a plan covers its settings: one more of them, and the same plan has another id."""
    settings = asked(told, registry=str(tmp_path / "r"))
    planned_by(settings, monkeypatch, fettle="0.0.1")
    (begun,) = (tmp_path / "r" / "runs").iterdir()
    monkeypatch.setattr(Plan, "id", property(lambda _: "0" * 12))
    planned_by(settings, monkeypatch)
    assert list((tmp_path / "r" / "runs").iterdir()) == [begun]


@pytest.mark.usefixtures("on_this_machine")
def test_a_plan_that_cannot_be_read_says_who_wrote_it_and_what_next(told, tmp_path, monkeypatch):
    settings = asked(told, registry=str(tmp_path / "r"))
    planned_by(settings, monkeypatch, fettle="9.9.9")
    (path,) = (tmp_path / "r" / "runs").glob("*/plan.json")
    path.write_text(path.read_text().replace('"seed"', '"sapling"'))
    with pytest.raises(CorruptFile, match=r"sapling.*written with fettle 9\.9\.9.*--out"):
        planned_by(settings, monkeypatch)
