"""A rung on what frozen blocks gave learns what it learns without, or says so."""

import dataclasses

import numpy as np
import pytest

from engine.standing import climb, no_restarts, rung_of, same, stand, watched, with_states
from fettle.core.progress import Note
from fettle.core.run import Epoch
from fettle.engine import costs
from fettle.engine.views import Views
from fettle.models.bert import Bert
from fettle.strategies import DEFAULTS as STRATEGY_DEFAULTS
from fettle.strategies import STRATEGIES

__all__ = ["no_restarts"]


def test_replay_starts_where_the_frozen_part_ends():
    def starts(name, *, blocks=8, epochs=4, **settings):
        strategy = STRATEGIES[name]({**STRATEGY_DEFAULTS[name], **settings})
        return costs.replayed_blocks(strategy, blocks=blocks, epochs=epochs)

    assert starts("top", top_blocks=2) == (5,)  # 0 the embeddings, 1 to 6, 7 the head
    assert starts("top", top_blocks=6) == ()
    assert starts("gradual") == (3, 4, 5, 6)
    assert starts("gradual", epochs=9) == (2, 3, 4, 5, 6)  # below 2 there is nothing to gain
    assert starts("full") == starts("features") == starts("lora") == ()


def test_a_rung_on_kept_states_learns_what_it_learns_without(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3)
    plain, _ = watched(climb(ground, chosen, rung_of("top", top_blocks=1)))
    kept = with_states(dataclasses.replace(ground, folder=tmp_path / "other"), 3)
    passes = []
    kept.network.backbone.encoder["layer"][0].register_forward_hook(lambda *_: passes.append(1))
    replayed, _ = watched(climb(kept, chosen, rung_of("top", top_blocks=1)))
    # the lower blocks run only to be compared with, and for the answers of the tuned network
    assert len(passes) == 4
    losses = [[epoch.train_loss for epoch in one.history] for one in (plain, replayed)]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert replayed.notes[0].startswith("Replayed from block 3")
    assert plain.notes == ()


def stopped_after_an_epoch(ground, chosen, rung):
    work = climb(ground, chosen, rung)
    for event in work:
        if isinstance(event, Epoch):
            work.close()


def test_replay_that_is_lost_while_a_rung_is_stopped_is_said_and_stands_in_its_record(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    stopped_after_an_epoch(with_states(plain, 3), chosen, rung)
    climbed, events = watched(climb(plain, chosen, rung))
    notes = [event.sentence for event in events if isinstance(event, Note)]
    assert "began with replay from block 3, which is lost" in notes[0]
    assert notes[0] in climbed.notes


def test_a_rung_that_began_without_replay_goes_on_without_it_to_the_same_bits(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    whole, _ = watched(climb(dataclasses.replace(plain, folder=tmp_path / "w"), chosen, rung))
    stopped_after_an_epoch(plain, chosen, rung)
    climbed, _ = watched(climb(with_states(plain, 3), chosen, rung))
    assert same(climbed.network, whole.network)
    assert climbed.notes == ()


def with_views(ground, block):
    """With one view of each row beside the rows themselves, which is another."""
    kept = with_states(ground, block)
    states = kept.lesson.states[block]
    views = Views({block: dataclasses.replace(states, values=1.5 * states.values)})
    return dataclasses.replace(kept, lesson=dataclasses.replace(kept.lesson, views=views))


def test_views_that_are_lost_while_a_rung_is_stopped_stand_in_its_record(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    stopped_after_an_epoch(with_views(plain, 3), chosen, rung)
    climbed, _ = watched(climb(with_states(plain, 3), chosen, rung))
    assert "began with kept views at block 3, which are lost" in climbed.notes[0]


def test_a_rung_that_began_without_views_goes_on_without_them_to_the_same_bits(tmp_path):
    plain, chosen = stand(tmp_path, blocks=3)
    rung = rung_of("top", top_blocks=1)
    folders = (dataclasses.replace(plain, folder=tmp_path / one) for one in ("w", "v"))
    whole, viewed = (watched(climb(kind(ground, 3), chosen, rung))[0]
                     for kind, ground in zip((with_states, with_views), folders, strict=True))
    assert not same(viewed.network, whole.network), "views are learned from"
    stopped_after_an_epoch(with_states(plain, 3), chosen, rung)
    climbed, _ = watched(climb(with_views(plain, 3), chosen, rung))
    assert same(climbed.network, whole.network)
    assert len(climbed.notes) == 1


class Leaky(Bert):
    """Something of the first block reaches the output past all others."""

    def forward(self, batch, *, start=0, hidden=None, seen=None):
        last = super().forward(batch, start=start, hidden=hidden, seen=seen)
        return last if start else last + 0.1 * self.embeddings(batch["input_ids"], None)


def test_a_network_that_replay_does_not_follow_runs_plainly_aloud_with_the_same_result(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3, kind=Leaky)
    plain, _ = watched(climb(ground, chosen, rung_of("top", top_blocks=1)))
    kept = with_states(dataclasses.replace(ground, folder=tmp_path / "other"), 3)
    climbed, events = watched(climb(kept, chosen, rung_of("top", top_blocks=1)))
    (said,) = (event.sentence for event in events if isinstance(event, Note))
    assert said.startswith("top: Replay is not used")
    assert "block 3" in climbed.notes[0]
    assert same(climbed.network, plain.network)
    assert np.array_equal(climbed.outputs, plain.outputs)
    assert climbed.flops == plain.flops


def test_flops_by_hand(tmp_path):
    ground, chosen = stand(tmp_path, blocks=3)
    tokens = sum(len(item) for item in ground.lesson.items[:32])
    block, head = 4 * 8 * 8 + 2 * 8 * 16, 8 * 2

    def flops(ground, name, **settings):
        folder = tmp_path / f"{name}{len(ground.lesson.states)}"
        rung = rung_of(name, patience=9, **settings)
        climbed, _ = watched(climb(dataclasses.replace(ground, folder=folder), chosen, rung))
        assert len(climbed.history) == 3
        return climbed.flops / tokens

    assert flops(ground, "full") == pytest.approx(3 * 6 * (3 * block + head))
    top = 4 * block + 6 * head  # the gradient of what came in is not needed
    assert flops(ground, "top", top_blocks=1) == pytest.approx(3 * (2 * 2 * block + top))
    kept = with_states(ground, 2, 3)
    assert flops(kept, "top", top_blocks=1) == pytest.approx(3 * top)
    gradual = [top, top + 6 * block, top + 2 * 6 * block]  # from block 3, 2, and 1: all of it
    assert flops(kept, "gradual") == pytest.approx(sum(gradual))
