"""How much of a text is read: as is usual for the model, or as it was asked for."""

import dataclasses

import pytest

from fettle.core.errors import SettingError
from fettle.modalities import wording
from small import network

ROWS = [("a word",), ("much longer than that, " * 40,)]


@pytest.fixture
def card(tmp_path):
    return dataclasses.replace(network(tmp_path).card, max_tokens=300)


def test_as_many_tokens_are_read_as_is_usual_or_as_are_asked_for(card):
    usual, mean, why = wording.length(ROWS, card)
    assert usual == wording.MOST_TOKENS < card.max_tokens
    assert "asked" not in why
    assert "0.0% of the texts" in why
    asked, shorter, why = wording.length(ROWS, card, 20)
    assert asked == 20
    assert shorter < mean
    assert "up to 20 tokens, as asked" in why
    assert "50.0% of the texts" in why
    assert wording.length(ROWS, card, card.max_tokens)[0] == card.max_tokens


@pytest.mark.parametrize("asked", [-1, 0, 2, 301, 20.5, "20"])
def test_what_the_model_cannot_read_is_refused_with_what_it_can(card, asked):
    with pytest.raises(SettingError, match=rf"--max-tokens is {asked!r}; .* takes 3 to 300"):
        wording.length(ROWS, card, asked)
