import pytest
import torch

from fettle.strategies import STRATEGIES
from fettle.strategies.contrastive import DEFAULTS, Pairs, epochs_for


def test_the_loss_of_three_rows_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    batch = {"target": torch.tensor([0, 0, 1])}
    parts = Pairs().loss(vectors, batch)
    assert (parts["alike"].count, parts["apart"].count) == (1, 2)
    assert float(parts["alike"].sum) == pytest.approx(0.4**2)  # the pair of class 0 has 0.6
    assert float(parts["apart"].sum) == pytest.approx(0.0**2 + 0.8**2)
    assert (parts["alike"].weight, parts["apart"].weight) == (0.5, 0.5)


def test_every_pair_is_counted_once():
    for targets in ([0, 0, 0, 1, 1, 2], [4], [1, 1], [0, 1, 2]):
        batch = {"target": torch.tensor(targets)}
        alike = sum(targets[a] == targets[b] for b in range(len(targets)) for a in range(b))
        every = len(targets) * (len(targets) - 1) // 2
        assert Pairs().counts(batch) == {"alike": alike, "apart": every - alike}
        sums = Pairs().loss(torch.zeros(len(targets), 3), batch)
        assert float(sums["alike"].sum) == alike  # (1 - 0)^2 each


def test_classes_that_are_one_point_each_and_at_right_angles_have_no_loss_left():
    vectors = torch.eye(3)[[0, 0, 1, 2, 2]]
    parts = Pairs().loss(vectors, {"target": torch.tensor([0, 0, 1, 2, 2])})
    assert all(float(part.sum) == 0 for part in parts.values())


@pytest.mark.parametrize(
    ("rows", "epochs"), [(16, 32), (40, 34), (64, 36), (96, 20), (128, 21), (320, 12)]
)
def test_thirty_steps_and_one_more_for_ten_rows(rows, epochs):
    # 96 rows are 2 batches of 64: (30 + 9.6) / 2
    assert epochs_for(rows, 64) == epochs


def test_every_block_learns_at_one_rate_and_rows_belong_together():
    strategy = STRATEGIES["contrastive"](DEFAULTS)
    assert len(set(strategy.rates(6, 0))) == 1
    assert strategy.objective.couples_rows
    assert not strategy.solved


def test_pairs_are_compared_in_full_precision_where_the_rest_is_not():
    near = torch.nn.functional.normalize(torch.tensor([[1.0, 0.02], [1.0, 0.05]]), dim=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        part = Pairs().loss(near, {"target": torch.tensor([0, 0])})["alike"]
    assert part.sum.dtype == torch.float32
    assert float(part.sum) == pytest.approx((1 - float(near[0] @ near[1])) ** 2, rel=1e-2)
    assert float(part.sum) > 0
