"""Looks: pictures that show nothing, stand apart, or give their label away by their form.

What is judged was seen when the pictures were read; no file is opened here.
"""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Finding, Severity
from fettle.core.pictures import Look

__all__ = ["looks"]

BLANK = 0.01
"""Standard deviation of the grey values, of 1: below it there is nothing to see."""
DARK, BRIGHT = 0.04, 0.97
SMALLEST = 16
"""Pixels of the shorter side."""
FENCE = 3.0
"""Interquartile ranges of the logarithm beyond the quartiles: Tukey's "far out"."""
FEWEST = 50
GIVEN_AWAY = 0.15
"""Share of labels that form must tell beyond the commonest label."""
FORMS: dict[str, Callable[[Look], object]] = {
    "their size": lambda one: (one.width, one.height),
    "their file format and color mode": lambda one: (one.format, one.mode),
    "a plain frame around them": lambda one: one.border < BLANK,
    "their overall brightness": lambda one: round(one.brightness * 10),
}


def looks(evidence: Evidence) -> Found:
    """Notes on pictures that show little or stand apart; a warning on labels given away."""
    rows = np.flatnonzero(evidence.used).tolist()
    fields = evidence.dataset.fields()
    seen = {row: evidence.dataset.looks[fields[row][0]] for row in rows
            if fields[row][0] in evidence.dataset.looks}
    return Found((
        *_showing_nothing(evidence, seen), *_dim(evidence, seen), *_blurred(evidence, seen),
        *_small(evidence, seen), *_giveaways(evidence, seen),
    ))


def _showing_nothing(evidence: Evidence, seen: dict[int, Look]) -> list[Finding]:
    rows = [row for row, one in seen.items() if one.contrast < BLANK]
    if not rows:
        return []
    sentence = (
        f"{counted(len(rows), 'picture')} of one color all over, {evidence.dataset.ids[rows[0]]} "
        "first: there is nothing to see in them."
    )
    remedy = "They are used. Take them out, or look how they were exported."
    return [finding(evidence, "looks", Severity.WARN, rows, (sentence, remedy))]


def _dim(evidence: Evidence, seen: dict[int, Look]) -> list[Finding]:
    shown = {row: one for row, one in seen.items() if one.contrast >= BLANK}
    rows = [row for row, one in shown.items() if not DARK <= one.brightness <= BRIGHT]
    if not rows or len(rows) > len(shown) / 4:  # so many: it is how these pictures are
        return []
    sentence = (
        f"{counted(len(rows), 'picture')} nearly black or nearly white, "
        f"{evidence.dataset.ids[rows[0]]} first."
    )
    remedy = "They are used. Look at the first few: an exposure or an export may have failed."
    return [finding(evidence, "looks", Severity.NOTE, rows, (sentence, remedy))]


def _blurred(evidence: Evidence, seen: dict[int, Look]) -> list[Finding]:
    rows = [row for row, one in seen.items() if one.contrast >= BLANK]
    if len(rows) < FEWEST:
        return []
    logs = np.log([max(seen[row].sharpness, 1e-9) for row in rows])
    low, high = np.quantile(logs, [0.25, 0.75])
    far = np.flatnonzero(logs < low - FENCE * max(high - low, 0.1))
    if not len(far):
        return []
    found = [rows[int(at)] for at in far[np.argsort(logs[far], kind="stable")]]
    sentence = (
        f"{counted(len(found), 'picture')} far more blurred than the others, "
        f"{evidence.dataset.ids[found[0]]} most."
    )
    remedy = "They are used. Look at the first few: they may be out of focus or enlarged."
    return [finding(evidence, "looks", Severity.NOTE, found, (sentence, remedy))]


def _small(evidence: Evidence, seen: dict[int, Look]) -> list[Finding]:
    rows = [row for row, one in seen.items() if min(one.width, one.height) < SMALLEST]
    if not rows:
        return []
    first = seen[rows[0]]
    sentence = (
        f"{counted(len(rows), 'picture')} with fewer than {SMALLEST} pixels on a side: "
        f"{evidence.dataset.ids[rows[0]]} has {first.width} by {first.height}."
    )
    remedy = "They are used. Thumbnails or tracking pixels may have been collected with the rest."
    return [finding(evidence, "looks", Severity.NOTE, rows, (sentence, remedy))]


def _giveaways(evidence: Evidence, seen: dict[int, Look]) -> list[Finding]:
    """At most one Finding on forms from which the label can be read without the subject."""
    rows = [row for row in evidence.train_rows if row in seen and evidence.labels[row]]
    if len(rows) < FEWEST:
        return []
    labels = [str(evidence.labels[row]) for row in rows]
    common = Counter(labels).most_common(1)[0][1] / len(rows)
    told = {
        name: share for name, form in FORMS.items()
        if (share := _told([form(seen[row]) for row in rows], labels)) > common + GIVEN_AWAY
    }
    if not told:
        return []
    worst = max(told, key=lambda name: told[name])
    others = ", ".join(f"{name} ({share:.0%})" for name, share in told.items() if name != worst)
    sentence = (
        f"The label of {told[worst]:.0%} of {len(rows):,} learning pictures can be read from "
        f"{worst} alone, without looking at the subject; the commonest label is {common:.0%} of "
        f"them.{f' So can it from {others}.' if others else ''}"
    )
    remedy = (
        "A network may learn that instead of the subject, and fail on pictures from elsewhere. "
        "Bring all to one size, format and frame, or test on pictures of another source."
    )
    return [finding(evidence, "looks", Severity.WARN, rows, (sentence, remedy))]


def _told(forms: Sequence[object], labels: Sequence[str]) -> float:
    """How often the commonest label of a form in one half of each class is right in the other.

    A form that the other half does not have tells nothing.
    """
    seen: Counter[str] = Counter()
    sides = []
    for label in labels:
        sides.append(seen[label] % 2)
        seen[label] += 1
    counts: dict[tuple[int, object], Counter[str]] = {}
    for side, form, label in zip(sides, forms, labels, strict=True):
        counts.setdefault((side, form), Counter())[label] += 1
    right = 0
    for side, form, label in zip(sides, forms, labels, strict=True):
        others = counts.get((1 - side, form))
        right += others is not None and others.most_common(1)[0][0] == label
    return right / len(labels)
