"""The last blocks learn, from a solved head; all below is frozen and runs once for each row."""

from collections.abc import Mapping
from functools import partial

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import TUNING, discriminative_rates, learns

__all__ = ["DEFAULTS", "top"]

DEFAULTS: dict[str, Setting] = {**TUNING, "top_blocks": 2}


def top(settings: Mapping[str, Setting]) -> Strategy:
    """The last `top_blocks` blocks and the head learn, the lower the slower.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS
    2014, section 4: what lies high is what is particular to a task.
    """
    return Strategy(
        rates=partial(
            _rates,
            top_blocks=int(settings["top_blocks"]),
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=partial(learns, settings),
    )


def _rates(
    blocks: int, epoch: int, *, top_blocks: int, rate: float, slower: float, head_rate: float
) -> tuple[float, ...]:
    """Every block's learning rate: 0.0 below the last `top_blocks`."""
    rates = discriminative_rates(blocks, epoch, rate=rate, slower=slower, head_rate=head_rate)
    frozen = max(blocks - 1 - top_blocks, 0)
    return (*(0.0,) * frozen, *rates[frozen:])
