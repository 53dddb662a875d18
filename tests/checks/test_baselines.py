import numpy as np
import pytest

from fettle.checks.baselines import majority, tfidf
from fettle.core.errors import ShapeError


def test_the_majority_answers_every_row_with_the_commonest_label():
    assert majority(["a", "b", "b"], 3).tolist() == ["b", "b", "b"]


def test_of_equally_common_labels_the_first_to_appear_is_taken():
    assert majority(["z", "a"], 1).tolist() == ["z"]


def test_tfidf_learns_which_words_belong_to_which_label():
    texts = ["the card is lost", "my card is gone", "the loan rate", "a loan please", "bad atm"]

    answers = tfidf(texts, ["card", "card", "loan", "loan", "atm"], ["new card", "big loan"])

    assert answers.tolist() == ["card", "loan"]


def test_tfidf_falls_back_on_the_majority_where_there_is_nothing_to_learn():
    assert tfidf(["x", "y"], ["a", "a"], ["z"]).tolist() == ["a"]
    assert tfidf(["?", "", "!"], ["b", "b", "a"], ["z"]).tolist() == ["b"]


def test_no_rows_to_answer_get_no_answers():
    assert tfidf(["x", "y"], ["a", "b"], []).tolist() == []


def test_the_same_rows_give_the_same_answers():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdefgh"), size=5)) for _ in range(60)]
    labels = [f"class {number}" for number in rng.integers(3, size=60)]

    assert tfidf(texts, labels, texts).tolist() == tfidf(texts, labels, texts).tolist()


def test_uneven_or_no_rows_are_refused():
    with pytest.raises(ShapeError, match="one of each"):
        tfidf(["x"], ["a", "b"], ["x"])
    with pytest.raises(ShapeError, match="at least one"):
        majority([], 3)
