"""Reasons: a rung as a plan has it in, the sentences that say why it is set so out."""

from collections.abc import Mapping, Sequence

from fettle.core.plan import Rung, Setting
from fettle.strategies import DEFAULTS

__all__ = ["rung_reason", "unused_reasons"]


def rung_reason(rung: Rung, rows: int) -> str:
    """Why a rung's settings are what they are.

    Args:
        rung: of a plan.
        rows: that it learns from.
    """
    settings = rung.settings
    if rung.strategy == "features":
        return (
            "features: the backbone runs once over each row; pooling and the head's L2 are chosen "
            "on validation, and the head is solved once more on all learning rows."
        )
    if rung.strategy == "contrastive":
        return (
            f"contrastive: all blocks are tuned on every pair of rows in batches of "
            f"{settings['batch_rows']}, at rate {settings['rate']:g} over {settings['epochs']} "
            f"epochs of {rows:,} rows (30 steps, and one more for ten rows); then the head is "
            "solved. It is made for 8 to 64 rows a class."
        )
    return (
        f"{rung.strategy}: {_who_learns(rung)} at rate {settings['rate']:g} for the top "
        f"block, {settings['slower']:g} of that for each block below, "
        f"{settings['head_rate']:g} for the head, over at most {settings['epochs']} "
        f"epochs of {rows:,} rows {_how(rung)}, stopped when validation has not "
        f"improved for {settings['patience']} epochs."
    )


def unused_reasons(rungs: Sequence[Rung], asked: Mapping[str, Setting]) -> list[str]:
    """For each setting that was asked for: the rungs that have no such setting.

    Args:
        rungs: of a plan.
        asked: settings by name.
    """
    without = {name: [rung.strategy for rung in rungs if name not in rung.settings]
               for name in asked}
    return [f"{name} {asked[name]} was asked for; without such a setting: {', '.join(names)}."
            for name, names in without.items() if names]


def _how(rung: Rung) -> str:
    """The schedule, and what else was asked to be other than usual."""
    usual, told = DEFAULTS[rung.strategy], []
    for name in ("loss", "label_smoothing", "stop_by"):
        if rung.settings[name] != usual[name]:
            told.append(f", {name.replace('_', ' ')} {rung.settings[name]}")
    return f"with warm-up and the schedule {rung.settings['schedule']}{''.join(told)}"


def _who_learns(rung: Rung) -> str:
    all_blocks = "the solved head is tuned with all blocks"
    return {
        "l2sp": f"{all_blocks}, which are pulled back to where they began (L2-SP),",
        "wise": f"{all_blocks}; then validation chooses a point between start and end (WiSE-FT);",
        "ema": f"{all_blocks}, and a moving average of the weights is tried,",
        "soup": f"{all_blocks}, and the best epochs are averaged where that does no harm,",
        "bitfit": "of the network only the biases are tuned, with the solved head,",
        "scratch": "a network of the same architecture learns from random weights, for comparison,",
        "full": "the solved head is tuned with all blocks (LP-FT)",
        "top": f"the solved head is tuned with the last {rung.settings.get('top_blocks')} blocks; "
        "what is below runs once for each row and is replayed,",
        "gradual": "the solved head is tuned with the last block, and one more block wakes in each "
        "epoch,",
        "lora": f"adapters of rank {rung.settings.get('rank')} beside every linear map are tuned "
        "with the solved head",
    }.get(rung.strategy, "tuned from the solved head")
