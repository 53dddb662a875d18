from fettle.strategies import STRATEGIES
from fettle.strategies.features import DEFAULTS


def test_only_the_head_learns_and_it_is_solved():
    strategy = STRATEGIES["features"](DEFAULTS)
    assert strategy.solved
    assert strategy.rates(4, 0) == strategy.rates(4, 9) == (0.0, 0.0, 0.0, 1.0)


def test_what_is_tried_can_be_read_back():
    assert DEFAULTS["poolings"].split(",") == ["mean", "cls", "max"]
    penalties = [float(text) for text in DEFAULTS["l2"].split(",")]
    assert penalties == sorted(penalties, reverse=True)
    assert min(penalties) > 0
