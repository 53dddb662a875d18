"""Versions that are ready to be exported, of small random networks, without a story before them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from fettle.core.progress import finish
from fettle.modalities.text import TextEncoder
from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.stages import exporting
from fettle.store import arrow, records
from fettle.strategies import DEFAULTS, STRATEGIES
from foreign import saved
from small import texts, tokenizer

CLASSES = ("lost card", "top up", "late payment")
WIDE = {"initializer_range": 0.3}
"""So that a wrong weight changes the outputs."""
SETTINGS = {"rank": 4, "alpha": 8}


def leaving(
    folder: Path, kind: str = "bert", *, pooling: str = "cls", normalise: bool = False,
    precision: str = "fp32", temperature: float = 1.7, rows: int = 40, special: bool = True,
    rung: str = "features",
    classes: tuple[str, ...] = CLASSES, head: str = "linear", **changes: Any,
) -> exporting.Leaving:
    """A version of a random network of this kind, its head random as well."""
    place = saved(folder / "model", kind, **{**WIDE, **changes})
    tokenizer(special=special).save(str(place / "tokenizer.json"))
    card = card_of(str(place))
    network = open_network(card)
    torch.manual_seed(3)
    network.set_head({"kind": head, "pooling": pooling, "normalise": normalise,
                      "dropout": 0.1, "outputs": len(classes)})
    torch.nn.init.normal_(network.head.linear.weight)
    if head == "mlp":
        torch.nn.init.normal_(network.head.outer.weight)
    if rung == "lora":
        network = with_adapters(network)
    given = (place / "tokenizer.json").read_text()
    encoder = TextEncoder.fit(card, given, fields=("text",), max_tokens=12)
    made = folder / "version"
    made.mkdir()
    network.eval().save(made)
    encoder.save(str(made))
    table = pa.table({"text": [text for text, in texts(rows)], "label": ["top up"] * rows,
                      "id": [str(at) for at in range(rows)], "side": ["train"] * rows})
    arrow.write(made / "rows.arrow", table)
    return exporting.Leaving(
        id="tickets@1", network=network, encoder=encoder, classes=classes,
        temperature=temperature, unit=None, precision=precision, rung=rung,
        plan={"rungs": [{"strategy": "lora", "settings": SETTINGS}]},
        paths={path.name: path for path in made.iterdir()},
    )


def with_adapters(network: Any) -> Any:
    """What a lora rung leaves of a network: adapters that learned something, merged."""
    strategy = STRATEGIES["lora"]({**DEFAULTS["lora"], **SETTINGS})
    network = strategy.prepare(network)
    for name, value in network.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value, std=0.1)
    return strategy.finish(network, lambda one: 0.0)


def exported(version: exporting.Leaving, form: str, folder: Path) -> Any:
    """Its certificate."""
    return finish(exporting.export(version, form, folder))


def kept(folder: Path) -> Any:
    """The certificate that lies in a folder."""
    from fettle.core.export import Certificate

    return records.load(folder / "certificate.json", Certificate)


def export_again(version: str, out: str) -> None:
    """For processes that die at it."""
    from fettle import upkeep

    finish(upkeep.export(version, "torch", out))
