"""Full fine-tuning from a solved head: every block learns, the lower the slower."""

from collections.abc import Mapping
from functools import partial

from fettle.core.parts import Strategy
from fettle.core.plan import Setting
from fettle.strategies.tuning import TUNING, discriminative_rates, learns, with_fresh_top

__all__ = ["DEFAULTS", "full"]

DEFAULTS: dict[str, Setting] = dict(TUNING)


def full(settings: Mapping[str, Setting]) -> Strategy:
    """All blocks learn from the first epoch; the head starts from the rung below.

    Source: Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
    Out-of-Distribution", ICLR 2022, section 3 (LP-FT).
    """
    plain = Strategy(
        rates=partial(
            discriminative_rates,
            rate=float(settings["rate"]),
            slower=float(settings["slower"]),
            head_rate=float(settings["head_rate"]),
        ),
        learns=partial(learns, settings),
    )
    return with_fresh_top(plain, settings)
