"""Feeding: how a Keras network was shown pictures when it was trained, by what it says itself.

An application has a function `preprocess_input`, which is asked: what it makes of black, red, green
and blue says order, mean and spread. A file says it beside it, in its own first layers, or by the
application that it was built on.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from fettle.core.errors import ModelUnavailable, SettingError, unknown_name
from fettle.core.parts import PictureInput
from fettle.models.keras_files import told_beside
from fettle.models.keras_row import Ref, calls_of
from fettle.models.picture_told import checked

__all__ = ["Fed", "applications", "of_application", "of_file"]

WHITE = 255.0
MODES = ("caffe", "tf", "torch", "raw", "unit")
"""Those of Keras's preprocess_input, 0 to 255 as it is, and 0 to 1."""
KEYS = ("mode", "side", "mean", "std", "interpolation", "crop", "backwards")
SCALING = ("Rescaling", "Normalization", "BatchNormalization", "TrueDivide", "Divide", "Multiply",
           "Subtract", "Add")
"""Layers and operations that, before the first kernel, do to pixels what was done in training."""
SMALL = 300.0
"""White as 255 is not larger than this behind such layers; else they were made for white as 1."""


@dataclass(frozen=True, slots=True)
class Fed:
    """How pictures reach a network."""

    picture: PictureInput
    backwards: bool
    """Blue before green before red."""


def applications() -> dict[str, Callable[..., Any]]:
    """The functions of keras.applications that make a network, by their names."""
    import keras

    return {
        name: one for name, one in vars(keras.applications).items()
        if inspect.isfunction(one) and "include_top" in inspect.signature(one).parameters
    }


def of_application(short: str, *, side: int) -> Fed:
    """How an application was fed: by its own preprocess_input, at this side."""
    found = applications()[short]
    mean, std, backwards = _asked(sys.modules[found.__module__].preprocess_input)
    return Fed(PictureInput(
        side=side, mean=mean, std=std, interpolation="bilinear",
        told=f"keras:{short} is fed as its own preprocess_input has it"
             f"{', blue before green before red' if backwards else ''}.",
    ), backwards)


def of_file(path: Path, model: Any) -> Fed:
    """How the network of a file was fed.

    Raises:
        SettingError: what stands beside the file names a key or a mode that there is not.
    """
    shape = tuple(model.inputs[0].shape)
    channels, side = int(shape[-1]), int(shape[1] or 224)
    told = told_beside(path)
    if told is not None:
        told = checked(told, KEYS, place=_beside(path), channels=channels)
    mode, why = _mode(model, told, path)
    mean, std, backwards = _of_mode(mode, channels)
    said = {**(told or {})}
    usual = PictureInput(side=side)
    backwards = said.get("backwards", backwards)
    return Fed(PictureInput(
        side=said.get("side", side), fixed=shape[1] is not None, channels=channels,
        mean=said.get("mean", mean), std=said.get("std", std),
        interpolation=said.get("interpolation", "bilinear"),
        crop=said.get("crop", 1.0 if mode != "caffe" else usual.crop),
        told=f"{path.name} is fed {why}",
    ), backwards)


def _mode(model: Any, told: Mapping[str, Any] | None, path: Path) -> tuple[str, str]:
    """How pixels are scaled, and how that is known."""
    beside = _beside(path)
    if told is not None:
        mode = told.get("mode", "unit")
        if mode not in MODES:
            raise unknown_name(f"mode of {beside}", str(mode), MODES)
        return str(mode), f"as {beside} beside it says."
    names = [one.name for one in _models_in(model)]
    names_of_scaling, white = _scaled_by(model)
    if names_of_scaling:
        last = names_of_scaling[-1]
        if white <= SMALL:
            return "raw", f"pixels from 0 to 255: its layer {last!r} scales them."
        return "unit", f"pixels from 0 to 1, which its layer {last!r} was made for."
    for short, found in applications().items():
        usual = inspect.signature(found).parameters["name"].default
        if usual in names:
            return f"application {short}", f"as keras.applications.{short} is, by its name."
    return "unit", (
        f"pixels from 0 to 1, because nothing says otherwise. If it was fed in another way, say so "
        f'in {beside} beside it, such as {{"mode": "caffe"}} (modes: {", ".join(MODES)}).'
    )


def _of_mode(mode: str, channels: int) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """(mean, std, backwards) of pixels from 0 to 1."""
    if mode.startswith("application "):
        found = applications()[mode.removeprefix("application ")]
        return _asked(sys.modules[found.__module__].preprocess_input)
    if mode == "raw":
        return (0.0,), (1 / WHITE,), False
    if mode == "unit":
        return (0.0,), (1.0,), False
    if mode == "tf":
        return (0.5,), (0.5,), False
    if channels != 3:
        raise SettingError(f"The mode {mode!r} is of pictures in color; this network takes "
                           f"{channels} channels.")
    from keras.src.applications.imagenet_utils import preprocess_input

    return _asked(lambda pixels: preprocess_input(pixels, mode=mode))


def _asked(
    preprocess: Callable[[np.ndarray], np.ndarray]
) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
    """(mean, std, backwards) of pixels from 0 to 1, in the order red, green, blue.

    Raises:
        ModelUnavailable: it does something else than to scale each color by itself.
    """
    black = np.asarray(preprocess(np.zeros((1, 1, 3), np.float32))).ravel()
    shown = np.stack([
        np.asarray(preprocess(np.eye(3, dtype=np.float32)[color].reshape(1, 1, 3) * WHITE)).ravel()
        for color in range(3)
    ])
    slope = (shown - black).T / WHITE  # (given, color)
    order = np.abs(slope).argmax(axis=1).tolist()
    mixed = np.abs(slope).sum(axis=1) - np.abs(slope).max(axis=1)
    if order not in ([0, 1, 2], [2, 1, 0]) or np.abs(mixed).max() > 1e-6:
        raise ModelUnavailable("Its preprocess_input mixes colors, which is not done here.")
    mean, std = [0.0] * 3, [1.0] * 3
    for given, color in enumerate(order):
        std[color] = round(1 / (WHITE * float(slope[given, color])), 9)
        mean[color] = round(-float(black[given]) * std[color], 9)
    return tuple(mean), tuple(std), order == [2, 1, 0]


def _scaled_by(model: Any) -> tuple[list[str], float]:
    """What scales pixels before the first kernel, and the largest number that white becomes there.

    The graph is followed as it runs, into the models that are layers of it.
    """
    calls, start, _ = calls_of(model)
    shape = model.inputs[0].shape
    side = int(shape[1] or 32)
    values: dict[int, Any] = {start: torch.full((1, side, side, int(shape[-1])), WHITE)}
    names: list[str] = []
    white = 0.0

    def value(one: Any) -> Any:
        return values[one.number] if isinstance(one, Ref) else one

    for call in calls:
        if any(one.ndim >= 2 for one in getattr(call.operation, "weights", ())):
            break
        args, kwargs = tree_map(value, (call.args, call.kwargs))
        try:
            with torch.no_grad():
                made = tree_leaves(call.operation(*args, **kwargs))
        except Exception:  # an operation refuses values in its own way; the trace says so later
            break
        values.update(zip(call.gives, made, strict=True))
        if type(call.operation).__name__ in SCALING:
            names.append(str(call.operation.name))
            white = float(made[0].detach().float().abs().max())
    return names, white


def _beside(path: Path) -> str:
    """What the file beside a network's is called."""
    return path.with_suffix(".json").name


def _models_in(model: Any) -> list[Any]:
    """The model and the models that are layers of it, from the outside in."""
    found = [model]
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += _models_in(layer)
    return found

