"""Schedules: at this step, which share of its learning rate does every block use?

Each is a shape over the part of the training that follows the warm-up; the warm-up rises on a line
to the full rate. One-cycle and the slanted triangle bring their own rise in its place.
"""

import math
from collections.abc import Callable

__all__ = ["RISING", "SCHEDULES", "ramp", "share"]

ONE_CYCLE_START, ONE_CYCLE_END = 25.0, 1e5
"""The first and the last rate are these parts of the highest."""
SLANTED_RATIO = 32.0
"""The highest rate of a slanted triangle over its lowest."""
TRIANGLE_LOW = 0.25
"""Of the highest rate, where a cycle begins and ends: a third or a fourth, says the paper."""
GROWTH = 2
"""Each cosine is this many times as long as the one before."""


def share(name: str, step: int, *, steps: int, warmup: float, cycles: int = 1) -> float:
    """The share of its rate that a block learns at, from 0 to 1.

    Args:
        name: one of SCHEDULES or RISING.
        step: counted from 0.
        steps: of the whole training.
        warmup: share of the steps that go up, from 0 to 1.
        cycles: how often a schedule with cycles goes down.
    """
    if name == "ramp":  # of the range test alone: nobody trains so
        return ramp(step, steps=steps)
    rising = max(round(steps * warmup), 1)
    if name in RISING:
        return RISING[name](step, rising, steps)
    if step < rising:
        return (step + 1) / rising
    done = min((step - rising) / max(steps - rising, 1), 1.0)
    return SCHEDULES[name](done, cycles)


def ramp(step: int, *, steps: int, low: float = 1e-3, high: float = 1e2) -> float:
    """From low to high, each step the same factor above the one before.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.3,
    with an exponential instead of a line, as fastai takes it.
    """
    return float(low * (high / low) ** (step / max(steps - 1, 1)))


def _constant(done: float, cycles: int) -> float:
    """The full rate to the end."""
    return 1.0


def _linear(done: float, cycles: int) -> float:
    """Down on a line to 0. Source: Devlin et al., "BERT", NAACL 2019, appendix A.2."""
    return 1.0 - done


def _cosine(done: float, cycles: int) -> float:
    """Down along half a cosine to 0.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, without restarts.
    """
    return 0.5 * (1 + math.cos(math.pi * done))


def _restarts(done: float, cycles: int) -> float:
    """Half cosines one after the other, each twice as long as the one before.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, with T_mult = 2.
    """
    at, length = done * (GROWTH**cycles - 1), 1
    while at >= length and length < GROWTH ** (cycles - 1):
        at, length = at - length, length * GROWTH
    return _cosine(min(at / length, 1.0), 1)


def _cyclical(done: float, cycles: int) -> float:
    """Triangles: down on a line to a fourth of the rate, and up again.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, section 3.1;
    the lower bound, section 3.3. It begins at the top, where the warm-up ends.
    """
    away = abs(2 * ((done * cycles) % 1.0) - 1)  # 1 at the ends of a cycle, 0 in its middle
    return TRIANGLE_LOW + (1 - TRIANGLE_LOW) * away


def _one_cycle(step: int, rising: int, steps: int) -> float:
    """Up along half a cosine from a 25th, and down along another to nearly nothing.

    Source: Smith and Topin, "Super-Convergence", 2019, section 3; the halves of cosines and the
    bounds are fastai's.
    """
    first, last = 1 / ONE_CYCLE_START, 1 / ONE_CYCLE_END
    if step < rising:
        return 1 + (first - 1) * _cosine(step / rising, 1)
    done = min((step - rising) / max(steps - 1 - rising, 1), 1.0)
    return last + (1 - last) * _cosine(done, 1)


def _slanted(step: int, rising: int, steps: int) -> float:
    """Up on a line from a 32nd, and down on a longer one.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL
    2018, equation 3: the rise is cut_frac, the 32 is ratio.
    """
    falling = max(steps - rising, 1)
    part = step / rising if step < rising else 1 - (step - rising) / falling
    return (1 + max(part, 0.0) * (SLANTED_RATIO - 1)) / SLANTED_RATIO


SCHEDULES: dict[str, Callable[[float, int], float]] = {
    "constant": _constant,
    "linear": _linear,
    "cosine": _cosine,
    "restarts": _restarts,
    "cyclical": _cyclical,
}
"""From the share of the steps after the warm-up that is done, and the number of cycles."""

RISING: dict[str, Callable[[int, int, int], float]] = {
    "one-cycle": _one_cycle,
    "slanted": _slanted,
}
"""From the step, the steps that rise, and all steps."""
