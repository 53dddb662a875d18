"""Baselines where a row has several labels: what needs no pre-trained model, with its calls."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fettle.core.errors import ShapeError
from fettle.measures.label_judging import calls
from fettle.measures.thresholds import fitted

__all__ = ["commonest_set", "pixels", "tfidf"]

STRENGTH = 30.0
"""Of the regression on words: the inverse of its L2 penalty, as for one label a row."""
WORD = r"(?u)\b\w+\b"
"""One-letter words too."""
MOST_PICTURES = 5_000
"""Learned from, evenly taken."""
FOLDS = 3
"""In which thresholds are found, as the tuned model's are on rows that it did not learn from."""
Probabilities = Callable[[Any, np.ndarray, Any], np.ndarray]
"""From inputs, bool (rows, labels), and other inputs, to probabilities (other rows, labels)."""


def commonest_set(truth: np.ndarray, rows: int) -> np.ndarray:
    """The set of labels that most learning rows have, for every row: calls (rows, labels, 2).

    Args:
        truth: bool (learning rows, labels).
        rows: how many rows to answer.

    Raises:
        ShapeError: no learning rows.
    """
    if not len(truth):
        raise ShapeError("The commonest of no sets of labels is not defined: give at least one.")
    sets, times = np.unique(truth, axis=0, return_counts=True)
    return calls(np.repeat(sets[[times.argmax()]], rows, axis=0))


def tfidf(texts: Sequence[str], truth: np.ndarray, others: Sequence[str]) -> np.ndarray:
    """What a logistic regression for each label says, on TF-IDF of words and word pairs: calls.

    Args:
        texts: one a learning row.
        truth: bool (learning rows, labels).
        others: the rows to answer.

    Raises:
        ShapeError: texts and truth differ in rows, or there are none.
    """
    _require_rows(len(texts), truth)
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)
    split = words.build_analyzer()
    if not len(others) or not any(split(text) for text in texts):
        return commonest_set(truth, len(others))
    return _called(words.fit_transform(texts), words.transform(others), truth, _by_words)


def pixels(
    pictures: Sequence[np.ndarray], truth: np.ndarray, others: Sequence[np.ndarray]
) -> np.ndarray:
    """What a logistic regression for each label says of the pixels themselves: calls.

    Args:
        pictures: one a learning row, small pictures laid out flat: (numbers,).
        truth: bool (learning rows, labels).
        others: the rows to answer.

    Raises:
        ShapeError: pictures and truth differ in rows, or there are none.
    """
    _require_rows(len(pictures), truth)
    if not len(others):
        return commonest_set(truth, 0)
    some = np.unique(np.linspace(0, len(pictures) - 1, MOST_PICTURES).astype(int))
    known = np.stack([pictures[row] for row in some]).astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1.0
    asked = (np.stack(list(others)) - mean) / spread
    return _called((known - mean) / spread, asked, truth[some], _by_pixels)


def _called(known: Any, asked: Any, truth: np.ndarray, solve: Probabilities) -> np.ndarray:
    """Calls by thresholds that were found on learning rows held out in turn."""
    fold = np.arange(len(truth)) % FOLDS
    held_out = np.zeros(truth.shape)
    for number in range(min(FOLDS, len(truth))):
        judged = fold == number
        if judged.all():
            continue
        held_out[judged] = solve(known[~judged], truth[~judged], known[judged])
    said = solve(known, truth, asked)
    return calls(said >= fitted(held_out, truth)[0], said)


def _by_words(known: Any, truth: np.ndarray, asked: Any) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    return _each(known, truth, asked, lambda: LogisticRegression(
        C=STRENGTH, solver="liblinear", dual=True, max_iter=1000, random_state=0))


def _by_pixels(known: Any, truth: np.ndarray, asked: Any) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression

    return _each(known, truth, asked, lambda: LogisticRegression(
        C=1e-2, max_iter=300, random_state=0))


def _each(known: Any, truth: np.ndarray, asked: Any, made: Callable[[], Any]) -> np.ndarray:
    """The probability of each label; its share where all learning rows or none have it."""
    found = np.empty((asked.shape[0], truth.shape[1]))
    for label in range(truth.shape[1]):
        column = truth[:, label]
        if column.all() or not column.any():
            found[:, label] = column.mean()
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a regression that has not converged to the end
            found[:, label] = made().fit(known, column).predict_proba(asked)[:, 1]
    return found


def _require_rows(rows: int, truth: np.ndarray) -> None:
    if rows != len(truth) or not rows:
        raise ShapeError(
            f"{rows} inputs and {len(truth)} rows of labels: a row needs both, and at least one "
            "row."
        )
