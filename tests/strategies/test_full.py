import pytest

from fettle.strategies import STRATEGIES
from fettle.strategies.full import DEFAULTS, discriminative_rates
from small import network


def test_each_block_learns_slower_than_the_one_above_it():
    found = discriminative_rates(5, 3, rate=1e-4, slower=0.5, head_rate=1e-3)
    assert found == pytest.approx((1.25e-5, 2.5e-5, 5e-5, 1e-4, 1e-3))


def test_a_network_of_embeddings_and_head_has_two_rates():
    assert discriminative_rates(2, 0, rate=1e-4, slower=0.5, head_rate=1e-3) == (1e-4, 1e-3)


def test_the_settings_of_the_rung_are_the_rates():
    strategy = STRATEGIES["full"]({**DEFAULTS, "rate": 0.5, "slower": 0.1, "head_rate": 2})
    assert strategy.rates(4, 0) == pytest.approx((0.005, 0.05, 0.5, 2.0))
    assert not strategy.solved


@pytest.mark.parametrize("act", ["gelu", "silu"], ids=["lean", "transformers"])
@pytest.mark.parametrize(("words", "asleep"), [("frozen", 1), ("learn", 0)])
def test_word_vectors_alone_stay_as_they_came_unless_asked(tmp_path, act, words, asleep):
    learns = STRATEGIES["full"]({**DEFAULTS, "word_embeddings": words}).learns
    names = [name for name, _ in network(tmp_path, hidden_act=act).named_parameters()]
    still = [name for name in names if not learns(name)]
    assert len(still) == asleep
    assert all(name.endswith("word_embeddings.weight") for name in still)
