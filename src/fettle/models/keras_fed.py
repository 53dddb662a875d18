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

from fettle.core.errors import ModelUnavailable, SettingError, unknown_name
from fettle.core.parts import PictureInput
from fettle.models.keras_files import told_beside

__all__ = ["Fed", "applications", "of_application", "of_file"]

WHITE = 255.0
MODES = ("caffe", "tf", "torch", "raw", "unit")
"""Those of Keras's preprocess_input, 0 to 255 as it is, and 0 to 1."""
KEYS = ("mode", "side", "mean", "std", "interpolation", "crop", "backwards")
FIRST = ("Rescaling", "Normalization", "BatchNormalization")


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
    mode, why = _mode(model, told, path)
    mean, std, backwards = _of_mode(mode, channels)
    if told is not None:
        mean, std = (_numbers(told.get(key), usual, channels, path, key)
                     for key, usual in (("mean", mean), ("std", std)))
        backwards = bool(told.get("backwards", backwards))
        side = int(told.get("side", side))
    usual = PictureInput(side=side)
    return Fed(PictureInput(
        side=side, fixed=shape[1] is not None, channels=channels, mean=mean, std=std,
        interpolation=str((told or {}).get("interpolation", "bilinear")),
        crop=float((told or {}).get("crop", 1.0 if mode != "caffe" else usual.crop)),
        told=f"{path.name} is fed {why}",
    ), backwards)


def _mode(model: Any, told: Mapping[str, Any] | None, path: Path) -> tuple[str, str]:
    """How pixels are scaled, and how that is known."""
    beside = path.with_suffix(".json").name
    if told is not None:
        for key in told:
            if key not in KEYS:
                raise unknown_name(f"setting of {beside}", key, KEYS)
        mode = told.get("mode", "unit")
        if mode not in MODES:
            raise unknown_name(f"mode of {beside}", str(mode), MODES)
        return str(mode), f"as {beside} beside it says."
    names = [one.name for one in _models_in(model)]
    layers = [one for inner in _models_in(model) for one in inner.layers]
    first = next((one for one in layers if type(one).__name__ in FIRST or any(
        weight.ndim >= 2 for weight in one.weights)), None)
    if first is not None and type(first).__name__ in FIRST:
        return "raw", f"pixels from 0 to 255: its layer {first.name!r} scales them."
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


def _numbers(
    told: Any, usual: tuple[float, ...], channels: int, path: Path, key: str
) -> tuple[float, ...]:
    if told is None:
        return usual
    numbers = told if isinstance(told, list) else [told]
    if len(numbers) not in (1, channels) or not all(
            isinstance(one, int | float) for one in numbers):
        raise SettingError(
            f"{path.with_suffix('.json').name} names {str(told)[:60]} as {key}; one number, or one "
            f"for each of {channels} channels, is what it may be."
        )
    return tuple(float(one) for one in numbers)


def _models_in(model: Any) -> list[Any]:
    """The model and the models that are layers of it, from the outside in."""
    found = [model]
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found += _models_in(layer)
    return found

