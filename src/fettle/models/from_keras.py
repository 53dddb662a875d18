"""Networks of pictures from Keras 3 on torch: a .keras file or an application's name in, a row out.

A file is opened in safe mode, once its config has been read as plain data; an application's weights
come from Keras's own cache alone. Keras is imported when one is opened, not before, and TensorFlow
never into this process.
"""

import hashlib
import inspect
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fettle.core.errors import CorruptFile, FettleError, ModelUnavailable, unknown_name
from fettle.models import keras_fed
from fettle.models.keras_files import APPLICATION, RANDOM, config_in, require_plain_layers
from fettle.models.keras_row import KerasRow, graph_in

__all__ = ["application", "library", "opened", "rebuilt"]

INSTALL = "Install it: pip install 'fettle[keras]'."
OLDEST = (3, 15, 1)
"""Before it, files in safe mode could still read other files of the machine, or run code."""
CHUNK = 1 << 20


def library() -> Any:
    """Keras on torch.

    Raises:
        ModelUnavailable: it is not installed, or it was imported with another backend.
    """
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"  # read once, when Keras is imported
    try:
        import keras
        from keras.src.utils import module_utils
    except ImportError as error:
        raise ModelUnavailable(f"This is a Keras model, and Keras cannot be imported ({error}). "
                               f"{INSTALL}") from error
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before
    numbers = tuple(int(one) for one in re.findall(r"\d+", keras.__version__)[:3])
    if numbers < OLDEST:
        raise ModelUnavailable(
            f"Keras {keras.__version__} opens files in ways that were found unsafe since; "
            f"{'.'.join(map(str, OLDEST))} or later is due. {INSTALL}"
        )
    if "tensorflow" not in sys.modules:  # else Keras imports it to ask what kind of thing a list is
        module_utils.tensorflow._available = False
    if keras.backend.backend() != "torch":
        raise ModelUnavailable(
            f"Keras was imported in this process with the backend {keras.backend.backend()!r}, and "
            "fettle tunes on torch. Set KERAS_BACKEND=torch before anything imports keras, or "
            "import fettle's verbs in a process of their own."
        )
    if keras.config.image_data_format() != "channels_last":
        raise ModelUnavailable(
            "Keras is set to channels_first here (keras.json), and fettle opens networks with "
            "channels last. Set image_data_format to channels_last."
        )
    return keras


def opened(path: Path) -> tuple[KerasRow, keras_fed.Fed]:
    """The network of a .keras file without its head, in evaluation mode, and how it was fed.

    Raises:
        ModelUnavailable: it is none of pictures, or Keras cannot open it.
        UnsafeModel: it would run code.
        CorruptFile: a weight is not a finite number.
    """
    config_in(path)
    keras = library()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise _unopened(str(path), error) from error
    graph = _graph_of(model, str(path))
    fed = keras_fed.of_file(path, graph)
    row = _row(_headless(graph, str(path)), fed.backwards, str(path))
    row = _for_any_size(_in_float32(row, str(path)), str(path))
    for name, value in row.named_parameters():
        if not torch.isfinite(value).all():
            raise CorruptFile(f"{path}: {name} holds numbers that are not finite.")
    return row, fed


def application(name: str) -> tuple[KerasRow, keras_fed.Fed]:
    """A network of keras.applications without its head, and how it was fed.

    Args:
        name: keras:NAME, such as keras:ResNet50; keras:NAME@random draws the weights.

    Raises:
        UnknownName: there is none of this name.
        ModelUnavailable: its weights are not in Keras's cache; the message says how to fetch them.
    """
    keras = library()
    short = name.removeprefix(APPLICATION).removesuffix(RANDOM)
    known = keras_fed.applications()
    if short not in known:
        raise unknown_name("model of keras.applications", short, known)
    is_random = name.endswith(RANDOM)
    told: dict[str, int] = {}
    try:
        with _cache_alone(short), _sizes_into(told), torch.random.fork_rng(devices=[]):
            model = getattr(keras.applications, short)(
                include_top=False, weights=None if is_random else "imagenet", pooling="avg")
    except FettleError:
        raise
    except Exception as error:  # as above
        raise _unopened(name, error) from error
    fed = keras_fed.of_application(short, side=told.get("default_size", 224))
    row = _row(model, fed.backwards, name)
    if is_random:
        _draw(row)
    return row, fed


def rebuilt(plan: Mapping[str, Any], *, place: str) -> KerasRow:
    """The same network with its weights still to be filled in, from what `KerasRow.plan` holds."""
    require_plain_layers(plan.get("keras"), place=place)
    keras = library()
    text = json.dumps(plan)
    try:
        with torch.random.fork_rng(devices=[]):
            model = keras.saving.deserialize_keras_object(json.loads(text)["keras"], safe_mode=True)
        return KerasRow(model, plan=text, backwards=bool(plan["backwards"])).eval()
    except Exception as error:  # as above
        raise _unopened(place, error) from error


def _row(model: Any, backwards: bool, place: str) -> KerasRow:
    """The row of a functional model, with what it is built from again."""
    keras = library()
    config = keras.saving.serialize_keras_object(model)
    config.pop("compile_config", None)
    require_plain_layers(config, place=place)
    plan = json.dumps({"keras": config, "backwards": backwards})
    return KerasRow(model, plan=plan, backwards=backwards).float().eval()


def _graph_of(model: Any, place: str) -> Any:
    """The functional graph of a model that takes one batch of pictures and gives one tensor."""
    keras = library()
    from keras.src.models import Functional, Sequential

    if not isinstance(model, Functional | Sequential) or not model.built:
        raise ModelUnavailable(
            f"{place} is a {type(model).__name__}, whose layers are called in code and not in a "
            "graph that could be read. Build it with keras.Model(inputs, outputs)."
        )
    inputs, outputs = list(model.inputs), list(model.outputs)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelUnavailable(
            f"{place} takes {len(inputs)} tensors and gives {len(outputs)}; one of each is due."
        )
    shape = tuple(inputs[0].shape)
    if len(shape) != 4 or shape[3] is None or shape[1] != shape[2]:
        raise ModelUnavailable(
            f"{place} takes {shape}, where (rows, side, side, channels) was due: square pictures "
            "with their channels last."
        )
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
            raise ModelUnavailable(
                f"{place}: the layer {layer.name!r} learned its mean by adapt(), which is not kept "
                "here. Put Normalization(mean=..., variance=...) with its numbers in its place."
            )
    return keras.Model(inputs[0], outputs[0], name=model.name)


def _headless(model: Any, place: str) -> Any:
    """The graph up to where its last dense layer begins, if its output hangs on one; pooled."""
    keras = library()
    below = _below_head(model)
    end = model.outputs[0] if below is None else below
    if len(end.shape) == 4:
        end = keras.layers.GlobalAveragePooling2D(name="pooled_by_fettle")(end)
    if len(end.shape) != 2 or end.shape[1] is None:
        raise ModelUnavailable(
            f"{place} gives {tuple(end.shape)} below its head, where one vector a picture was due. "
            "Let it pool at its end."
        )
    return keras.Model(model.inputs[0], end, name=model.name)


def _below_head(model: Any) -> Any:
    """What the last dense layer takes, where the output hangs on one; of a model that is a layer of
    this one too. None where there is none."""
    keras = library()
    tensor = model.outputs[0]
    while True:
        operation, at, _ = tensor._keras_history
        node = operation._inbound_nodes[at]
        if len(node.input_tensors) != 1:
            return None
        if isinstance(operation, keras.layers.Dense):
            return node.input_tensors[0]
        inner = graph_in(operation)
        if inner is not None and len(inner.inputs) == len(inner.outputs) == 1:
            below = _below_head(inner)
            if below is not None:
                cut = keras.Model(inner.inputs[0], below, name=inner.name)
                return cut(node.input_tensors[0])
        if getattr(operation, "weights", ()):
            return None  # what gives the output is no map of a head
        tensor = node.input_tensors[0]


def _for_any_size(row: KerasRow, place: str) -> KerasRow:
    """The same network built for pictures of any side, where its layers allow that."""
    plan = json.loads(row.plan)
    freed = _without_sides(plan["keras"])
    if freed == plan["keras"]:
        return row
    try:
        return _with_config(row, freed, place)
    except (ModelUnavailable, RuntimeError):  # a layer that needs to know the size
        return row


def _in_float32(row: KerasRow, place: str) -> KerasRow:
    """The same network computing in fp32, where it was trained in mixed precision: which precision
    it answers in is decided by what serves it."""
    plan = json.loads(row.plan)
    config = _without_policies(plan["keras"])
    return row if config == plan["keras"] else _with_config(row, config, place)


def _without_policies(value: Any) -> Any:
    """A config whose layers compute in fp32, and whose tensors are of it."""
    if isinstance(value, list):
        return [_without_policies(one) for one in value]
    if not isinstance(value, dict):
        return "float32" if value in ("float16", "bfloat16") else value
    if value.get("class_name") == "DTypePolicy" and isinstance(value.get("config"), dict):
        return {**value, "config": {**value["config"], "name": "float32"}}
    return {key: _without_policies(one) for key, one in value.items()}


def _with_config(row: KerasRow, config: Any, place: str) -> KerasRow:
    """The network of this config with the weights of that row."""
    made = rebuilt({**json.loads(row.plan), "keras": config}, place=place)
    made.load_state_dict(row.state_dict())
    return made.eval()


def _without_sides(value: Any) -> Any:
    """A config whose inputs are of any height and width, and that has no other shapes in it."""
    if isinstance(value, list):
        return [_without_sides(one) for one in value]
    if not isinstance(value, dict):
        return value
    made = {key: _without_sides(one) for key, one in value.items() if key != "build_config"}
    if value.get("class_name") == "InputLayer":
        config = dict(value["config"])
        for key in ("batch_shape", "batch_input_shape"):
            shape = config.get(key)
            if isinstance(shape, list | tuple) and len(shape) == 4:
                config[key] = [None, None, None, shape[3]]
        made["config"] = config
    if value.get("class_name") == "__keras_tensor__":
        config = dict(value["config"])
        shape = config.get("shape")
        if isinstance(shape, list | tuple) and len(shape) == 4:
            config["shape"] = [None, None, None, shape[3]]
        made["config"] = config
    return made


def _draw(row: KerasRow) -> None:
    """Matrices and kernels as He et al. draw them, always the same; norms and biases as they are.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2.
    """
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in row.parameters():
            if value.ndim >= 2:
                spread = (2 / max(value[0].numel(), 1)) ** 0.5
                value.copy_(torch.randn(value.shape, generator=chance) * spread)


@contextmanager
def _cache_alone(short: str) -> Iterator[None]:
    """Inside, what Keras would fetch is looked up in its cache, and its hash checked."""
    from keras.src.backend import config
    from keras.src.utils import file_utils

    def get_file(fname: str, origin: str = "", *, file_hash: str | None = None,
                 md5_hash: str | None = None, cache_subdir: str = "datasets", **_: Any) -> str:
        path = Path(config.keras_home()).expanduser() / cache_subdir / fname
        fetch = (f"KERAS_BACKEND=torch python -c \"import keras; keras.applications.{short}"
                 "(include_top=False)\"")
        if not path.is_file():
            raise ModelUnavailable(
                f"The weights of {APPLICATION}{short} ({fname}) are not in Keras's cache "
                f"({path.parent}), and nothing is fetched unasked. To train from random weights: "
                f"--model {APPLICATION}{short} --strategy scratch. To fetch them: {fetch}"
            )
        wanted = file_hash or md5_hash
        if wanted and _digest(path, "md5" if len(wanted) == 32 else "sha256") != wanted:
            raise CorruptFile(f"{path} is not the file that Keras publishes. Delete it and fetch "
                              f"it again: {fetch}")
        return str(path)

    with _replaced(file_utils, "get_file", get_file):
        yield


@contextmanager
def _sizes_into(told: dict[str, int]) -> Iterator[None]:
    """Inside, the side that an application was trained on is noted when it is built."""
    from keras.src.applications import imagenet_utils

    before = imagenet_utils.obtain_input_shape

    def noting(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(before).bind(*args, **kwargs).arguments
        told["default_size"] = int(given["default_size"])
        return before(*args, **kwargs)

    with _replaced(imagenet_utils, "obtain_input_shape", noting):
        yield


@contextmanager
def _replaced(module: Any, name: str, other: Callable[..., Any]) -> Iterator[None]:
    """Inside, a function of Keras's own is another one."""
    before = getattr(module, name)
    setattr(module, name, other)
    try:
        yield
    finally:
        setattr(module, name, before)


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind)
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _unopened(name: str, error: Exception) -> ModelUnavailable:
    why = " ".join(str(error).split())[:300] or type(error).__name__
    return ModelUnavailable(
        f"Keras could not open {name}: {why}. Open it with the Keras that made it and save it anew."
    )
