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
from fettle.store import failpoints, files, pictures

__all__ = ["open_folder", "write"]

NETWORK = "model.keras"
WHITE = 255.0
HOW = """
`model.keras` takes `pixels`, float32 (rows, side, side, channels) from 0 to 255, and gives logits
(rows, classes) in the order of `classes` in `preprocessing.json`; their softmax is the confidence
that fettle serves. It opens with Keras 3 on TensorFlow, JAX or torch, in safe mode. `answers.py`
is the whole way from a picture's file to an answer; it needs keras, one of those three, pillow and
numpy. From this folder:

```python
import os

os.environ["KERAS_BACKEND"] = "tensorflow"

from answers import Answers

answers = Answers(".")
print(answers(["scan-17.png"]))
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
    from fettle.exporters import keras_answers

    model = _whole(given)
    path = folder / NETWORK
    with failpoints.operation("write", path, into=path):
        model.save(path)
    picture = given.card.picture
    assert picture is not None, "a network of pictures says what it takes"
    files.write_json(folder / "preprocessing.json", {
        "version": given.id,
        "network": NETWORK,
        **{key: given.encoder[key] for key in ("fields", "side", "room", "interpolation")},
        "channels": picture.channels,
        "how": [
            "A picture is turned upright (EXIF) and brought to red, green and blue, on white where "
            "it is see-through.",
            "Its shorter side is resized to `room` pixels by `interpolation`, and the `side` by "
            "`side` pixels in its middle are cut out.",
            "Where `channels` is not 3, each channel is the mean of red, green and blue.",
            "The network takes these numbers from 0 to 255, float32, channels last; it scales them "
            "itself.",
        ],
        "classes": list(given.classes),
    })
    files.copy_file(Path(keras_answers.__file__), folder / "answers.py")
    files.write_text(folder / "README.md", (
        f"# {given.id}, as Keras\n\n[preprocessing.json](preprocessing.json) says how a picture "
        "becomes pixels, and what the outputs stand for. [certificate.json](certificate.json) says "
        f"what was asked of the version and of these files, and how far apart the answers were.\n"
        f"{HOW}"
    ))
    return ()


def open_folder(
    given: Exportable, folder: Path
) -> Callable[[Sequence[tuple[str, ...]]], np.ndarray]:
    """What answers from the folder alone, by its own answers.py."""
    from fettle.exporters.keras_answers import Answers

    answers = Answers(folder)

    def outputs(rows: Sequence[tuple[str, ...]]) -> np.ndarray:
        with torch.inference_mode():
            return answers.outputs(np.stack([
                answers.pixels(pictures.content_of(row[0])) for row in rows]))

    return outputs


def _whole(given: Exportable) -> Any:
    """Pixels in, outputs out, by layers of Keras's own."""
    import keras
    from keras import layers

    row, picture = given.backbone().model, given.card.picture
    assert picture is not None, "a network of pictures says what it takes"
    side = int(given.encoder["side"])
    with keras.device("cpu"):
        pixels = keras.Input((side, side, picture.channels), dtype="float32", name="pixels")
        scale = [1 / (WHITE * one) for one in picture.std]
        offset = [-mean / std for mean, std in zip(picture.mean, picture.std, strict=True)]
        made = pixels
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
