import torch

from fettle.strategies import STRATEGIES
from fettle.strategies.scratch import DEFAULTS
from strategies.stepping import RATES, by_block, moves, small


def test_no_weight_below_the_head_is_the_pre_trained_one_and_the_draw_is_bert_s(tmp_path):
    came = small(tmp_path, hidden_size=32, intermediate_size=64)
    before = {name: value.clone() for name, value in came.state_dict().items()}
    torch.manual_seed(0)
    found = STRATEGIES["scratch"](DEFAULTS).prepare(came).state_dict()
    for name, value in found.items():
        if name.startswith("head."):
            assert torch.equal(value, before[name])
        elif value.ndim >= 2:
            assert not (value == before[name]).any(), name
        else:
            expected = torch.zeros_like(value) if name.endswith("bias") else torch.ones_like(value)
            assert torch.equal(value, expected), name
    drawn = torch.cat([value.flatten() for name, value in found.items()
                       if value.ndim >= 2 and "head" not in name])
    assert abs(float(drawn.std()) - 0.02) < 0.0005
    assert abs(float(drawn.mean())) < 0.0005


def test_every_block_learns_at_one_rate_word_vectors_too(tmp_path):
    settings = {**DEFAULTS, **RATES, "slower": 1.0, "epochs": 1}
    strategy = STRATEGIES["scratch"](settings)
    found = strategy.prepare(small(tmp_path))
    (moved,) = moves(found, strategy, settings)
    assert all(far > 5e-3 for far in by_block(found, moved))
    assert moved["backbone.embeddings.word_embeddings.weight"] > 5e-3
    assert len(set(strategy.rates(6, 0)[:-1])) == 1


def test_its_head_is_solved_on_what_the_new_network_gives():
    assert STRATEGIES["scratch"](DEFAULTS).reworks
