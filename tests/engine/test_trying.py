"""Trying: the gain is a ratio of times, and the network is left as it was."""

import torch

from fettle.engine import trying
from fettle.models.network import open_network
from pictures import card, own_cache

__all__ = ["own_cache"]

BATCH = {"pixels": torch.zeros((2, 32, 32, 3), dtype=torch.uint8)}


def test_the_network_is_left_as_it_was(tmp_path):
    network = open_network(card(tmp_path))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert trying.gain_of_bf16(network, BATCH) > 0
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(value.grad is None for value in network.parameters())


def test_the_gain_is_the_lesser_of_evaluating_and_training(tmp_path, monkeypatch):
    network = open_network(card(tmp_path))
    seconds = iter([3.0, 1.0, 4.0, 2.0])  # fp32 and bf16 evaluated, then trained
    monkeypatch.setattr(trying, "_fastest", lambda run: next(seconds))
    assert trying.gain_of_bf16(network, BATCH) == 2.0
