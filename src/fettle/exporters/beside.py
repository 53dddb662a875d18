"""What lies beside exported weights: tokenizer, preprocessing, labels, and a page that says how to
open them."""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from fettle.core.parts import Exportable
from fettle.store import checkpoints, files

__all__ = ["config_of", "labels", "outputs", "write_head", "write_preprocessing", "write_readme",
           "write_tokenizer"]

OF_CLASSES = (
    "The outputs are logits (rows, classes) in the order of `classes`; their softmax is the "
    "confidence that fettle serves. The temperature is in them already."
)
OF_NUMBERS = (
    "The outputs are numbers (rows, 1) in the unit of the target that `classes` names: no softmax "
    "belongs on them, and nothing is left to be scaled."
)
OF_LABELS = (
    "The outputs are logits (rows, labels) in the order of `classes`; the sigmoid of each is the "
    "probability of that label, by itself. The temperature is in them already. A label is called "
    "where its probability reaches its number in `thresholds`; a row may have several, or none."
)
SENTENCES = {"classes": OF_CLASSES, "labels": OF_LABELS, "numbers": OF_NUMBERS}
NUMBERS = """
This version answers numbers: its outputs are (rows, 1), in the unit of the target that `classes` in
preprocessing.json names. Take them as they are.
"""
LABELS = """
This version gives a row several labels, or none. Each output is a question of yes or no: its
sigmoid, not a softmax over all, is the probability of the label, and from which probability on the
label is called stands in `thresholds` of preprocessing.json, in the order of `classes` there:

| label | called from |
|---|---|
{lines}
"""
PROBLEMS = {"classes": "single_label_classification", "labels": "multi_label_classification",
            "numbers": "regression"}
"""As transformers calls them; its pipelines take a softmax, sigmoids, or nothing by it."""
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
            SENTENCES[given.answers],
        ],
        **outputs(given),
        **more,
    })


def outputs(given: Exportable) -> dict[str, Any]:
    """What the outputs stand for, as preprocessing.json says it."""
    cuts = {} if given.thresholds is None else {"thresholds": list(given.thresholds)}
    return {"answers": given.answers, "classes": list(given.classes), **cuts}


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
        f"of these files, and how far apart the answers were.\n\n{how.strip()}\n{_about(given)}"
    ))


def _about(given: Exportable) -> str:
    """What a person should know of answers that are no single class."""
    if given.thresholds is None:
        return NUMBERS if given.numbers else ""
    return LABELS.format(lines="\n".join(
        f"| {_cell(name)} | {cut:.4g} |"
        for name, cut in zip(given.classes, given.thresholds, strict=True)))


def _cell(name: str) -> str:
    """A label as a cell of a table in Markdown."""
    return " ".join(name.replace("\\", "\\\\").replace("|", "\\|").split())


def config_of(model: Any, **changes: Any) -> dict[str, Any]:
    """transformers' config of a model as plain values, without what belongs to one run."""
    values: dict[str, Any] = json.loads(model.config.to_json_string(use_diff=False))
    for key in SETTINGS_OF_A_RUN:
        values.pop(key, None)
    return {**values, "dtype": "float32", **changes}


def labels(given: Exportable) -> dict[str, Any]:
    """The classes as transformers' configs name them, and what kind of answer they are."""
    return {
        "problem_type": PROBLEMS[given.answers],
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
