"""A Network: a backbone as a row of blocks, and a head on top; saved and opened as one folder.

Block 0 is the embeddings, then each transformer block, the last is the head.
"""

import copy
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from fettle.core.errors import CorruptFile
from fettle.core.parts import Card, block_of_tap
from fettle.core.plan import Pictures
from fettle.models.arithmetic import code_of
from fettle.models.bert import Bert, can_open
from fettle.models.cutting import config_of
from fettle.models.dropout import set_dropout
from fettle.models.heads import HEADS, pooled
from fettle.store import checkpoints, files, records

if TYPE_CHECKING:
    from fettle.models.backbone import Backbone
    from fettle.models.pictures import PictureBackbone

__all__ = [
    "BlockNetwork", "PictureNetwork", "TextNetwork", "open_network", "open_saved", "preprocessing",
    "tokenizer_json",
]

WEIGHTS, HEAD, CARD, CONFIG = "model.safetensors", "head.json", "card.json", "config.json"


class BlockNetwork(nn.Module):
    """A batch in, the head's raw outputs out. What a batch holds is the backbone's to say."""

    def __init__(
        self, card: Card, backbone: "Bert | Backbone | PictureBackbone",
        head: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.card = card
        self.backbone = backbone
        self.block_names = backbone.block_names
        self.head_settings: Mapping[str, Any] | None = None
        self.head: nn.Module | None = None
        if head is not None:
            self.set_head(head)

    def set_head(self, settings: Mapping[str, Any]) -> None:
        """Put a new head on, from plain values: kind, pooling, normalise, dropout, outputs."""
        self.head_settings = dict(settings)
        self.head = HEADS[settings["kind"]](self.card.width, settings)

    @property
    def module(self) -> nn.Module:
        """The torch module with every weight: this one."""
        return self

    def in_precision(self, precision: str) -> Self:
        """The network to run forward with: itself, or a copy whose backbone computes in bf16."""
        if precision != "bf16" or next(self.backbone.parameters()).dtype == torch.bfloat16:
            return self
        same = {id(self.head): self.head}
        half = {id(value): nn.Parameter(value.detach().to(torch.bfloat16), requires_grad=False)
                for value in self.backbone.parameters()}
        cast = copy.deepcopy(self, {**same, **half})
        for buffer in cast.backbone.buffers():
            if buffer.is_floating_point():
                buffer.data = buffer.data.to(torch.bfloat16)
        return cast

    def settle(self) -> Self:
        """The same network, ready to be asked many times: it learns no more."""
        if isinstance(self.backbone, Bert):
            self.backbone.settle()
        return self

    def attend_plainly(self, *, below: int) -> None:
        """Train rows of up to so many tokens with plain products, where the network can choose."""
        if isinstance(self.backbone, Bert):
            self.backbone.math_below = below

    def run_on(self, pictures: Pictures | None) -> None:
        """Let pictures lie in memory, and norms be folded, as this says; nothing for texts."""

    @property
    def arithmetic(self) -> str:
        """What the bits of its answers hang on beside weights, config and precision."""
        return "" if isinstance(self.backbone, Bert) else code_of(self.card, self.backbone)

    def set_dropout(self, p: float) -> None:
        """Every dropout drops this share from now on."""
        set_dropout(self, p)

    @property
    def blocks(self) -> int:
        """Embeddings, each transformer block, head."""
        return len(self.block_names) + 2

    def block_of(self, parameter: str) -> int:
        """The block that a parameter belongs to."""
        if parameter.startswith("head."):
            return self.blocks - 1
        return self.backbone.block_of(parameter.removeprefix("backbone."))

    @property
    def resumable(self) -> bool:
        """Whether a forward pass can start at any block below the head."""
        return self.backbone.resumable

    def taps(
        self, batch: dict[str, torch.Tensor], names: Iterable[str]
    ) -> dict[str, torch.Tensor]:
        """Named outputs of the backbone.

        Args:
            batch: of the encoder.
            names: poolings (mean, cls, max, own: (rows, width)), "tokens" for the last hidden
                states, "block 4" for what reaches block 4; both (rows, units, width).
        """
        wanted = {name: block_of_tap(name) for name in names}
        seen = {block: torch.empty(0) for block in wanted.values() if block is not None}
        hidden = self.backbone(batch, seen=seen)
        return {
            name: seen[block] if block is not None
            else hidden if name == "tokens" else self.pooled(hidden, batch, name)
            for name, block in wanted.items()
        }

    def pooled(
        self, hidden: torch.Tensor, batch: dict[str, torch.Tensor], pooling: str
    ) -> torch.Tensor:
        """One vector a row, in fp32, of the backbone's last states."""
        raise NotImplementedError

    def forward(
        self, batch: dict[str, torch.Tensor], *, start: int = 0, hidden: torch.Tensor | None = None
    ) -> torch.Tensor:
        """The head's raw outputs, (rows, outputs), in fp32.

        Args:
            batch: of the encoder.
            start: the block to begin at, where what reaches it is known.
            hidden: that: (rows, units, width).
        """
        return self.read(batch, start=start, hidden=hidden)[0]

    def read(
        self, batch: dict[str, torch.Tensor], *, start: int = 0, hidden: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The same outputs, and the pooled vectors (rows, width) that the head made them of."""
        assert self.head is not None, "a network without a head gives taps, not outputs"
        pooling: str = self.head.pooling  # type: ignore[assignment]
        last = self.backbone(batch, start=start, hidden=hidden)
        vectors = self.pooled(last, batch, pooling)
        with torch.autocast(vectors.device.type, enabled=False):
            return self.head(vectors), vectors

    def save(self, folder: Path) -> None:
        """Everything that `open_saved` needs, as files in this folder."""
        assert self.head_settings is not None, "only a network with a head is saved"
        checkpoints.write_tensors(folder / WEIGHTS, self.state_dict())
        files.write_json(folder / HEAD, dict(self.head_settings))
        records.save(folder / CARD, replace(self.card, folder=""))  # it may go to other machines
        files.write_bytes(folder / CONFIG, self._config())

    def _config(self) -> bytes:
        """What the network is built from again."""
        if self.card.kept_blocks is not None:
            return (json.dumps(config_of(self.card), indent=1) + "\n").encode()
        return (Path(self.card.folder) / CONFIG).read_bytes()


class TextNetwork(BlockNetwork):
    """Token ids in."""

    def pooled(
        self, hidden: torch.Tensor, batch: dict[str, torch.Tensor], pooling: str
    ) -> torch.Tensor:
        """By mean, cls or max over a row's tokens."""
        return pooled(hidden, batch["attention_mask"], pooling)


class PictureNetwork(BlockNetwork):
    """Pixels in."""

    def pooled(
        self, hidden: torch.Tensor, batch: dict[str, torch.Tensor], pooling: str
    ) -> torch.Tensor:
        """What the network pooled by itself."""
        return hidden.float()

    def run_on(self, pictures: Pictures | None) -> None:
        """Let pictures lie in memory, and norms be folded, as this says."""
        from fettle.models.pictures import PictureBackbone

        assert isinstance(self.backbone, PictureBackbone)
        assert pictures is not None, "a plan of pictures says how they are shown"
        self.backbone.run(layout=pictures.layout, folded=pictures.folded)

    @property
    def arithmetic(self) -> str:
        """Whose code runs, and how feature maps lie; norms are folded in training alone."""
        from fettle.models.pictures import PictureBackbone

        assert isinstance(self.backbone, PictureBackbone)
        return f"{super().arithmetic} {self.backbone.layout}"

    def _config(self) -> bytes:
        if self.card.source == "module" and self.card.folder == ".":
            return json.dumps({"module": self.card.name}).encode()
        if self.card.source == "keras":
            row: Any = self.backbone.model
            return str(row.plan).encode()
        return super()._config()

    def in_precision(self, precision: str) -> Self:
        """The network to run forward with; one of Keras's computes in fp32 alone."""
        return self if self.card.source == "keras" else super().in_precision(precision)


def open_network(card: Card) -> BlockNetwork:
    """The pre-trained network of this card, without a head, in evaluation mode."""
    if card.modality == "image":
        from fettle.models import picture_sources

        return PictureNetwork(card, picture_sources.open_backbone(card)).eval()
    config = config_of(card)
    if can_open(config) and (Path(card.folder) / WEIGHTS).is_file():
        return TextNetwork(card, _pretrained_bert(card, config)).eval()
    from fettle.models import from_transformers

    return TextNetwork(card, from_transformers.open_backbone(card)).eval()


def preprocessing(card: Card) -> str:
    """What the network's encoder is made of beside its card: a tokenizer; nothing for pictures."""
    return tokenizer_json(card) if card.modality == "text" else ""


def tokenizer_json(card: Card) -> str:
    """The network's own tokenizer, as the text of its tokenizer.json."""
    path = Path(card.folder) / "tokenizer.json"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    from fettle.models import from_transformers

    return from_transformers.fast_tokenizer_json(card)


def open_saved(paths: Mapping[str, Path]) -> BlockNetwork:
    """A network that `save` wrote, in evaluation mode.

    Args:
        paths: where each of its files lies, by name; their hashes are the caller's to check.

    Raises:
        CorruptFile: a weight is missing, has another shape, or is not a finite number.
    """
    card = records.load(paths[CARD], Card)
    if card.modality == "image":
        return _saved_pictures(card, paths)
    config = files.read_json(paths[CONFIG])
    with torch.device("meta"):
        if can_open(config):
            backbone: Bert | Backbone = Bert(config)
        else:
            from fettle.models import from_transformers

            backbone = from_transformers.empty_backbone(paths[CONFIG])
        network = TextNetwork(card, backbone, files.read_json(paths[HEAD]))
    _fill(network, checkpoints.read_tensors(paths[WEIGHTS]), place=paths[WEIGHTS])
    return network.eval()


def _saved_pictures(card: Card, paths: Mapping[str, Path]) -> PictureNetwork:
    """A network of pictures that `save` wrote."""
    from fettle.models import picture_sources

    backbone = picture_sources.empty_backbone(card, paths[CONFIG])
    network = PictureNetwork(card, backbone, files.read_json(paths[HEAD]))
    _fill(network, checkpoints.read_tensors(paths[WEIGHTS]), place=paths[WEIGHTS])
    network.backbone.to(memory_format=torch.channels_last)
    return network.eval()


def _pretrained_bert(card: Card, config: Mapping[str, Any]) -> Bert:
    """The lean BERT with the weights of the card's folder."""
    with torch.device("meta"):
        backbone = Bert(config)
    path = Path(card.folder) / WEIGHTS
    wanted = {name for name, _ in backbone.named_parameters()}
    state: dict[str, torch.Tensor] = {}
    for name, value in checkpoints.read_tensors(path).items():
        plain = name.removeprefix("bert.")
        plain = plain.replace("LayerNorm.gamma", "LayerNorm.weight")
        plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
        if plain in wanted:
            state[plain] = value.float()
    _fill(backbone, state, place=path)
    return backbone


def _fill(module: nn.Module, state: dict[str, torch.Tensor], *, place: Path) -> None:
    """Give a module its weights; every one must be there, fit, and be finite."""
    try:
        module.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        first = str(error).split("\n\t")[1] if "\n\t" in str(error) else str(error)
        raise CorruptFile(f"{place} does not hold this network's weights: {first}") from error
    for name, value in module.named_parameters():
        if not torch.isfinite(value.sum()) and not torch.isfinite(value).all():
            raise CorruptFile(f"{place}: {name} holds numbers that are not finite.")
