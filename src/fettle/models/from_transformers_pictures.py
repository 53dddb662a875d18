"""Networks of pictures that transformers knows: a folder in, a module that gives one vector out.

The same rules as for texts: only architectures that transformers itself holds, from safetensors,
without the network and without anyone's own code.
"""

import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fettle.core.errors import CorruptFile, ModelUnavailable
from fettle.core.parts import PictureInput
from fettle.models.backbone import quiet, unopened
from fettle.models.from_transformers import attention_of, class_of, known_config
from fettle.models.sources import CONFIG
from fettle.store import files

__all__ = ["PREPROCESSOR", "built", "opened", "picture_of"]

PREPROCESSOR = "preprocessor_config.json"
RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}


class _Pooled(nn.Module):
    """Pixels in, one vector a picture out: the class token, or the mean over places."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        able = "interpolate_pos_encoding" in signature(model.forward).parameters
        self.more = {"interpolate_pos_encoding": True} if able else {}

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(rows, width) from (rows, channels, height, width)."""
        given = self.model(pixel_values=pixels, return_dict=True, **self.more)
        hidden: torch.Tensor = given.last_hidden_state
        if hidden.ndim == 4:  # a map: the network's own pool and norm, where it has them
            pooled = getattr(given, "pooler_output", None)
            return hidden.mean(dim=(2, 3)) if pooled is None else pooled.flatten(1)
        if getattr(self.model, "embeddings", None) is not None and hasattr(
            self.model.embeddings, "cls_token"
        ) and self.model.embeddings.cls_token is not None:
            return hidden[:, 0]
        return hidden.mean(dim=1)


def picture_of(folder: Path, config: Mapping[str, Any]) -> PictureInput:
    """How the network was fed, by the config of its preprocessor, else by its own.

    Raises:
        ModelUnavailable: it was fed in a way that is not done here.
    """
    path = folder / PREPROCESSOR
    told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    if told.get("do_flip_channel_order") or told.get("do_rescale") is False or (
        abs(float(told.get("rescale_factor") or 1 / 255) - 1 / 255) > 1e-6
    ):
        raise ModelUnavailable(
            f"{path} feeds pictures in another order or scale than RGB from 0 to 1, which is not "
            "done here. Choose another model."
        )
    if told.get("do_normalize") is False:
        told = {**told, "image_mean": (0.0,) * 3, "image_std": (1.0,) * 3}
    usual = PictureInput(side=224)
    cut, brought = _side(told.get("crop_size")), _side(told.get("size"))
    own = _side(config.get("image_size"))
    side = cut or own or brought or usual.side
    crop = float(told.get("crop_pct") or (side / brought if brought and brought >= side else 1.0))
    return PictureInput(
        side=side, fixed=own is not None and "hidden_sizes" not in config,
        channels=int(config.get("num_channels", 3)),
        mean=tuple(float(one) for one in told.get("image_mean") or usual.mean),
        std=tuple(float(one) for one in told.get("image_std") or usual.std),
        interpolation=RESAMPLING.get(told.get("resample", 3), "bicubic"), crop=min(crop, 1.0),
    )


def opened(folder: Path, *, name: str) -> nn.Module:
    """The network with its published weights, without a head, in evaluation mode.

    Raises:
        ModelUnavailable: transformers does not know it, or weights that it needs are not there.
        CorruptFile: a weight is not a finite number.
    """
    config = known_config(files.read_json(folder / CONFIG), place=str(folder / CONFIG))
    kind = class_of(config)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            whole, found = kind.from_pretrained(
                folder, config=config, use_safetensors=True, local_files_only=True,
                dtype=torch.float32, attn_implementation=attention_of(kind),
                output_loading_info=True,
                adapter_kwargs={"subfolder": "nowhere"},  # one that lies beside is not followed
            )
    except Exception as error:  # transformers raises what its parts raise; the cause is the folder
        raise unopened(name, error) from error
    model = _pooled(whole)
    needed = {f"model.{key}" for key in found["missing_keys"]} & set(model.state_dict())
    if needed:
        shown = ", ".join(sorted(one.removeprefix("model.") for one in needed)[:5])
        raise ModelUnavailable(
            f"The files of {name} lack {len(needed)} of the network's weights ({shown}); they "
            "would be random numbers. Fetch it again, or choose another."
        )
    for key, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise CorruptFile(f"{folder}: {key} holds numbers that are not finite.")
    return model


def built(config: Mapping[str, Any], *, place: str) -> nn.Module:
    """The same network with its weights still to be filled in."""
    made = known_config(config, place=place)
    kind = class_of(made)
    try:
        with quiet(), torch.random.fork_rng(devices=[]), torch.device("cpu"):
            made._attn_implementation = attention_of(kind)
            made.dtype = torch.float32
            return _pooled(kind(made))
    except Exception as error:  # as above
        raise unopened(place, error) from error


def _pooled(whole: Any) -> nn.Module:
    """Without a pooler with weights: often they are not in the files; they serve other tasks."""
    pooler = getattr(whole, "pooler", None)
    if isinstance(pooler, nn.Module) and any(one.ndim >= 2 for one in pooler.parameters()):
        whole.pooler = None
    return _Pooled(whole).float().eval()


def _side(told: Any) -> int | None:
    """Pixels a side, however it is written."""
    if isinstance(told, dict):
        names = ("height", "shortest_edge", "width")
        told = next((told[key] for key in names if key in told), None)
    if isinstance(told, list | tuple) and told:
        told = told[0]
    return told if type(told) is int and told > 0 else None
