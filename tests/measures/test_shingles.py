import subprocess
import sys

import numpy as np
import pytest

from fettle.measures.shingles import jaccard, of_letters, of_words


def resemblance(one, other, pieces, length=5):
    return float(jaccard(pieces([one, other], length), np.array([[0, 1]]))[0])


def by_hand(one, other, length=5):
    first, second = (
        {text[at : at + length] for at in range(len(text) - length + 1)} for text in (one, other)
    )
    return len(first & second) / len(first | second)


def test_resemblance_is_the_share_of_pieces_in_common():
    one, other = "where is my card now", "where was my card now"
    assert resemblance(one, other, of_letters) == by_hand(one, other)


def test_words_are_pieces_of_five_in_a_row():
    assert resemblance("a b c d e f g", "a b c d e f x", of_words) == 2 / 4
    assert resemblance("a b  c\nd e", "a b c d e", of_words) == 1.0


def test_a_piece_that_comes_twice_counts_once():
    assert resemblance("abababababab", "abababab", of_letters) == 1.0


@pytest.mark.parametrize("pieces", [of_letters, of_words])
def test_texts_shorter_than_a_piece_are_one_piece(pieces):
    assert pieces(["ab", "", "ab", "abc"]).sizes.tolist() == [1, 1, 1, 1]
    assert resemblance("ab", "ab", pieces) == 1.0
    assert resemblance("ab", "ac", pieces) == 0.0


def test_pieces_do_not_run_from_one_row_into_the_next():
    together, apart = of_letters(["abcdefg", "hijklmn"]), of_letters(["abcdefg"])
    assert together.sizes.tolist() == [3, 3]
    assert together.values[:3].tolist() == apart.values.tolist()


def test_letters_beyond_ascii_are_letters():
    one, other = (f"gr\u00fc\u00dfe aus \u6771\u4eac {face}" for face in "\U0001f600\U0001f601")
    assert resemblance(one, other, of_letters) == by_hand(one, other)


def test_portions_give_what_one_go_gives(monkeypatch):
    from fettle.measures import shingles

    texts = [f"row {row} says something of its own {row * 7}" for row in range(200)]
    whole = of_letters(texts)
    monkeypatch.setattr(shingles, "_LETTERS_AT_ONCE", 50)
    monkeypatch.setattr(shingles, "_PAIRS_AT_ONCE", 60)
    small = of_letters(texts)

    assert (small.values == whole.values).all()
    assert (small.starts == whole.starts).all()
    pairs = np.array([[0, 1], [3, 190], [5, 5]])
    assert jaccard(small, pairs)[2] == 1.0
    assert (jaccard(small, pairs) == [by_hand(texts[a], texts[b]) for a, b in pairs]).all()


def test_the_hashes_are_the_same_in_every_process():
    code = "from fettle.measures.shingles import of_words; print(of_words(['a b c d e f']).values)"
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1
