import pytest

from fettle.engine.optim import adamw, set_rates
from small import network


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


def everything(name):
    return True


def groups(small, optimizer):
    """(block, rate, decay) by parameter's name."""
    names = {id(value): name for name, value in small.named_parameters()}
    return {
        names[id(value)]: (group["block"], group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for value in group["params"]
    }


def test_every_parameter_learns_at_its_block_s_rate(small):
    rates = (0.1, 0.2, 0.3, 0.4)
    found = groups(small, adamw(small, rates, learns=everything, weight_decay=0.5))
    assert found.keys() == {name for name, _ in small.named_parameters()}
    assert all(found[name][:2] == (small.block_of(name), rates[small.block_of(name)])
               for name in found)  # fmt: skip


def test_norms_and_biases_do_not_decay_and_all_else_does(small):
    found = groups(small, adamw(small, (0.1,) * 4, learns=everything, weight_decay=0.5))
    for name, (_, _, decay) in found.items():
        assert decay == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.5), name


def test_a_frozen_block_takes_no_gradient_and_stands_in_no_group(small):
    found = groups(small, adamw(small, (0.0, 0.2, 0.0, 0.4), learns=everything, weight_decay=0.5))
    assert {block for block, _, _ in found.values()} == {1, 3}
    for name, value in small.named_parameters():
        assert value.requires_grad == (name in found)


def test_what_does_not_learn_is_frozen_and_what_learns_again_is_awake(small):
    def no_bias(name):
        return not name.endswith("bias")

    found = groups(small, adamw(small, (0.1,) * 4, learns=no_bias, weight_decay=0.5))
    assert found.keys() == {n for n, _ in small.named_parameters() if no_bias(n)}
    adamw(small, (0.1,) * 4, learns=everything, weight_decay=0.5)
    assert all(value.requires_grad for value in small.parameters())


def test_a_share_scales_every_block_s_rate(small):
    rates = (0.1, 0.2, 0.3, 0.4)
    optimizer = adamw(small, rates, learns=everything, weight_decay=0.5)
    set_rates(optimizer, rates, 0.5)
    set_rates(optimizer, rates, 0.25)  # of the block's rate, not of the last one
    for group in optimizer.param_groups:
        assert group["lr"] == pytest.approx(rates[group["block"]] / 4)
