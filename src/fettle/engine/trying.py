"""Trying: how is a network fastest here? In bf16 kernels and depthwise maps are often slower, and
where their channels lie in memory decides more than anything else.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from fettle.core.parts import Network
from fettle.core.plan import Pictures
from fettle.engine.costs import Pace
from fettle.engine.device import autocast

__all__ = ["Tried", "tried"]

Batch = dict[str, torch.Tensor]
TIMES = 3
"""Passes of each kind; the fastest counts: a storm makes passes slower, never faster."""
MORE, SHORT, QUICK = 4, 1.0, 0.2
"""Times as many rows to time each block with, and to compare ways with, where training on the few
takes less seconds: on few rows of a small network it is the calls that take long, not the work."""
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
    pace: Pace
    sentence: str


def tried(network: Network, batch: Batch, *, bf16: bool) -> Tried:
    """The fastest of the ways to train it, one choice after the other.

    Args:
        network: of pictures, without a head; a copy is run, and it is not changed.
        batch: a few rows, as an encoder collates them; more are run where these are quick.
        bf16: whether this machine multiplies faster in bf16; otherwise it is not tried.
    """
    learner = copy.deepcopy(network)
    times = MORE if _is_quick(learner, batch) else 1
    rows = _repeated(batch, times)

    def seconds(layout: str, folded: bool, precision: str) -> float:
        learner.run_on(Pictures(0, layout=layout, folded=folded))
        return _fastest(lambda: _train(learner, rows, precision))

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
    learner.run_on(Pictures(0, layout=layout, folded=folded))
    if bf16:
        half = seconds(layout, folded, "bf16")
        gain = min(best / half, _gain_when_asked(learner, rows))
        precision = "bf16" if gain >= GAIN else "fp32"
        best = half if precision == "bf16" else best
        said += f", bf16 {gain:.1f} times"
    taken = (f"It runs in {precision} with its {layout}, {'' if folded else 'not '}folded; {GAIN} "
             "is asked of what is not usual.")
    pace = _pace(learner, batch, precision, best / times)
    return Tried(precision, layout, folded, pace, f"{said}. {taken}")


def _pace(network: Network, batch: Batch, precision: str, seconds: float) -> Pace:
    """How long each block takes for one row, each of its fastest pass.

    Args:
        network: as it will be run.
        batch: a few rows; of a small network, several times as many are run: so few leave it idle.
        precision: to run in.
        seconds: that training on them took.
    """
    batch = _repeated(batch, MORE if seconds < SHORT else 1)
    rows = len(next(iter(batch.values())))
    asked = network.in_precision(precision)
    forward, _ = _by_block(asked, lambda _: _evaluate(asked, batch))
    taught, backward = _by_block(network, lambda turn: _train(network, batch, precision, turn))
    return Pace(
        tuple(one / rows for one in forward),
        tuple((max(more - plain, 0.0) + back) / rows
              for more, plain, back in zip(taught, forward, backward, strict=True)),
    )


def _by_block(
    network: Network, run: Callable[[Callable[[], None]], None]
) -> tuple[list[float], list[float]]:
    """Seconds in each block below the head, forward and backward, of some passes.

    Args:
        network: that runs.
        run: one pass; it calls what it is given where it turns back.
    """
    first: dict[int, nn.Module] = {}
    for name, module in network.module.named_modules():
        first.setdefault(network.block_of(f"{name}.weight"), module)
    last = network.blocks - 1
    entered: dict[int, float] = {}
    returned: dict[int, float] = {}
    passes: list[tuple[list[float], list[float]]] = []

    def enter(block: int, _: nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        entered.setdefault(block, time.perf_counter())
        if args and isinstance(args[0], torch.Tensor) and args[0].requires_grad:
            args[0].register_hook(lambda _: returned.update({block: time.perf_counter()}))  # type: ignore[no-untyped-call]

    def timed() -> None:
        entered.clear()
        returned.clear()
        entered[0] = time.perf_counter()
        run(lambda: entered.update({last: time.perf_counter()}))
        returned[0] = time.perf_counter()
        returned[last] = entered.setdefault(last, returned[0])
        for block in reversed(range(last)):  # what was not seen took no time
            entered.setdefault(block, entered[block + 1])
            returned.setdefault(block, returned[block + 1])
        passes.append(([entered[one + 1] - entered[one] for one in range(last)],
                       [returned[one] - returned[one + 1] for one in range(last)]))

    hooks = [first[block].register_forward_pre_hook(partial(enter, block))
             for block in range(1, last)]
    try:
        _fastest(timed)
    finally:
        for hook in hooks:
            hook.remove()
    forward, backward = zip(*passes[1:], strict=True)
    return ([min(one) for one in zip(*forward, strict=True)],
            [min(one) for one in zip(*backward, strict=True)])


def _is_quick(network: Network, batch: Batch) -> bool:
    """Whether training on so few rows takes little, once its kernels are made."""
    _train(network, batch, "fp32")
    begun = time.perf_counter()
    _train(network, batch, "fp32")
    return time.perf_counter() - begun < QUICK


def _repeated(batch: Batch, times: int) -> Batch:
    """The same rows so many times."""
    return {name: torch.cat([rows] * times) for name, rows in batch.items()}


def _gain_when_asked(network: Network, batch: Batch) -> float:
    """How many times as fast it answers in bf16."""
    half = network.in_precision("bf16")
    return (_fastest(lambda: _evaluate(network, batch))
            / _fastest(lambda: _evaluate(half, batch)))


def _evaluate(network: Network, batch: Batch) -> None:
    with torch.inference_mode():
        network.taps(batch, (network.card.pooling,))


def _train(
    network: Network, batch: Batch, precision: str, turn: Callable[[], None] = lambda: None
) -> None:
    network.module.zero_grad(set_to_none=True)
    with autocast(precision):
        found = network.taps(batch, (network.card.pooling,))[network.card.pooling]
    turn()
    found.square().mean().backward()  # type: ignore[no-untyped-call]


def _fastest(run: Callable[[], None]) -> float:
    """Seconds of the fastest of some runs, the first one left out; of fewer where each is long."""
    seconds: list[float] = []
    while len(seconds) <= TIMES and (len(seconds) < 2 or sum(seconds) < LONG):
        begun = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begun)
    return min(seconds[1:])
