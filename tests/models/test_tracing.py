"""Tracing: what may be a block, seen from one pass; no architecture is named."""

import torch
from torch import nn

from fettle.models.tracing import trace


class Residual(nn.Module):
    """Adds what it makes to what it was given."""

    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.second(self.first(x).relu())


class Plain(nn.Module):
    """A stem, residual blocks, a pool and a linear map."""

    def __init__(self, blocks=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.layers = nn.Sequential(*(Residual() for _ in range(blocks)))
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4, 2)

    def forward(self, x):
        return self.last(self.norm(self.layers(self.stem(x).relu())).mean(dim=(2, 3)))


class Long(Plain):
    """The same with a way around all of the blocks."""

    def forward(self, x):
        x = self.stem(x)
        return self.last((self.layers(x) + x).mean(dim=(2, 3)))


class Shared(Plain):
    """The same with its blocks run twice."""

    def forward(self, x):
        x = self.layers(self.layers(self.stem(x)))
        return self.last(x.mean(dim=(2, 3)))


def traced(module, side=8):
    return trace(module.eval(), torch.rand(1, 3, side, side), module)


def test_residual_blocks_are_blocks_and_stay_whole():
    found = traced(Plain())
    assert found.blocks == ("layers.0", "layers.1", "layers.2", "last")
    assert found.width == 2
    assert found.crossing == (192, 256, 256, 256, 4)


def test_a_norm_belongs_to_the_block_that_ran_before():
    assert traced(Plain()).owner["norm"] == 3


def test_a_way_around_leaves_no_cut_inside_it():
    assert traced(Long()).blocks == ("last",)


def test_blocks_that_run_twice_are_none():
    assert traced(Shared()).blocks == ("last",)


def test_operations_are_counted_where_they_are_done():
    found = traced(Plain(1))
    kernel, pixels = 9, 64
    assert found.operations == (
        2 * 3 * 4 * kernel * pixels, 2 * 2 * 4 * 4 * kernel * pixels, 2 * 4 * 2)


def test_a_chain_of_layers_is_cut_at_each_kernel():
    chain = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    assert traced(chain).blocks == ("3", "7")
