"""Gates where classes or labels are answered: truth, answers and confidence in, gates out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.version import Gate
from fettle.measures import gating
from fettle.measures.label_gating import Sets, change_of, parts_of
from fettle.measures.number_gating import SLICE_ROWS

__all__ = ["MARGIN", "compare_answers", "within"]

MARGIN = 0.01
"""How much worse the headline may be, shown by the lower bound of the paired interval."""
SLICE_LOSS = 0.03
CALIBRATION_LOSS = 0.02
FLIPS, FLIPS_SHARE = 0.03, 1 / 3
"""Rows that may flip from right to wrong, and of those that flip where errors are unrelated; the
two are the same for models that are right nine times in ten."""


def compare_answers(
    labels: np.ndarray, said: tuple[np.ndarray, np.ndarray],
    confidence: tuple[np.ndarray, np.ndarray], fields: Sequence[tuple[str, ...]], *, metric: str,
    rng: np.random.Generator, sets: Sets | None = None, groups: np.ndarray | None = None,
) -> tuple[tuple[Gate, ...], int | None]:
    """The gates that hang on answers: headline, slices, calibration, negative flips.

    Where a row may have several labels, it is right if all of them are and no other is called.

    Args:
        labels: (rows,), the right answers.
        said: of the champion and the challenger, (rows,) each.
        confidence: of both, float (rows,) each.
        fields: what is read of each row; its length makes slices.
        metric: accuracy or macro_f1; of several labels, micro_f1 or macro_f1.
        rng: draws the resamples.
        sets: of several labels a row, what is in the cells of labels and said.
        groups: int (rows,), where rows hang together: every gate counts them whole.

    Returns:
        The gates, and about how many more rows would tell; None where the headline is settled.
    """
    first, second = (np.asarray(one == labels) for one in said)
    headline, more = _headline(labels, said, first, second, metric, rng, sets, groups)
    change, low, high = gating.calibration_change(
        (confidence[0], first), (confidence[1], second), rng=rng, groups=groups
    )
    calibration = within(
        "calibration", change, CALIBRATION_LOSS, low, high, len(labels),
        f"expected calibration error {change:+.3f}",
    )
    parts = [(f"label {label}", labels == label) for label in dict.fromkeys(labels.tolist())]
    slices = _slices(parts if sets is None else parts_of(sets), first, second, fields, groups)
    return (headline, slices, calibration, _flips(first, second, groups)), more


def within(
    name: str, value: float, threshold: float, low: float, high: float, rows: int, sentence: str
) -> Gate:
    """The gate of a value: within the threshold; beyond it, shown; or beyond it, perhaps by chance.

    Args:
        name: of the gate.
        value: what was measured; less is better.
        threshold: the most that it may be.
        low, high: its 90% interval.
        rows: that it was measured on.
        sentence: what a person reads.
    """
    verdict = "pass" if value <= threshold else "fail" if low > threshold else "cannot tell"
    chance = ", which may be chance" if verdict == "cannot tell" else ""
    return Gate(name, verdict, value, threshold, low, high, rows, sentence + chance)


def _headline(
    labels: np.ndarray, said: tuple[np.ndarray, np.ndarray], first: np.ndarray,
    second: np.ndarray, metric: str, rng: np.random.Generator, sets: Sets | None,
    groups: np.ndarray | None,
) -> tuple[Gate, int | None]:
    """Shown to be no worse than the margin; or shown to be worse; or neither."""
    if sets is not None:
        change, low, high = change_of(sets, metric, rng=rng, groups=groups)
    elif metric == "macro_f1":
        _, numbered = np.unique(np.concatenate([labels, *said]), return_inverse=True)
        targets, one, two = numbered.reshape(3, -1)
        change, low, high = gating.macro_f1_change(targets, one, two, rng=rng, groups=groups)
    else:
        change, low, high = gating.accuracy_change(first, second, groups)
    verdict = "pass" if low > -MARGIN else "fail" if high < 0 else "cannot tell"
    more = gating.more_rows(first, second, margin=MARGIN, change=change, groups=groups)
    shown = (
        "better" if low > 0 else
        "no worse than the margin" if verdict == "pass" else
        "worse" if verdict == "fail" else "neither shown to be as good nor to be worse"
    )
    wins, losses = int((second & ~first).sum()), int((first & ~second).sum())
    sentence = f"{100 * change:+.1f} points, {wins} rows won and {losses} lost: {shown}"
    gate = Gate(metric, verdict, change, -MARGIN, low, high, len(labels), sentence)
    return gate, more if verdict == "cannot tell" else None


def _slices(
    parts: list[tuple[str, np.ndarray]], first: np.ndarray, second: np.ndarray,
    fields: Sequence[tuple[str, ...]], groups: np.ndarray | None,
) -> Gate:
    """No class, and no third of the rows by length, lost more than it may."""
    lengths = np.array([sum(map(len, row)) for row in fields])
    short, long = np.quantile(lengths, [1 / 3, 2 / 3])
    parts = [
        *parts,
        ("the shortest third", lengths <= short),
        ("the middle third", (lengths > short) & (lengths <= long)),
        ("the longest third", lengths > long),
    ]
    lost, worst = gating.harmed(
        parts, first, second, fewest=SLICE_ROWS, most_lost=SLICE_LOSS, groups=groups)
    if worst is None:
        return Gate("slices", "pass", None, -SLICE_LOSS, None, None, 0,
                    f"no slice has {SLICE_ROWS} rows, so none was judged")
    name, change, rows = worst
    verdict = "fail" if lost else "pass"
    sentence = f"{100 * change:+.1f} points on {name}, the most that was lost"
    if lost:
        sentence = f"lost: {', '.join(lost)}; {sentence}"
    elif change < -SLICE_LOSS:
        sentence += ", which may be chance"
    return Gate("slices", verdict, change, -SLICE_LOSS, None, None, rows, sentence)


def _flips(first: np.ndarray, second: np.ndarray, groups: np.ndarray | None) -> Gate:
    """Not shown that more rows flipped from right to wrong than may."""
    value, low, high = gating.flip_rate(first, second, groups)
    most = gating.flips_allowed(first, second, least=FLIPS, share=FLIPS_SHARE, groups=groups)
    verdict = "fail" if low > most else "pass"
    sentence = f"{value:.1%} of rows were right and are wrong now; {most:.1%} may be"
    if value > most and verdict == "pass":
        sentence += ", and more may be chance"
    return Gate("negative_flips", verdict, value, most, low, high, len(first), sentence)
