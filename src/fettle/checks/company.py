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
    held = truth.sum(axis=1)
    findings = [_counted(evidence, truth, labels)]
    if held.max() == 1:
        sentence = (
            f"Rows may have several labels, and none of {counted(len(rows), 'learning row')} has "
            "more than one."
        )
        remedy = "Where they exclude each other, --task classification knows it and does better."
        findings.append(finding(evidence, "company", Severity.WARN, [], (sentence, remedy)))
    return Found((*findings, *_inseparable(evidence, truth, labels)))


def _counted(evidence: Evidence, truth: np.ndarray, labels: list[str]) -> Finding:
    held = truth.sum(axis=1)
    bare, most = int((held == 0).sum()), int(held.max())
    together = truth.T.astype(np.int64) @ truth.astype(np.int64)
    pairs = np.triu(together, 1)
    order = np.argsort(-pairs, axis=None, kind="stable")[:_SHOWN]
    shown = [
        f"{quoted(labels[one])} with {quoted(labels[other])} ({int(pairs[one, other]):,})"
        for one, other in zip(*np.unravel_index(order, pairs.shape), strict=True)
        if pairs[one, other]
    ]
    sentence = (
        f"{counted(len(labels), 'label')}, {held.mean():.2f} a learning row: "
        f"{counted(bare, 'row')} without one, at most {most:,} in one row."
    )
    if shown:
        sentence += f" Oftenest together: {listed(shown)}."
    said = (sentence, "Nothing to do.")
    return finding(evidence, "company", Severity.NOTE, [], said, count=len(labels))


def _inseparable(evidence: Evidence, truth: np.ndarray, labels: list[str]) -> list[Finding]:
    """At most one warning on pairs of labels that nearly always stand together."""
    has = truth.sum(axis=0)
    together = truth.T.astype(np.int64) @ truth.astype(np.int64)
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
