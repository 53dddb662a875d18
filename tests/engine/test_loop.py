import copy
import math

import numpy as np
import pytest
import torch

from fettle.core.errors import NonFinite
from fettle.core.parts import Strategy
from fettle.core.run import Epoch, Step
from fettle.engine.batches import bucketed
from fettle.engine.loop import Lesson, Loop
from fettle.store import checkpoints
from small import encoder, lesson, network, task

SETTINGS = {"epochs": 2, "batch_rows": 8, "warmup": 0.1, "weight_decay": 0.01, "clip": 1.0}
RATES = (0.01, 0.01, 0.01, 0.02)


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


@pytest.fixture
def read(small):
    return encoder(small.card)


def begin(small, read, *, rates=RATES, seed=0, precision="fp32", **settings):
    """A loop over a copy of the network; rates are a row, or a function of the epoch."""
    said = rates if callable(rates) else lambda epoch: rates
    return Loop(
        copy.deepcopy(small), read, task(),
        strategy=Strategy(lambda blocks, epoch: said(epoch)),
        settings={**SETTINGS, **settings}, precision=precision, seed=seed,
    )


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def run(loop, read, rows=30, validation=None):
    return list(loop.fit(lesson(read, rows), validation, accuracy))


def weights(loop):
    return {name: value.clone() for name, value in loop.network.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_only_blocks_with_a_rate_change(small, read):
    loop = begin(small, read, rates=(0.0, 0.01, 0.0, 0.01))
    before = weights(loop)
    run(loop, read)
    changed = {small.block_of(name) for name, value in weights(loop).items()
               if not torch.equal(value, before[name])}  # fmt: skip
    assert changed == {1, 3}


def test_an_epoch_at_rate_zero_changes_nothing(small, read):
    loop = begin(small, read, rates=lambda epoch: RATES if epoch == 0 else (0.0,) * 4)
    after = [weights(loop) for event in loop.fit(lesson(read, 30), None, accuracy)
             if isinstance(event, Epoch)]  # fmt: skip
    assert same(after[0], after[1])
    assert not same(after[0], small.state_dict())


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(small, read):
    ended = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # whatever the global generator did before
        loop = begin(small, read, seed=seed)
        run(loop, read)
        ended.append(weights(loop))
    assert same(ended[0], ended[1])
    assert not same(ended[0], ended[2])


def test_torch_s_own_generator_is_left_as_it_was(small, read):
    before = torch.get_rng_state()
    run(begin(small, read), read)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("at", [1, 2])
def test_a_loop_restored_at_an_epoch_ends_at_the_same_bits(small, read, tmp_path, at):
    whole = begin(small, read, epochs=3)
    expected = run(whole, read)

    stopped = begin(small, read, epochs=3)
    for event in stopped.fit(lesson(read, 30), None, accuracy):
        if isinstance(event, Epoch) and event.number == at:
            checkpoints.save(tmp_path / "c", at, stopped.state(), {})
            break
    found, _ = checkpoints.latest(tmp_path / "c")
    again = begin(small, read, epochs=3)
    again.restore(found.tensors)
    events = run(again, read)

    def bare(found):
        return [(e.number, e.loss, e.gradient_norm) for e in found
                if isinstance(e, Step) and e.epoch >= at]

    assert same(weights(again), weights(whole))
    assert bare(events) == bare(expected)


def test_dropout_is_at_work_in_a_step_and_follows_from_the_step_s_number(small, read):
    for module in small.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    rates = (1e-12,) * 4  # so that weights stay as good as they were
    losses = [event.loss for event in run(begin(small, read, rates=rates), read, rows=1)
              if isinstance(event, Step)]  # fmt: skip
    assert losses[0] != pytest.approx(losses[1], abs=1e-4)


def test_a_step_says_what_happened(small, read):
    for module in small.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    events = run(begin(small, read), read)
    steps = [event for event in events if isinstance(event, Step)]
    sizes = [read.size(item) for item in lesson(read, 30).items]
    drawn = [(epoch, len(rows)) for epoch in (0, 1)
             for rows in bucketed(sizes, batch_rows=8, seed=0, epoch=epoch)]
    assert [(step.epoch, step.rows) for step in steps] == drawn
    assert [step.number for step in steps] == list(range(len(drawn)))

    whole = lesson(read, 30)
    (only,) = (e for e in run(begin(small, read, epochs=1, batch_rows=64), read)
               if isinstance(e, Step))  # fmt: skip
    with torch.no_grad():
        outputs = small(read.collate(whole.items))
    expected = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(whole.targets))
    assert only.loss == pytest.approx(expected.item(), rel=1e-5)


def test_an_epoch_s_training_loss_is_the_mean_over_rows_and_not_over_batches(small, read):
    events = run(begin(small, read, epochs=1), read)
    *steps, epoch = events
    assert epoch.number == 1
    assert epoch.train_loss == pytest.approx(sum(s.loss * s.rows for s in steps) / 30)


def test_validation_is_of_the_network_without_dropout_after_the_epoch(small, read):
    held = lesson(read, 20, seed=9)
    loop = begin(small, read)
    for event in loop.fit(lesson(read, 30), held, accuracy):
        if isinstance(event, Epoch):
            with torch.no_grad():
                outputs = loop.network(read.collate(held.items))
            loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(held.targets))
            assert not loop.network.training
            assert event.validation_loss == pytest.approx(loss.item(), rel=1e-4)
            assert event.validation_score == accuracy(outputs.numpy(), held.targets)


@pytest.mark.parametrize("none", [None, Lesson([], np.zeros(0, np.int64), [])])
def test_without_validation_rows_an_epoch_has_no_score(small, read, none):
    epoch = run(begin(small, read), read, validation=none)[-1]
    assert (epoch.validation_loss, epoch.validation_score) == (None, None)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_can_be_learned_is_learned_and_weights_stay_in_fp32(small, read, precision):
    loop = begin(small, read, epochs=8, precision=precision)
    held = lesson(read, 40, seed=9)
    epochs = [e for e in run(loop, read, 160, held) if isinstance(e, Epoch)]
    assert epochs[-1].train_loss < epochs[0].train_loss / 2
    assert epochs[-1].validation_score > 0.9  # class 0 alone has 0.7
    assert {p.dtype for p in loop.network.parameters()} == {torch.float32}


def test_a_gradient_is_cut_to_its_length(small, read):
    loop = begin(small, read, clip=0.001, epochs=1, batch_rows=64)
    (step, _) = run(loop, read)
    assert step.gradient_norm > 0.001  # as it came
    first = [moments["exp_avg"] for moments in loop.optimizer.state.values()]
    length = math.sqrt(sum(value.square().sum().item() for value in first))
    assert length == pytest.approx(0.1 * 0.001, rel=1e-2)  # (1 - beta_1) of the gradient


def poisoned(small, how):
    with torch.no_grad():
        how(small)
    return small


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        (lambda net: net.head.linear.bias.fill_(math.nan), "the loss itself"),
        (lambda net: net.head.linear.bias[0].fill_(math.inf), "the loss itself"),
    ],
)
def test_a_loss_that_is_no_number_stops_at_its_step_and_names_rows_and_keys(
    small, read, how, cause
):
    loop = begin(poisoned(small, how), read)
    before = weights(loop)
    with pytest.raises(NonFinite, match="Step 1: ") as raised:
        run(loop, read)
    said = str(raised.value)
    assert cause in said
    assert "t.csv:" in said
    assert "`rate`" in said
    after = weights(loop)
    assert all(torch.equal(after[n].nan_to_num(), before[n].nan_to_num()) for n in before)


def test_a_step_that_goes_wrong_later_is_named_by_its_number(small, read):
    loop = begin(small, read)
    steps = loop.fit(lesson(read, 30), None, accuracy)
    assert [next(steps).number for _ in range(3)] == [0, 1, 2]
    poisoned(loop.network, lambda net: net.head.linear.bias.fill_(math.nan))
    with pytest.raises(NonFinite, match=r"Step 4: .*rows t\.csv:"):
        next(steps)
