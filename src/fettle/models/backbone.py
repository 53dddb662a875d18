"""A network of transformers as a row of blocks: what its blocks are is seen in one forward pass."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from fettle.core.errors import ModelUnavailable
from fettle.models.resuming import Crossing, learned, passing

__all__ = ["Backbone", "quiet", "unopened"]


class Backbone(nn.Module):
    """Token ids in, the last hidden states out. Rows are padded on the right.

    Weights that no block holds belong to the block that ran before they were first used, or to
    the embeddings (0). Where blocks cannot be told apart there are none, and all of it is 0.
    """

    block_names: tuple[str, ...]
    """The transformer blocks from input to output, by their names in this module."""
    blocks_repeat: bool
    """True where a block runs more than once in a forward pass (ALBERT: one block, 12 times)."""
    architecture: str = ""
    """The class of transformers that it was taken from, such as BertModel."""

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
            with quiet():
                self._crossings = learned(blocks, lambda ids, mask: self.model(
                    input_ids=ids, attention_mask=mask, return_dict=True), device=device)
        return self._crossings

    def block_of(self, parameter: str) -> int:
        """The block of a parameter of this module: 0 for the embeddings, then 1 and up."""
        for number, block in enumerate(self.block_names, start=1):
            if parameter.startswith(block + "."):
                return number
        return self._block_of_module.get(parameter.rpartition(".")[0], 0)


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
        with quiet(), torch.no_grad():
            hidden = backbone(batch)
    except Exception as error:  # a network may refuse token ids in its own way
        raise unopened(type(backbone.model).__name__, error) from error
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


def unopened(name: str, error: Exception) -> ModelUnavailable:
    """The error for what transformers could not open, in one line."""
    why = " ".join(str(error).split())[:300] or type(error).__name__
    return ModelUnavailable(
        f"transformers could not open {name}: {why}. Fetch the model again, or choose another."
    )


@contextmanager
def quiet() -> Iterator[None]:
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
