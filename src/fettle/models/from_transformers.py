"""Any text model that transformers knows: its folder in, a backbone as a row of blocks out.

Only architectures that transformers itself holds are opened, from safetensors, in fp32, without
the network and without anyone's own code. transformers is imported when one is opened, not before.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from fettle.core.errors import CorruptFile, ModelUnavailable, unknown_name
from fettle.core.parts import Card
from fettle.models.resuming import Crossing, learned, passing
from fettle.models.safety import require_plain_config
from fettle.models.sources import CONFIG
from fettle.store import files

__all__ = ["Backbone", "empty_backbone", "fast_tokenizer_json", "open_backbone"]

NOT_OURS = (
    "_attn_implementation", "_attn_implementation_internal", "attn_implementation",
    "_experts_implementation", "_experts_implementation_internal", "experts_implementation",
    "transformers_weights", "dtype", "torch_dtype", "use_cache", "return_dict",
    "output_attentions", "output_hidden_states", "reference_compile",
)  # fmt: skip
"""Settings of a run, not of a network; or of where its weights lie, which the card has said."""

VOCABULARY_FILES = ("vocab.txt", "vocab.json", "*.model", "merges.txt", "tokenizer.json")


class Backbone(nn.Module):
    """Token ids in, the last hidden states out. Rows are padded on the right.

    Weights that no block holds belong to the block that ran before they were first used, or to
    the embeddings (0). Where blocks cannot be told apart there are none, and all of it is 0.
    """

    block_names: tuple[str, ...]
    """The transformer blocks from input to output, by their names in this module."""
    blocks_repeat: bool
    """True where a block runs more than once in a forward pass (ALBERT: one block, 12 times)."""

    def __init__(self, model: nn.Module, *, width: int, takes_types: bool) -> None:
        """Around a model of transformers; one row runs through it to see what its blocks are."""
        super().__init__()
        self.model = model
        self.takes_types = takes_types
        calls = _calls(self, width)
        blocks = _block_names(self, calls)
        self.block_names = blocks
        self.blocks_repeat = any(calls.count(name) > 1 for name in blocks)
        self._block_of_module = _block_of_modules(calls, blocks)
        self._crossings: Sequence[Crossing] | None = None

    def forward(
        self,
        batch: Mapping[str, torch.Tensor],
        *,
        start: int = 0,
        hidden: torch.Tensor | None = None,
        seen: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The last hidden states, (rows, tokens, width).

        Args:
            batch: input_ids and attention_mask, (rows, tokens) each; token_type_ids are used
                where the network knows more than one type.
            start: the block to begin at; 0 is the embeddings.
            hidden: what reaches that block, (rows, tokens, width); where start is not 0.
            seen: filled in for each block that it names, with what reaches that block.
        """
        names = ["input_ids", "attention_mask"]
        if self.takes_types and "token_type_ids" in batch:
            names.append("token_type_ids")
        with self._through_blocks(start, hidden, seen):
            return self.model(**{name: batch[name] for name in names}, return_dict=True)[0]

    @property
    def resumable(self) -> bool:
        """Whether it can start at any block: what crosses each is known, and none runs twice."""
        return not self.blocks_repeat and bool(self.block_names) and bool(self._known_crossings())

    def _through_blocks(
        self, start: int, hidden: torch.Tensor | None, seen: dict[int, torch.Tensor] | None
    ) -> AbstractContextManager[None]:
        if not start and not seen:
            return nullcontext()
        blocks = [self.get_submodule(name) for name in self.block_names]
        return passing(blocks, self._known_crossings(), start=start, hidden=hidden, seen=seen)

    def _known_crossings(self) -> Sequence[Crossing]:
        """What crosses each block, learned from one pass of a few rows."""
        if self._crossings is None:
            blocks = [self.get_submodule(name) for name in self.block_names]
            device = next(self.parameters()).device
            with _quiet():
                self._crossings = learned(blocks, lambda ids, mask: self.model(
                    input_ids=ids, attention_mask=mask, return_dict=True), device=device)
        return self._crossings

    def block_of(self, parameter: str) -> int:
        """The block of a parameter of this module: 0 for the embeddings, then 1 and up."""
        for number, block in enumerate(self.block_names, start=1):
            if parameter.startswith(block + "."):
                return number
        return self._block_of_module.get(parameter.rpartition(".")[0], 0)


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
    config = _config(files.read_json(folder / CONFIG), place=str(folder / CONFIG))
    kind = _class_of(config)
    try:
        with _quiet(), torch.random.fork_rng(devices=[]):
            whole, found = kind.from_pretrained(
                folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                dtype=torch.float32,
                attn_implementation=_attention(kind),
                output_loading_info=True,
            )
    except Exception as error:  # transformers raises what its parts raise; the cause is the folder
        raise _unopened(card.name, error) from error
    backbone = _backbone(whole, config)
    _require_all_found(backbone, whole, found["missing_keys"], card)
    _require_finite(backbone, place=str(folder))
    return backbone.eval()


def empty_backbone(config: Path) -> Backbone:
    """The network of a config, in evaluation mode, its weights still to be filled in.

    It is built on the CPU even inside `torch.device("meta")`: what a network computes for itself
    (positions, rotary frequencies) is in no file and would stay empty.

    Args:
        config: a config.json; its name may be any.
    """
    made = _config(files.read_json(config), place=str(config))
    kind = _class_of(made)
    from transformers.initialization import no_init_weights

    try:
        with _quiet(), torch.device("cpu"), no_init_weights():
            made._attn_implementation = _attention(kind)
            made.dtype = torch.float32
            whole = kind(made)
    except Exception as error:  # as above
        raise _unopened(str(config), error) from error
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

    config = _config(files.read_json(folder / CONFIG), place=str(folder / CONFIG))
    try:
        with _quiet():
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


def _config(values: Mapping[str, Any], *, place: str) -> Any:
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
        with _quiet():
            config = CONFIG_MAPPING[kind].from_dict(kept)
    except Exception as error:  # each config class checks in its own way
        raise _unopened(place, error) from error
    config.use_cache = False
    return config


def _class_of(config: Any) -> Any:
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


def _attention(kind: Any) -> str:
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
    return Backbone(part.eval(), width=config.hidden_size, takes_types=takes_types)


def _calls(backbone: Backbone, width: int) -> list[str]:
    """The names of the modules in the order in which a forward pass of one row enters them."""
    calls: list[str] = []

    def note(name: str) -> Any:
        return lambda module, inputs: calls.append(name)

    hooks = [
        module.register_forward_pre_hook(note(name))
        for name, module in backbone.named_modules()
        if name
    ]
    batch = {name: torch.ones(1, 4, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    try:
        with _quiet(), torch.no_grad():
            hidden = backbone(batch)
    except Exception as error:  # a network may refuse token ids in its own way
        raise _unopened(type(backbone.model).__name__, error) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(hidden, torch.Tensor) or hidden.shape != (1, 4, width):
        shape = tuple(getattr(hidden, "shape", ()))
        raise ModelUnavailable(
            f"{type(backbone.model).__name__} gives {shape} for one row of 4 tokens, where "
            f"(1, 4, {width}) was due: one vector a token. Choose a text encoder."
        )
    return calls


def _block_names(backbone: Backbone, calls: list[str]) -> tuple[str, ...]:
    """The members of the list of modules that holds most weights and runs from first to last.

    A list within a block (T5's layers, a mixture's experts) is no candidate. Two lists of one
    length that take turns (XLM: attention, feed-forward) are halves of blocks: then there are none.
    """
    first = {name: number for number, name in reversed(list(enumerate(calls)))}
    lists: list[tuple[int, tuple[str, ...]]] = []
    for name, module in backbone.named_modules():
        if not isinstance(module, nn.ModuleList) or not len(module):
            continue
        members = tuple(f"{name}.{number}" for number in range(len(module)))
        times = [first.get(member, -1) for member in members]
        is_inside = any(name.startswith(above + ".") for _, others in lists for above in others)
        if is_inside or min(times) < 0 or times != sorted(times):
            continue
        if all(isinstance(member, nn.Embedding) for member in module):
            continue
        lists.append((sum(value.numel() for value in module.parameters()), members))
    if not lists:
        return ()
    _, chosen = max(lists, key=lambda it: it[0])
    for _, others in lists:
        takes_turns = len(chosen) > 1 and first[others[0]] < first[chosen[-1]]
        takes_turns = takes_turns and first[others[-1]] > first[chosen[0]]
        if others != chosen and len(others) == len(chosen) and takes_turns:
            return ()
    return chosen


def _block_of_modules(calls: list[str], blocks: tuple[str, ...]) -> dict[str, int]:
    """For each module outside the blocks, the block that had run when it was first entered."""
    number_of = {name: number for number, name in enumerate(blocks, start=1)}
    current = 0
    places: dict[str, int] = {}
    for name in calls:
        current = number_of.get(name, current)
        places.setdefault(name, current)
    return places


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


def _unopened(name: str, error: Exception) -> ModelUnavailable:
    """The error for what transformers could not open, in one line."""
    why = " ".join(str(error).split())[:300] or type(error).__name__
    return ModelUnavailable(
        f"transformers could not open {name}: {why}. Fetch the model again, or choose another."
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers' warnings and bars are for its own users; what matters is checked here."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
