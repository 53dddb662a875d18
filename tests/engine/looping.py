"""A loop over a tiny network, and what its steps are compared by; for tests of the loop."""

import copy

import pytest
import torch

from fettle.core.parts import Strategy
from fettle.core.run import Step
from fettle.engine.loop import Loop
from fettle.tasks.classification import Classification
from small import encoder, lesson, network, task

SETTINGS = {"epochs": 2, "batch_rows": 8, "schedule": "cosine", "warmup": 0.1, "cycles": 1,
            "weight_decay": 0.01, "clip": 1.0}  # fmt: skip
RATES = (0.01, 0.01, 0.01, 0.02)
STILL = (1e-12,) * 4
"""So that weights stay as good as they were."""


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


@pytest.fixture
def read(small):
    return encoder(small.card)


def begin(small, read, *, rates=RATES, seed=0, precision="fp32", of=None, strategy=None,
          **settings):  # fmt: skip
    """A loop over a copy of the network; rates are a row, or a function of the epoch."""
    said = rates if callable(rates) else lambda epoch: rates
    return Loop(
        copy.deepcopy(small), read, of or task(),
        strategy=strategy or Strategy(lambda blocks, epoch: said(epoch)),
        settings={**SETTINGS, **settings}, precision=precision, seed=seed,
    )


def accuracy(outputs, targets):
    return float((outputs.argmax(1) == targets).mean())


def run(loop, read, rows=30, validation=None):
    return list(loop.fit(lesson(read, rows), validation, accuracy))


def steps(events):
    return [event for event in events if isinstance(event, Step)]


def weights(loop):
    return {name: value.clone() for name, value in loop.network.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def dropped(small, share):
    """The network with this dropout everywhere."""
    for module in small.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = share
    return small


class Narrow(Classification):
    """A task for which memory holds only so many rows at once."""

    def __init__(self, most, error=None):
        super().__init__(("no", "yes"))
        self.most = most
        self.error = error or torch.OutOfMemoryError("of 8 GiB, 3 are free")

    def loss(self, outputs, batch):
        if len(outputs) > self.most:
            raise self.error
        return super().loss(outputs, batch)
