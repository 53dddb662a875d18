"""The smallest Keras networks of pictures: one with a way around, one in a row, one with a model in
it. Keras's own folder is one of these tests' own."""

import atexit
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HOME = tempfile.mkdtemp(prefix="keras-of-tests-")
os.environ["KERAS_HOME"] = HOME  # read once, when Keras is imported; it writes keras.json there
atexit.register(shutil.rmtree, HOME, ignore_errors=True)


def library() -> Any:
    """Keras on torch, as fettle takes it; a test is skipped, aloud, where it is not installed."""
    if find_spec("keras") is None:
        pytest.skip("Keras is not installed: pip install 'fettle[keras]'")
    from fettle.models.from_keras import library

    return library()


def around(
    *, side: int | None = None, channels: int = 3, top: bool = True, **rescaling: float
) -> Any:
    """Two residual blocks with norms between a stem and a head; any size where no side is given."""
    layers = library().layers
    pixels = library().Input((side, side, channels))
    x = layers.Rescaling(**rescaling)(pixels) if rescaling else pixels
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(name="stem_relu")(x)
    for number, width in enumerate((8, 12), start=1):
        way = layers.Conv2D(width, 1, strides=number, name=f"part{number}_way")(x)
        y = layers.Conv2D(width, 3, strides=number, padding="same", activation="relu",
                          name=f"part{number}_conv")(x)
        y = layers.BatchNormalization(scale=False, name=f"part{number}_bn")(y)
        x = layers.Add(name=f"part{number}_add")([way, y])
        x = layers.Activation("relu", name=f"part{number}_out")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.3, name="drop")(x)
    x = layers.Dense(5, activation="softmax", name="answer")(x) if top else x
    return moved(library().Model(pixels, x, name="around"))


def holding(inner: Any, side: int = 32) -> Any:
    """A model that holds another one as a layer, as networks for transfer are mostly built."""
    layers = library().layers
    pixels = library().Input((side, side, 3))
    x = inner(pixels, training=False)
    x = layers.Dense(7, activation="relu", name="hidden")(x)
    return moved(library().Model(pixels, layers.Dense(2, name="answer")(x), name="holding"))


def in_a_row(side: int = 24) -> Any:
    """A chain of kernels that ends in a map laid out flat: it takes one size alone."""
    layers = library().layers
    return moved(library().Sequential([
        library().Input((side, side, 3)), layers.Conv2D(6, 3, activation="relu", name="first"),
        layers.MaxPooling2D(name="halve"), layers.DepthwiseConv2D(3, name="second"),
        layers.Flatten(name="flat"), layers.Dense(9, activation="relu", name="hidden"),
        layers.Dense(4, name="answer"),
    ], name="in_a_row"))


def moved(model: Any, seed: int = 0) -> Any:
    """The same model with every weight drawn by this seed, the statistics of norms too."""
    rng = np.random.default_rng(seed)
    for one in model.weights:
        value = rng.normal(0, 0.3 if len(one.shape) > 1 else 0.1, one.shape)
        if one.name in ("moving_variance", "gamma"):
            value = 1 + np.abs(value)
        one.assign(value.astype(np.float32))
    return model


def saved(model: Any, path: Path) -> Path:
    """The model in a .keras file."""
    model.save(path)
    return path


def asked(model: Any, batch: np.ndarray) -> np.ndarray:
    """What Keras itself says to pixels (rows, side, side, channels)."""
    import torch

    with torch.no_grad():
        return np.asarray(library().ops.convert_to_numpy(model(batch, training=False)))


HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}


def pixels(number: int = 3, side: int = 32) -> dict[str, Any]:
    """A batch of noise, always the same."""
    import torch

    made = torch.Generator().manual_seed(1)
    return {"pixels": torch.randint(0, 256, (number, side, side, 3), dtype=torch.uint8,
                                    generator=made)}


def opened(path: Path) -> Any:
    """The network of a file with a random head of three outputs."""
    import torch

    from fettle.models.cards import card_of
    from fettle.models.network import open_network

    network = open_network(card_of(str(path)))
    torch.manual_seed(3)
    network.set_head(HEAD)
    return network.eval()


def features(model: Any) -> Any:
    """Keras's own graph up to what its last dense layer takes."""
    return library().Model(model.inputs[0], model.get_layer("answer").input)


def rewritten(path: Path, to: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """The file with its config changed: `change` is given its layers by name."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as made:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                change({one["config"]["name"]: one for one in config["config"]["layers"]})
                content = json.dumps(config).encode()
            made.writestr(name, content)
    return to


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the one with a way around."""
    return saved(around(side=48), tmp_path_factory.mktemp("around") / "around.keras")
