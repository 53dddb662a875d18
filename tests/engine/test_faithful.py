"""Faithful: a network whose replay differs is found out, whatever makes it differ."""

import dataclasses

import numpy as np
import pytest
import torch

from fettle.core.progress import finish
from fettle.engine import replay
from fettle.engine.faithful import Faithful, compare
from fettle.models.bert import Bert
from small import encoder, network, texts

FAIR = Faithful(2, same_batch=0.0, relative=1e-6, agreement=1.0, rows=256, precision="fp32")


class Leaky(Bert):
    """Something of the first block reaches the output past all others: a stub for it tells."""

    def forward(self, batch, *, start=0, hidden=None, seen=None):
        last = super().forward(batch, start=start, hidden=hidden, seen=seen)
        return last if start else last + 0.1 * self.embeddings(batch["input_ids"], None)


def stand(folder, *, precision="fp32", rows=40):
    """A network, its encoder, items, and the states that reach two blocks."""
    small = network(folder / "base", num_hidden_layers=4)
    read = encoder(small.card)
    items = read.encode(texts(rows))
    kept = finish(replay.prefix(
        small, read, items, poolings=("mean",), blocks=(2, 4), precision=precision,
        folder=folder / "kept", limit=1 << 30,
    ))
    return small, read, items, kept.states


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("block", [2, 4])
def test_a_network_of_blocks_is_exact(tmp_path, precision, block):
    small, read, items, states = stand(tmp_path, precision=precision)
    found = compare(small, read, items, states[block], precision=precision)
    assert found.holds
    assert found.same_batch == 0.0
    assert (found.block, found.rows, found.precision) == (block, 40, precision)
    assert found.agreement >= 0.995
    assert f"Replayed from block {block}" in found.sentence


def test_at_most_256_rows_from_all_over_are_asked(tmp_path):
    small, read, items, states = stand(tmp_path, rows=600)
    sizes = []
    small.backbone.register_forward_pre_hook(
        lambda module, args: sizes.append(len(args[0]["input_ids"])))
    assert compare(small, read, items, states[2], precision="fp32").rows == 256
    assert sum(sizes) == 2 * 256 + 3 * 16


def test_a_network_that_something_of_the_skipped_blocks_reaches_by_another_way_is_refused(tmp_path):
    small, read, items, states = stand(tmp_path)
    small.backbone.__class__ = Leaky
    found = compare(small, read, items, states[2], precision="fp32")
    assert not found.holds
    assert found.same_batch > 0
    assert "Replay is not used" in found.sentence
    assert "block 2" in found.sentence


def test_states_of_other_rows_are_refused_although_the_network_is_exact(tmp_path):
    small, read, items, states = stand(tmp_path)
    other = states[2].of(np.arange(40)[::-1].copy())
    found = compare(small, read, items, other, precision="fp32")
    assert found.relative > 1e-5
    assert not found.holds


def test_states_from_other_weights_are_refused(tmp_path):
    small, read, items, states = stand(tmp_path)
    with torch.no_grad():
        small.backbone.encoder["layer"][0].output.dense.weight.mul_(1.5)
    assert not compare(small, read, items, states[2], precision="fp32").holds


@pytest.mark.parametrize(
    ("change", "holds"),
    [
        ({}, True),
        ({"same_batch": 1e-9}, False),
        ({"relative": 1e-5}, True),
        ({"relative": 1.1e-5}, False),
        ({"relative": 2e-2, "precision": "bf16"}, True),
        ({"relative": 2.1e-2, "precision": "bf16"}, False),
        ({"agreement": 0.995}, True),
        ({"agreement": 0.994}, False),
        ({"same_batch": float("nan")}, False),
        ({"relative": float("nan")}, False),
    ],
    ids=str,
)
def test_the_bounds_are_those_of_the_design(change, holds):
    assert dataclasses.replace(FAIR, **change).holds == holds
