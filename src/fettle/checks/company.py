"""Company: how many labels rows have, and which labels stand together, where there are several."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Finding, Severity
from fettle.core.labels import indicators

__all__ = ["company"]

_INSEPARABLE = 0.95
"""Of the rows with either label, those with both: more, and the two are one label."""
_FEWEST = 10
"""Rows of the rarer label, below which that may be chance."""
_SHOWN = 5
_MOST = 2_000
"""Labels of which all pairs are counted; of more, the commonest."""


def company(evidence: Evidence) -> Found:
    """A note on labels a row and pairs of labels; a warning on labels that never part.

    Also a warning where no learning row has more than one label. Nothing where a row has one.
    """
    rows = evidence.train_rows
    counts = evidence.class_counts(rows)
    if not evidence.several or len(counts) < 2 or not rows:
        return Found()
    labels = [label for label, _ in counts.most_common(_MOST)]
    truth = indicators([evidence.labels[row] for row in rows], labels)
    held, together = truth.sum(axis=1), _together(truth)
    findings = [_counted(evidence, held, together, labels)]
    if held.max() == 1:
        sentence = (
            f"Rows may have several labels, and none of {counted(len(rows), 'learning row')} has "
            "more than one."
        )
        remedy = "Where they exclude each other, --task classification knows it and does better."
        findings.append(finding(evidence, "company", Severity.WARN, [], (sentence, remedy)))
    return Found((*findings, *_inseparable(evidence, truth.sum(axis=0), together, labels)))


def _together(truth: np.ndarray) -> np.ndarray:
    """Rows with both labels, int (labels, labels), the lower number first; 0 elsewhere.

    Only labels that do stand in one row are paired: of many labels a row has few.
    """
    rows, at = np.nonzero(truth)  # row by row, labels ascending
    labels = truth.shape[1]
    pairs = [np.zeros(0, dtype=np.int64)]
    for step in range(1, int(truth.sum(axis=1).max(initial=0))):
        same = rows[step:] == rows[:-step]
        pairs.append(at[:-step][same] * labels + at[step:][same])
    return np.bincount(np.concatenate(pairs), minlength=labels**2).reshape(labels, labels)


def _counted(
    evidence: Evidence, held: np.ndarray, together: np.ndarray, labels: list[str]
) -> Finding:
    bare, most = int((held == 0).sum()), int(held.max())
    order = np.argsort(-together, axis=None, kind="stable")[:_SHOWN]
    shown = [
        f"{quoted(labels[one])} with {quoted(labels[other])} ({int(together[one, other]):,})"
        for one, other in zip(*np.unravel_index(order, together.shape), strict=True)
        if together[one, other]
    ]
    sentence = (
        f"{counted(len(labels), 'label')}, {held.mean():.2f} a learning row: "
        f"{counted(bare, 'row')} without one, at most {most:,} in one row."
    )
    if shown:
        sentence += f" Oftenest together: {listed(shown)}."
    said = (sentence, "Nothing to do.")
    return finding(evidence, "company", Severity.NOTE, [], said, count=len(labels))


def _inseparable(
    evidence: Evidence, has: np.ndarray, together: np.ndarray, labels: list[str]
) -> list[Finding]:
    """At most one warning on pairs of labels that nearly always stand together."""
    either = has[:, None] + has[None, :] - together
    often = np.minimum(has[:, None], has[None, :]) >= _FEWEST
    ones, others = np.nonzero(np.triu(often & (together >= _INSEPARABLE * either), 1))
    if not len(ones):
        return []
    pairs = [f"{quoted(labels[a])} and {quoted(labels[b])} ({int(together[a, b]):,})"
             for a, b in zip(ones, others, strict=True)]
    sentence = (f"{counted(len(pairs), 'pair')} of labels nearly always stand together: "
                f"{listed(pairs)}.")
    remedy = "They are learned as two. Where they mean the same, make them one."
    return [finding(evidence, "company", Severity.WARN, [], (sentence, remedy), count=len(pairs))]
