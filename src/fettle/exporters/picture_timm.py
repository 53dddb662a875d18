"""timm: a folder that `timm.create_model` opens, with the classes as its own classifier."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import picture_beside
from fettle.store import checkpoints, files

__all__ = ["open_folder", "write"]

HOW = """
timm opens the folder, with torch; `pixels.py` needs pillow and numpy. From this folder:

```python
import timm, torch
from pixels import Pixels

pixels = Pixels(".")
model = timm.create_model("local-dir:.", pretrained=True).eval()
mean, std = (torch.tensor(pixels.told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
batch = torch.from_numpy(pixels(["picture.jpg"])).permute(0, 3, 1, 2) / 255
print(pixels.answers(model((batch - mean) / std).detach()))
```

`timm.create_model("{architecture}", checkpoint_path="model.safetensors", num_classes={classes})`
gives the same network. timm's own transform (`timm.data.create_transform`) shows much the same
pixels; it rounds sizes and corners in another way, so that answers near a border may differ.
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """config.json in timm's form, and all weights in model.safetensors.

    Raises:
        SettingError: the network is none of timm's, or its classifier is no linear map.
    """
    config = _config(given)
    model = _made(given, config)
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear) or classifier.in_features != given.card.width:
        raise SettingError(
            f"timm's {config['architecture']} has a classifier that is no linear map over what it "
            "pools, so the head has no place there. Export it to onnx or torch."
        )
    state = {**model.state_dict(), **given.backbone().model.state_dict()}
    name = next(name for name, module in model.named_modules() if module is classifier)
    state[f"{name}.weight"], state[f"{name}.bias"] = given.weight, given.bias
    checkpoints.write_tensors(folder / "model.safetensors", {
        key: value.contiguous() for key, value in state.items()})
    files.write_json(folder / "config.json", config)
    how = HOW.format(architecture=config["architecture"], classes=len(given.classes))
    picture_beside.write(given, folder, "model.safetensors", "a folder of timm", how)
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, opened by timm."""
    import timm

    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    told = json.loads((folder / "preprocessing.json").read_text(encoding="utf-8"))
    mean, std = (torch.tensor(told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        pixels = torch.from_numpy(picture_beside.pixels_of(folder, rows)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return np.asarray(model((pixels / 255 - mean) / std).numpy())

    return answers


def _config(given: Exportable) -> dict[str, Any]:
    """As timm writes one: what it takes to build and to feed the network."""
    card = given.card
    if card.source != "timm" or card.picture is None:
        raise SettingError(
            f"{given.id} was tuned from {card.name}, which is no network of timm's. Export it to "
            "onnx, torch or transformers."
        )
    if card.picture.channels != 3:
        raise SettingError(
            f"{card.name} takes pictures of {card.picture.channels} channels, and timm would not "
            "know how a picture becomes one. Export it to onnx."
        )
    assert given.config is not None, "a version holds the config that it was built from"
    own = files.read_json(given.config)
    told = own.get("pretrained_cfg") or {}
    side = int(given.encoder["side"])
    return {
        "architecture": str(own["architecture"]),
        "num_classes": len(given.classes),
        "num_features": card.width,
        "label_names": list(given.classes),
        "model_args": own.get("model_args") or {},
        "pretrained_cfg": {
            **{key: told[key] for key in ("pool_size", "first_conv", "classifier") if key in told},
            "input_size": [card.picture.channels, side, side],
            "fixed_input_size": card.picture.fixed,
            "interpolation": str(given.encoder["interpolation"]),
            "crop_pct": side / int(given.encoder["room"]),
            "crop_mode": "center",
            "mean": list(card.picture.mean), "std": list(card.picture.std),
            "num_classes": len(given.classes),
        },
    }


def _made(given: Exportable, config: dict[str, Any]) -> Any:
    """The architecture with as many classes, its weights still to be filled in."""
    import timm

    arguments = {key: tuple(value) if isinstance(value, list) else value
                 for key, value in config["model_args"].items()}
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        return timm.create_model(
            config["architecture"], pretrained=False, num_classes=len(given.classes), **arguments)
