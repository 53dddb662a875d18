"""The last blocks learn, from a solved head; all below is frozen and runs once for each row."""

from collections.abc import Mapping
from functools import partial

from fettle.core.errors import SettingError
from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import TUNING, discriminative_rates, learns, with_fresh_top

__all__ = ["DEFAULTS", "top"]

DEFAULTS: dict[str, Setting] = {**TUNING, "top_blocks": 2}


def top(settings: Mapping[str, Setting]) -> Strategy:
    """The last `top_blocks` blocks and the head learn, the lower the slower.

    Raises:
        SettingError: more blocks begin at random than learn.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", NeurIPS
    2014, section 4: what lies high is what is particular to a task.
    """
    if int(settings["reinit_top"]) > int(settings["top_blocks"]):
        raise SettingError(
            f"reinit_top is {settings['reinit_top']}, and the rung top tunes "
            f"{settings['top_blocks']} blocks: what begins at random must learn. Lower the one, "
            "raise top_blocks, or leave the rung top away."
        )
    plain = Strategy(
        rates=partial(
            _rates,
            top_blocks=int(settings["top_blocks"]),
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=partial(learns, settings),
    )
    return with_fresh_top(plain, settings)


def _rates(
    blocks: int, epoch: int, *, top_blocks: int, rate: float, slower: float, head_rate: float
) -> tuple[float, ...]:
    """Every block's learning rate: 0.0 below the last `top_blocks`."""
    rates = discriminative_rates(blocks, epoch, rate=rate, slower=slower, head_rate=head_rate)
    frozen = max(blocks - 1 - top_blocks, 0)
    return (*(0.0,) * frozen, *rates[frozen:])
