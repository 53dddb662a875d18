"""The loop: who learns, what is said of an epoch, and the same bits again."""

import numpy as np
import pytest
import torch

from engine.looping import RATES, accuracy, begin, read, run, same, small, weights
from fettle.core.run import Epoch
from fettle.engine.loop import Lesson
from small import lesson

__all__ = ["read", "small"]


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


def test_an_epoch_s_training_loss_is_the_mean_over_rows_and_not_over_batches(small, read):
    *found, epoch = run(begin(small, read, epochs=1), read)
    assert epoch.number == 1
    assert epoch.train_loss == pytest.approx(sum(s.loss * s.rows for s in found) / 30)


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
