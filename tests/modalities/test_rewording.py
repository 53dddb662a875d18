"""Rewording: whole words are left out, moved or covered, and what stands around a text stays."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
from tokenizers import Tokenizer, pre_tokenizers
from tokenizers.models import BPE, WordPiece

from fettle.core.errors import SettingError
from fettle.core.plan import Texts
from fettle.modalities.rewording import Rewording
from fettle.modalities.text import TextEncoder
from fettle.models.network import tokenizer_json
from small import VOCABULARY, bert, tokenizer

TEXT = "my cards is lost now"
"""Six tokens, "cards" being two of them."""
IDS = np.array([2, 4, 5, 14, 6, 7, 15, 3], np.int32)
CLS, SEP, CONTINUES = 2, 3, 14


def with_mask():
    made = tokenizer()
    made.add_special_tokens(["[MASK]"])
    return made


def changed(number=200, given=None, item=IDS, **changes):
    made = Rewording(given or tokenizer(), Texts(**changes))
    return [made(item, np.random.default_rng(seed)) for seed in range(number)]


def words(item):
    """The words between what stands around the text, each as a tuple of tokens."""
    made = []
    for token in item[1:-1].tolist():
        if token == CONTINUES:
            made[-1] += (token,)
        else:
            made.append((token,))
    return made


def test_the_text_is_what_it_says():
    assert tokenizer().encode(TEXT).ids == IDS.tolist()
    assert words(IDS) == [(4,), (5, 14), (6,), (7,), (15,)]


@pytest.mark.parametrize("change", ["deletion", "swap"])
def test_words_are_whole_and_what_stands_around_a_text_stays(change):
    for one in changed(**{change: 0.4}):
        assert (one[0], one[-1], one.dtype) == (CLS, SEP, IDS.dtype)
        assert not Counter(words(one)) - Counter(words(IDS))


def test_each_word_is_left_out_with_the_probability_asked_for():
    """Five words, p = 0.2: four are left on average, give or take 4 * sqrt(0.8 / 400)."""
    left = [len(words(one)) for one in changed(400, deletion=0.2)]
    assert np.mean(left) == pytest.approx(4.0, abs=0.18)
    assert min(len(words(one)) for one in changed(300, deletion=0.95)) == 1


def test_one_swap_for_each_ten_words_and_once_at_least():
    """Two words change places once: n = max(1, 0.1 * 5)."""
    for one in changed(swap=0.1):
        moved = sum(a != b for a, b in zip(words(one), words(IDS), strict=True))
        assert moved == 2
    most = max(sum(a != b for a, b in zip(words(one), words(IDS), strict=True))
               for one in changed(swap=0.6))
    assert most > 2


def test_covered_words_keep_their_length():
    mask = with_mask().token_to_id("[MASK]")
    for one in changed(given=with_mask(), mask=0.5):
        assert len(one) == len(IDS)
        differs = one != IDS
        assert (one[differs] == mask).all()
        assert differs[2] == differs[3]  # both tokens of "cards"


def test_without_a_token_that_covers_it_is_refused():
    with pytest.raises(SettingError, match=r"no token that covers"):
        Rewording(tokenizer(), Texts(mask=0.1))


@pytest.mark.parametrize("item", [[CLS, SEP], [CLS, 5, SEP], [CLS, 5, CONTINUES, SEP], []])
def test_a_text_of_one_word_or_none_stays(item):
    given = np.array(item, np.int32)
    for one in changed(5, item=given, deletion=0.9, swap=0.9):
        assert np.array_equal(one, given)


def test_the_same_rng_gives_the_same_tokens():
    first, again = (changed(20, deletion=0.3, swap=0.3) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({one.tobytes() for one in first}) > 5


def test_words_of_byte_level_tokenizers_begin_where_a_space_was():
    vocabulary = {"a": 0, "b": 1, "\u0120": 2, "\u0120a": 3, "\u0120b": 4, "ab": 5}
    made = Tokenizer(BPE(vocabulary, [("\u0120", "a"), ("\u0120", "b"), ("a", "b")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    item = np.array([0, 1, 3, 1, 4], np.int32)  # "ab", " ab", " b"
    pairs = {one.tobytes() for one in changed(60, given=made, item=item, deletion=0.5)}
    whole = [[0, 1], [3, 1], [4]]
    allowed = {np.concatenate([word for word, stays in zip(whole, bits, strict=True) if stays])
               .astype(np.int32).tobytes() for bits in product((0, 1), repeat=3) if any(bits)}
    assert pairs == allowed


def test_only_training_sees_it_and_a_saved_encoder_knows_nothing_of_it(tmp_path):
    card = bert(tmp_path / "base")
    given = tokenizer_json(card)
    plain, other = (TextEncoder.fit(card, given, fields=("text",), max_tokens=12, texts=texts)
                    for texts in (None, Texts(deletion=0.5)))
    rows = [(TEXT,)] * 3
    assert all(np.array_equal(a, b) for a, b in
               zip(plain.encode(rows), other.encode(rows), strict=True))
    assert other.described() == plain.described()
    item, = plain.encode(rows[:1])
    assert plain.views(item, np.random.default_rng(0)) is item
    assert any(len(other.views(item, np.random.default_rng(seed))) < len(item)
               for seed in range(5))


def test_the_vocabulary_is_the_story_s(): 
    assert VOCABULARY["##s"] == CONTINUES
    assert isinstance(tokenizer().model, WordPiece)
