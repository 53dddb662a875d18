"""Balance: how many learning rows the classes have, from the largest to the rarest."""

from fettle.checks.evidence import Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Severity

__all__ = ["balance"]

_RARE = 0.1
"""A class with less than this share of the largest class's rows is rare."""


def balance(evidence: Evidence) -> Found:
    """A note on the counts; a warning where the rarest class is under 10% of the largest."""
    counts = evidence.class_counts(evidence.train_rows).most_common()
    if len(counts) < 2:
        return Found()
    (largest, most), (rarest, fewest) = counts[0], counts[-1]
    rare = [label for label, rows in counts if rows < _RARE * most]
    sentence = (
        f"{evidence.classes(len(counts))}: the largest, {quoted(largest)}, has "
        f"{counted(most, 'learning row')} and the rarest, {quoted(rarest)}, {fewest:,} "
        f"({most / fewest:.1f} to 1)."
    )
    if not rare:
        said = (sentence, "Nothing to do.")
        return Found((finding(evidence, "balance", Severity.NOTE, [], said, count=len(counts)),))
    sentence += (
        f" {evidence.classes(len(rare))} {'has' if len(rare) == 1 else 'have'} under a tenth of "
        f"the largest: {listed([quoted(label) for label in reversed(rare)])}."
    )
    remedy = "Look at macro F1 and at each class, not at accuracy alone; label more of the rare."
    return Found(
        (finding(evidence, "balance", Severity.WARN, [], (sentence, remedy), count=len(rare)),)
    )
