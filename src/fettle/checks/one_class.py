"""One class: learning rows that leave nothing to tell apart."""

from fettle.checks.evidence import Evidence, Found, counted, finding, quoted
from fettle.core.audit import Finding, Severity

__all__ = ["one_class"]


def one_class(evidence: Evidence) -> Found:
    """A blocker where fewer than two classes have a learning row."""
    rows = evidence.train_rows
    counts = evidence.class_counts(rows)
    if len(counts) > 1:
        return Found()
    if evidence.several:
        return Found((_one_label(evidence, rows, list(counts)),))
    target = quoted(evidence.dataset.schema.target or "")
    sentence = (
        f"All {counted(len(rows), 'learning row')} have the same answer in {target}: "
        f"{quoted(next(iter(counts)))}."
        if counts
        else f"No learning row that can be used has an answer in {target}."
    )
    remedy = "Add rows of at least one other class, or name another column with --target."
    return Found((finding(evidence, "one_class", Severity.BLOCKER, rows, (sentence, remedy)),))


def _one_label(evidence: Evidence, rows: list[int], labels: list[str]) -> Finding:
    """A choice among several labels needs two of them."""
    only = f"only {quoted(labels[0])}" if labels else "none"
    sentence = f"Of labels, {counted(len(rows), 'learning row')} have {only}."
    remedy = (
        "Add rows with other labels; for one label that a row has or has not, make it a column of "
        "two answers and leave --task and --label-separator away."
    )
    return finding(evidence, "one_class", Severity.BLOCKER, rows, (sentence, remedy))
