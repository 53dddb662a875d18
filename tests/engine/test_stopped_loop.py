"""What stops a run at its step, in plain words."""

import math

import numpy as np
import pytest
import torch

from engine.looping import accuracy, begin, read, run, same, small, steps, weights
from fettle.core.errors import NonFinite, NoTargets
from fettle.core.parts import LossPart
from fettle.engine.batches import bucketed
from fettle.engine.loop import Lesson
from fettle.tasks.classification import Classification
from small import lesson

__all__ = ["read", "small"]


def rows_of_step(read, number):
    """Ids of the rows of a step of the first epoch."""
    given = lesson(read, 30)
    sizes = [read.size(item) for item in given.items]
    rows = bucketed(sizes, batch_rows=8, seed=0, epoch=0)[number]
    return [given.ids[row] for row in rows]


def poisoned(small, how):
    with torch.no_grad():
        how(small)
    return small


@pytest.mark.parametrize(
    "how",
    [
        lambda net: net.head.linear.bias.fill_(math.nan),
        lambda net: net.head.linear.bias[0].fill_(math.inf),
    ],
)
def test_a_loss_that_is_no_number_stops_at_its_step_and_names_everything(small, read, how):
    loop = begin(poisoned(small, how), read)
    before = weights(loop)
    with pytest.raises(NonFinite, match="Step 1: ") as raised:
        run(loop, read)
    said = str(raised.value)
    assert "the loss itself is not a finite number" in said
    assert "loss nan, gradient norm nan" in said
    assert "learning rate 0.02" in said  # of the head, the highest
    assert f"rows {', '.join(rows_of_step(read, 0))})" in said
    assert "`rate`" in said
    assert "`head_rate`" in said
    after = weights(loop)
    assert all(torch.equal(after[n].nan_to_num(), before[n].nan_to_num()) for n in before)


class Steep(Classification):
    """A task whose loss is a number and whose gradient is none."""

    def loss(self, outputs, batch):
        (part,) = super().loss(outputs, batch).values()
        return {"steep": LossPart(part.sum + (outputs * 0).abs().sqrt().sum(), part.count)}

    def counts(self, batch):
        return {"steep": len(batch["target"])}


def test_a_gradient_that_is_no_number_stops_before_the_weights_are_touched(small, read):
    loop = begin(small, read, of=Steep(("no", "yes")))
    before = weights(loop)
    with pytest.raises(NonFinite, match=r"its gradient is not.*\(loss \d\.\d+, gradient norm nan"):
        run(loop, read)
    assert same(weights(loop), before)


def test_a_step_that_goes_wrong_later_is_named_by_its_number_and_its_rows(small, read):
    loop = begin(small, read)
    events = loop.fit(lesson(read, 30), None, accuracy)
    assert [next(events).number for _ in range(3)] == [0, 1, 2]
    poisoned(loop.network, lambda net: net.head.linear.bias.fill_(math.nan))
    with pytest.raises(NonFinite, match=r"Step 4: ") as raised:
        next(events)
    assert f"rows {', '.join(rows_of_step(read, 3)[:5])})" in str(raised.value)


class Untold(Classification):
    """A task that counts only rows of class 1."""

    def counts(self, batch):
        return {"cross_entropy": int((batch["target"] == 1).sum())}


def test_a_batch_without_a_single_target_stops_and_names_its_rows(small, read):
    given = lesson(read, 4)
    blank = Lesson(given.items, np.zeros(4, np.int64), given.ids)
    with pytest.raises(NoTargets, match=r"No row of this batch has a target \(t\.csv:\d") as raised:
        next(begin(small, read, of=Untold(("no", "yes"))).fit(blank, None, accuracy))
    assert "Leave rows without an answer out" in str(raised.value)


def test_a_batch_where_some_rows_have_a_target_goes_on(small, read):
    given = lesson(read, 30)
    assert 0 < given.targets.sum() < 30
    loop = begin(small, read, of=Untold(("no", "yes")), epochs=1, batch_rows=64)
    assert len(steps(run(loop, read))) == 1
