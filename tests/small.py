"""The smallest real things: a BERT of two blocks on the disk, its tokenizer, and rows to learn."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing

from fettle.core.parts import Card
from fettle.engine.loop import Lesson
from fettle.modalities.text import TextEncoder
from fettle.models.cards import card_of
from fettle.models.network import TextNetwork, open_network, tokenizer_json
from fettle.tasks.classification import Classification

torch.set_num_threads(1)  # products this small are slower on more

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = ("my", "card", "is", "lost", "stolen", "pay", "money", "top", "up", "late", "##s", "now")
VOCABULARY = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
CONFIG: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
}
HEAD = {"kind": "linear", "pooling": "mean", "normalise": False, "dropout": 0.1, "outputs": 2}


def tokenizer(*, special: bool = True) -> Tokenizer:
    """WordPiece over WORDS, lower-casing; with [CLS] and [SEP] around, unless told otherwise."""
    made = Tokenizer(WordPiece(VOCABULARY, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    if special:
        made.post_processor = TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]",
            special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
        )
    return made


def config_of(**changes: Any) -> Any:
    """A BertConfig with wide weights, so that a wrong one changes the outputs."""
    from transformers import BertConfig

    return BertConfig(**{**CONFIG, "initializer_range": 0.3, **changes})


def bert(folder: Path, **changes: Any) -> Card:
    """The card of a random BERT that transformers wrote into this folder."""
    from transformers import BertModel

    torch.manual_seed(0)
    model = BertModel(config_of(**changes))
    with torch.no_grad():
        for name, value in model.named_parameters():
            if name.endswith("bias") or "LayerNorm" in name:
                value.add_(torch.randn_like(value) * 0.1)
    model.save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return card_of(str(folder))


def network(folder: Path, *, head: dict[str, Any] | None = None, **changes: Any) -> TextNetwork:
    """That BERT, opened, with a head of two outputs on it."""
    found = open_network(bert(folder, **changes))
    torch.manual_seed(1)
    found.set_head({**HEAD, **(head or {})})
    return found.eval()


def encoder(card: Card, *, max_tokens: int = 12) -> TextEncoder:
    """The encoder of this card for one column of text."""
    return TextEncoder.fit(card, tokenizer_json(card), fields=("text",), max_tokens=max_tokens)


def texts(rows: int, *, seed: int = 0) -> list[tuple[str, ...]]:
    """Rows of one to eight words."""
    rng = np.random.default_rng(seed)
    words = np.array(WORDS)
    return [(" ".join(rng.choice(words, rng.integers(1, 9))),) for _ in range(rows)]


def lesson(found: TextEncoder, rows: int, *, seed: int = 0) -> Lesson:
    """Rows with answers that can be learned: class 1 wherever "card" occurs."""
    given = texts(rows, seed=seed)
    targets = np.array([int("card" in text) for text, in given])
    return Lesson(found.encode(given), targets, [f"t.csv:{row + 2}" for row in range(rows)])


def task() -> Classification:
    """Two classes."""
    return Classification(("no", "yes"))
