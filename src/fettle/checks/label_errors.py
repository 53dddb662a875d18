"""Label errors: learning rows whose label a probe that never saw them finds hard to believe.

Nothing is relabelled: the rows are ranked, with how many labels are wrong in all, and how many of
the rows shown are expected to be right after all.
"""

from fettle.checks.evidence import Doubts, Evidence, Found, counted, finding, listed, quoted
from fettle.core.audit import Severity
from fettle.core.fixes import Action, Proposal

__all__ = ["label_errors"]

_LIKELIER_WRONG = 0.5
"""A new label is proposed where the old one is more likely wrong than right."""


def label_errors(evidence: Evidence) -> Found:
    """One warning with the suspected rows, the likeliest first; nothing without features."""
    doubts = evidence.doubts
    if doubts is None or not len(doubts.noise.suspects):
        return Found()
    noise, judged = doubts.noise, len(doubts.rows)
    rows = [int(row) for row in doubts.rows[noise.suspects]]
    low, high = round(noise.low * judged), round(noise.high * judged)
    right = round(noise.false_flags)
    sentence = (
        f"About {len(rows):,} of {judged:,} labels look wrong ({low:,} to {high:,}): that many "
        "more rows contradict a probe that never saw them than its own doubt explains. Of the "
        f"{counted(len(rows), 'likeliest row')}, about {right:,} will turn out to be labelled "
        f"right. The first: {_first(evidence, doubts)}."
    )
    if doubts.unjudged:
        names = listed([quoted(label) for label in doubts.unjudged], most=5)
        sentence += f" Not judged, for too few rows: {names}."
    remedy = (
        "Read them, the first ones first; `fettle audit --deep` with --fix FILE writes a "
        "proposal for each that is likelier wrong than right. Nothing is relabelled without that "
        "file."
    )
    said = (sentence, remedy)
    return Found(
        (finding(evidence, "label_errors", Severity.WARN, rows, said),),
        proposals=tuple(_proposals(evidence, doubts)),
    )


def _first(evidence: Evidence, doubts: Doubts) -> str:
    number = int(doubts.noise.suspects[0])
    row = int(doubts.rows[number])
    likely = doubts.classes[int(doubts.noise.likely[number])]
    return (
        f"{evidence.dataset.ids[row]} is {quoted(evidence.labels[row] or '')} and reads like "
        f"{quoted(likely)}"
    )


def _proposals(evidence: Evidence, doubts: Doubts) -> list[Proposal]:
    """To give the suspects their likeliest other label, the surest first."""
    noise = doubts.noise
    proposals = []
    for number in noise.suspects:
        wrong = float(noise.wrong[number])
        if wrong < _LIKELIER_WRONG:
            break
        likely = doubts.classes[int(noise.likely[number])]
        why = f"it reads like {quoted(likely)}; its label is wrong with probability {wrong:.2f}"
        row = int(doubts.rows[number])
        proposals.append(Proposal(row, Action.RELABEL, likely, why, "label_errors"))
    return proposals
