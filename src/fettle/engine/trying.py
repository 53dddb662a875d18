"""Trying: how is a network fastest here? In bf16 kernels and depthwise maps are often slower, and
where their channels lie in memory decides more than anything else.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from fettle.core.parts import Network
from fettle.core.plan import Pictures
from fettle.engine.device import autocast

__all__ = ["Tried", "tried"]

Batch = dict[str, torch.Tensor]
TIMES = 3
"""Passes of each kind; the fastest counts: a storm makes passes slower, never faster."""
LONG = 2.0
"""Seconds after which no further pass is made."""
GAIN = 1.1
"""Times as fast that a way must be to be taken in place of the usual one."""


@dataclass(frozen=True, slots=True)
class Tried:
    """How the network runs, and what was seen of it."""

    precision: str
    layout: str
    folded: bool
    sentence: str


def tried(network: Network, batch: Batch, *, bf16: bool) -> Tried:
    """The fastest of the ways to train it, one choice after the other.

    Args:
        network: of pictures, without a head; a copy is run, and it is not changed.
        batch: a few rows, as an encoder collates them.
        bf16: whether this machine multiplies faster in bf16; otherwise it is not tried.
    """
    learner = copy.deepcopy(network)

    def seconds(layout: str, folded: bool, precision: str) -> float:
        learner.run_on(Pictures(0, layout=layout, folded=folded))
        return _fastest(lambda: _train(learner, batch, precision))

    last, first = (seconds(layout, False, "fp32") for layout in ("channels last", "channels first"))
    layout = "channels first" if first * GAIN <= last else "channels last"
    plain = min(first, last) if layout == "channels first" else last
    merged = seconds(layout, True, "fp32")
    folded = merged * GAIN <= plain
    best = merged if folded else plain
    said = (f"trained in fp32 with its channels last it was {first / last:.1f} times as fast here "
            f"on a few pictures as with its channels first, and norms with fixed statistics "
            f"folded into the kernels before them made it {plain / merged:.1f} times as fast")
    precision = "fp32"
    if bf16:
        learner.run_on(Pictures(0, layout=layout, folded=folded))
        gain = min(best / seconds(layout, folded, "bf16"), _gain_when_asked(learner, batch))
        precision = "bf16" if gain >= GAIN else "fp32"
        said += f", bf16 {gain:.1f} times"
    taken = (f"It runs in {precision} with its {layout}, {'' if folded else 'not '}folded; {GAIN} "
             "is asked of what is not usual.")
    return Tried(precision, layout, folded, f"{said}. {taken}")


def _gain_when_asked(network: Network, batch: Batch) -> float:
    """How many times as fast it answers in bf16."""
    half = network.in_precision("bf16")
    return (_fastest(lambda: _evaluate(network, batch))
            / _fastest(lambda: _evaluate(half, batch)))


def _evaluate(network: Network, batch: Batch) -> None:
    with torch.inference_mode():
        network.taps(batch, (network.card.pooling,))


def _train(network: Network, batch: Batch, precision: str) -> None:
    network.module.zero_grad(set_to_none=True)
    with autocast(precision):
        found = network.taps(batch, (network.card.pooling,))[network.card.pooling]
    found.square().mean().backward()  # type: ignore[no-untyped-call]


def _fastest(run: Callable[[], None]) -> float:
    """Seconds of the fastest of some runs, the first one left out; of fewer where each is long."""
    seconds: list[float] = []
    while len(seconds) <= TIMES and (len(seconds) < 2 or sum(seconds) < LONG):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])
