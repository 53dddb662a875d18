"""Keras: the whole network as one .keras file, from pixels to outputs, for TensorFlow, JAX, torch.

Only a network that Keras made can be one again. What is done to pixels is in the file; how a
picture becomes pixels stands beside it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fettle.core.errors import SettingError
from fettle.core.parts import Exportable
from fettle.exporters import picture_beside
from fettle.store import failpoints

__all__ = ["open_folder", "write"]

NETWORK = "model.keras"
WHITE = 255.0
HOW = """
`model.keras` takes `pixels`, (rows, side, side, 3) from 0 to 255, any number of rows, and gives
logits (rows, classes); it scales pixels itself. It opens with Keras 3 on TensorFlow, JAX or torch,
in safe mode; `pixels.py` needs pillow and numpy. From this folder:

```python
import os

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
from pixels import Pixels

pixels = Pixels(".")
model = keras.saving.load_model("model.keras", compile=False)
logits = model(pixels(["scan-17.png"]), training=False)
print(pixels.answers(keras.ops.convert_to_numpy(logits)))
```
"""


def write(given: Exportable, folder: Path) -> tuple[str, ...]:
    """The network in one file, what must be done to a picture before it, and a file that does it.

    Raises:
        SettingError: the version's network is not one of Keras's.
    """
    if given.card.source != "keras":
        raise SettingError(
            f"{given.id} was tuned from {given.card.name}, a network of {given.card.source}, and "
            "only one that Keras made can be written as .keras. Choose another form."
        )
    path = folder / NETWORK
    with failpoints.operation("write", path, into=path):
        _whole(given).save(path)
    picture_beside.write(given, folder, NETWORK, "Keras", HOW)
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by Keras and its own pixels.py."""
    import keras

    model = keras.saving.load_model(folder / NETWORK, compile=False, safe_mode=True)

    def outputs(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        with torch.inference_mode():
            said = model(picture_beside.pixels_of(folder, rows), training=False)
            return np.asarray(keras.ops.convert_to_numpy(said))

    return outputs


def _whole(given: Exportable) -> Any:
    """Pixels in, outputs out, by layers of Keras's own."""
    import keras
    from keras import layers

    row, picture = given.backbone().model, given.card.picture
    assert picture is not None, "a network of pictures says what it takes"
    side = int(given.encoder["side"])
    with keras.device("cpu"):
        pixels = keras.Input((side, side, 3), dtype="float32", name="pixels")
        scale = [1 / (WHITE * one) for one in picture.std]
        offset = [-mean / std for mean, std in zip(picture.mean, picture.std, strict=True)]
        made = pixels
        if picture.channels != 3:
            made = keras.ops.mean(made, axis=-1, keepdims=True)
            made = keras.ops.repeat(made, picture.channels, axis=-1)
        if any(abs(one - 1) > 1e-9 for one in scale) or any(offset):
            made = layers.Rescaling(_one(scale), _one(offset), name="scaled")(made)
        if row.backwards:
            made = keras.ops.flip(made, axis=-1)
        vectors = row.as_keras()(made)
        if given.head["normalise"]:
            vectors = layers.UnitNormalization(name="length_1")(vectors)
        head = layers.Dense(len(given.classes), name="logits")
        model = keras.Model(pixels, head(vectors), name="fettle")
        with torch.no_grad():
            head.set_weights([given.weight.T.cpu().numpy(), given.bias.cpu().numpy()])
    return model


def _one(numbers: list[float]) -> Any:
    """The number itself where all are the same."""
    return numbers[0] if len(set(numbers)) == 1 else numbers
