"""The contracts: what an encoder, a network and a strategy must be able to do.

They stand side by side here, and that of a task in `task.py`; each member is one file in the
folder that its contract names, and one line in that folder's dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fettle.core.plan import Pictures, Setting

if TYPE_CHECKING:
    import torch
    from torch import nn

    Batch = dict[str, "torch.Tensor"]

__all__ = [
    "Card",
    "Encoder",
    "Exportable",
    "Exporter",
    "Item",
    "LossPart",
    "Memory",
    "Network",
    "Objective",
    "PictureInput",
    "Strategy",
    "Validate",
    "block_of_tap",
    "tap_of_block",
]

Item = Any
"""One row, encoded: for text an int array of token ids, for a picture a uint8 array of pixels."""


@dataclass(frozen=True, slots=True)
class PictureInput:
    """How a network of pictures was fed when it was trained, by its own card."""

    side: int
    """Pixels a side."""
    fixed: bool = False
    """Whether it takes pictures of this side alone."""
    channels: int = 3
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bicubic"
    crop: float = 0.875
    """The side's share of the shorter side that a picture is brought to before its middle is
    cut out."""
    step: int = 1
    """Pixels that a side is a multiple of."""
    resized: bool = False
    """Whether vectors for places were learned at this side, and are resized at another."""
    told: str = ""
    """How all this is known, where it had to be found out: a sentence."""


@dataclass(frozen=True, slots=True)
class Card:
    """What must be known of a pre-trained network before its weights are opened."""

    name: str
    folder: str
    """Where config, tokenizer and weights lie; "" for a network that was tuned and saved."""
    revision: str | None
    sha256: str
    """Of the weights' files, in the order of their names."""
    architecture: str
    """model_type of its config: bert, roberta, deberta-v2 ..."""
    width: int
    blocks: int
    """Transformer blocks, without embeddings and head; 0 where the config does not say."""
    max_tokens: int
    """What its positions, or its own card, allow."""
    parameters: int
    embeds_sentences: bool
    """Trained so that near texts have near vectors: it may be asked without training."""
    pooling: str = "mean"
    """What its own card says: mean, cls or max; own where the network pools by itself."""
    pad: int = 0
    token_types: bool = False
    definition: str = ""
    """sha256 of its config and tokenizer: the same weights under another config are another
    network."""
    kept_blocks: int | None = None
    """Where blocks at the top are left away, how many are kept."""
    modality: str = "text"
    """What it takes: text or image."""
    source: str = "transformers"
    """The library that its code is in: transformers, timm, keras, module."""
    picture: PictureInput | None = None
    """Of a network of pictures."""
    block_names: tuple[str, ...] = ()
    """Where they were found when the card was made: from input to output, by their names."""
    operations: tuple[float, ...] = ()
    """Floating-point operations of one picture of the card's side, by block; block 0 first."""
    crossing: tuple[int, ...] = ()
    """How many numbers of one such picture reach each block, block 0 (the picture) first."""


@dataclass(frozen=True, slots=True)
class LossPart:
    """One part of a loss, as a sum over what it counts; the loop divides by global counts."""

    sum: torch.Tensor
    count: int
    weight: float = 1.0


class Encoder(Protocol):
    """Raw fields to tensors, the same code in training and in serving."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The input columns that it eats, in order."""

    def encode(self, rows: Sequence[tuple[str, ...]]) -> list[Item]:
        """One item a row."""

    def views(self, item: Item, rng: np.random.Generator) -> Item:
        """The item as training sees it this time; never called in serving."""

    @property
    def mixes(self) -> bool:
        """Whether training mixes each row with another of its batch."""

    def mix(
        self, batch: Batch, other: Batch, rng: np.random.Generator
    ) -> tuple[Batch, float]:
        """A batch with another of the same size mixed into it, and the share of the first."""

    def size(self, item: Item) -> int:
        """What the item costs, for token budgets: tokens, or squares of 16 by 16 pixels."""

    def plain(self, rows: Sequence[tuple[str, ...]]) -> Sequence[Any]:
        """What a baseline without a network reads: texts, or small pictures laid out flat."""

    def traits(
        self, rows: Sequence[tuple[str, ...]], items: Sequence[Item]
    ) -> dict[str, np.ndarray]:
        """What is watched of rows that is seen in their items alone, by name, float (rows,)."""

    def portable(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The same rows, in cells that can be asked on any machine."""

    def samples(self) -> list[tuple[str, ...]]:
        """A few rows that hold nothing of the user's."""

    def collate(self, items: Sequence[Item]) -> Batch:
        """Items of one batch as named tensors, (rows, ...) each."""

    def save(self, folder: str) -> None:
        """Everything that serving needs, as files in this folder."""


class Objective(Protocol):
    """What the loop brings down."""

    couples_rows: bool
    """Whether the loss of a row depends on the others of its batch: then no micro-batches."""

    def counts(self, batch: Batch) -> Mapping[str, int]:
        """What each part of the loss counts in this batch, from its targets alone."""

    def loss(self, outputs: torch.Tensor, batch: Batch) -> Mapping[str, LossPart]:
        """Each part of the loss of one batch."""


class Network(Protocol):
    """A pre-trained network as a row of blocks, from input (0) to head (the last)."""

    card: Card

    @property
    def module(self) -> nn.Module:
        """The torch module with every weight."""

    @property
    def blocks(self) -> int:
        """How many there are: embeddings, each transformer block, head."""

    def in_precision(self, precision: str) -> Network:
        """The network to run forward with: itself, or a copy whose backbone computes in bf16."""

    def run_on(self, pictures: Pictures | None) -> None:
        """Let pictures lie in memory, and norms be folded, as this says; nothing for texts."""

    @property
    def arithmetic(self) -> str:
        """What the bits of its answers hang on beside weights, config and precision: whose code
        runs in which version, and how feature maps lie in memory. Not what training alone does."""

    def block_of(self, parameter: str) -> int:
        """The block that a parameter belongs to."""

    @property
    def resumable(self) -> bool:
        """Whether a forward pass can start at any block below the head."""

    def taps(self, batch: Batch, names: Iterable[str]) -> dict[str, torch.Tensor]:
        """Named outputs of the backbone: mean, cls, max, own (rows, width); tokens, or what reaches
        a block ("block 4"): (rows, units, width). A feature map is one unit, laid out flat."""

    def __call__(
        self, batch: Batch, *, start: int = 0, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The head's raw outputs, (rows, classes).

        Args:
            batch: of the encoder.
            start: the block to begin at, where what reaches it is known.
            hidden: that, as `taps` gives it.
        """

    def read(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The same outputs, and the pooled vectors (rows, width) that the head made them of."""


def tap_of_block(block: int) -> str:
    """The name of what reaches this block, for `Network.taps`."""
    return f"block {block}"


def block_of_tap(name: str) -> int | None:
    """The block whose input this tap is; None for a pooling."""
    kind, _, number = name.partition(" ")
    return int(number) if kind == "block" and number.isdigit() else None


def _same(network: Network) -> Network:
    return network


def _all(parameter: str) -> bool:
    return True


Validate = Callable[[Network], float] | None
"""The score of a network on validation; None where no row is held out."""


class Memory(Protocol):
    """What a strategy keeps of a training, to make the network of it that is kept.

    Weights come by name, as the loop has them: live ones, to be copied.
    """

    def copies(self, *, held_out: bool) -> int:
        """How many sets of the weights that learn a checkpoint of it holds, at most."""

    @property
    def chosen(self) -> Mapping[str, Setting]:
        """What `finish` chose last."""

    @property
    def trials(self) -> tuple[Mapping[str, Setting], ...]:
        """What it tried, with its score."""

    def begin(
        self, weights: Mapping[str, torch.Tensor], *, steps: int, held_out: bool
    ) -> None:
        """A training of about so many steps begins at these weights; what was kept is forgotten.

        Where no row is held out, it is one of a fold, or that on all rows, which is given what the
        folds chose: then only points are chosen that a training has which ends at its best epoch.
        """

    def step(self, weights: Mapping[str, torch.Tensor]) -> None:
        """One step is done."""

    def epoch(
        self, weights: Mapping[str, torch.Tensor], score: float | None, *, is_best: bool
    ) -> None:
        """One epoch is done, the best so far or not; None where nothing is judged."""

    def state(self) -> dict[str, torch.Tensor]:
        """Everything it keeps, for a checkpoint."""

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from what `state` gave."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """Which weights learn, and how fast. What is not given defaults to nothing."""

    rates: Callable[[int, int], tuple[float, ...]]
    """(blocks, epoch) to one learning rate a block; 0.0 means frozen."""
    prepare: Callable[[Network], Network] = field(default=_same)
    learns: Callable[[str], bool] = field(default=_all)
    penalty: Callable[[Network], torch.Tensor] | None = None
    """Added to the loss of every step; anchors such as L2-SP."""
    memory: Memory | None = None
    """Told of every step and epoch."""
    finish: Callable[[Network, Validate], Network] | None = None
    """Given the tuned network and a way to score one on validation, the network to keep."""
    reworks: bool = False
    """Whether `prepare` changes what the frozen network gives: then the head is solved on that."""
    objective: Objective | None = None
    """What the encoder is tuned by, without a head, which is solved afterwards; None tunes both
    together by the task's own loss."""
    solved: bool = False
    """True where only a linear head is fitted, in closed form or by a convex solver."""


@dataclass(frozen=True, slots=True)
class Exportable:
    """A version as exporters take it, in fp32."""

    id: str
    card: Card
    classes: tuple[str, ...]
    network: nn.Module
    """A batch of the encoder in, outputs (rows, classes) out."""
    backbone: Callable[[], Any]
    """The same weights below the head: `model`, transformers' own module without pooler or
    decoder, and `architecture`, the class that it is of; of pictures, the module that gives one
    vector a picture."""
    base: Callable[[], tuple[Any, Path]]
    """The weights that the version was tuned from, likewise, and the folder where they lie."""
    head: Mapping[str, Any]
    """kind, pooling (mean, cls, max), normalise, outputs."""
    weight: torch.Tensor
    """Of the head's linear map, (classes, width); with `bias` it is divided by the temperature."""
    bias: torch.Tensor
    encoder: Mapping[str, Any]
    """fields, max_tokens, pad ...: how rows become token ids; or side, room, interpolation: how
    pictures become pixels."""
    tokenizer: str
    """The text of a tokenizer.json that cuts to max_tokens itself; empty of pictures."""
    rung: str
    settings: Mapping[str, Any]
    """Of that rung, in the plan."""
    config: Path | None = None
    """What the network is built from, where the version keeps a file of it."""
    numbers: bool = False
    """Whether its one output is a number in the target's unit, and `classes` the target's name."""
    thresholds: tuple[float, ...] | None = None
    """Where a row may have several labels: from which probability on each is called, in the order
    of `classes`; else None."""

    @property
    def answers(self) -> str:
        """What it answers: classes, labels (several a row, or none), or numbers."""
        if self.numbers:
            return "numbers"
        return "classes" if self.thresholds is None else "labels"


@dataclass(frozen=True, slots=True)
class Exporter:
    """A version in another tool's form: written, and opened again as that tool's users do."""

    write: Callable[[Exportable, Path], tuple[str, ...]]
    """Fills an empty folder; sentences that a person should know."""
    open: Callable[[Exportable, Path], Callable[[Sequence[tuple[str, ...]]], np.ndarray]]
    """From the folder's files (and for adapters the base) to what answers one batch of rows:
    outputs (rows, classes), divided by the temperature."""
    modality: str = "text"
    heads: tuple[str, ...] = ("linear",)
    """Kinds of head that the form can hold."""
