import pytest

from fettle.core.errors import SettingError
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.strategies import STRATEGIES
from fettle.strategies.bitfit import DEFAULTS
from foreign import saved
from strategies.stepping import RATES, moves, small


def test_only_biases_and_the_head_move_and_at_their_rates(tmp_path):
    settings = {**DEFAULTS, **RATES, "slower": 1.0, "epochs": 1}
    strategy = STRATEGIES["bitfit"](settings)
    (moved,) = moves(strategy.prepare(small(tmp_path)), strategy, settings)
    still = {name for name, far in moved.items() if far == 0.0}
    expected = {name for name in moved if not name.endswith("bias") and "head" not in name}
    assert still - expected <= {name for name in moved if name.endswith("key.bias")}
    assert expected <= still  # a bias of the keys changes no softmax: its gradient is nothing
    for name, far in moved.items():
        if name.startswith("head."):
            assert far == pytest.approx(0.1, rel=1e-2), name
        elif name not in still and not name.endswith("key.bias"):
            assert far == pytest.approx(1e-2, rel=1e-2), name
    assert sum(name.endswith("LayerNorm.bias") and far > 0 for name, far in moved.items()) == 9


def test_a_network_without_biases_is_an_error_that_says_what_to_leave_away(tmp_path):
    found = open_network(card_of(str(saved(tmp_path, "llama"))))
    with pytest.raises(SettingError, match="Leave the rung bitfit away"):
        STRATEGIES["bitfit"](DEFAULTS).prepare(found)
