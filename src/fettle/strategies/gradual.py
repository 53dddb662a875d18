"""Gradual unfreezing: the head and the last block first, one more block every epoch."""

from collections.abc import Mapping
from functools import partial

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import TUNING, discriminative_rates, learns, with_fresh_top

__all__ = ["DEFAULTS", "gradual"]

DEFAULTS: dict[str, Setting] = {**TUNING, "blocks_an_epoch": 1}


def gradual(settings: Mapping[str, Setting]) -> Strategy:
    """The frozen part shrinks from above by `blocks_an_epoch` blocks in every epoch.

    Blocks that begin at random are awake from the start.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL
    2018, section 3.3.
    """
    plain = Strategy(
        rates=partial(
            _rates,
            blocks_an_epoch=int(settings["blocks_an_epoch"]),
            at_once=int(settings["reinit_top"]),
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=partial(learns, settings),
    )
    return with_fresh_top(plain, settings)


def _rates(
    blocks: int, epoch: int, *, blocks_an_epoch: int, at_once: int, rate: float, slower: float,
    head_rate: float,
) -> tuple[float, ...]:
    """Every block's learning rate: 0.0 for those that have not woken yet."""
    rates = discriminative_rates(blocks, epoch, rate=rate, slower=slower, head_rate=head_rate)
    awake = max(blocks_an_epoch * (epoch + 1), at_once)
    frozen = max(blocks - 1 - awake, 0)
    return (*(0.0,) * frozen, *rates[frozen:])
