"""Keras's files: a path in, its config out as plain data, or a refusal before any of it is opened.

Neither Keras nor torch is imported here. What a file would run (a Lambda, a class of its author's
own, another library's module) is found by reading its JSON, and named.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fettle.core.errors import ModelUnavailable, UnsafeModel

__all__ = [
    "APPLICATION", "FILE", "RANDOM", "config_in", "is_keras", "require_other",
    "require_plain_layers", "told_beside",
]

APPLICATION, FILE = "keras:", ".keras"
RANDOM = "@random"
"""Behind an application's name: weights that are drawn, for comparison with the published ones."""
OLD = (".h5", ".hdf5")
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
CONFIG_BYTES = 100_000_000
GRAPH = "saved_model.pb"

PACKAGES = ("keras", "builtins")
"""Where classes and functions of a config may come from; Keras finds builtins among its own."""
FUNCTIONS = ("builtins", "keras.activations", "keras.initializers", "keras.ops")
"""Where functions may come from; others of Keras's open files and set switches."""
CODE = frozenset((
    "Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer",
    "__typespec__",
))
"""Classes of Keras's own that run what the file, or another file, brings along."""
PLAIN = frozenset(("__tensor__", "__keras_tensor__", "__numpy__", "__bytes__", "__ellipsis__",
                   "__slice__", "__tuple__"))
ELSEWHERE = ("vocabulary",)
"""Settings that can name a file of this machine, to be read."""


def is_keras(name: str) -> bool:
    """Whether it names a .keras file, or a model of keras.applications."""
    return name.startswith(APPLICATION) or name.lower().endswith(FILE)


def require_other(name: str) -> None:
    """Return if this is not one of the formats that Keras and TensorFlow had before .keras.

    Raises:
        ModelUnavailable: it is; the message says how to convert it.
    """
    path = Path(name).expanduser()
    if path.name.lower().endswith(OLD) and path.is_file():
        raise ModelUnavailable(
            f"{path} is a Keras file in HDF5, which can hold code and says nothing of it, so it "
            "was not opened. On a machine that you may lose, write it as .keras and give that: "
            f"KERAS_BACKEND=torch python -c \"import keras; keras.saving.load_model('{path.name}', "
            f"compile=False).save('{path.stem}.keras')\""
        )
    if (path / GRAPH).is_file():
        raise ModelUnavailable(
            f"{path} is a TensorFlow SavedModel: a compiled graph, whose layers can neither be "
            "told apart nor tuned. If Keras made it, open it once with Keras 2 and write HDF5: pip "
            "install tf_keras tensorflow-cpu; python -c \"import tf_keras; "
            f"tf_keras.models.load_model('{path.name}').save('{path.name}.h5')\"; then write "
            "that as .keras with Keras 3: KERAS_BACKEND=torch python -c \"import keras; "
            f"keras.saving.load_model('{path.name}.h5', compile=False)"
            f".save('{path.name}.keras')\". "
            "If it came from anything else, export its source again."
        )


def config_in(path: Path) -> dict[str, Any]:
    """The config of a .keras file, without what it says of training.

    Raises:
        ModelUnavailable: there is no such file, or it is none that Keras 3 wrote.
        UnsafeModel: it would run code that is not Keras's own.
    """
    if not path.is_file():
        raise ModelUnavailable(f"There is no file {path}. Give a .keras file that Keras 3 wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {one.filename: one.file_size for one in archive.infolist()}
            if not {CONFIG, WEIGHTS} <= set(sizes) or sizes[CONFIG] > CONFIG_BYTES:
                raise ModelUnavailable(
                    f"{path} holds no {CONFIG} with a {WEIGHTS}, as Keras 3 writes them. Save the "
                    "model again: model.save('name.keras')."
                )
            config = json.loads(archive.read(CONFIG).decode("utf-8"))
    except (OSError, ValueError, RecursionError, NotImplementedError, RuntimeError, EOFError,
            zipfile.BadZipFile) as error:
        raise ModelUnavailable(
            f"{path} cannot be read as a .keras file: {error}. Save the model again, or fetch it "
            "again."
        ) from error
    if not isinstance(config, dict):
        raise ModelUnavailable(f"{path}: {CONFIG} is no table of settings. Save the model again.")
    config.pop("compile_config", None)
    require_plain_layers(config, place=str(path))
    return config


def require_plain_layers(told: Any, *, place: str) -> None:
    """Return if every class and function that a config names is Keras's own and runs nothing else.

    Raises:
        UnsafeModel: one is not; the message names it and its layer.
    """
    for layer, entry in _entries(told, ""):
        kind, module = entry.get("class_name"), entry.get("module")
        if not isinstance(kind, str):
            raise UnsafeModel(f"{place}: {_where(layer, kind)} has no class's name, so nothing of "
                              "it was opened. Save the model again.")
        if kind in CODE:
            raise UnsafeModel(
                f"{place}: {_where(layer, kind)} is a {kind}, which runs code that the file brings "
                "along, so nothing of it was opened. Write what it computes with Keras's own "
                "layers (Rescaling, keras.ops ...), save the model again, and give that file."
            )
        if kind in PLAIN:
            continue
        package = module.partition(".")[0] if isinstance(module, str) else None
        is_foreign = module not in FUNCTIONS if kind == "function" else package not in PACKAGES
        if is_foreign or ">" in str(entry.get("registered_name") or ""):
            raise UnsafeModel(
                f"{place}: {_where(layer, kind)} is a class or function of its author's own "
                f"({entry.get('registered_name') or module or 'no module'}), and fettle runs no "
                "model's own code. Build the network from Keras's own layers and save it again; or "
                "give it as a torch module: --model package.module:factory."
            )
        config = entry.get("config")
        if not isinstance(config, dict):
            continue
        for key in ELSEWHERE:
            if isinstance(config.get(key), str):
                raise UnsafeModel(
                    f"{place}: {_where(layer, kind)} reads the file {config[key]!r} of "
                    "this machine. Take the layer out of the model and save it again."
                )


def told_beside(path: Path) -> Mapping[str, Any] | None:
    """What NAME.json beside NAME.keras says of how pictures were fed; None where there is none."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    try:
        told = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(
            f"{beside} cannot be read as JSON: {error}. It may say how pictures were fed, such as "
            '{"mode": "caffe"}; else take it away.'
        ) from error
    if not isinstance(told, dict):
        raise ModelUnavailable(f'{beside} holds no table of settings, such as {{"mode": "tf"}}.')
    return told


def _entries(value: Any, layer: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(the layer it stands in, the entry) of everything that names a class or function."""
    waiting = [(value, layer)]
    while waiting:
        one, inside = waiting.pop()
        if isinstance(one, list):
            waiting.extend((inner, inside) for inner in one)
        if not isinstance(one, dict):
            continue
        config = one.get("config")
        if isinstance(config, dict) and isinstance(config.get("name"), str):
            inside = config["name"]
        if "class_name" in one:
            yield inside, one
        waiting.extend((inner, inside) for inner in one.values())


def _where(layer: str, kind: Any) -> str:
    return f"the layer {layer!r}" if layer else f"{kind!r}"
