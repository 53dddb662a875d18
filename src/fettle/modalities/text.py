"""Text: fields to token ids, the same code in training and in serving.

The tokenizer is the network's own `tokenizer.json`. Several fields of a row are joined by a line
break, in the order of the schema's inputs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import Tokenizer

from fettle.core.parts import Card
from fettle.core.plan import Pictures, Texts
from fettle.modalities.rewording import Rewording
from fettle.store import files

if TYPE_CHECKING:
    import torch

__all__ = ["TextEncoder"]

TOKENIZER, SETTINGS = "tokenizer.json", "encoder.json"
JOIN = "\n"
SAMPLES = (
    "Good morning, could you please call me back this afternoon?",
    "It does not work any more.",
    "yes",
    "On Monday we paid 1,250.00 for 3 items; two of them came, and the third is still missing "
    "although you wrote to us that it had been sent on the 14th. What shall we do now?",
)
"""In place of the user's rows where those are not kept."""
LETTERS, LETTERS_A_TOKEN = 100_000, 100
"""A text is cut to the greater of these before it is tokenized: the tokens behind the last one that
is read would be made and thrown away, gigabytes of them for a cell of some megabytes."""


class TextEncoder:
    """Texts to token ids, cut to `max_tokens`."""

    def __init__(self, tokenizer_json: str, settings: Mapping[str, Any]) -> None:
        self.settings = dict(settings)
        self._json = tokenizer_json
        self.tokenizer = Tokenizer.from_str(tokenizer_json)
        self.rewording: Rewording | None = None
        """What training changes in texts; serving knows nothing of it."""
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.settings["max_tokens"])

    @classmethod
    def fit(
        cls, card: Card, tokenizer_json: str, *, fields: tuple[str, ...], max_tokens: int,
        pictures: Pictures | None = None, texts: Texts | None = None,
    ) -> "TextEncoder":
        """The encoder for this network, these input columns and this length; no pictures.

        Args:
            card, tokenizer_json: of the network.
            fields: the columns that are read, in order.
            max_tokens: longer texts are cut.
            pictures: not used.
            texts: what training changes; None for nothing.

        Raises:
            SettingError: words are to be covered, and the tokenizer has no token for that.
        """
        made = cls(
            tokenizer_json,
            {
                "fields": list(fields),
                "max_tokens": max_tokens,
                "pad": card.pad,
                "token_types": card.token_types,
            },
        )
        if texts is not None:
            made.rewording = Rewording(made.tokenizer, texts)
        return made

    @classmethod
    def load(cls, paths: Mapping[str, Path]) -> "TextEncoder":
        """The encoder that `save` wrote."""
        text = paths[TOKENIZER].read_text(encoding="utf-8")
        return cls(text, files.read_json(paths[SETTINGS]))

    @property
    def fields(self) -> tuple[str, ...]:
        """The input columns that it eats, in order."""
        return tuple(self.settings["fields"])

    @property
    def letters(self) -> int:
        """That a row is cut to before it is tokenized."""
        return max(LETTERS, self.settings["max_tokens"] * LETTERS_A_TOKEN)

    def described(self) -> dict[str, Any]:
        """How rows become token ids, for whoever does it elsewhere with `tokenizer_json`."""
        return {**self.settings, "join": JOIN, "letters": self.letters}

    @property
    def tokenizer_json(self) -> str:
        """The text of a tokenizer.json that cuts to max_tokens itself."""
        return self.tokenizer.to_str()

    def encode(self, rows: Sequence[tuple[str, ...]]) -> list[np.ndarray]:
        """One int32 array of token ids a row, special tokens included."""
        texts = [JOIN.join(part for part in row if part)[: self.letters] for row in rows]
        return [
            np.asarray(found.ids, dtype=np.int32)
            for found in self.tokenizer.encode_batch_fast(texts)
        ]

    def views(self, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The item, with words changed where that was asked for."""
        return item if self.rewording is None else self.rewording(item, rng)

    @property
    def mixes(self) -> bool:
        """Texts are never mixed with each other: half a word is none."""
        return False

    def mix(
        self, batch: "dict[str, torch.Tensor]", other: "dict[str, torch.Tensor]",
        rng: np.random.Generator,
    ) -> "tuple[dict[str, torch.Tensor], float]":
        """The batch itself."""
        return batch, 1.0

    def size(self, item: np.ndarray) -> int:
        """Its tokens."""
        return max(len(item), 1)

    def collate(self, items: Sequence[np.ndarray]) -> "dict[str, torch.Tensor]":
        """input_ids and attention_mask, (rows, tokens) each, padded to the longest.

        A row without a single token looks at one padding token: attention to nothing is no number.
        """
        import torch

        longest = max(max(len(item) for item in items), 1)
        ids = np.full((len(items), longest), self.settings["pad"], dtype=np.int64)
        mask = np.zeros((len(items), longest), dtype=np.int64)
        for row, item in enumerate(items):
            ids[row, : len(item)] = item
            mask[row, : self.size(item)] = 1
        batch = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if mask.all():
            batch["full"] = torch.ones(1)
        return batch

    def plain(self, rows: Sequence[tuple[str, ...]]) -> list[str]:
        """The fields of a row as one text."""
        return [" ".join(row) for row in rows]

    def traits(
        self, rows: Sequence[tuple[str, ...]], items: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Nothing: what is watched of texts is made of their columns."""
        return {}

    def portable(self, rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
        """The rows themselves: a text is the same everywhere."""
        return list(rows)

    def samples(self) -> list[tuple[str, ...]]:
        """Four sentences for each column, shifted from column to column."""
        return [
            tuple(SAMPLES[(row + at) % len(SAMPLES)] for at in range(len(self.fields)))
            for row in range(len(SAMPLES))
        ]

    def save(self, folder: str) -> None:
        """tokenizer.json as it came, and the settings beside it."""
        files.write_text(Path(folder) / TOKENIZER, self._json)
        files.write_text(Path(folder) / SETTINGS, json.dumps(self.settings, indent=1))
