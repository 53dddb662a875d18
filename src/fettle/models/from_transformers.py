"""Any text model that transformers knows: its folder in, a backbone as a row of blocks out.

Only architectures that transformers itself holds are opened, from safetensors, in fp32, without
the network and without anyone's own code. transformers is imported when one is opened, not before.
"""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from fettle.core.errors import CorruptFile, ModelUnavailable, SettingError, unknown_name
from fettle.core.parts import Card
from fettle.models.backbone import Backbone, quiet, unopened
from fettle.models.cutting import config_of
from fettle.models.safety import require_plain_config
from fettle.models.sources import CONFIG
from fettle.store import files

__all__ = [
    "attention_of", "class_of", "empty_backbone", "fast_tokenizer_json",
    "known_config", "open_backbone",
]

NOT_OURS = (
    "_attn_implementation", "_attn_implementation_internal", "attn_implementation",
    "_experts_implementation", "_experts_implementation_internal", "experts_implementation",
    "transformers_weights", "dtype", "torch_dtype", "use_cache", "return_dict",
    "output_attentions", "output_hidden_states", "reference_compile",
)  # fmt: skip
"""Settings of a run, not of a network; or of where its weights lie, which the card has said."""

VOCABULARY_FILES = ("vocab.txt", "vocab.json", "*.model", "merges.txt", "tokenizer.json")


def open_backbone(card: Card, *, weights: Path | None = None) -> Backbone:
    """The network of this card, in evaluation mode.

    Args:
        card: from `card_of`, which has judged its folder safe.
        weights: a safetensors file of a Backbone's state_dict; else the pre-trained weights.

    Raises:
        ModelUnavailable: transformers does not know it, or weights that the network needs are
            not in its files (they would be random numbers).
        CorruptFile: weights that do not fit, or that are not finite numbers.
    """
    folder = Path(card.folder)
    if weights is not None:
        backbone = empty_backbone(folder / CONFIG)
        _fill(backbone, weights)
        return backbone.eval()
    config = known_config(config_of(card), place=str(folder / CONFIG))
    kind = class_of(config)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            whole, found = kind.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation=attention_of(kind),
                output_loading_info=True,
                adapter_kwargs={"subfolder": "nowhere"},  # one that lies beside is not followed
            )
    except Exception as error:  # transformers raises what its parts raise; the cause is the folder
        raise unopened(card.name, error) from error
    backbone = _backbone(whole, config)
    _require_all_found(backbone, whole, found["missing_keys"], card)
    _require_finite(backbone, place=str(folder))
    _require_blocks(backbone, card)
    return backbone.eval()


def _require_blocks(backbone: Backbone, card: Card) -> None:
    """Return if a network that was to be shorter has just the blocks that were to be kept."""
    if card.kept_blocks not in (None, len(backbone.block_names)):
        raise SettingError(
            f"--keep-blocks {card.kept_blocks} leaves {len(backbone.block_names)} blocks of "
            f"{card.name}: this architecture cannot be cut so. Leave the option away."
        )


def empty_backbone(config: Path) -> Backbone:
    """The network of a config, in evaluation mode, its weights still to be filled in.

    It is built on the CPU even inside `torch.device("meta")`: what a network computes for itself
    (positions, rotary frequencies) is in no file and would stay empty.

    Args:
        config: a config.json; its name may be any.
    """
    made = known_config(files.read_json(config), place=str(config))
    kind = class_of(made)
    from transformers.initialization import no_init_weights

    try:
        with quiet(), torch.device("cpu"), no_init_weights():
            made._attn_implementation = attention_of(kind)
            made.dtype = torch.float32
            whole = kind(made)
    except Exception as error:  # as above
        raise unopened(str(config), error) from error
    with torch.device("cpu"):
        return _backbone(whole.float(), made).eval()


def fast_tokenizer_json(card: Card) -> str:
    """What tokenizer.json holds; where the folder has none, its vocabulary converted to one.

    Raises:
        ModelUnavailable: there is no vocabulary, or it cannot be converted here.
    """
    folder = Path(card.folder)
    ready = folder / "tokenizer.json"
    if ready.is_file():
        return ready.read_text(encoding="utf-8")
    remedy = (
        "On a machine that has this model's own tokenizer, run: python -c \"import transformers as "
        f"t; t.AutoTokenizer.from_pretrained('{card.name}').save_pretrained('tokenizer')\" and "
        "copy tokenizer.json into the model's folder."
    )
    if not any(any(folder.glob(pattern)) for pattern in VOCABULARY_FILES):
        raise ModelUnavailable(f"{folder} has no tokenizer.json and no vocabulary. {remedy}")
    from transformers import AutoTokenizer

    config = known_config(files.read_json(folder / CONFIG), place=str(folder / CONFIG))
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, config=config, use_fast=True, trust_remote_code=False, local_files_only=True
            )
        return tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # a missing package, an unknown class, a broken vocabulary
        why = str(error).strip().splitlines()[:1] or [type(error).__name__]
        raise ModelUnavailable(
            f"The tokenizer in {folder} cannot be converted to tokenizer.json: {why[0][:200]} "
            f"{remedy}"
        ) from error


def known_config(values: Mapping[str, Any], *, place: str) -> Any:
    """transformers' config object, from a config.json's values that ask for no foreign code."""
    require_plain_config(dict(values), place=place)
    from transformers import CONFIG_MAPPING
    from transformers import __version__ as version

    kind = values.get("model_type")
    if kind not in CONFIG_MAPPING:
        hint = str(unknown_name("architecture", str(kind), CONFIG_MAPPING.keys()))
        raise ModelUnavailable(
            f"{place}: {hint} This is transformers {version}; a newer one may know it."
        )
    if values.get("quantization_config"):
        raise ModelUnavailable(
            f"{place} describes quantized weights, which cannot be tuned as they are. Choose the "
            "model that it was made from."
        )
    kept = {name: value for name, value in values.items() if name not in NOT_OURS}
    try:
        with quiet():
            config = CONFIG_MAPPING[kind].from_dict(kept)
    except Exception as error:  # each config class checks in its own way
        raise unopened(place, error) from error
    config.use_cache = False
    return config


def class_of(config: Any) -> Any:
    """The class that gives hidden states; where there is one for the encoder alone, that."""
    from transformers import MODEL_FOR_TEXT_ENCODING_MAPPING, MODEL_MAPPING

    kind = None
    if _has_decoder_beside(config):
        kind = MODEL_FOR_TEXT_ENCODING_MAPPING.get(type(config), None)
    kind = kind or MODEL_MAPPING.get(type(config), None)
    if isinstance(kind, tuple):
        kind = kind[0]
    if kind is None:
        raise ModelUnavailable(
            f"transformers has no network without a head for {config.model_type!r}. Choose "
            "another model."
        )
    return kind


def _has_decoder_beside(config: Any) -> bool:
    """An encoder-decoder; a saved encoder of one may say that it is none."""
    return bool(config.is_encoder_decoder or type(config)().is_encoder_decoder)


def attention_of(kind: Any) -> str:
    """The fused one where the class has it."""
    return "sdpa" if getattr(kind, "_supports_sdpa", False) else "eager"


def _backbone(whole: nn.Module, config: Any) -> Backbone:
    """The part of a network that gives hidden states: no pooler, no decoder beside it."""
    part: Any = whole
    if _has_decoder_beside(config):
        part = part.get_encoder()
    if isinstance(getattr(part, "pooler", None), nn.Module):
        part.pooler = nn.Identity()  # some forwards call it without asking whether there is one
    types = getattr(config, "type_vocab_size", None) or 0
    takes_types = types > 1 and "token_type_ids" in inspect.signature(part.forward).parameters
    backbone = Backbone(part.eval(), width=config.hidden_size, takes_types=takes_types)
    backbone.architecture = type(whole).__name__
    return backbone


def _require_all_found(
    backbone: Backbone, whole: nn.Module, missing: Iterator[str], card: Card
) -> None:
    """Return if every weight that is used came out of the files."""
    used = {id(value) for value in backbone.parameters()}
    named = whole.named_parameters(remove_duplicate=False)
    lost = sorted({name for name, value in named if id(value) in used} & set(missing))
    if lost:
        shown = ", ".join(lost[:5]) + (", ..." if len(lost) > 5 else "")
        raise ModelUnavailable(
            f"The files of {card.name} lack {len(lost)} of the network's weights ({shown}); they "
            "would be random numbers. Its config may belong to another model: fetch it again, or "
            "choose another."
        )


def _fill(backbone: Backbone, weights: Path) -> None:
    """Give a backbone the weights of a file; every one must be there, fit, and be finite."""
    try:
        state = safetensors.torch.load_file(weights)
        backbone.load_state_dict(state, strict=True)
    except Exception as error:  # safetensors raises its own, torch and the system plain ones
        why = str(error).replace("\n\t", " ").strip()[:300]
        raise CorruptFile(
            f"{weights} does not hold this network's weights: {why} Restore it from a copy."
        ) from error
    _require_finite(backbone, place=str(weights))


def _require_finite(backbone: Backbone, *, place: str) -> None:
    for name, value in backbone.named_parameters():
        if not torch.isfinite(value).all():
            raise CorruptFile(
                f"{place}: {name} holds numbers that are not finite. Fetch the model again."
            )
