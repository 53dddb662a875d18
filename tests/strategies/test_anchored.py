import pytest
import torch

from fettle.strategies import STRATEGIES
from fettle.strategies.anchored import DEFAULTS
from strategies.stepping import RATES, moves, small


def test_the_penalty_is_equation_2_by_hand(tmp_path):
    strategy = STRATEGIES["l2sp"]({**DEFAULTS, "anchor": 0.5, "head_decay": 3.0})
    found = strategy.prepare(small(tmp_path))
    with torch.no_grad():
        for name, value in found.named_parameters():
            value.requires_grad_(name.startswith("head.") or "layer.3." in name)
            if name.startswith("head."):
                value.zero_()
        found.head.linear.bias.copy_(torch.tensor([2.0, 0.0]))
        assert float(strategy.penalty(found)) == pytest.approx(3.0 / 2 * 4)
        weights = dict(found.named_parameters())
        weights["backbone.encoder.layer.3.output.dense.bias"][0] += 0.1
        weights["backbone.encoder.layer.3.output.dense.weight"][1, 1] -= 0.2
        weights["backbone.encoder.layer.0.output.dense.bias"][0] += 9.0  # does not learn
    assert float(strategy.penalty(found).detach()) == pytest.approx(
        3.0 / 2 * 4 + 0.5 / 2 * (0.1**2 + 0.2**2), rel=1e-5)


def test_the_pull_is_toward_the_start_and_grows_with_the_way(tmp_path):
    strategy = STRATEGIES["l2sp"]({**DEFAULTS, "anchor": 0.5, "head_decay": 0.0})
    found = strategy.prepare(small(tmp_path))
    value = dict(found.named_parameters())["backbone.encoder.layer.3.output.dense.bias"]
    with torch.no_grad():
        value += 0.2
    strategy.penalty(found).backward()
    torch.testing.assert_close(value.grad, torch.full_like(value, 0.5 * 0.2))


def test_a_network_on_a_short_rope_stays_nearer_to_where_it_began(tmp_path):
    away = {}
    for anchor in (0.0, 100.0):
        settings = {**DEFAULTS, **RATES, "epochs": 20, "anchor": anchor, "rate": 1e-3}
        strategy = STRATEGIES["l2sp"](settings)
        found = strategy.prepare(small(tmp_path / str(anchor)))
        before = {name: value.detach().clone() for name, value in found.named_parameters()}
        moves(found, strategy, settings)
        away[anchor] = sum(float((value.detach() - before[name]).square().sum())
                           for name, value in found.named_parameters() if "head" not in name)
    assert away[100.0] < away[0.0] / 2


def test_each_network_is_pulled_to_its_own_start(tmp_path):
    strategy = STRATEGIES["l2sp"]({**DEFAULTS, "head_decay": 0.0})
    first = strategy.prepare(small(tmp_path / "a"))
    with torch.no_grad():
        dict(first.named_parameters())["backbone.encoder.layer.3.output.dense.bias"] += 1.0
    assert float(strategy.penalty(first).detach()) > 0
    second = strategy.prepare(first)
    assert float(strategy.penalty(second).detach()) == 0
