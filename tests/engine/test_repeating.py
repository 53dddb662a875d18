"""Repeating: each seed is what it would be alone, a kill changes no bit, and no network is kept."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from engine.standing import (
    PLAN,
    ROWS,
    RUNG,
    no_restarts,
    rung_of,
    stand,
    watched,
    with_states,
)
from fettle.core.errors import NonFinite
from fettle.core.progress import Note
from fettle.core.run import Epoch, Repeat, RungResult, Spread
from fettle.core.score import Score
from fettle.engine import climbing, repeating
from fettle.strategies import STRATEGIES
from stories import flip_byte

__all__ = ["no_restarts"]


def over(ground, chosen, *, seeds=3, rung=RUNG, seconds=1.0, budget=None):
    """The work of all seeds, after a rung that took so many seconds."""
    plan = dataclasses.replace(PLAN, seeds=seeds, rungs=(rung,), budget_seconds=budget)
    first = RungResult(rung.strategy, "", Score("accuracy", 0.5, 0.3, 0.7, 16), seconds, 1)
    return repeating.over_seeds(
        ground, plan, rung, lambda: STRATEGIES[rung.strategy](rung.settings), chosen, [first])


def lines(ground, seed=None, rung="full"):
    """Of metrics.jsonl: the run's, or one seed's."""
    place = ground.folder if seed is None else ground.folder / "seeds" / f"{rung}-{seed}"
    return [json.loads(one) for one in (place / "metrics.jsonl").read_text().splitlines()]


def losses(lines):
    return [one["train_loss"] for one in lines if "train_loss" in one]


def bare(spread):
    """All but the seconds."""
    return [dataclasses.replace(one, seconds=0.0) for one in spread.repeats], spread.left_out


def test_each_seed_is_what_a_run_of_that_seed_is(tmp_path):
    ground, chosen = stand(tmp_path)
    spread, events = watched(over(ground, chosen))
    assert [one.seed for one in spread.repeats] == [0, 1, 2]
    assert [one for one in events if isinstance(one, Repeat)] == list(spread.repeats[1:])
    for seed in (1, 2):
        alone = dataclasses.replace(ground, folder=tmp_path / f"alone-{seed}")
        plan = dataclasses.replace(PLAN, seed=seed)
        found, _ = watched(climbing.tuned(
            alone, plan, RUNG, STRATEGIES["full"](RUNG.settings), chosen))
        assert losses(lines(ground, seed)) == losses(lines(alone))
        truth = ground.lesson.targets[32:]
        assert spread.repeats[seed].validation == ground.task.interval(
            "accuracy", found.outputs, truth, seed=0)
    assert losses(lines(ground, 1)) != losses(lines(ground, 2))


def test_no_network_of_a_further_seed_is_kept(tmp_path):
    ground, chosen = stand(tmp_path)
    watched(over(ground, chosen))
    assert not list(ground.folder.rglob("*.safetensors"))
    assert {path.name for path in (ground.folder / "seeds" / "full-1").iterdir()} == {
        "metrics.jsonl", "repeat.json"}


@pytest.mark.parametrize("stops", [3, 11, 17])
def test_seeds_that_were_killed_go_on_to_the_same_bits(tmp_path, stops):
    ground, chosen = stand(tmp_path)
    ground = dataclasses.replace(ground, save_seconds=0.0)
    whole, _ = watched(over(ground, chosen))
    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    work = over(again, chosen)
    for number, _ in enumerate(work):
        if number == stops:
            work.close()
    found, events = watched(over(again, chosen))
    assert any("Going on" in one.sentence for one in events if isinstance(one, Note))
    assert bare(found) == bare(whole)
    for seed in (1, 2):
        assert losses(lines(again, seed)) == losses(lines(ground, seed))


def test_a_seed_that_is_finished_is_not_climbed_again_and_is_one_line(tmp_path):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(over(ground, chosen))
    found, events = watched(over(ground, chosen))
    assert found == whole
    assert not any(isinstance(one, Epoch) for one in events)
    told = [one["repeat"]["seed"] for one in lines(ground) if "repeat" in one]
    assert told == [1, 2]
    more, events = watched(over(ground, chosen, seeds=4))
    assert more.repeats[:3] == whole.repeats
    assert [one.seed for one in events if isinstance(one, Repeat)] == [1, 2, 3]


def test_a_seed_whose_record_is_torn_is_climbed_again_aloud(tmp_path):
    ground, chosen = stand(tmp_path)
    whole, _ = watched(over(ground, chosen, seeds=2))
    flip_byte(ground.folder / "seeds" / "full-1" / "repeat.json", 0)
    found, events = watched(over(ground, chosen, seeds=2))
    assert any("climbed again with seed 1" in one.sentence for one in events
               if isinstance(one, Note))
    assert bare(found) == bare(whole)


def test_where_the_budget_ends_the_seeds_end_aloud(tmp_path):
    ground, chosen = stand(tmp_path)
    spread, events = watched(over(ground, chosen, seconds=95.0, budget=100.0))
    sentence = (
        "full with seed 1 is left out: it would take about 95 s, and 5 s of the budget of 100 s "
        "are left after 95 s."
    )
    assert spread.left_out == (f"{sentence} So are the seeds up to 2.",)
    assert [one.sentence for one in events] == list(spread.left_out)
    assert spread.deviation is None
    decided = ground.folder / "decisions.json"
    assert json.loads(decided.read_text()) == {"full with seed 1": sentence}
    assert watched(over(ground, chosen, seconds=1.0, budget=100.0))[0].left_out == spread.left_out
    decided.unlink()
    spread, _ = watched(over(ground, chosen, seconds=1.0, budget=1e6))
    assert (len(spread.repeats), spread.left_out) == (3, ())


def test_a_seed_that_falls_apart_is_told_and_stops_nothing(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    real = climbing.tuned

    def tuned(ground, plan, *others):
        if plan.seed == 1:
            raise NonFinite("Step 3: the loss itself is not a finite number.")
        return real(ground, plan, *others)

    monkeypatch.setattr(climbing, "tuned", tuned)
    spread, events = watched(over(ground, chosen))
    assert [one.seed for one in spread.repeats] == [0, 2]
    (sentence,) = spread.left_out
    assert sentence.startswith("full with seed 1 fell apart and has no score: Step 3")
    assert sentence in [one.sentence for one in events if isinstance(one, Note)]


@pytest.mark.parametrize(("name", "settings", "parts"), [
    ("full", {}, {"full-0", "full-1", "full-2"}),
    ("contrastive", {"networks": 2, "epochs": 2}, {"contrastive-0", "contrastive-1"}),
])  # fmt: skip
def test_without_validation_rows_folds_are_judged_and_nothing_learns_from_all(
    tmp_path, name, settings, parts
):
    ground, chosen = stand(tmp_path, sides=3)
    rung = rung_of(name, **settings) if settings else RUNG
    spread, _ = watched(over(ground, chosen, seeds=2, rung=rung))
    assert {one["rung_part"] for one in lines(ground, 1, name)} == parts
    assert spread.repeats[1].validation.rows == ROWS


def test_every_seed_starts_from_the_same_kept_states(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3)
    ground = with_states(ground, 3)
    rung = rung_of("top", top_blocks=1)
    begun = ground.lesson.states[3].values.clone()
    own = ground.folder / "seeds" / "top-1" / "replayed" / "top.json"
    spread, _ = watched(over(ground, chosen, seeds=2, rung=rung))
    assert json.loads(own.read_text()) == [3]
    assert torch.equal(ground.lesson.states[3].values, begun)
    assert len(spread.repeats) == 2


def scored(*values):
    return tuple(Repeat("full", seed, Score("macro_f1", value, 0.0, 1.0, 40), 1.0)
                 for seed, value in enumerate(values, start=5))


def test_mean_spread_and_worst_by_hand():
    spread = Spread(scored(0.8, 0.5, 0.8))
    assert spread.mean == pytest.approx(0.7)
    assert spread.deviation == pytest.approx(np.std([0.8, 0.5, 0.8], ddof=1))
    assert (spread.worst.seed, spread.best.seed) == (6, 5)
    assert spread.sentence == (
        "full with 3 seeds: macro f1 0.700 on average, standard deviation 0.173, from 0.500 "
        "(seed 6) to 0.800 (seed 5), on the same 40 rows. The version is of seed 5, whatever the "
        "others gave: the best of several would flatter itself."
    )
    assert Spread(scored(0.8)).sentence == "full was climbed with seed 5 alone."
    with pytest.raises(ValueError, match="at least"):
        Spread(())
