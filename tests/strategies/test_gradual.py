import pytest

from fettle.strategies import STRATEGIES
from fettle.strategies.gradual import DEFAULTS
from strategies.stepping import RATES, by_block, moves, small


def test_one_more_block_wakes_in_each_epoch_and_moves_at_its_rate(tmp_path):
    settings = {**DEFAULTS, **RATES, "epochs": 6}
    found = small(tmp_path)
    steps = moves(found, STRATEGIES["gradual"](settings), settings)
    assert len(steps) == 6
    for epoch, moved in enumerate(steps):
        asleep = max(4 - epoch, 0)
        found_moves = by_block(found, moved)
        assert found_moves[:asleep] == [0.0] * asleep
        assert all(far > 0 for far in found_moves[asleep:])
    # a block's own first step is Adam's first one: the rate itself, at cosine's share of then
    shares = [1.0, 1.0, 0.9045085, 0.6545085, 0.3454915]  # (1 + cos(pi n / 5)) / 2
    for epoch, block in enumerate((4, 3, 2, 1, 0)):
        rate = 1e-2 * 0.5 ** (4 - block) * shares[epoch]
        assert by_block(found, steps[epoch])[block] == pytest.approx(rate, rel=2e-2)


def test_several_blocks_may_wake_at_once():
    strategy = STRATEGIES["gradual"]({**DEFAULTS, "blocks_an_epoch": 2})
    awake = [sum(rate > 0 for rate in strategy.rates(6, epoch)) for epoch in range(4)]
    assert awake == [3, 5, 6, 6]
    assert not strategy.solved


def test_whoever_is_awake_keeps_its_rate():
    strategy = STRATEGIES["gradual"]({**DEFAULTS, **RATES})
    assert strategy.rates(6, 0) == pytest.approx((0, 0, 0, 0, 1e-2, 0.1))
    assert strategy.rates(6, 1) == pytest.approx((0, 0, 0, 5e-3, 1e-2, 0.1))
    assert strategy.rates(6, 9) == pytest.approx((6.25e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 0.1))
