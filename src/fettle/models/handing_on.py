"""Handing on: the backbone of a tuned network as a folder that the next training starts from."""

from pathlib import Path

from fettle.core.errors import CorruptFile
from fettle.core.parts import Card
from fettle.models.cards import card_of
from fettle.models.network import TextNetwork
from fettle.models.sources import CONFIG, WEIGHTS
from fettle.store import checkpoints, files

__all__ = ["hand_on"]

SAME = ("architecture", "width", "blocks", "max_tokens", "pad", "token_types", "pooling")
"""Of a card: what must not have changed on the way."""


def hand_on(network: TextNetwork, config: Path, tokenizer: Path, folder: Path) -> Card:
    """Write the backbone, without its head, as a model's folder; the card that it is opened by.

    Args:
        network: a tuned one.
        config: its config.json.
        tokenizer: its tokenizer.json.
        folder: to be made; what an earlier try left there is written over.

    Raises:
        CorruptFile: what was written would be opened as something else.
    """
    card = network.card
    weights = {
        name.removeprefix("model."): value.detach().cpu().contiguous()
        for name, value in network.backbone.state_dict().items()
    }
    checkpoints.write_tensors(folder / WEIGHTS, weights)
    files.write_json(folder / CONFIG, {**files.read_json(config), "pad_token_id": card.pad})
    files.write_bytes(folder / "tokenizer.json", tokenizer.read_bytes())
    names = ["input_ids", *(["token_type_ids"] if card.token_types else []), "attention_mask"]
    files.write_json(folder / "tokenizer_config.json", {
        "model_max_length": card.max_tokens, "model_input_names": names,
    })
    files.write_json(folder / "1_Pooling" / CONFIG, {"pooling_mode": card.pooling})
    made = card_of(str(folder))
    for name in SAME:
        if getattr(made, name) != getattr(card, name):
            raise CorruptFile(
                f"{folder} does not hold on to the network that was tuned: {name} is "
                f"{getattr(made, name)!r} there and was {getattr(card, name)!r}."
            )
    return made
