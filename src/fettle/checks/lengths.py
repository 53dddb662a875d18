"""Lengths: texts that the model cuts off, and texts far longer or shorter than the others."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, Sizes, counted, finding
from fettle.core.audit import Finding, Severity

__all__ = ["lengths"]

_MANY_CUT = 0.05
"""Of the rows; more of them cut is a warning."""
_FENCE = 3.0
"""Interquartile ranges of the logarithm beyond the quartiles: Tukey's "far out"."""
_FEWEST = 100


def lengths(evidence: Evidence) -> Found:
    """How much is cut off, where the limit is known; a note on lengths that stand apart."""
    rows = np.flatnonzero(evidence.used & np.array([bool(text) for text in evidence.texts]))
    cut = _cut(evidence, rows, evidence.sizes) if evidence.sizes else []
    return Found((*cut, *_apart(evidence, rows)))


def _cut(evidence: Evidence, rows: np.ndarray, sizes: Sizes) -> list[Finding]:
    """At most one Finding on rows with more tokens than the model reads."""
    tokens = sizes.tokens[rows]
    over = tokens > sizes.limit
    if not over.any():
        return []
    lost = int((tokens[over] - sizes.limit).sum())
    about = "about " if sizes.estimated else ""
    longest = int(tokens.max())
    sentence = (
        f"{about}{counted(int(over.sum()), 'row')} of {len(rows):,} ({over.mean():.0%}) with more "
        f"than the {sizes.limit:,} tokens that the model reads; the longest has {about}"
        f"{longest:,}. {lost / tokens.sum():.0%} of all tokens are cut off, from the ends."
    )
    if sizes.estimated:
        sentence += " Estimated from the letters."
    remedy = (
        "What comes after is not read. Put what decides first, split long rows, or take a model "
        "that reads more."
    )
    severity = Severity.WARN if over.mean() > _MANY_CUT else Severity.NOTE
    numbers = [int(row) for row in rows[over]]
    said = (sentence[0].upper() + sentence[1:], remedy)
    return [finding(evidence, "lengths", severity, numbers, said)]


def _apart(evidence: Evidence, rows: np.ndarray) -> list[Finding]:
    """At most one Finding on texts whose length is far from the others'."""
    if len(rows) < _FEWEST:
        return []
    letters = np.array([len(evidence.texts[row]) for row in rows], dtype=float)
    logs = np.log(letters)
    low, high = np.quantile(logs, [0.25, 0.75])
    reach = _FENCE * max(high - low, 0.1)
    far = (logs < low - reach) | (logs > high + reach)
    if not far.any():
        return []
    order = np.argsort(-np.abs(logs - np.median(logs)), kind="stable")
    numbers = [int(row) for row in rows[order[far[order]]]]
    first = numbers[0]
    sentence = (
        f"{counted(len(numbers), 'text')} far longer or shorter than the others (half of them have "
        f"{np.exp(low):,.0f} to {np.exp(high):,.0f} letters): {evidence.dataset.ids[first]} has "
        f"{len(evidence.texts[first]):,}."
    )
    remedy = "They are used. Look at the first few: an export may have joined or cut them."
    return [finding(evidence, "lengths", Severity.NOTE, numbers, (sentence, remedy))]
