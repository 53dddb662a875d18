import numpy as np
import pytest
import torch

from fettle.core.errors import InputError
from fettle.core.plan import Unit
from fettle.engine.linear import path_for
from fettle.tasks.regression import Regression

TASK = Regression(Unit(10.0, 2.0))


def summed(task, outputs, targets):
    (part,) = task.loss(torch.tensor(outputs), {"target": torch.tensor(targets)}).values()
    return float(part.sum)


def test_the_loss_counts_in_standard_deviations():
    # 14 is two of them above the mean; 1 + (2 - 0)^2
    assert summed(TASK, [[1.0], [0.0]], [10.0, 14.0]) == pytest.approx(1 + 4)
    huber = TASK.taught(np.array([10.0]), loss="huber", label_smoothing=0.0)
    # twice Huber's: 1 up to one standard deviation, 2 * (2 - 1/2) beyond
    assert summed(huber, [[1.0], [0.0]], [10.0, 14.0]) == pytest.approx(1 + 3)


def test_answers_are_in_the_targets_unit_with_the_interval_of_held_out_rows():
    outputs, truth = np.zeros((19, 1)), 10.0 + np.arange(1, 20)
    (made,) = TASK.fitted(outputs, truth).predictions(np.array([[1.5]]), ["a"], "m@1")
    assert made.value == 13.0
    assert made.interval == (13.0 - 18, 13.0 + 18)
    assert made.confidence is None


def test_facts_make_the_same_task_again():
    sure = TASK.fitted(np.zeros((19, 1)), 10.0 + np.arange(1, 20))
    again = Regression(**sure.facts())
    assert (again.unit, again.half_width, again.level) == (TASK.unit, 18.0, 0.9)


def test_a_solved_head_finds_a_linear_target_again():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5)).astype(np.float32)
    targets = 10 + features @ np.array([1.0, -2.0, 0.5, 0.0, 3.0])
    strong, weak = path_for(TASK, features, targets, l2=(1e-6, 10.0))
    assert (strong.l2, weak.l2) == (10.0, 1e-6)
    np.testing.assert_allclose(TASK.judge.said(weak.outputs(features)), targets, atol=1e-3)
    assert np.abs(strong.weight).sum() < np.abs(weak.weight).sum() / 5


def test_one_number_for_every_row_is_flat_and_as_bad_as_chance():
    targets = np.array([8.0, 12.0, 9.0, 11.0])
    (_, mean) = TASK.constants(targets)
    flat = np.tile(mean, (4, 1))
    assert TASK.is_flat(flat, targets)
    assert TASK.plain_loss(flat, targets) == pytest.approx(targets.var() / 4)
    assert not TASK.is_flat(TASK.coded(targets)[:, None], targets)


def test_a_cell_that_is_no_number_is_no_target():
    assert TASK.answered(["1", "", None, "nan", "x", "1e3"]).tolist() == [
        True, False, False, False, False, True]
    with pytest.raises(InputError, match="'x' is no finite number"):
        TASK.targets(["1", "x"])
    with pytest.raises(InputError, match=r"2 cells of 3 that are no finite number, 'a' first"):
        Regression.require_teachable(["a", "b", "1"], column="Column 'y'", next_="")


def test_parts_are_tenths_of_the_values():
    found = Regression.parted([str(one) for one in range(200)])
    assert np.bincount(found).tolist() == [20] * 10
    assert len(set(Regression.parted(["1"] * 50))) == 1
