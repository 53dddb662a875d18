"""Watching several labels a row: probabilities and calls of two samples in, what moved and what the
probabilities promise out.

Labels are looked at together: one test says whether any of them is given more or less often than
before, so that a hundred labels raise no more false alarms than one.
"""

import numpy as np

from fettle.core.drift import Called, Estimate, Portrait
from fettle.core.errors import ShapeError
from fettle.core.labels import with_unseen
from fettle.measures import label_judging, unlabelled
from fettle.measures.label_sets import SCORES, label_f1_of, tallies
from fettle.measures.shift import DRAWS, Shift

__all__ = ["BLIND", "by_label", "certainty", "expected", "moved"]

BLIND = (
    "Estimated scores of several labels: each label is drawn from its own probability, as if "
    "labels had nothing to do with each other. That leaves the scores as they are, and may make "
    "their bands too narrow where labels come together."
)
FEWEST = 10
"""Test rows that have a label, from which on its own F1 is estimated: with fewer nothing shows
whether its probabilities hold."""
MARGIN = 0.01
"""How far the F1 of a label may be expected to fall before its line is marked."""
_DRAWS, _FEWEST_DRAWS = 400, 50
_DECISIONS_AT_MOST = 20_000_000
"""Drawn in all; of more rows and labels, fewer draws are as steady."""


def moved(
    reference: np.ndarray, current: np.ndarray, *, rng: np.random.Generator, draws: int = DRAWS
) -> Shift:
    """Two samples of sets of labels: the largest change of a label's share, and whether by chance.

    Rows are dealt anew to the two samples, whole, so that labels keep their company; each time the
    largest change over all labels is taken, and p is the share of deals with one as large.

    Args:
        reference: bool (rows, labels).
        current: bool (rows, labels), of the same labels.
        rng: deals the rows.
        draws: deals; the smallest p is 1 / (draws + 1).

    Returns:
        effect: share of rows, 0.0 to 1.0.

    Raises:
        ShapeError: a sample is empty, or the labels are not the same.

    Source: Westfall and Young, "Resampling-Based Multiple Testing", 1993, section 2.3 (the largest
    statistic of a permutation); of a binary label the change is its total variation distance.
    """
    if not len(reference) or not len(current) or reference.shape[1:] != current.shape[1:]:
        raise ShapeError(
            f"Labels {reference.shape} and {current.shape}: both need rows, of the same labels."
        )
    both = np.concatenate([reference, current])
    sets, of = np.unique(both, axis=0, return_inverse=True)
    counts = np.bincount(of.ravel(), minlength=len(sets))
    have, rows = both.sum(axis=0), len(current)

    def largest(now: np.ndarray) -> np.ndarray:
        """(...,) of counts of labels in the current sample, (..., labels)."""
        return np.asarray(
            np.abs(now / rows - (have - now) / len(reference)).max(axis=-1, initial=0.0))

    found = float(largest(current.sum(axis=0)))
    # rows with the same labels are alike, so dealing sets is dealing rows
    dealt = rng.multivariate_hypergeometric(counts, rows, size=draws, method="marginals")
    as_large = largest(dealt.astype(np.float64) @ sets) >= found - 1e-12
    return Shift(found, float((1 + as_large.sum()) / (draws + 1)))


def certainty(said: np.ndarray, called: np.ndarray) -> np.ndarray:
    """How probable it is that a call of the row is right, float (rows,): the geometric mean over
    labels, which rises and falls with the probability that all are right and does not vanish where
    labels are many.

    Args:
        said: float (rows, labels), the probability of each.
        called: bool (rows, labels).
    """
    each = np.where(called, said, 1 - said)
    return np.asarray(np.exp(np.log(np.maximum(each, 1e-300)).mean(axis=1)))


def expected(
    said: np.ndarray, called: np.ndarray, *, metric: str, rng: np.random.Generator,
    shift: float = 0.0,
) -> unlabelled.Expected:
    """The score that these probabilities promise, if they hold.

    Args:
        said: float (rows, labels), calibrated.
        called: bool (rows, labels).
        metric: micro_f1 or macro_f1.
        rng: draws rows, and each label of them from its own probability.
        shift: added to the value: how much better it was than promised where labels were known.

    Raises:
        ShapeError: there is no row.

    Source: confidence-based performance estimation; Kivimäki et al., "Performance Estimation in
    Binary Classification Using Calibrated Confidence", arXiv 2505.05295, section 3, for each label
    as a question of yes or no.
    """
    drawn = SCORES[metric](_drawn(said, called, rng))
    return unlabelled.banded(
        float(drawn.mean()), float(drawn.std()), rows=len(said), shift=shift)




def by_label(
    reference: Portrait, current: Portrait, *, rng: np.random.Generator
) -> tuple[Called, ...]:
    """Each label by itself: how often it is given, then and now, and how well.

    Args:
        reference: of the test rows, with their labels.
        current: of the rows that arrived.
        rng: draws resamples.

    Returns:
        In the order of the classes. The F1 that is expected now is moved by what it was beside
        the promise on the test rows; None where fewer than 10 of them have the label.
    """
    truth = with_unseen(reference.labels, reference.classes)[:, : len(reference.classes)]
    before, now = reference.called, current.called
    scores = label_judging.label_scores(truth, before, reference.classes, rng=rng)
    promised = label_f1_of(_drawn(reference.probabilities, before, rng))  # (draws, labels)
    promises = label_f1_of(_drawn(current.probabilities, now, rng))
    return tuple(
        Called(
            score.label, float(before[:, at].mean()), float(now[:, at].mean()), score.f1,
            _estimate(promised[:, at], promises[:, at], score.f1.value, current.rows)
            if score.rows >= FEWEST else None,
        )
        for at, score in enumerate(scores)
    )


def _estimate(promised: np.ndarray, promises: np.ndarray, real: float, rows: int) -> Estimate:
    """What is promised now, moved by how much more was right than promised."""
    plain = [unlabelled.banded(float(one.mean()), float(one.std()), rows=rows)
             for one in (promised, promises)]
    found = unlabelled.banded(
        plain[1].value, plain[1].error, rows=rows, shift=real - plain[0].value)
    return Estimate("f1", found.value, found.low, found.high, rows,
                    unlabelled.fallen(*plain, margin=MARGIN))


def _drawn(said: np.ndarray, called: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tallies (draws, labels, 3) of rows drawn with labels drawn for them."""
    rows = len(said)
    if not rows:
        raise ShapeError("There is no row to estimate a score of.")
    times = int(np.clip(_DECISIONS_AT_MOST // max(said.size, 1), _FEWEST_DRAWS, _DRAWS))
    found = np.empty((times, said.shape[1], 3))
    for draw in range(times):
        some = rng.integers(rows, size=rows)
        found[draw] = tallies(rng.random(said.shape) < said[some], called[some])
    return found
