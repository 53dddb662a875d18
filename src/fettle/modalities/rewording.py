"""Rewording: a text's token ids in, the same with some words left out, moved or covered out.

Words are whole: the tokens of one word share its fate. What the tokenizer puts around a text stays.
"""

from typing import TYPE_CHECKING

import numpy as np

from fettle.core.errors import SettingError
from fettle.core.plan import Texts

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["Rewording"]

MASKS = ("[MASK]", "<mask>")
STARTS = ("\u2581", "\u0120")
"""What a token begins with that begins a word, in SentencePiece and in byte-level BPE."""
CONTINUES = "##"
"""What a token begins with that continues one, in WordPiece."""


class Rewording:
    """Changes of one tokenizer's texts."""

    def __init__(self, tokenizer: "Tokenizer", changes: Texts) -> None:
        """Args:
        tokenizer: whose token ids they are.
        changes: what, and how much of it.

        Raises:
            SettingError: words are to be covered, and the tokenizer has no token for that.
        """
        self.changes = changes
        found = [tokenizer.token_to_id(one) for one in MASKS]
        self._mask = next((one for one in found if one is not None), None)
        if changes.mask and self._mask is None:
            raise SettingError(
                "mask is asked for, and the network's tokenizer has no token that covers a word "
                f"({' or '.join(MASKS)}). Take deletion or swap."
            )
        added = tokenizer.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        around = {*tokenizer.encode("").ids, *special}
        size = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        self._around = np.zeros(size, bool)
        self._around[sorted(around)] = True
        self._begins = _begins(tokenizer, size)

    def __call__(self, item: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The token ids as training sees them this time, int32; no more than there were.

        Source: Wei and Zou, "EDA: Easy Data Augmentation Techniques for Boosting Performance on
        Text Classification Tasks", EMNLP 2019, section 2 (random swap and random deletion); Shen
        et al., "A Simple but Tough-to-Beat Data Augmentation Approach for Natural Language
        Understanding and Generation", 2020, section 3 (token cutoff; covered here, not zeroed).
        """
        inside = np.flatnonzero(~self._around[item])
        if not len(inside):
            return item
        first, last = int(inside[0]), int(inside[-1]) + 1
        words = _words(item[first:last], self._begins)
        if len(words) < 2:  # EDA leaves a single word alone
            return item
        for _ in range(_swaps(self.changes.swap, len(words))):
            one, other = rng.choice(len(words), 2, replace=False)
            words[one], words[other] = words[other], words[one]
        if self.changes.deletion:
            stays = rng.random(len(words)) >= self.changes.deletion
            if not stays.any():
                stays[rng.integers(len(words))] = True
            words = [word for word, is_left in zip(words, stays, strict=True) if is_left]
        if self.changes.mask:
            covered = rng.random(len(words)) < self.changes.mask
            words = [np.full_like(word, self._mask) if is_covered else word
                     for word, is_covered in zip(words, covered, strict=True)]
        return np.concatenate([item[:first], *words, item[last:]]).astype(item.dtype)


def _swaps(share: float, words: int) -> int:
    """EDA's n = alpha times the words, and once at least."""
    return max(round(share * words), 1) if share else 0


def _begins(tokenizer: "Tokenizer", size: int) -> np.ndarray:
    """Whether each token begins a word, bool (tokens of the vocabulary,)."""
    names = {number: name for name, number in tokenizer.get_vocab(with_added_tokens=True).items()}
    listed = [names.get(number, "") for number in range(size)]
    if any(name.startswith(STARTS) for name in listed):
        return np.array([name.startswith(STARTS) for name in listed])
    return np.array([not name.startswith(CONTINUES) for name in listed])


def _words(tokens: np.ndarray, begins: np.ndarray) -> list[np.ndarray]:
    """The tokens of each word."""
    starts = np.flatnonzero(begins[tokens])
    return [part for part in np.split(tokens, starts) if len(part)]
