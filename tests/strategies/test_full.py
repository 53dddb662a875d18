import pytest

from fettle.strategies import STRATEGIES
from fettle.strategies.full import DEFAULTS
from strategies.stepping import RATES, by_block, moves, small


@pytest.mark.parametrize(("words", "asleep"), [("frozen", True), ("tuned", False)])
def test_every_block_moves_at_its_rate_and_word_vectors_where_asked(tmp_path, words, asleep):
    settings = {**DEFAULTS, **RATES, "epochs": 1, "word_embeddings": words}
    found = small(tmp_path)
    (moved,) = moves(found, STRATEGIES["full"](settings), settings)
    expected = [6.25e-4, 1.25e-3, 2.5e-3, 5e-3, 1e-2, 0.1]
    assert by_block(found, moved) == pytest.approx(expected, rel=1e-2)
    assert (moved["backbone.embeddings.word_embeddings.weight"] == 0.0) == asleep
    assert moved["backbone.embeddings.position_embeddings.weight"] > 0


def test_the_settings_of_the_rung_are_the_rates():
    strategy = STRATEGIES["full"]({**DEFAULTS, "rate": 0.5, "slower": 0.1, "head_rate": 2})
    assert strategy.rates(4, 0) == strategy.rates(4, 7) == pytest.approx((0.005, 0.05, 0.5, 2.0))
    assert not strategy.solved
