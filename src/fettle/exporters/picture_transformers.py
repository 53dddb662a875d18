"""A vision folder of transformers: AutoModelForImageClassification and AutoImageProcessor open it.

The head is put into the class's own classifier, and the two are asked the same noise. Where they
differ, that class pools in another way than the version does, and the folder is refused in words.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import beside, picture_beside
from fettle.store import checkpoints, files

__all__ = ["open_folder", "write"]

APART = 1e-4
"""Of an output, as a share of the largest, between the class and the version on noise."""
RESAMPLING = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
HOW = """
transformers opens the folder, with torch; `pixels.py` needs pillow and numpy. From this folder:

```python
import torch
from pixels import Pixels
from transformers import AutoModelForImageClassification

pixels = Pixels(".")
model = AutoModelForImageClassification.from_pretrained(".").eval()
mean, std = (torch.tensor(pixels.told[key]).view(1, -1, 1, 1) for key in ("mean", "std"))
batch = torch.from_numpy(pixels(["picture.jpg"])).permute(0, 3, 1, 2) / 255
print(pixels.answers(model((batch - mean) / std).logits.detach()))
```

`AutoImageProcessor` finds the same size, mean and deviation in preprocessor_config.json; it rounds
sizes and corners in its own way, so that answers near a border may differ.
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """Config with the labels, weights, and how pictures are fed.

    Raises:
        SettingError: no class of transformers answers as the version does.
    """
    model = _classifier(given)
    checkpoints.write_tensors(folder / "model.safetensors", {
        name: value.contiguous() for name, value in model.state_dict().items()})
    files.write_json(folder / "config.json", beside.config_of(
        model, architectures=[type(model).__name__]))
    assert given.card.picture is not None
    side, room = int(given.encoder["side"]), int(given.encoder["room"])
    files.write_json(folder / "preprocessor_config.json", {
        "do_resize": True, "size": {"shortest_edge": room},
        "resample": RESAMPLING.get(str(given.encoder["interpolation"]), 3),
        "do_center_crop": True, "crop_size": {"height": side, "width": side},
        "do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True,
        "image_mean": list(given.card.picture.mean), "image_std": list(given.card.picture.std),
        "image_processor_type": "ViTImageProcessor",
    })
    picture_beside.write(given, folder, "model.safetensors", "a folder of transformers", HOW)
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, opened by transformers."""
    from transformers import AutoModelForImageClassification

    model = AutoModelForImageClassification.from_pretrained(folder, local_files_only=True).eval()
    assert given.card.picture is not None
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (
        given.card.picture.mean, given.card.picture.std))

    def answers(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        pixels = torch.from_numpy(picture_beside.pixels_of(folder, rows)).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return np.asarray(model(pixel_values=(pixels / 255 - mean) / std).logits.numpy())

    return answers


def _classifier(given: Exportable) -> Any:
    """transformers' own classifier with the version's weights, once it answers as the version."""
    import transformers

    card, backbone = given.card, given.backbone()
    if card.source != "transformers" or card.picture is None or card.picture.channels != 3:
        raise SettingError(
            f"{given.id} was tuned from {card.name}, which is no network of transformers' for "
            "pictures of three channels. Export it to onnx, torch or timm."
        )
    inner = backbone.model.model
    config = type(inner.config).from_dict({**inner.config.to_dict(), **beside.labels(given)})
    try:
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            model: Any = transformers.AutoModelForImageClassification.from_config(config).float()
    except ValueError as error:
        raise SettingError(
            f"transformers has no classifier of pictures for {card.architecture}. Export it to "
            "onnx or torch."
        ) from error
    base = getattr(model, model.base_model_prefix)
    lost = base.load_state_dict(inner.state_dict(), strict=False)
    linear = [one for one in model.modules() if isinstance(one, nn.Linear)][-1]
    fits = linear.out_features == len(given.classes) and linear.in_features >= card.width
    if lost.unexpected_keys or not fits or linear.bias is None:
        raise _unlike(given, type(model).__name__)
    with torch.no_grad():
        linear.weight.zero_()  # what the class puts beside the vector is not looked at
        linear.weight[:, : card.width] = given.weight
        linear.bias.copy_(given.bias)
    model.eval()
    side = int(given.encoder["side"])
    noise = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (3, side, side, 3), dtype=torch.uint8, generator=noise)
    mean, std = (torch.tensor(one).view(1, -1, 1, 1) for one in (
        card.picture.mean, card.picture.std))
    with torch.inference_mode():
        expected = given.network({"pixels": pixels})
        found = model(pixel_values=(pixels.permute(0, 3, 1, 2) / 255 - mean) / std).logits
    if float((found - expected).abs().max()) > APART * max(1.0, float(expected.abs().max())):
        raise _unlike(given, type(model).__name__)
    return model


def _unlike(given: Exportable, name: str) -> SettingError:
    return SettingError(
        f"transformers' {name} makes its vector of a picture in another way than {given.id} does, "
        "so the head does not fit on it. Export it to onnx or torch."
    )
