import pytest

from fettle.core.parts import Strategy
from fettle.core.plan import Rung
from fettle.engine.costs import Pace, Size, matrix_weights, operations, predicted
from fettle.strategies import DEFAULTS, STRATEGIES
from small import network

BLOCK = 4 * 8 * 8 + 2 * 8 * 16
"""Weights of one block that are multiplied: attention's four maps, and the two layers."""
HEAD = 8 * 2


def all_learn(name):
    return True


def test_weights_in_matrix_products_by_hand(tmp_path):
    found = network(tmp_path)
    strategy = Strategy(lambda blocks, epoch: (1.0,) * blocks)
    every, learning = matrix_weights(found, strategy)
    assert every == [0, BLOCK, BLOCK, HEAD]  # tables, norms and biases are not multiplied
    assert learning == pytest.approx(every, abs=1e-3)
    assert learning[0] > 0  # its norm learns: the block is awake


def test_of_adapters_only_the_adapters_learn(tmp_path):
    strategy = STRATEGIES["lora"]({**DEFAULTS["lora"], "rank": 2})
    every, learning = matrix_weights(strategy.prepare(network(tmp_path)), strategy)
    adapters = 2 * (4 * (8 + 8) + 2 * (8 + 16))
    assert learning == pytest.approx([0, adapters, adapters, HEAD], abs=1e-3)
    assert learning[0] == 0
    assert every == [0, BLOCK + adapters, BLOCK + adapters, HEAD]


@pytest.mark.parametrize(
    ("rates", "start", "expected"),
    [
        ((1, 1, 1, 1), 0, 6 * (20 + 30) + 6 * 4),  # what learns below needs every gradient
        ((0, 1, 1, 1), 0, 4 * 20 + 6 * (30 + 4)),  # the lowest that learns needs none of its input
        ((0, 0, 1, 1), 0, 2 * 20 + 4 * 30 + 6 * 4),
        ((0, 0, 1, 1), 2, 4 * 30 + 6 * 4),  # replayed
        ((0, 0, 0, 1), 3, 4 * 4),
        ((0, 1, 0, 1), 0, 4 * 20 + 4 * 30 + 6 * 4),  # frozen between: only its input's gradient
        ((0, 0, 0, 0), 0, 2 * (20 + 30 + 4)),
    ],
)
def test_operations_of_one_token_by_hand(rates, start, expected):
    weights = [0.0, 20.0, 30.0, 4.0]
    learning = [1e-6, 20.0, 30.0, 4.0]
    assert operations(weights, learning, rates, start=start) == pytest.approx(expected, rel=1e-6)


def test_a_block_in_which_nothing_may_learn_is_not_awake():
    assert operations([0, 20, 30], [0, 0, 5], (1, 1, 1), start=0) == 2 * 20 + 2 * 30 + 2 * 5


def test_of_a_network_that_was_tried_its_own_seconds_count(tmp_path):
    """Two blocks below the head: frozen, the first runs once and forward."""
    found = network(tmp_path)
    pace = Pace(forward=(1e-3, 2e-3, 3e-3), backward=(2e-3, 5e-3, 7e-3))
    size = Size(rows=1000, tokens=10.0, classes=2, networks=1, pace=pace)

    def seconds(name, rates):
        given = Strategy(lambda blocks, epoch: rates)
        rung = Rung(name, {"epochs": 4, "batch_rows": 1000})
        return predicted(rung, given, size, found.card, peak=1e12, cache_limit=0).seconds

    assert seconds("features", ()) == pytest.approx(3 + 1000 * 6e-3, abs=0.1)
    # of the lowest block that learns, the weights' half of the way back
    assert seconds("full", (1, 1, 1, 1)) == pytest.approx(2 + 4000 * (6e-3 + 13e-3), abs=0.2)
    assert seconds("top", (0, 0, 1, 1)) == pytest.approx(2 + 4000 * (6e-3 + 7e-3 / 2), abs=0.2)
    assert seconds("lora", (0, 0, 1, 1)) == pytest.approx(2 + 4000 * (6e-3 + 7e-4 / 2), abs=0.1)
