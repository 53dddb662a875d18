"""Baselines that need only rows: what a fine-tuned model must beat to be worth its keep."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fettle.checks import label_baselines
from fettle.core.errors import ShapeError

__all__ = ["BASELINES", "Baselines", "Fit", "majority", "middle", "pixels", "pixels_ridge",
           "tfidf", "tfidf_ridge"]

Fit = Callable[[Any, Any, Any], np.ndarray]
"""From what is read of the learning rows, their answers, and other rows, to what these are."""

_C = 30.0
"""Inverse strength of the L2 penalty. Of 10, 30 and 100 on held-out learning rows it is within
0.11 points of the best accuracy on banking77, medical_abstracts, sms_spam and sst2 alike."""
_ALPHA, _ALPHA_OF_PIXELS = 1.0, 1e3
"""Strength of the L2 penalty where numbers are answered: scikit-learn's usual one for words of
length 1 in all; for 768 pixels of unit variance about one for each row and pixel."""
_WORD = r"(?u)\b\w+\b"
"""One-letter words too: "I" tells questions of a bank's customers apart."""


def majority(train_labels: Sequence[str], rows: int) -> np.ndarray:
    """The commonest training label, for every row: str (rows,). Of equals, the first to appear.

    Args:
        train_labels: one a training row.
        rows: how many rows to answer.

    Raises:
        ShapeError: no training labels.
    """
    if len(train_labels) == 0:
        raise ShapeError("The majority of no labels is not defined: give at least one.")
    (label, _), *_ = Counter(train_labels).most_common(1)
    return np.full(rows, label)


def tfidf(
    train_texts: Sequence[str], train_labels: Sequence[str], test_texts: Sequence[str]
) -> np.ndarray:
    """What logistic regression on TF-IDF of words and word pairs answers: str (rows,).

    One regression against the rest for each class, which is as good as a joint one here and
    ten times faster. Where there is one class, or no word in any training text, the majority.

    Args:
        train_texts: one a training row.
        train_labels: one a training row.
        test_texts: the rows to answer.

    Raises:
        ShapeError: texts and labels differ in rows, or there are none.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    if len(train_texts) != len(train_labels) or len(train_labels) == 0:
        raise ShapeError(
            f"{len(train_texts)} texts and {len(train_labels)} labels: "
            "a row needs one of each, and at least one row."
        )
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD)
    split = words.build_analyzer()
    if len(set(train_labels)) == 1 or not any(split(text) for text in train_texts):
        return majority(train_labels, len(test_texts))
    if len(test_texts) == 0:
        return np.asarray(train_labels)[:0]
    regression = LogisticRegression(
        C=_C, solver="liblinear", dual=True, max_iter=1000, random_state=0
    )
    model = OneVsRestClassifier(regression).fit(
        words.fit_transform(train_texts), np.asarray(train_labels)
    )
    return np.asarray(model.predict(words.transform(test_texts)))


_MOST_PICTURES = 5_000
"""Learned from, evenly taken: more change little, and a regression on pixels is slow."""


def pixels(
    train: Sequence[np.ndarray], train_labels: Sequence[str], test: Sequence[np.ndarray]
) -> np.ndarray:
    """What logistic regression on the pixels themselves answers: str (rows,).

    Args:
        train: one a training row, small pictures laid out flat: (numbers,).
        train_labels: one a training row.
        test: the rows to answer.

    Raises:
        ShapeError: pictures and labels differ in rows, or there are none.
    """
    from sklearn.linear_model import LogisticRegression

    if len(train) != len(train_labels) or len(train_labels) == 0:
        raise ShapeError(
            f"{len(train)} pictures and {len(train_labels)} labels: a row needs one of each, and "
            "at least one row."
        )
    if len(set(train_labels)) == 1 or not len(test):
        return majority(train_labels, len(test))
    some = np.unique(np.linspace(0, len(train) - 1, _MOST_PICTURES).astype(int))
    known = np.stack([train[row] for row in some]).astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1.0
    model = LogisticRegression(C=1e-2, max_iter=300, random_state=0).fit(
        (known - mean) / spread, np.asarray(train_labels)[some]
    )
    return np.asarray(model.predict((np.stack(list(test)) - mean) / spread))


def middle(numbers: Sequence[float], rows: int) -> np.ndarray:
    """The mean of the learned numbers, for every row: float (rows,)."""
    return np.full(rows, float(np.mean(numbers)))


def tfidf_ridge(
    train_texts: Sequence[str], numbers: Sequence[float], test_texts: Sequence[str]
) -> np.ndarray:
    """What ridge regression on TF-IDF of words and word pairs answers: float (rows,).

    Where no word is in any training text, the mean.

    Args:
        train_texts: one a training row.
        numbers: one a training row.
        test_texts: the rows to answer.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=_WORD)
    split = words.build_analyzer()
    if not len(test_texts) or not any(split(text) for text in train_texts):
        return middle(numbers, len(test_texts))
    model = Ridge(alpha=_ALPHA, solver="sparse_cg", random_state=0).fit(
        words.fit_transform(train_texts), np.asarray(numbers)
    )
    return np.asarray(model.predict(words.transform(test_texts)))


def pixels_ridge(
    train: Sequence[np.ndarray], numbers: Sequence[float], test: Sequence[np.ndarray]
) -> np.ndarray:
    """What ridge regression on the pixels themselves answers: float (rows,).

    Args:
        train: one a training row, small pictures laid out flat: (numbers,).
        numbers: one a training row.
        test: the rows to answer.
    """
    from sklearn.linear_model import Ridge

    if not len(test):
        return middle(numbers, 0)
    some = np.unique(np.linspace(0, len(train) - 1, _MOST_PICTURES).astype(int))
    known = np.stack([train[row] for row in some]).astype(np.float64)
    mean, spread = known.mean(axis=0), known.std(axis=0) + 1.0
    model = Ridge(alpha=_ALPHA_OF_PIXELS).fit(
        (known - mean) / spread, np.asarray(numbers)[some]
    )
    return np.asarray(model.predict((np.stack(list(test)) - mean) / spread))


@dataclass(frozen=True, slots=True)
class Baselines:
    """What needs no pre-trained model, for one task: names, functions, and what they are."""

    constant: tuple[str, Callable[[Any, int], np.ndarray], str]
    """From the learned answers and a number of rows to one answer for all of these."""
    cheap: Mapping[str, tuple[str, Fit, str]]
    """By modality."""


BASELINES: dict[str, Baselines] = {
    "classification": Baselines(
        ("majority", majority, "always the commonest class"),
        {
            "text": ("tfidf", tfidf, (
                "TF-IDF of words and word pairs, logistic regression, on the same learning rows")),
            "image": ("pixels", pixels, (
                "logistic regression on 16 by 16 pixels in color, on at most 5,000 of the same "
                "learning rows")),
        },
    ),
    "regression": Baselines(
        ("mean", middle, "always the mean of the learning rows"),
        {
            "text": ("tfidf_ridge", tfidf_ridge, (
                "TF-IDF of words and word pairs, ridge regression, on the same learning rows")),
            "image": ("pixels_ridge", pixels_ridge, (
                "ridge regression on 16 by 16 pixels in color, on at most 5,000 of the same "
                "learning rows")),
        },
    ),
    "multi-label": Baselines(
        ("commonest_set", label_baselines.commonest_set, "always the commonest set of labels"),
        {
            "text": ("tfidf", label_baselines.tfidf, (
                "TF-IDF of words and word pairs, a logistic regression for each label, thresholds "
                "found out of fold, on the same learning rows")),
            "image": ("pixels", label_baselines.pixels, (
                "a logistic regression for each label on 16 by 16 pixels in color, on at most "
                "5,000 of the same learning rows")),
        },
    ),
}
"""By task."""
