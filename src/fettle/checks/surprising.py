"""Surprising: learning rows whose number lies far from what a probe says that never saw them."""

import numpy as np

from fettle.checks.evidence import Evidence, Found, counted, finding
from fettle.core.audit import Severity

__all__ = ["surprising"]

_FAR = 4.0
"""Robust standard deviations of the residuals."""
_TO_SPREAD = 1.4826
"""Of the median absolute deviation, to the standard deviation where errors are normal."""


def surprising(evidence: Evidence) -> Found:
    """A note on rows far from a probe's answer, the farthest first; nothing without features."""
    seen = evidence.surprises
    if seen is None:
        return Found()
    off = seen.given - seen.said
    off = off - np.median(off)
    spread = _TO_SPREAD * float(np.median(np.abs(off)))
    order = np.argsort(-np.abs(off), kind="stable")
    far = [int(at) for at in order if np.abs(off[at]) > _FAR * spread] if spread else []
    if not far:
        return Found()
    rows, first = [int(seen.rows[at]) for at in far], far[0]
    sentence = (
        f"{counted(len(rows), 'row')} of {len(seen.rows):,} whose number lies far from what a "
        f"probe says that never saw them (over {_FAR * spread:.3g} off). The first: "
        f"{evidence.dataset.ids[rows[0]]} is {seen.given[first]:g} and reads like "
        f"{seen.said[first]:.4g}."
    )
    remedy = "Read them, the first ones first: a slip, another unit, or a row that is hard."
    return Found((finding(evidence, "surprising", Severity.NOTE, rows, (sentence, remedy)),))
