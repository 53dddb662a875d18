"""Trying: is a network faster in bf16 here? Kernels and depthwise maps are often slower in it."""

import copy
import time
from typing import Any

import torch

from fettle.core.parts import Network
from fettle.engine.device import autocast

__all__ = ["gain_of_bf16"]

Batch = dict[str, torch.Tensor]
TIMES = 3
"""Passes of each kind; the fastest counts: a storm makes passes slower, never faster."""


def gain_of_bf16(network: Network, batch: Batch) -> float:
    """How many times as fast it is in bf16 as in fp32: the lesser of evaluating and training.

    Args:
        network: without a head; it is not changed.
        batch: a few rows, as an encoder collates them.
    """
    plain, half = network, network.in_precision("bf16")
    evaluated = _fastest(lambda: _evaluate(plain, batch)) / _fastest(lambda: _evaluate(half, batch))
    learner = copy.deepcopy(network)
    trained = _fastest(lambda: _train(learner, batch, "fp32")) / _fastest(
        lambda: _train(learner, batch, "bf16"))
    return min(evaluated, trained)


def _evaluate(network: Network, batch: Batch) -> None:
    with torch.inference_mode():
        network.taps(batch, (network.card.pooling,))


def _train(network: Network, batch: Batch, precision: str) -> None:
    network.module.zero_grad(set_to_none=True)
    with autocast(precision):
        found = network.taps(batch, (network.card.pooling,))[network.card.pooling]
    found.square().mean().backward()  # type: ignore[no-untyped-call]


def _fastest(run: Any) -> float:
    """Seconds of the fastest of some runs, the first one left out."""
    seconds = []
    for _ in range(TIMES + 1):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])
