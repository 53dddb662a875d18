import pytest

from fettle.strategies import STRATEGIES
from fettle.strategies.top import DEFAULTS
from strategies.stepping import RATES, by_block, moves, small


@pytest.mark.parametrize(
    ("top_blocks", "expected"),
    [
        (1, [0, 0, 0, 0, 1e-2, 0.1]),
        (2, [0, 0, 0, 5e-3, 1e-2, 0.1]),
        (4, [0, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 0.1]),
        (9, [6.25e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 0.1]),  # more than there are: all of them
    ],
)
def test_the_last_blocks_and_the_head_move_at_their_rates_and_nothing_else(
    tmp_path, top_blocks, expected
):
    settings = {**DEFAULTS, **RATES, "top_blocks": top_blocks, "epochs": 1}
    found = small(tmp_path)
    (moved,) = moves(found, STRATEGIES["top"](settings), settings)
    assert by_block(found, moved) == pytest.approx(expected, rel=1e-2, abs=0)


def test_what_is_asleep_stays_asleep_in_every_epoch():
    strategy = STRATEGIES["top"]({**DEFAULTS, "top_blocks": 2})
    for epoch in range(9):
        assert [rate > 0 for rate in strategy.rates(6, epoch)] == [False] * 3 + [True] * 3
    assert not strategy.solved
