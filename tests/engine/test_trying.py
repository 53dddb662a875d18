"""Trying: gains are ratios of times, and the network is left as it was."""

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
