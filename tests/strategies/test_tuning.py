import pytest

from fettle.models.cards import card_of
from fettle.models.network import open_network
from fettle.strategies import DEFAULTS, STRATEGIES
from fettle.strategies.tuning import all_but_words, discriminative_rates
from foreign import NETWORKS, saved
from small import network


def test_each_block_learns_slower_than_the_one_above_it():
    found = discriminative_rates(5, 3, rate=1e-4, slower=0.5, head_rate=1e-3)
    assert found == pytest.approx((1.25e-5, 2.5e-5, 5e-5, 1e-4, 1e-3))


def test_a_network_of_embeddings_and_head_has_two_rates():
    assert discriminative_rates(2, 0, rate=1e-4, slower=0.5, head_rate=1e-3) == (1e-4, 1e-3)


def test_every_strategy_has_its_usual_settings_and_a_rate_for_each_block():
    assert STRATEGIES.keys() == DEFAULTS.keys()
    for name, make in STRATEGIES.items():
        rates = make(DEFAULTS[name]).rates(5, 0)
        assert len(rates) == 5
        assert all(rate >= 0 for rate in rates)
        assert rates[-1] > 0


@pytest.mark.parametrize("act", ["gelu", "silu"], ids=["lean", "transformers"])
@pytest.mark.parametrize(("words", "asleep"), [("frozen", 1), ("tuned", 0)])
@pytest.mark.parametrize("name", ["full", "top", "gradual"])
def test_word_vectors_alone_stay_as_they_came_unless_asked(tmp_path, name, act, words, asleep):
    learns = STRATEGIES[name]({**DEFAULTS[name], "word_embeddings": words}).learns
    names = [name for name, _ in network(tmp_path, hidden_act=act).named_parameters()]
    still = [name for name in names if not learns(name)]
    assert len(still) == asleep
    assert all(name.endswith("word_embeddings.weight") for name in still)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_table_of_words_is_found_whatever_a_network_calls_it(tmp_path, kind):
    found = open_network(card_of(str(saved(tmp_path, kind))))
    still = [value for name, value in found.named_parameters() if not all_but_words(name)]
    (table,) = (value for value in still)
    assert len(table) == 97  # words
