"""Cutting: a network that is used only up to one of its blocks; what is above is left away.

The card says how many blocks are kept, and whoever opens a network by it gets the shorter one.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fettle.core.errors import SettingError
from fettle.core.parts import Card
from fettle.models.sources import CONFIG

__all__ = ["BLOCKS", "config_of", "cut"]

BLOCKS = ("num_hidden_layers", "n_layers", "n_layer", "encoder_layers", "num_layers")
"""What architectures call their number of blocks; the first that is there counts."""
TABLES = 30_000
"""Rows of the tables of a usual network, which no block holds."""


def cut(card: Card, keep: int | None) -> Card:
    """The card of the network's first `keep` blocks; the card itself where nothing is left away.

    Raises:
        SettingError: there are not so many blocks, or they cannot be counted.

    Source: Sajjad et al., "On the effect of dropping layers of pre-trained transformer models",
    2023, section 3.1 (top-layer dropping).
    """
    if keep is None or keep == card.blocks:
        return card
    if card.modality != "text":
        raise SettingError("--keep-blocks shortens networks of texts; leave it away for pictures.")
    if not 1 <= keep <= card.blocks:
        raise SettingError(
            f"--keep-blocks is {keep}; {card.name} has {card.blocks or 'no'} blocks that can be "
            f"told apart{f': 1 to {card.blocks} is what it takes' if card.blocks else ''}."
        )
    plain = json.loads((Path(card.folder) / CONFIG).read_text(encoding="utf-8"))
    if plain.get("num_hidden_groups"):
        raise SettingError(
            f"--keep-blocks: {card.name} runs one block again and again, so none can be left away."
        )
    inside = max(card.parameters - TABLES * card.width, card.parameters // 4)
    text = f"{card.definition} {keep}".encode()
    return dataclasses.replace(
        card, blocks=keep, kept_blocks=keep, definition=hashlib.sha256(text).hexdigest(),
        parameters=card.parameters - inside * (card.blocks - keep) // card.blocks,
    )


def config_of(card: Card) -> dict[str, Any]:
    """The config of the card's network, with as many blocks as are kept."""
    config = json.loads((Path(card.folder) / CONFIG).read_text(encoding="utf-8"))
    return _shortened(config, card.kept_blocks)


def _shortened(config: Mapping[str, Any], keep: int | None) -> dict[str, Any]:
    """The config of a network of so many blocks; lists that have one value a block end with it."""
    if keep is None:
        return dict(config)
    name = next(one for one in BLOCKS if type(config.get(one)) is int)
    before = config[name]
    return {
        key: value[:keep] if isinstance(value, list) and len(value) == before > 1 else value
        for key, value in config.items()
    } | {name: keep}
