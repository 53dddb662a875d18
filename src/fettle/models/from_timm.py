"""Any network of pictures that timm knows: a folder with its config and weights in, a module out.

Only architectures that timm itself holds are opened, from safetensors, without the network and
without anyone's own code. timm is imported when one is opened, not before.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fettle.core.errors import CorruptFile, ModelUnavailable, unknown_name
from fettle.core.parts import PictureInput
from fettle.models.safety import require_plain_config
from fettle.store import checkpoints

__all__ = ["built", "opened", "picture_of"]

NOT_TAKEN = frozenset((
    "pretrained", "checkpoint_path", "cache_dir", "pretrained_cfg", "pretrained_cfg_overlay",
    "model_name", "num_classes", "in_chans", "features_only",
))  # fmt: skip
"""Arguments of a config that would fetch or read something, or that are said elsewhere."""


def picture_of(config: Mapping[str, Any]) -> PictureInput:
    """How the network was fed when it was trained, by its config."""
    told = config.get("pretrained_cfg")
    told = told if isinstance(told, dict) else config
    size = told.get("input_size") or (3, 224, 224)
    usual = PictureInput(side=224)
    return PictureInput(
        side=int(size[-1]), fixed=bool(told.get("fixed_input_size", False)), channels=int(size[0]),
        mean=tuple(float(one) for one in told.get("mean") or usual.mean),
        std=tuple(float(one) for one in told.get("std") or usual.std),
        interpolation=str(told.get("interpolation") or usual.interpolation),
        crop=min(float(told.get("crop_pct") or usual.crop), 1.0),
    )


def opened(config: Mapping[str, Any], weights: Path, *, place: str) -> nn.Module:
    """The network of a config with its published weights, without its head, in evaluation mode.

    Raises:
        ModelUnavailable: timm is not installed, or does not know it.
        CorruptFile: weights are missing, do not fit, or are not finite.
    """
    model = _made(config, place)
    state = {name: value.float() if value.is_floating_point() else value
             for name, value in checkpoints.read_tensors(weights).items()}
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        first = next(iter(str(error).split("\n\t")[1:]), str(error)).strip()
        raise CorruptFile(
            f"{weights} does not hold the weights of {config['architecture']}: {first[:200]} Fetch "
            "the model again."
        ) from error
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise CorruptFile(f"{weights}: {name} holds numbers that are not finite.")
    return _headless(model)


def built(config: Mapping[str, Any], *, place: str) -> nn.Module:
    """The same network with its weights still to be filled in."""
    return _headless(_made(config, place))


def _made(config: Mapping[str, Any], place: str) -> nn.Module:
    require_plain_config(dict(config), place=place)
    try:
        import timm
    except ImportError as error:
        raise ModelUnavailable(
            f"{place} is a timm model, and timm is not installed. Install it: "
            "pip install 'fettle[timm]'."
        ) from error
    name = str(config["architecture"])
    if not timm.is_model(name):
        hint = str(unknown_name("architecture", name, timm.list_models()))
        raise ModelUnavailable(f"{place}: {hint} This is timm {timm.__version__}.")
    given = config.get("model_args") or {}
    for key, value in given.items():
        if key in NOT_TAKEN or not isinstance(value, (str, int, float, bool, list, type(None))):
            raise ModelUnavailable(
                f"{place}: model_args names {key!r} = {json.dumps(value, default=str)[:60]}, which "
                "is no setting of an architecture. Take it out of a copy of the folder."
            )
    try:
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            arguments: dict[str, Any] = {
                "num_classes": int(config.get("num_classes", 1000)),
                "in_chans": picture_of(config).channels,
                **{key: tuple(one) if isinstance(one, list) else one for key, one in given.items()},
            }
            return _of_any_side(name, arguments, is_fixed=picture_of(config).fixed)
    except Exception as error:  # timm raises what its parts raise
        why = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelUnavailable(f"timm could not make {name} of {place}: {why}") from error


def _of_any_side(name: str, arguments: Mapping[str, Any], *, is_fixed: bool) -> Any:
    """The network, with its position embeddings resized to what it is shown where timm can."""
    import timm

    if is_fixed and "dynamic_img_size" not in arguments:
        try:
            return timm.create_model(name, pretrained=False, dynamic_img_size=True, **arguments)
        except TypeError:  # an architecture without that setting
            pass
    return timm.create_model(name, pretrained=False, **arguments)


def _headless(model: Any) -> nn.Module:
    """Without the head: what comes out is what it pooled."""
    model.reset_classifier(0)
    return model.float().eval()
