"""Merging: folds' networks become one with the mean of their weights, where that does as well."""

import dataclasses

import pytest
import torch

from engine.standing import PLAN, climb, no_restarts, rung_of, same, stand, watched
from fettle.core.progress import Note
from fettle.engine import climbing, merging
from fettle.engine.climbing import One
from fettle.engine.merging import Mean
from fettle.engine.predict import loss_of
from fettle.store import checkpoints
from fettle.strategies import DEFAULTS

__all__ = ["no_restarts"]

RUNG = rung_of("full", rate=1e-3)


@pytest.fixture
def tuned(monkeypatch):
    """Name and weights of every network that was tuned."""
    found = []
    real = One.tuned

    def told(self, teach, judge):
        said = yield from real(self, teach, judge)
        found.append((self.name, {name: value.clone() for name, value
                                  in self.network.module.state_dict().items()}))
        return said

    monkeypatch.setattr(One, "tuned", told)
    return found


def test_kept_is_the_mean_of_the_weights_of_the_folds_networks(tmp_path, tuned):
    ground, chosen = stand(tmp_path, sides=4)
    found, events = watched(climb(ground, chosen, rung_of("full", rate=1e-3, networks=4)))
    assert [name for name, _ in tuned] == ["full-0", "full-1", "full-2", "full-3"]
    own = found.network.module.state_dict()
    for name, value in own.items():
        torch.testing.assert_close(value, sum(one[name] for _, one in tuned) / 4)
    assert any(not torch.equal(value, tuned[-1][1][name]) for name, value in own.items())
    sentence = found.notes[-1]
    assert sentence.startswith("Kept is the mean of the weights of the 4 networks")
    assert "48 learning rows" in sentence
    assert [one.sentence for one in events if isinstance(one, Note)] == [sentence]
    assert len(found.outputs) == 48, "judged by those that did not learn from the row"


def test_what_was_frozen_is_as_it_came_to_the_bit(tmp_path, tuned):
    ground, chosen = stand(tmp_path, sides=5)
    network = watched(climb(ground, chosen, rung_of("top", rate=1e-3, top_blocks=1)))[0].network
    came, moved = ground.network.module.state_dict(), []
    for name, value in network.module.state_dict().items():
        if name in came and not torch.equal(value, came[name]):
            moved.append(network.block_of(name))
    assert len(tuned) == 5
    assert {*moved} == {network.blocks - 2}


def test_where_the_mean_does_worse_one_more_learns_from_all_rows(tmp_path, tuned, monkeypatch):
    losses = iter([0.5, 0.7, 0.5, 0.6])
    monkeypatch.setattr(merging, "loss_of", lambda *given: next(losses))
    ground, chosen = stand(tmp_path, sides=3)
    found, _ = watched(climb(ground, chosen, RUNG))
    assert [name for name, _ in tuned] == ["full-0", "full-1", "full-2", "full-all"]
    assert all(torch.equal(value, tuned[-1][1][name])
               for name, value in found.network.module.state_dict().items())
    assert "Not kept is the mean" in found.notes[-2]
    assert "loss is 0.600, and theirs 0.567 on average" in found.notes[-2]
    assert found.notes[-1].startswith("Tuned on all learning rows")


def test_networks_that_went_different_ways_have_no_mean(tmp_path):
    """Two networks that say the same, with the signs of what reaches the head turned over."""
    ground, chosen = stand(tmp_path, sides=2)
    one = climbing.solved(ground, chosen).network
    mean = Mean(ground, PLAN)
    mean.add(one)
    assert mean.losses[0] < 0.5, "it says something, and a mean without signs does not"
    last = one.backbone.encoder.layer[-1].output.LayerNorm
    with torch.no_grad():
        for value in (last.weight, last.bias, one.head.linear.weight):
            value.neg_()
    mean.add(one)
    assert mean.losses[0] == pytest.approx(mean.losses[1], rel=1e-3)
    assert not mean.put_on(one)
    again = Mean(ground, PLAN)
    again.add(one)
    assert again.put_on(one), "the mean of one is that one"


@pytest.mark.parametrize("kept", ["retrained", "mean"])
def test_neither_is_made_where_no_network_is_kept_or_rows_are_held_out(tmp_path, tuned, kept):
    rung = rung_of("full", kept=kept)
    ground, chosen = stand(tmp_path / "folds", sides=2)
    watched(climb(dataclasses.replace(ground, keeps=False), chosen, rung))
    ground, chosen = stand(tmp_path / "held out")
    watched(climb(ground, chosen, rung))
    assert [name for name, _ in tuned] == ["full-0", "full-1", "full-0"]


def test_a_mean_that_is_made_after_a_kill_has_the_same_bits(tmp_path, monkeypatch):
    expected, _ = watched(climb(*stand(tmp_path / "whole", sides=3), RUNG))
    ground, chosen = stand(tmp_path / "killed", sides=3)
    real, saves = checkpoints.save, []

    def save(*given):
        real(*given)
        saves.append(given)
        if len(saves) == 8:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(KeyboardInterrupt):
        watched(climb(ground, chosen, RUNG))
    monkeypatch.setattr(checkpoints, "save", real)
    again, _ = watched(climb(ground, chosen, RUNG))
    assert same(again.network, expected.network)
    assert again.notes[-1] == expected.notes[-1]


def test_what_has_no_mean_cannot_be_asked_for_one():
    assert {name for name, settings in DEFAULTS.items() if "kept" not in settings} == {
        "features", "contrastive", "scratch", "lora"}


@pytest.mark.parametrize("name", ["scratch", "lora"])
def test_what_has_no_mean_is_retrained(tmp_path, tuned, name):
    ground, chosen = stand(tmp_path, sides=2)
    watched(climb(ground, chosen, rung_of(name)))
    assert [one for one, _ in tuned] == [f"{name}-0", f"{name}-1", f"{name}-all"]


def test_what_each_network_chose_is_told_of_their_mean(tmp_path, monkeypatch):
    scores = iter([0.0, 1.0, *[0.5] * 9, *[0.0] * 3, 1.0, *[0.5] * 7])
    ground, chosen = stand(tmp_path, sides=2)
    real = One._finished

    def finished(self, judged):
        self.ground = dataclasses.replace(self.ground, score=lambda *_: next(scores))
        return real(self, judged)

    monkeypatch.setattr(One, "_finished", finished)
    monkeypatch.setattr(Mean, "put_on", lambda *_: True)
    found, _ = watched(climb(ground, chosen, rung_of("wise", rate=1e-3)))
    assert found.chosen["alpha"] == "0.1, 0.3"
    assert found.trials == (), "of two networks one's would be told"


def test_the_loss_is_that_of_the_loop(tmp_path):
    ground, chosen = stand(tmp_path)
    found, _ = watched(climb(ground, chosen))
    judged = ground.judged
    assert loss_of(ground.task, found.outputs, ground.lesson.targets[judged]) == pytest.approx(
        next(one.validation_loss for one in found.history
             if one.number == found.chosen["epoch"]), rel=1e-5)
