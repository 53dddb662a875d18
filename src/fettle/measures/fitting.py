"""Fitting: epochs and scores in, whether a model learned too little or too much by heart out."""

from collections.abc import Sequence

import numpy as np

from fettle.core.evaluation import Fitting
from fettle.core.run import Epoch
from fettle.core.score import Comparison, Score, number
from fettle.measures.intervals import wilson

__all__ = ["ceiling", "fitting", "of_errors", "overfits_from", "stopped_by"]

FEWEST_TWINS = 30
"""Rows with a twin; fewer say too little of how often labels contradict."""
RISE = 0.05
GAP = 0.10
"""Train accuracy above test accuracy, by which a model is called overfitted."""
RATIO = 1.5
"""Test error over train error, by which a model of numbers is called overfitted."""


def ceiling(clusters: Sequence[Sequence[str]]) -> Score | None:
    """The accuracy that labels allow, judged by twins: the share with their cluster's own label.

    Rows that say the same and are labelled differently cannot all be right.

    Args:
        clusters: the labels of each cluster of twins.

    Returns:
        None where fewer than 30 rows have a twin.
    """
    rows = sum(len(labels) for labels in clusters)
    if rows < FEWEST_TWINS:
        return None
    agreeing = sum(max(list(labels).count(one) for one in set(labels)) for labels in clusters)
    return Score("ceiling", agreeing / rows, *wilson(agreeing, rows), rows)


def overfits_from(history: Sequence[Epoch]) -> int | None:
    """The epoch after which validation loss only rose while training loss fell; None if it did not.

    A rise by less than one in twenty of the best loss is no rise.
    """
    judged = [epoch for epoch in history if epoch.validation_loss is not None]
    if len(judged) < 2:
        return None
    losses = np.array([epoch.validation_loss for epoch in judged], dtype=float)
    best = int(losses.argmin())
    if best == len(judged) - 1 or losses[-1] <= (1 + RISE) * losses[best]:
        return None
    falls = judged[-1].train_loss < judged[best].train_loss
    return judged[best + 1].number if falls else None


def stopped_by(history: Sequence[Epoch], *, planned: int, patience: int, chosen: int | None) -> str:
    """Why training ended, in words."""
    if not history:
        return "Its head was solved, not trained in epochs: it ended at the minimum."
    went = history[-1].number
    back = f" The weights are those of epoch {chosen}." if chosen else ""
    if went < planned:
        return (
            f"Early stopping ended it after epoch {went} of {planned}: the best epoch was "
            f"{patience} epochs old.{back}"
        )
    return f"It ran all {planned} planned epochs.{back}"


def fitting(
    history: Sequence[Epoch],
    *,
    train: Score,
    test: Score,
    baseline: Comparison | None,
    limit: Score | None,
    stopped: str,
) -> Fitting:
    """Whether the kept model overfits, underfits, or neither, with the sentences that say why.

    It overfits where training rows come right at least 10 points more often than test rows (and
    their intervals do not touch). It underfits where a cheap baseline is better, or where training
    rows stay below the test score and the ceiling.

    Args:
        history: of the kept rung; empty for a solved head.
        train: accuracy on rows that it learned from; of several labels a row subset accuracy, for
            which a row is right if all its labels are and no other is called.
        test: the same on test rows.
        baseline: of the best baseline against the kept model.
        limit: from `ceiling`.
        stopped: from `stopped_by`.
    """
    gap = train.value - test.value
    since = overfits_from(history)
    right = "right on" if train.name == "accuracy" else "right in all labels, none besides, on"
    told = [
        f"It is {right} {train.value:.1%} of the rows that it learned from ({train.low:.1%} to "
        f"{train.high:.1%} on {train.rows:,}) and on {test.value:.1%} of the test rows."
    ]
    overfits = gap >= GAP and train.low > test.high
    loses = baseline is not None and baseline.verdict == "worse"
    bound = limit.low if limit is not None else 1.0
    underfits = loses or (train.high < bound and gap <= 0 and not overfits)
    if since is not None:
        told.append(
            f"From epoch {since} on validation loss rose while training loss fell: what it took in "
            "after that it learned by heart, and the weights kept are from before."
        )
    if overfits:
        told.append(
            f"The gap of {100 * gap:.1f} points says that it learned part of its rows by heart. "
            + ("More rows, a frozen backbone (features) or fewer epochs make it smaller."
               if history else "Only its head learned: more rows make it smaller.")
        )
    if underfits:
        told.append(
            "A cheap baseline is better, so it learned too little: try more epochs, a higher rate "
            "or another pre-trained model." if loses else
            "Even the rows it learned from do not come right: try a rung that changes more weights "
            "(top, lora, full) or more epochs."
        )
    if limit is not None:
        told.append(
            f"Twins with contradicting labels put the ceiling for any model near {limit.value:.1%} "
            f"({limit.low:.1%} to {limit.high:.1%}, judged by {limit.rows:,} rows with a twin)."
        )
    verdict = "overfits" if overfits else "underfits" if underfits else "neither"
    return Fitting(train, test, limit, since, stopped, verdict, tuple(told))


def of_errors(
    history: Sequence[Epoch], *, train: Score, test: Score, baseline: Comparison | None,
    stopped: str,
) -> Fitting:
    """As `fitting`, for numbers: errors on rows that it learned from and on test rows.

    It overfits where test rows are off by at least half as much again as training rows (and the
    intervals do not touch). It underfits where a cheap baseline is better.

    Args:
        history: of the kept rung; empty for a solved head.
        train: mean absolute error on rows that it learned from.
        test: the same on test rows.
        baseline: of the best baseline against the kept model.
        stopped: from `stopped_by`.
    """
    since = overfits_from(history)
    told = [
        f"It is off by {number(train.value, train.name)} on the rows that it learned from "
        f"({number(train.low, train.name)} to {number(train.high, train.name)} on "
        f"{train.rows:,}) and by {number(test.value, test.name)} on the test rows."
    ]
    overfits = test.value >= RATIO * train.value and test.low > train.high
    loses = baseline is not None and baseline.verdict == "worse"
    if since is not None:
        told.append(
            f"From epoch {since} on validation loss rose while training loss fell: what it took in "
            "after that it learned by heart, and the weights kept are from before."
        )
    if overfits:
        told.append(
            "The gap says that it learned part of its rows by heart. More rows, a frozen backbone "
            "(features) or fewer epochs make it smaller."
        )
    if loses:
        told.append(
            "A cheap baseline is better, so it learned too little: try more epochs, a higher rate "
            "or another pre-trained model."
        )
    verdict = "overfits" if overfits else "underfits" if loses else "neither"
    return Fitting(train, test, None, since, stopped, verdict, tuple(told))
