"""BERT's encoder, written small: names as in transformers, and nothing imported but torch.

Why it stands here beside `from_transformers`: importing transformers' modelling code takes longer
than the first batch, and attention can be chosen by what the machine does fastest. A test holds
it equal to transformers' own, output by output.

Source: Devlin et al., "BERT", NAACL 2019, section 3; Vaswani et al., 2017, section 3 (post-norm).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fettle.models.dropout import Dropout

__all__ = ["Bert", "can_open"]

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gelu": functional.gelu,
    "gelu_new": lambda x: functional.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "relu": functional.relu,
}

MATH_BELOW = 512
"""Tokens; what a plan says stands in place of it."""
PACKED_BELOW = 0.95
"""In training on a processor, a batch of which a smaller share is real tokens runs without the
others: half padding takes 1.6 times as long as none, a twentieth still a little longer."""


def can_open(config: Mapping[str, Any]) -> bool:
    """Whether this config describes a network that is exactly the one below."""
    return (
        config.get("model_type") == "bert"
        and config.get("position_embedding_type", "absolute") == "absolute"
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and not config.get("is_decoder", False)
        and not config.get("add_cross_attention", False)
    )


class Bert(nn.Module):
    """Token ids in, the last hidden states out: (rows, tokens) to (rows, tokens, width)."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.embeddings = _Embeddings(config)
        self.encoder = nn.ModuleDict(
            {"layer": nn.ModuleList(_Layer(config) for _ in range(config["num_hidden_layers"]))}
        )
        self.block_names = tuple(f"encoder.layer.{n}" for n in range(config["num_hidden_layers"]))
        self.resumable = True
        """It can start at any block."""
        self.math_below = MATH_BELOW
        """In training, attention of rows of up to so many tokens is plain products."""

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
            batch: input_ids (not needed from block 1 on) and attention_mask, (rows, tokens) each.
            start: the block to begin at; 0 is the embeddings.
            hidden: what reaches that block, (rows, tokens, width); where start is not 0.
            seen: filled in for each block that it names, with what reaches that block.
        """
        if hidden is None:
            hidden = self.embeddings(batch["input_ids"], batch.get("token_type_ids"))
        mask = None
        if "full" not in batch:
            mask = torch.zeros_like(batch["attention_mask"], dtype=hidden.dtype)
            mask = mask.masked_fill(batch["attention_mask"] == 0, float("-inf"))[:, None, None, :]
        plain = torch.is_grad_enabled() and batch["attention_mask"].shape[1] <= self.math_below
        packing = None
        if torch.is_grad_enabled() and mask is not None and seen is None:
            packing = _Packing.where_it_pays(batch["attention_mask"])
        if packing is not None:
            hidden = packing.packed(hidden)
        for number, layer in enumerate(self.encoder["layer"].children(), start=1):
            if seen is not None and number in seen:
                seen[number] = hidden
            if number >= start:
                hidden = layer(hidden, mask, plain, packing)
        return hidden if packing is None else packing.padded(hidden)

    def settle(self) -> None:
        """Join what every pass would join anew: for a network that learns no more."""
        for module in self.modules():
            if isinstance(module, _Attention):
                module.settle()

    def block_of(self, parameter: str) -> int:
        """The block of a parameter of this module: 0 for the embeddings, then 1 and up."""
        inside = parameter.removeprefix("encoder.layer.").partition(".")[0]
        return int(inside) + 1 if inside.isdigit() else 0


@dataclass(frozen=True, slots=True)
class _Packing:
    """Where the real tokens of a batch are: what treats each token by itself is given these alone.

    A batch whose rows are not sorted by length is half padding, often.
    """

    shape: tuple[int, int]
    """Of the batch: rows, and tokens with padding."""
    at: torch.Tensor
    """The real tokens' numbers among all."""

    @classmethod
    def where_it_pays(cls, attention_mask: torch.Tensor) -> "_Packing | None":
        """None where most tokens are real, and on a GPU, which would have to be waited for."""
        if attention_mask.device.type != "cpu":
            return None
        at = attention_mask.flatten().nonzero()[:, 0]
        rows, tokens = attention_mask.shape
        return cls((rows, tokens), at) if len(at) < PACKED_BELOW * rows * tokens else None

    def packed(self, hidden: torch.Tensor) -> torch.Tensor:
        """(rows, tokens, width) to (real tokens, width)."""
        return hidden.flatten(0, 1).index_select(0, self.at)

    def padded(self, hidden: torch.Tensor) -> torch.Tensor:
        """And back, with zeros elsewhere."""
        rows, tokens = self.shape
        every = hidden.new_zeros(rows * tokens, hidden.shape[-1])
        return every.index_copy(0, self.at, hidden).view(rows, tokens, -1)


class _Embeddings(nn.Module):
    """Words, positions and types, summed and normalised."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width = config["hidden_size"]
        self.word_embeddings = _table(config["vocab_size"], width)
        self.position_embeddings = _table(config["max_position_embeddings"], width)
        self.token_type_embeddings = _table(config.get("type_vocab_size", 2), width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.get("layer_norm_eps", 1e-12))
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1))

    def forward(self, ids: torch.Tensor, types: torch.Tensor | None) -> torch.Tensor:
        hidden = self.word_embeddings(ids) + self.position_embeddings.weight[: ids.shape[1]]
        hidden = hidden + (
            self.token_type_embeddings.weight[0]
            if types is None
            else self.token_type_embeddings(types)
        )
        return self.dropout(self.LayerNorm(hidden))


def _table(rows: int, width: int) -> nn.Embedding:
    """Vectors without values: drawing random ones on the meta device imports torch's compiler,
    which takes longer than the first batch. The weights are always filled from a file."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))


class _Layer(nn.Module):
    """One block: attention, then a two-layer network, each added and normalised."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, inner = config["hidden_size"], config["intermediate_size"]
        self.attention = nn.ModuleDict(
            {
                "self": _Attention(width, config["num_attention_heads"]),
                "output": _AddNorm(width, width, config),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = _AddNorm(inner, width, config)
        self.activation = ACTIVATIONS[config.get("hidden_act", "gelu")]

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, plain: bool,
        packing: _Packing | None = None,
    ) -> torch.Tensor:
        mixed = self.attention["self"](hidden, mask, plain, packing)
        hidden = self.attention["output"](mixed, hidden)
        wide = self.activation(self.intermediate["dense"](hidden))
        return self.output(wide, hidden)


class _Attention(nn.Module):
    """Every token looks at every other of its row.

    In training of short rows, plain products: on processors the backward pass of the fused kernel
    in bf16 is several times slower than these (measured: calibration says up to which length).
    Attention weights are not dropped out.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        # of all three, where they stay as they are
        self.register_buffer("joined_weight", None, persistent=False)
        self.register_buffer("joined_bias", None, persistent=False)

    def settle(self) -> None:
        """Join the three maps once and for all; an adapter beside one of them stays beside it."""
        if all(type(one) is nn.Linear for one in (self.query, self.key, self.value)):
            with torch.no_grad():
                self.joined_weight, self.joined_bias = self._joined()

    joined_weight: torch.Tensor | None
    joined_bias: torch.Tensor | None

    def _joined(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.joined_weight is not None and self.joined_bias is not None:
            return self.joined_weight, self.joined_bias
        three = (self.query, self.key, self.value)
        return torch.cat([one.weight for one in three]), torch.cat([one.bias for one in three])

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, plain: bool,
        packing: _Packing | None = None,
    ) -> torch.Tensor:
        three = (self.query, self.key, self.value)
        if all(type(one) is nn.Linear for one in three):
            # one product of three widths is faster
            joined = functional.linear(hidden, *self._joined())
        else:  # an adapter stands beside one of them
            joined = torch.cat([one(hidden) for one in three], dim=-1)
        if packing is not None:
            joined = packing.padded(joined)
        rows, tokens, _ = joined.shape
        query, key, value = joined.view(rows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if plain:
            scores = (query * (query.shape[-1] ** -0.5)) @ key.transpose(-1, -2)
            scores = scores if mask is None else scores + mask.to(scores.dtype)
            mixed = scores.softmax(-1).to(value.dtype) @ value
        else:
            same = None if mask is None else mask.to(query.dtype)
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=same)
        mixed = mixed.transpose(1, 2).reshape(rows, tokens, -1)
        return mixed if packing is None else packing.packed(mixed)


class _AddNorm(nn.Module):
    """A linear map, dropped out, added to what came in, normalised."""

    def __init__(self, inner: int, width: int, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.get("layer_norm_eps", 1e-12))
        self.dropout = Dropout(config.get("hidden_dropout_prob", 0.1))

    def forward(self, hidden: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        return self.LayerNorm(self.dropout(self.dense(hidden)) + before)
