import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from fettle.modalities.text import TextEncoder
from fettle.models.cards import card_of
from fettle.models.network import tokenizer_json
from fettle.models.sources import DEFAULT_TEXT_MODEL
from small import bert, encoder, network, texts, tokenizer

REAL = ["My card was stolen!", "größe, naïve, 漢字, 🙂", "", " \n\t", "a" * 300, "word " * 90,
        "<b>[SEP] & [MASK]</b>", "\0x\u2028y"]  # fmt: skip


@pytest.fixture
def card(tmp_path):
    return bert(tmp_path)


def ids(found):
    return [item.tolist() for item in found]


def test_the_ids_are_those_of_transformers_tokenizer():
    from transformers import AutoTokenizer

    card = card_of(DEFAULT_TEXT_MODEL)
    theirs = AutoTokenizer.from_pretrained(card.folder)
    for length in (card.max_tokens, 8):
        expected = theirs(REAL, truncation=True, max_length=length)["input_ids"]
        found = encoder(card, max_tokens=length).encode([(text,) for text in REAL])
        assert ids(found) == expected


def test_a_long_text_is_cut_and_its_special_tokens_stay(card):
    found = encoder(card, max_tokens=4).encode([("my card is lost now",), ("pay",)])
    assert ids(found) == [[2, 4, 5, 3], [2, 9, 3]]


def test_the_tokenizer_s_own_padding_and_length_do_not_count(card):
    given = tokenizer()
    given.enable_padding(length=30)
    given.enable_truncation(3)
    found = TextEncoder.fit(card, given.to_str(), fields=("text",), max_tokens=6)
    assert ids(found.encode([("my card is lost",)])) == [[2, 4, 5, 6, 7, 3]]


def test_fields_are_joined_in_order_and_empty_ones_leave_no_mark(card):
    whole = Tokenizer(WordLevel({"?": 0, "a b\nc": 1, "c": 2, "a b": 3}, unk_token="?"))
    read = TextEncoder.fit(card, whole.to_str(), fields=("one", "two"), max_tokens=8)
    rows = [("a b", "c"), ("", "c"), ("a b", ""), ("c", "a b"), ("", "")]
    assert ids(read.encode(rows)) == [[1], [2], [3], [0], []]


def test_a_text_is_encoded_alike_alone_and_among_others(card):
    read = encoder(card)
    rows = texts(20)
    assert ids(read.encode(rows)) == [ids(read.encode([row]))[0] for row in rows]


def test_a_batch_is_padded_to_its_longest_with_the_network_s_own_padding(tmp_path):
    read = encoder(bert(tmp_path, pad_token_id=1))
    batch = read.collate(read.encode([("my card",), ("pay",)]))
    assert batch["input_ids"].tolist() == [[2, 4, 5, 3], [2, 9, 3, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert {value.dtype for value in batch.values()} == {torch.int64}


def test_a_batch_says_when_nothing_in_it_is_padding(card):
    read = encoder(card)
    assert "full" in read.collate(read.encode([("pay",), ("now",)]))
    assert "full" not in read.collate(read.encode([("pay",), ("pay now",)]))


def test_the_size_of_a_row_is_its_tokens(card):
    read = encoder(card)
    assert [read.size(item) for item in read.encode([("pay now",), ("",)])] == [4, 2]


@pytest.mark.parametrize("special", [True, False], ids=["with", "without"])
def test_an_empty_text_gives_an_answer(tmp_path, special):
    found = network(tmp_path)
    given = tokenizer(special=special).to_str()
    read = TextEncoder.fit(found.card, given, fields=("text",), max_tokens=8)
    for rows in ([("",)], [("",), ("my card is lost",)]):
        for grad in (False, True):
            with torch.set_grad_enabled(grad):
                assert torch.isfinite(found(read.collate(read.encode(rows)))).all()


def test_an_encoder_comes_back_as_it_was(tmp_path, card):
    read = TextEncoder.fit(card, tokenizer_json(card), fields=("title", "body"), max_tokens=7)
    read.save(str(tmp_path / "saved"))
    paths = {path.name: path for path in (tmp_path / "saved").iterdir()}
    again = TextEncoder.load(paths)

    assert sorted(paths) == ["encoder.json", "tokenizer.json"]
    assert paths["tokenizer.json"].read_text() == tokenizer_json(card)
    assert again.fields == ("title", "body")
    rows = [("my", text) for text, in texts(20)]
    items = read.encode(rows)
    assert ids(again.encode(rows)) == ids(items)
    first, second = read.collate(items), again.collate(items)
    assert all(np.array_equal(first[name], second[name]) for name in first)
