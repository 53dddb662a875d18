"""A training that collapsed begins anew, aloud."""

import dataclasses
import json

from engine.standing import PLAN, RUNG, climb, no_restarts, rung_of, same, stand, watched
from fettle.core.plan import Rung
from fettle.core.progress import Note
from fettle.core.run import Epoch
from fettle.engine import climbing
from fettle.strategies import STRATEGIES

__all__ = ["no_restarts"]


WILD = {"rate": 3.0, "head_rate": 3.0, "epochs": 4, "dropout": 0.0}
"""At such rates a network of norms says the same of every row."""


def collapsing(monkeypatch, restarts):
    """A training collapses until it has begun anew so often, whatever it learns."""
    monkeypatch.setattr(climbing, "RESTARTS", 2)
    attempts = []
    real = climbing.One._trained

    def trained(self, *sides):
        attempts.append((self.attempt, self.folder.name))
        return real(self, *sides)

    def has_collapsed(history, *, over):
        return len(attempts) <= restarts and len(history) >= 2

    monkeypatch.setattr(climbing.One, "_trained", trained)
    monkeypatch.setattr(climbing.stopping, "has_collapsed", has_collapsed)
    return attempts


def test_a_training_that_collapsed_begins_anew_with_another_seed_and_half_the_rates_aloud(
    tmp_path, monkeypatch
):
    ground, chosen = stand(tmp_path)
    attempts = collapsing(monkeypatch, 1)
    climbed, events = watched(climb(ground, chosen))
    assert attempts == [(0, "full-0"), (1, "full-0-again1")]
    (said,) = (event.sentence for event in events if isinstance(event, Note))
    assert "collapsed after epoch 2" in said
    assert "another seed and 1/2 of the rates" in said
    assert said in climbed.notes
    assert len(climbed.history) == 3

    half = {name: value / 2 for name, value in RUNG.settings.items()
            if name in ("rate", "head_rate")}  # fmt: skip
    by_hand, _ = watched(climbing.tuned(
        dataclasses.replace(ground, folder=tmp_path / "by hand"),
        dataclasses.replace(PLAN, seed=PLAN.seed + climbing.OTHER_SEED),
        Rung("full", {**RUNG.settings, **half}),
        STRATEGIES["full"]({**RUNG.settings, **half}), chosen,
    ))
    assert same(climbed.network, by_hand.network)


def test_after_two_new_beginnings_the_third_attempt_stands(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    attempts = collapsing(monkeypatch, 9)
    climbed, events = watched(climb(ground, chosen))
    assert [number for number, _ in attempts] == [0, 1, 2]
    assert len(climbed.history) == 3
    assert sum("begins anew" in note for note in climbed.notes) == 2
    last = climbed.notes[-1]
    assert last.startswith("full-0: the training collapsed 3 times")
    assert [e.sentence for e in events if isinstance(e, Note)][-1] == last


def test_a_run_killed_after_a_new_beginning_goes_on_with_it(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    collapsing(monkeypatch, 1)
    whole, _ = watched(climb(ground, chosen))

    again = dataclasses.replace(ground, folder=tmp_path / "killed")
    monkeypatch.undo()
    collapsing(monkeypatch, 1)
    work = climb(again, chosen)
    epochs = 0
    for event in work:
        epochs += isinstance(event, Epoch)
        if epochs == 4:  # two that collapsed, and two of the second attempt
            work.close()
    monkeypatch.undo()
    collapsing(monkeypatch, 1)
    found, events = watched(climb(again, chosen))
    assert same(found.network, whole.network)
    assert any("Going on after epoch 2 of 3" in e.sentence for e in events if isinstance(e, Note))


def test_a_network_that_says_the_same_of_every_row_is_seen(tmp_path, monkeypatch):
    ground, chosen = stand(tmp_path)
    monkeypatch.setattr(climbing, "RESTARTS", 2)
    _, events = watched(climb(ground, chosen, rung_of("full", **WILD)))
    assert any("collapsed" in e.sentence for e in events if isinstance(e, Note))
    lines = [json.loads(one) for one in (ground.folder / "metrics.jsonl").read_text().splitlines()]
    assert [one["collapsed"] for one in lines][:2] == [True, True]
