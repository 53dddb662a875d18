"""Networks of pictures by their source: a name in, the card or the backbone out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fettle.core.errors import FettleError, ModelUnavailable
from fettle.core.parts import Card, PictureInput
from fettle.models import from_module, from_timm, from_transformers_pictures
from fettle.models.cards import digest_of, parameters_in, weight_files
from fettle.models.keras_files import APPLICATION
from fettle.models.picture_told import checked
from fettle.models.pictures import PictureBackbone
from fettle.models.sources import CONFIG, WEIGHTS
from fettle.models.tracing import trace
from fettle.store import checkpoints, files

__all__ = [
    "card_of_keras",
    "card_of_module",
    "card_of_timm",
    "card_of_transformers",
    "empty_backbone",
    "open_backbone",
]

TRIED = 32
"""Pixels: the sides that a network is tried at are about half of its own, and none below this."""
DRAWN = (
    "{0}() draws most of its weights by chance: nothing in them is pre-trained. If it should be, "
    "name a function that loads its weights before it gives the network."
)


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


def card_of_keras(name: str) -> Card:
    """The card of a .keras file, or of keras:NAME, one of keras.applications.

    Raises:
        ModelUnavailable: Keras is not installed, it is none of pictures, or its weights are not
            here.
        UnsafeModel: the file would run code.
    """
    from fettle.models import from_keras

    if name.startswith(APPLICATION):
        row, fed = from_keras.application(name)
        folder, sha256 = ".", _digest_of_state(row)
    else:
        path = Path(name).expanduser().absolute()
        row, fed = from_keras.opened(path)
        folder, sha256 = str(path), digest_of([path])
    card = _card(
        row, fed.picture, name=name, folder=folder, source="keras", architecture=row.keras_name,
        sha256=sha256, parameters=_parameters(row),
    )
    told = f"{row.plan} {card.picture}"
    return replace(card, definition=hashlib.sha256(told.encode()).hexdigest())


def card_of_module(name: str) -> Card:
    """The card of a torch module of the user's own.

    Args:
        name: package.module:factory; or package.module:Class@HASH of one that was given as itself.

    Raises:
        ModelUnavailable: it cannot be imported, takes no pictures, or its weights are not here.
    """
    spec = name.partition("@")[0]
    if spec == name:
        return _card_of_made(from_module.made(name), name=name, folder=".", spec=name)
    folder = from_module.place_of(name)
    return _card_of_made(_kept(folder), name=name, folder=str(folder), spec=spec)


def open_backbone(card: Card) -> PictureBackbone:
    """The network of this card with its pre-trained weights, in evaluation mode."""
    assert card.picture is not None, "the card of a network of pictures says what it takes"
    folder = Path(card.folder)
    model: nn.Module
    if card.source == "module":
        made = (from_module.made(card.name) if card.folder == "."
                else _kept(folder))
        model = from_module.headless(made, _example(card.picture))
    elif card.source == "keras":
        from fettle.models import from_keras

        model, _ = (from_keras.application(card.name) if card.name.startswith(APPLICATION)
                    else from_keras.opened(folder))
    elif card.source == "transformers":
        model = from_transformers_pictures.opened(folder, name=card.name)
    else:
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
    told = files.read_json(config)
    model: nn.Module
    if card.source == "module":
        model = from_module.headless(from_module.made(told["module"]), _example(card.picture))
    elif card.source == "keras":
        from fettle.models import from_keras

        model = from_keras.rebuilt(told, place=str(config))
    elif card.source == "transformers":
        model = from_transformers_pictures.built(told, place=str(config))
    else:
        model = from_timm.built(told, place=str(config))
    return PictureBackbone(model, picture=card.picture, block_names=card.block_names).eval()


def _kept(folder: Path) -> nn.Module:
    """The module whose weights lie in a folder of the cache."""
    config = files.read_json(folder / CONFIG)
    model = from_module.made(str(config["module"]))
    from_module.fill(model, checkpoints.read_tensors(folder / WEIGHTS, finite=("",)),
                     place=str(folder))
    for name in from_module.TOLD:
        if name in config:
            setattr(model, name, config[name])
    return model


def _card_of_made(model: nn.Module, *, name: str, folder: str, spec: str) -> Card:
    picture = _told_by(model)
    if folder == "." and from_module.is_drawn(model, spec):
        picture = replace(picture, told=DRAWN.format(spec))
    blocks = from_module.named_blocks(model)
    sha256, number = _digest_of_state(model), _parameters(model)
    card = _card(
        from_module.headless(model, _example(picture)), picture, blocks, name=name, folder=folder,
        source="module", architecture=type(model).__name__, sha256=sha256, parameters=number,
    )
    told = f"{spec} {picture} {card.block_names}"
    return replace(card, definition=hashlib.sha256(told.encode()).hexdigest())


def _digest_of_state(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode() + value.detach().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _parameters(model: nn.Module) -> int:
    return sum(one.numel() for one in model.parameters())


def _card(
    model: nn.Module, picture: PictureInput, blocks: Sequence[str] = (), **facts: Any
) -> Card:
    """The card, with the blocks that were named, or those that one pass over a picture shows."""
    if next(model.parameters(), None) is None:
        raise ModelUnavailable(f"{facts['name']} has no weights below its head: there is nothing "
                               "to tune. Give a network that makes a vector of a picture.")
    try:
        traced = trace(model, _example(picture), model, named=blocks)
    except FettleError:
        raise
    except Exception as error:  # a network may refuse pictures in its own way
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(
            f"{facts['name']} does not take a picture of {picture.side} by {picture.side}: {why}"
        ) from error
    return Card(
        **facts, revision=None, width=traced.width, blocks=len(traced.blocks), max_tokens=1,
        embeds_sentences=False, pooling="own", modality="image",
        picture=picture if facts["source"] == "module" else _freed(model, picture, traced.width),
        block_names=traced.blocks, operations=traced.operations, crossing=traced.crossing,
    )


def _example(picture: PictureInput) -> torch.Tensor:
    """One picture of noise."""
    made = torch.Generator().manual_seed(0)
    return torch.rand(1, picture.channels, picture.side, picture.side, generator=made)


def _freed(model: nn.Module, picture: PictureInput, width: int) -> PictureInput:
    """The same, with other sides allowed where a pass at another one gives vectors as wide."""
    if not picture.fixed:
        return picture
    step = next((one.stride[0] for one in model.modules() if isinstance(one, nn.Conv2d)
                 and one.stride == one.kernel_size), 1)
    side = -(-max(picture.side // 2, TRIED) // step) * step
    side += step if side == picture.side else 0
    try:
        with torch.no_grad():
            given = model(_example(replace(picture, side=side)))
    except Exception:  # a network refuses a size in its own way
        return picture
    if tuple(given.shape) != (1, width):
        return picture
    return replace(picture, fixed=False, step=step, resized=not hasattr(model, "keras_name"))


def _told_by(model: nn.Module) -> PictureInput:
    """What a module says of its input in an attribute `picture`; else the usual of ImageNet."""
    told = getattr(model, "picture", None) or {}
    known = ("side", "fixed", "channels", "mean", "std", "interpolation", "crop")
    place = f"{type(model).__name__}.picture"
    if not isinstance(told, Mapping):
        raise ModelUnavailable(f"{place} is {str(told)[:80]}; a mapping with some of "
                               f"{', '.join(known)} is what it may be.")
    given = checked(told, known, place=place, channels=3)
    for key in ("mean", "std"):
        if given.get("channels", 3) != 3:  # the usual ones are of three colors
            given.setdefault(key, (0.5,))
    return PictureInput(**{"side": 224, **given})
