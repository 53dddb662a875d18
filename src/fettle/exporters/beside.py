"""What lies beside exported weights: tokenizer, preprocessing, labels, and a page that says how to
open them."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fettle.core.parts import Exportable
from fettle.store import checkpoints, files

__all__ = ["OF_CLASSES", "OF_NUMBERS", "config_of", "labels", "write_head", "write_preprocessing",
           "write_readme", "write_tokenizer"]

OF_CLASSES = (
    "The outputs are logits (rows, classes) in the order of `classes`; their softmax is the "
    "confidence that fettle serves. The temperature is in them already."
)
OF_NUMBERS = (
    "The outputs are numbers (rows, 1) in the unit of the target that `classes` names: no softmax "
    "belongs on them, and nothing is left to be scaled."
)
SETTINGS_OF_A_RUN = ("_name_or_path", "_attn_implementation", "use_cache", "transformers_version")


def write_preprocessing(given: Exportable, folder: Path, network: str, **more: Any) -> None:
    """tokenizer.json, and preprocessing.json: how a row becomes what the network takes.

    Args:
        given: the version.
        folder: to fill.
        network: the file that holds the network.
        more: that stands in it too.
    """
    files.write_text(folder / "tokenizer.json", given.tokenizer)
    files.write_json(folder / "preprocessing.json", {
        "version": given.id,
        "network": network,
        "tokenizer": "tokenizer.json",
        **{key: given.encoder[key] for key in ("fields", "join", "letters", "max_tokens", "pad")},
        "how": [
            "A row is its `fields`, in order; empty ones are left out, the rest joined by `join`.",
            "Text behind so many `letters` is cut off; tokenizer.json cuts to `max_tokens`.",
            "input_ids: int64 (rows, tokens), padded on the right with `pad` to the longest row.",
            "attention_mask: int64 (rows, tokens), 1 for a token and 0 for padding; a row without "
            "a token gets one of padding, with a 1.",
            OF_NUMBERS if given.numbers else OF_CLASSES,
        ],
        "answers": "numbers" if given.numbers else "classes",
        "classes": list(given.classes),
        **more,
    })


def write_tokenizer(given: Exportable, folder: Path) -> None:
    """tokenizer_config.json, which has AutoTokenizer open the tokenizer.json as it stands."""
    held = json.loads(given.tokenizer)
    special = {one["id"]: one["content"] for one in held.get("added_tokens", ()) if one["special"]}
    pad = special.get(given.encoder["pad"]) or _token(held, given.encoder["pad"])
    files.write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": given.encoder["max_tokens"],
        "model_input_names": ["input_ids", "attention_mask"],
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        **({"pad_token": pad} if pad is not None else {}),
    })


def write_head(given: Exportable, path: Path) -> None:
    """The linear map of the head, under the names that sentence-transformers gives one."""
    checkpoints.write_tensors(
        path, {"linear.weight": given.weight, "linear.bias": given.bias}
    )


def write_readme(
    given: Exportable, folder: Path, form: str, how: str, *, becomes: str = "tokens"
) -> None:
    """README.md: what this is and how it is opened."""
    fields = ", ".join(f"`{name}`" for name in given.encoder["fields"])
    files.write_text(folder / "README.md", (
        f"# {given.id}, as {form}\n\n"
        f"Tuned from `{_model_name(given)}`. A row is {fields}; [preprocessing.json]"
        f"(preprocessing.json) says how it becomes {becomes}, and `classes` there what the outputs "
        "stand for. [certificate.json](certificate.json) says what was asked of the version and "
        f"of these files, and how far apart the answers were.\n\n{how.strip()}\n"
    ))


def config_of(model: Any, **changes: Any) -> dict[str, Any]:
    """transformers' config of a model as plain values, without what belongs to one run."""
    values: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    for key in SETTINGS_OF_A_RUN:
        values.pop(key, None)
    return {**values, "dtype": "float32", **changes}


def labels(given: Exportable) -> dict[str, Mapping[str, Any]]:
    """The classes as transformers' configs name them."""
    return {
        "id2label": {str(number): name for number, name in enumerate(given.classes)},
        "label2id": {name: number for number, name in enumerate(given.classes)},
    }


def _model_name(given: Exportable) -> str:
    """Of the pre-trained model; of a folder only what it is called, not where it lies."""
    name = given.card.name
    is_place = name.lower().endswith(".keras") or any(
        kind(name).is_absolute() for kind in (PurePosixPath, PureWindowsPath))
    return PureWindowsPath(name).name if is_place or Path(name).exists() else name


def _token(held: Mapping[str, Any], number: int) -> str | None:
    """The token with this id in the vocabulary of a tokenizer.json."""
    vocabulary = held.get("model", {}).get("vocab", {})
    if isinstance(vocabulary, list):  # a unigram model: [token, score] by id
        return vocabulary[number][0] if number < len(vocabulary) else None
    return next((token for token, id in vocabulary.items() if id == number), None)
