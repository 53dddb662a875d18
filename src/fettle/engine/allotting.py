"""Allotting: how many views of each picture are kept where frozen blocks are replayed.

A view costs one pass of these blocks, and its bytes; it is worth that where there are more epochs
than views.
"""

from collections.abc import Sequence
from dataclasses import replace

from fettle.core.parts import Card, Strategy
from fettle.core.plan import Pictures, Rung
from fettle.engine.costs import Size, replayed_blocks, state_bytes

__all__ = ["allotted"]

LIVE = 0.15
"""Of the epochs, the last ones, that take views made anew."""


def allotted(
    pictures: Pictures, rungs: Sequence[tuple[Rung, Strategy]], size: Size, card: Card, *,
    limit: int,
) -> tuple[Pictures, tuple[str, ...]]:
    """How many views replay keeps, how many last epochs take none of them, and why.

    Args:
        pictures: with the views that are wished for.
        rungs: of the plan.
        size: of the rows.
        card: of the network.
        limit: bytes that kept states may take.

    Returns:
        No sentence where no views are wished for.
    """
    if not pictures.views:
        return pictures, ()
    longest, blocks = 0, set[int]()
    for rung, strategy in rungs:
        epochs = int(rung.settings.get("epochs", 0))
        found = replayed_blocks(strategy, blocks=len(card.operations) + 1, epochs=epochs)
        blocks |= set(found)
        longest = max(longest, epochs if found else 0)
    if not blocks or not limit:
        return replace(pictures, views=0), (
            "No frozen blocks are replayed, so no views are kept for that.",)
    if pictures.views >= longest:
        return replace(pictures, views=0, live=longest), (
            f"Rungs with frozen blocks have {longest} epochs, and {pictures.views} views of each "
            "picture were to be kept: that saves no pass, so the frozen blocks run in each epoch, "
            "on views made anew, and are not replayed.",)
    once = sum(state_bytes(card, size, block) for block in blocks)
    fitting = int(limit / once) - 1
    views = max(min(pictures.views, fitting), 0)
    if not views:
        return replace(pictures, views=0), (
            f"Views of pictures are not kept: those of {size.rows:,} pictures take "
            f"{once / 1e6:,.0f} MB each, beside as much for the pictures themselves, and "
            f"{limit / 1e6:,.0f} MB are allowed (--cache-limit). Rungs that replay frozen blocks "
            "see the middle alone.",)
    live = round(LIVE * longest)
    fewer = "" if views == pictures.views else f" (not {pictures.views}: more do not fit)"
    last = (f"; the last {live} of {longest} epochs run them once more, on views made anew"
            if live else "")
    return replace(pictures, views=views, live=live), (
        f"Rungs that replay frozen blocks see {views} views of each picture in turn{fewer}: that "
        f"takes {views} passes of the frozen blocks, and up to {(1 + views) * once / 1e6:,.0f} MB "
        f"of the {limit / 1e6:,.0f} MB that may be kept (--cache-limit){last}.",)
