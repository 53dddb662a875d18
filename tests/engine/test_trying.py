"""Trying: gains are ratios of times, and the network is left as it was."""

import time

import pytest
import torch

from fettle.engine import trying
from fettle.models.network import open_network
from pictures import card, own_cache

__all__ = ["own_cache"]

BATCH = {"pixels": torch.zeros((2, 32, 32, 3), dtype=torch.uint8)}


@pytest.fixture
def network(tmp_path):
    return open_network(card(tmp_path))


def told(network, monkeypatch, *seconds, bf16=True):
    """What is taken where the ways take so long, in turn."""
    left = iter(seconds)
    monkeypatch.setattr(trying, "_fastest", lambda run: next(left))
    monkeypatch.setattr(trying, "_pace", lambda *given: None)
    found = trying.tried(network, BATCH, bf16=bf16)
    assert next(left, None) is None
    return found.layout, found.folded, found.precision


def test_the_network_is_left_as_it_was(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert trying.tried(network, BATCH, bf16=True).sentence
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.grad is None for value in network.parameters())
    assert network.backbone._folding is None


@pytest.mark.parametrize(("seconds", "taken"), [
    # channels last, channels first, folded, bf16 trained, fp32 asked, bf16 asked
    ((1.0, 2.0, 0.5, 0.2, 2.0, 1.0), ("channels last", True, "bf16")),
    ((1.0, 2.0, 0.5, 0.2, 1.0, 1.0), ("channels last", True, "fp32")),  # no faster to ask
    ((1.0, 2.0, 0.5, 0.5, 2.0, 1.0), ("channels last", True, "fp32")),  # no faster to train
    ((1.0, 0.5, 0.48, 0.5, 2.0, 1.0), ("channels first", False, "fp32")),
    ((1.0, 0.95, 0.95, 0.95, 2.0, 1.0), ("channels last", False, "fp32")),  # below the gain
])
def test_a_way_is_taken_only_where_it_is_faster_by_the_gain(network, monkeypatch, seconds, taken):
    assert told(network, monkeypatch, *seconds) == taken


def test_bf16_is_not_tried_where_the_machine_gains_nothing_by_it(network, monkeypatch):
    assert told(network, monkeypatch, 1.0, 2.0, 0.5, bf16=False) == ("channels last", True, "fp32")


def test_a_block_that_takes_long_forward_or_backward_is_told_apart(network, monkeypatch):
    slow, seconds = 2, 0.05
    first = {}
    for name, module in network.module.named_modules():
        first.setdefault(network.block_of(f"{name}.weight"), module)

    class Slow(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            time.sleep(3 * seconds)
            return gradient

    real = first[slow].forward

    def forward(value):
        time.sleep(seconds)
        return Slow.apply(real(value))

    first[slow].forward = forward
    pace = trying._pace(network, BATCH, "fp32", seconds=trying.SHORT)
    blocks, rows = network.blocks - 1, len(BATCH["pixels"])
    assert (len(pace.forward), len(pace.backward)) == (blocks, blocks)
    assert min(pace.forward) > 0
    assert min(pace.backward) >= 0
    for found, due in ((pace.forward, seconds), (pace.backward, 3 * seconds)):
        assert found[slow] == max(found)
        assert found[slow] * rows >= due


def test_a_small_network_is_timed_with_more_rows(network, monkeypatch):
    ran = []
    monkeypatch.setattr(trying, "_evaluate", lambda network, batch: ran.append(batch["pixels"]))
    monkeypatch.setattr(trying, "_by_block", lambda network, run: (run(lambda: None), ([], []))[1])
    monkeypatch.setattr(trying, "_train", lambda *given: None)
    for seconds in (0.9 * trying.SHORT, trying.SHORT):
        trying._pace(network, BATCH, "fp32", seconds)
    assert [len(one) for one in ran] == [trying.MORE * 2, 2]


@pytest.mark.parametrize(("takes", "times"), [(0.0, trying.MORE), (1.1 * trying.QUICK, 1)])
def test_ways_of_a_quick_network_are_compared_on_more_rows(network, monkeypatch, takes, times):
    ran = []

    def train(network, batch, precision, *turn):
        ran.append(len(batch["pixels"]))
        time.sleep(takes)

    monkeypatch.setattr(trying, "_train", train)
    monkeypatch.setattr(trying, "_pace", lambda *given: None)
    trying.tried(network, BATCH, bf16=False)
    assert ran[:2] == [2, 2], "what tells whether it is quick"
    assert {*ran[2:]} == {2 * times}


def test_a_block_that_no_pass_goes_through_takes_no_time(network, monkeypatch):
    network.module.add_module("idle", torch.nn.Identity())
    real = network.block_of

    def block_of(name):
        found = real(name)
        return 2 if name == "idle.weight" else 1 if found == 2 else found

    monkeypatch.setattr(network, "block_of", block_of)
    pace = trying._pace(network, BATCH, "fp32", seconds=trying.SHORT)
    assert (pace.forward[2], pace.backward[2]) == (0, 0)
    assert min(pace.forward[0], pace.forward[1], pace.forward[3]) > 0
