"""Networks of pictures by their source: a name in, the card or the backbone out."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fettle.core.errors import ModelUnavailable
from fettle.core.parts import Card, PictureInput
from fettle.models import from_module, from_timm, from_transformers_pictures
from fettle.models.cards import digest_of, parameters_in, weight_files
from fettle.models.pictures import PictureBackbone
from fettle.models.sources import CONFIG
from fettle.models.tracing import trace
from fettle.store import files

__all__ = [
    "card_of_module", "card_of_timm", "card_of_transformers", "empty_backbone", "open_backbone",
]


def card_of_timm(name: str, folder: Path, config: Mapping[str, Any]) -> Card:
    """The card of a folder that timm wrote, judged safe.

    Raises:
        ModelUnavailable: timm is not installed or does not know it, or its weights are not there.
    """
    weights = weight_files(folder)
    if len(weights) > 1:
        raise ModelUnavailable(f"{folder} holds its weights in {len(weights)} files; one is due.")
    place = str(folder / CONFIG)
    card = _card(
        from_timm.built(config, place=place), from_timm.picture_of(config),
        name=name, folder=str(folder), source="timm", architecture=str(config["architecture"]),
        sha256=digest_of(weights), parameters=parameters_in(weights),
    )
    return replace(card, definition=digest_of([folder / CONFIG]),
                 revision=folder.name if folder.parent.name == "snapshots" else None)


def card_of_transformers(name: str, folder: Path, config: Mapping[str, Any]) -> Card:
    """The card of a folder of a vision model of transformers', judged safe.

    Raises:
        ModelUnavailable: transformers does not know it, or its weights are not there.
    """
    weights = weight_files(folder)
    card = _card(
        from_transformers_pictures.built(config, place=str(folder / CONFIG)),
        from_transformers_pictures.picture_of(folder, config),
        name=name, folder=str(folder), source="transformers",
        architecture=str(config["model_type"]), sha256=digest_of(weights),
        parameters=parameters_in(weights),
    )
    definition = [folder / CONFIG, folder / from_transformers_pictures.PREPROCESSOR]
    return replace(card, definition=digest_of([one for one in definition if one.is_file()]),
                   revision=folder.name if folder.parent.name == "snapshots" else None)


def card_of_module(name: str) -> Card:
    """The card of a torch module of the user's own, named package.module:factory.

    Raises:
        ModelUnavailable: it cannot be imported, or takes no pictures.
    """
    model = from_module.made(name)
    picture = _told_by(model)
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.detach().contiguous().numpy().tobytes())
    number = sum(one.numel() for one in model.parameters())
    card = _card(
        from_module.headless(model, _example(picture)), picture, name=name, folder=".",
        source="module", architecture=type(model).__name__, sha256=digest.hexdigest(),
        parameters=number,
    )
    told = f"{name} {picture} {card.block_names}"
    return replace(card, definition=hashlib.sha256(told.encode()).hexdigest())


def open_backbone(card: Card) -> PictureBackbone:
    """The network of this card with its pre-trained weights, in evaluation mode."""
    assert card.picture is not None, "the card of a network of pictures says what it takes"
    if card.source == "module":
        model = from_module.headless(from_module.made(card.name), _example(card.picture))
    elif card.source == "transformers":
        model = from_transformers_pictures.opened(Path(card.folder), name=card.name)
    else:
        folder = Path(card.folder)
        model = from_timm.opened(files.read_json(folder / CONFIG), weight_files(folder)[0],
                                 place=str(folder / CONFIG))
    return PictureBackbone(model, picture=card.picture, block_names=card.block_names).eval()


def empty_backbone(card: Card, config: Path) -> PictureBackbone:
    """The same network with its weights still to be filled in.

    Args:
        card: that was saved with it.
        config: that was saved with it; its name may be any.
    """
    assert card.picture is not None, "the card of a network of pictures says what it takes"
    if card.source == "module":
        model = from_module.headless(from_module.made(card.name), _example(card.picture))
    elif card.source == "transformers":
        model = from_transformers_pictures.built(files.read_json(config), place=str(config))
    else:
        model = from_timm.built(files.read_json(config), place=str(config))
    return PictureBackbone(model, picture=card.picture, block_names=card.block_names).eval()


def _card(model: nn.Module, picture: PictureInput, **facts: Any) -> Card:
    """The card, with the blocks that one pass over a picture shows."""
    try:
        traced = trace(model, _example(picture), model)
    except Exception as error:  # a network may refuse pictures in its own way
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(
            f"{facts['name']} does not take a picture of {picture.side} by {picture.side}: {why}"
        ) from error
    return Card(
        **facts, revision=None, width=traced.width, blocks=len(traced.blocks), max_tokens=1,
        embeds_sentences=False, pooling="own", modality="image", picture=picture,
        block_names=traced.blocks, operations=traced.operations, crossing=traced.crossing,
    )


def _example(picture: PictureInput) -> torch.Tensor:
    """One picture of noise."""
    made = torch.Generator().manual_seed(0)
    return torch.rand(1, picture.channels, picture.side, picture.side, generator=made)


def _told_by(model: nn.Module) -> PictureInput:
    """What a module says of its input in an attribute `picture`; else the usual of ImageNet."""
    told = getattr(model, "picture", None) or {}
    known = {"side", "fixed", "channels", "mean", "std", "interpolation", "crop"}
    if not isinstance(told, Mapping) or not set(told) <= known:
        raise ModelUnavailable(
            f"{type(model).__name__}.picture is {str(told)[:80]}; a mapping with some of "
            f"{', '.join(sorted(known))} is what it may be."
        )
    given = dict(told)
    for key in ("mean", "std"):
        if key in given:
            given[key] = tuple(float(one) for one in given[key])
            if len(given[key]) not in (1, int(given.get("channels", 3))):
                raise ModelUnavailable(
                    f"{type(model).__name__}.picture names {len(given[key])} numbers as {key} for "
                    f"{given.get('channels', 3)} channels."
                )
        elif int(given.get("channels", 3)) != 3:  # the usual ones are of three colors
            given[key] = (0.5,)
    return PictureInput(**{"side": 224, **given})
