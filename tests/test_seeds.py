"""Several seeds of the kept rung: what they say is shown, and the version stays the first one's."""

import json
from dataclasses import replace

import pytest

from engine.standing import watched
from fettle import pipeline
from fettle.core.errors import SettingError
from fettle.core.evaluation import Evaluation
from fettle.core.plan import Plan
from fettle.core.progress import Note
from fettle.core.run import Epoch, Repeat, Run
from fettle.stages import training
from fettle.store import records
from stages.trained import climbing_only, notes, trained
from stories import asked, copy_of, texts_and_labels, write_rows

pytestmark = pytest.mark.usefixtures("on_this_machine")


@pytest.fixture(scope="module")
def full(tmp_path_factory, tell, tiny):
    """A run of one rung and one epoch."""
    folder = tmp_path_factory.mktemp("seeds")
    data = write_rows(folder / "rows.csv", texts_and_labels(260, seed=8))
    return tell(folder / "told", data, model=tiny, rungs=("full",), asked={"epochs": 1})


def test_further_seeds_show_the_spread_and_change_no_byte_of_the_version(full, tmp_path):
    run = trained(full, tmp_path, plan=replace(full.plan, seeds=3))
    assert [one.seed for one in run.spread.repeats] == [0, 1, 2]
    assert run.spread.repeats[0].validation == run.rung("full").validation
    assert {one.validation.rows for one in run.spread.repeats} == {len(full.split.validation)}
    kept = tmp_path / "rungs" / "full" / "model.safetensors"
    assert kept.read_bytes() == (
        full.run_folder / "rungs" / "full" / "model.safetensors").read_bytes()
    assert records.from_plain(records.to_plain(run), Run, place="run.json") == run


def test_a_solved_head_has_no_seed_and_that_is_said(full, tmp_path):
    plan = replace(full.plan, seeds=3, rungs=(replace(
        full.plan.rungs[0], strategy="features", settings=dict(
            training.DEFAULTS["features"])),))
    run, events = watched(training.train(
        full.dataset, full.split, plan, card=full.card, folder=tmp_path))
    assert run.spread is None
    assert "features is solved, not trained: no seed changes it, so there is no spread." in (
        notes(events))


def test_how_many_seeds_show_the_spread_is_no_part_of_a_plans_identity(full):
    assert replace(full.plan, seeds=5).id == full.plan.id
    assert replace(full.plan, seed=5).id != full.plan.id


def again(told, **changed):
    """The same command: (evaluations, repeats, what was said, epochs, the version)."""
    settings = asked(told, rungs=("full",), asked={"epochs": 1}, name=told.plan.name, **changed)
    events = list(pipeline.build(settings))

    def of(kind):
        return [one for one in events if isinstance(one, kind)]

    return (of(Evaluation), of(Repeat), " ".join(one.sentence for one in of(Note)), of(Epoch),
            events[-1])


def test_a_finished_run_that_is_asked_for_seeds_climbs_them_and_keeps_its_version(full, tmp_path):
    here = copy_of(full, tmp_path / "copy")
    place = {"out": str(here.run_folder), "registry": str(here.registry)}
    before = here.weights("full")
    (made,), repeats, said, _, version = again(here, seeds=3, **place)
    assert "further seeds are climbed" in said
    assert [one.seed for one in repeats] == [1, 2]
    assert version.number == full.version.number
    assert version.plan == full.plan.id
    assert here.weights("full") == before
    assert made.contender(made.kept).scores == (
        full.evaluation.contender(full.evaluation.kept).scores)
    result = json.loads((here.run_folder / "result.json").read_text())
    assert [one["seed"] for one in result["spread"]["repeats"]] == [0, 1, 2]
    page = (here.run_folder / "report.html").read_text()
    assert "The kept rung with each seed" in page
    assert "would flatter itself" in page
    assert records.load(here.run_folder / "plan.json", Plan).seeds == 3

    for fewer in ({}, {"seeds": 3}, {"seeds": 2}):
        evaluations, repeats, said, epochs, _ = again(here, **fewer, **place)
        assert (evaluations, repeats, epochs) == ([], [], []), fewer
        assert "is finished" in said
    assert json.loads((here.run_folder / "result.json").read_text()) == result


def test_the_plan_says_what_further_seeds_cost_and_what_they_are_for(full):
    plain = pipeline.plan(asked(full, rungs=("full",)))
    made = pipeline.plan(asked(full, rungs=("full",), seeds=3, seed=0))
    (more,) = [one for one in made.reasons if one not in plain.reasons]
    most = 2 * max(one.seconds for one in made.predicted)
    assert more == (
        "In the end the kept rung is climbed with 2 more seeds, 1 to 2, on the same rows and "
        f"replayed work: up to {most:.0f} s more. They show the spread; the version stays that of "
        "seed 0."
    )
    assert made.seeds == 3


def test_no_seed_at_all_is_an_error(full):
    with pytest.raises(SettingError, match="--seeds is 0"):
        pipeline.plan(asked(full, seeds=0))
    with pytest.raises(SettingError, match="seeds is 0 in the plan"):
        list(pipeline.build(asked(full), given=replace(full.plan, seeds=0)))


def test_a_plan_in_a_file_may_ask_for_seeds(full, tmp_path):
    run = trained(full, tmp_path, plan=replace(climbing_only(full, "full"), seeds=2))
    assert len(run.spread.repeats) == 2
