"""A loop restored at any yield goes on to the same bits; replayed, it learns the same."""

from collections import Counter

import pytest
import torch

from engine.looping import STILL, Narrow, accuracy, begin, dropped, read, run, same, small, steps
from fettle.core.progress import Note, finish
from fettle.core.run import Epoch, Step
from fettle.engine import replay
from fettle.engine.loop import Lesson
from fettle.store import checkpoints
from fettle.strategies import DEFAULTS, STRATEGIES
from small import encoder, lesson, network

__all__ = ["read", "small"]


GRADUAL = {**DEFAULTS["gradual"], "rate": 1e-2, "head_rate": 1e-2, "epochs": 4, "batch_rows": 8,
           "dropout": 0.1}  # fmt: skip


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A network of four blocks, its encoder, and rows with what reaches its blocks."""
    folder = tmp_path_factory.mktemp("deep")
    found = network(folder / "base", num_hidden_layers=4)
    read = encoder(found.card)
    given, held = lesson(read, 14), lesson(read, 10, seed=9)
    kept = [finish(replay.prefix(
        found, read, one.items, poolings=("mean",), blocks=(2, 3, 4), precision="fp32",
        folder=folder / "kept", limit=1 << 30,
    )).states for one in (given, held)]  # fmt: skip
    with_states = [Lesson(one.items, one.targets, one.ids, states)
                   for one, states in zip((given, held), kept, strict=True)]  # fmt: skip
    return found, read, {"plain": (given, held), "replayed": tuple(with_states)}


def thawing(deep, **changes):
    found, read, _ = deep
    settings = {**GRADUAL, **changes}
    return begin(found, read, strategy=STRATEGIES["gradual"](settings), **settings)


def bare(events):
    """Everything that was yielded but its seconds."""
    return [
        (e.number, e.epoch, e.loss, e.gradient_norm, e.rows) if isinstance(e, Step)
        else (e.number, e.train_loss, e.validation_loss, e.validation_score)
        for e in events
    ]


@pytest.mark.parametrize("way", ["plain", "replayed"])
def test_a_loop_restored_at_any_yield_goes_on_to_the_same_bits(deep, tmp_path, way):
    train, held = deep[2][way]
    whole = thawing(deep)
    expected = list(whole.fit(train, held, accuracy))
    kinds = Counter(type(event) for event in expected)
    assert kinds[Epoch] == 4
    assert kinds[Step] >= 8
    for at in range(len(expected)):
        stopped = thawing(deep)
        for number, _ in enumerate(stopped.fit(train, held, accuracy)):
            if number == at:
                checkpoints.save(tmp_path / str(at), at, stopped.state(), {})
                break
        torch.rand(at)  # another process has drawn other numbers
        again = thawing(deep)
        again.restore(checkpoints.latest(tmp_path / str(at))[0].tensors)
        assert bare(again.fit(train, held, accuracy)) == bare(expected)[at + 1 :]
        assert same(again.state(), whole.state()), at


def test_a_loop_goes_on_from_a_state_that_was_saved_with_other_halvings(small, read):
    stopped = begin(small, read, of=Narrow(3))
    for event in stopped.fit(lesson(read, 30), None, accuracy):
        if isinstance(event, Epoch):
            break
    again = begin(small, read, of=Narrow(3))
    again.restore(stopped.state())
    assert again.halvings == stopped.halvings == 2
    assert not [event for event in run(again, read) if isinstance(event, Note)]


def test_replayed_and_plain_training_learn_the_same(deep):
    losses = {}
    for way, (train, held) in deep[2].items():
        events = list(thawing(deep).fit(train, held, accuracy))
        losses[way] = [e.loss if isinstance(e, Step) else e.validation_loss for e in events]
    assert losses["replayed"] != losses["plain"]  # or it was not replayed
    assert losses["replayed"] == pytest.approx(losses["plain"], rel=1e-3)


@pytest.mark.parametrize(
    ("epoch", "block"), [(0, 4), (1, 3), (2, 2), (3, None)], ids=["4", "3", "2", "from the input"]
)
def test_replay_starts_at_the_first_block_that_has_learned(deep, epoch, block):
    train, held = deep[2]["replayed"]
    loop = thawing(deep)
    starts = []
    loop.network.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: starts.append((loop.epoch, kwargs["start"])), with_kwargs=True)
    list(loop.fit(train, held, accuracy))
    assert {start for at, start in starts if at == epoch} == {block or 0}


def test_a_block_that_has_learned_and_sleeps_again_is_not_replayed(deep):
    """What was kept is of the block as it came."""
    found, read, _ = deep
    train, held = deep[2]["replayed"]
    rates = [(0, 0, 0.01, 0.01, 0.01, 0.01), (0, 0, 0, 0, 0.01, 0.01)]
    loop = begin(found, read, rates=lambda epoch: rates[epoch])
    starts = set()
    loop.network.backbone.register_forward_pre_hook(
        lambda module, args, kwargs: starts.add((loop.epoch, kwargs["start"])), with_kwargs=True)
    list(loop.fit(train, held, accuracy))
    assert starts == {(0, 2), (1, 2)}


@pytest.mark.parametrize("way", ["plain", "replayed"])
def test_frozen_blocks_drop_nothing_out(deep, way):
    train, held = deep[2][way]
    losses = []
    for share in (0.0, 0.9):
        loop = thawing(deep, epochs=1)
        dropped(loop.network, 0.0)
        for name, module in loop.network.named_modules():
            if isinstance(module, torch.nn.Dropout) and loop.network.block_of(f"{name}.") < 4:
                module.p = share
        losses.append([step.loss for step in steps(loop.fit(train, held, accuracy))])
    assert losses[0] == losses[1]


def test_dropout_is_at_work_in_a_step_and_follows_from_the_step_s_number(small, read):
    dropped(small, 0.5)
    losses = [step.loss for step in steps(run(begin(small, read, rates=STILL), read, rows=1))]
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)
