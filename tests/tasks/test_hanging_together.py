"""Every task: rows that hang together are one witness where rungs and epochs are compared."""

import numpy as np
import pytest

from fettle.core.plan import Unit
from fettle.tasks.classification import Classification
from fettle.tasks.multi_label import MultiLabel
from fettle.tasks.regression import Regression

ROWS, TIMES = 150, 4


def given(name):
    """A task, its metrics, targets, and what a good and a worse model say of them."""
    rng = np.random.default_rng(3)
    if name == "regression":
        task, targets = Regression(Unit(0.0, 1.0)), rng.normal(size=ROWS).astype(np.float32)
        said = [(targets + noise * rng.normal(size=ROWS))[:, None] for noise in (0.6, 0.7)]
        return task, targets, said
    if name == "classification":
        task, targets = Classification("abc"), rng.integers(3, size=ROWS)
        plain = np.eye(3)[targets]
    else:
        task, plain = MultiLabel("abc"), rng.random((ROWS, 3)) < 0.4
        targets, plain = plain, 2.0 * plain - 1
    return task, targets, [plain + noise * rng.normal(size=(ROWS, 3)) for noise in (0.7, 0.8)]


@pytest.mark.parametrize("name", ["classification", "regression", "multi-label"])
def test_a_row_that_stands_there_four_times_makes_nothing_surer(name):
    task, targets, said = given(name)
    groups = np.repeat(np.arange(ROWS), TIMES)
    many, (best, other) = groups, [one[groups] for one in said]
    for metric in task.metrics:
        loss, once = task.paired_loss(metric, *said, targets, seed=0)
        same, by_row = task.paired_loss(metric, best, other, targets[many], seed=0)
        whole, by_group = task.paired_loss(metric, best, other, targets[many], seed=0,
                                           groups=groups)
        assert [same, whole] == pytest.approx([loss, loss], abs=1e-6)
        assert by_row == pytest.approx(once / TIMES**0.5, rel=0.1)
        assert by_group == pytest.approx(once, rel=0.1)
        spans = [task.interval(metric, best, targets[many], seed=0, **more)
                 for more in ({}, {"groups": groups})]
        narrow, wide = (one.high - one.low for one in spans)
        assert wide == pytest.approx(narrow * TIMES**0.5, rel=0.2)
        assert spans[0].value == spans[1].value
