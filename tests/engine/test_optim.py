import copy
import subprocess
import sys

import pytest
import torch

from fettle.core.errors import SettingError
from fettle.core.parts import Strategy
from fettle.engine.optim import adamw, awake_blocks, set_rates, wake
from small import network

RATES = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def small(tmp_path):
    return network(tmp_path)


def everything(name):
    return True


def strategy(*epochs, learns=everything):
    """One row of rates an epoch; the last goes on."""
    return Strategy(lambda blocks, epoch: epochs[min(epoch, len(epochs) - 1)], learns=learns)


def made(small, *epochs, learns=everything):
    return adamw(small, strategy(*epochs, learns=learns), epochs=len(epochs), weight_decay=0.5)


def groups(small, optimizer):
    """(block, rate, decay) by parameter's name."""
    names = {id(value): name for name, value in small.named_parameters()}
    return {
        names[id(value)]: (group.block, group.rate, group.weight_decay)
        for group in optimizer.groups
        for value in group.parameters
    }


def test_every_parameter_learns_at_its_block_s_rate(small):
    optimizer = made(small, RATES)
    set_rates(optimizer, RATES, 1.0)
    found = groups(small, optimizer)
    assert found.keys() == {name for name, _ in small.named_parameters()}
    assert all(found[name][:2] == (small.block_of(name), RATES[small.block_of(name)])
               for name in found)  # fmt: skip


def test_a_share_scales_every_block_s_rate(small):
    optimizer = made(small, RATES)
    set_rates(optimizer, RATES, 0.5)
    set_rates(optimizer, RATES, 0.25)  # of the block's rate, not of the last one
    for group in optimizer.groups:
        assert group.rate == pytest.approx(RATES[group.block] / 4)


def test_norms_and_biases_do_not_decay_and_all_else_does(small):
    for name, (_, _, decay) in groups(small, made(small, RATES)).items():
        assert decay == (0.0 if name.endswith("bias") or "LayerNorm" in name else 0.5), name


def test_the_optimizer_holds_what_learns_in_some_epoch_and_nothing_else(small):
    found = groups(small, made(small, (0.0, 0.0, 0.0, 0.4), (0.0, 0.2, 0.0, 0.4)))
    assert {block for block, _, _ in found.values()} == {1, 3}
    found = groups(small, made(small, RATES, learns=lambda name: name.endswith("bias")))
    assert found.keys() == {name for name, _ in small.named_parameters() if name.endswith("bias")}


def test_what_wakes_only_after_the_last_epoch_is_not_held(small):
    plan = strategy((0.0, 0.0, 0.0, 0.4), RATES)
    optimizer = adamw(small, plan, epochs=1, weight_decay=0.5)
    assert {group.block for group in optimizer.groups} == {3}


def test_nothing_that_ever_learns_is_an_error_that_names_the_keys(small):
    with pytest.raises(SettingError, match="`rate` or `head_rate`"):
        made(small, (0.0,) * 4)
    with pytest.raises(SettingError, match="every rate is 0"):
        made(small, RATES, learns=lambda name: False)


def test_awake_are_exactly_the_parameters_of_this_epoch(small):
    plan = strategy((0.0, 0.0, 0.0, 0.4), (0.0, 0.2, 0.0, 0.4), learns=lambda n: "key" not in n)
    for epoch, blocks in ((1, {1, 3}), (0, {3}), (1, {1, 3})):  # asleep, and awake again
        awake = {id(one) for one in wake(small, plan, epoch)}
        for name, value in small.named_parameters():
            learns = small.block_of(name) in blocks and "key" not in name
            assert value.requires_grad == learns == (id(value) in awake), name


def test_modules_of_frozen_blocks_are_in_evaluation_mode_and_the_others_in_training(small):
    wake(small, strategy((0.0, 0.2, 0.0, 0.4)), 0)
    for name, module in small.named_modules():
        if name.startswith(("backbone.encoder.layer.0", "head")):
            assert module.training, name
        if name.startswith(("backbone.encoder.layer.1", "backbone.embeddings")):
            assert not module.training, name


def test_the_lowest_block_that_learns_comes_first(small):
    plan = strategy((0.0, 0.2, 0.3, 0.4), learns=lambda name: ".layer.0." not in name)
    assert awake_blocks(small, plan, 0) == (2, 3)
    assert awake_blocks(small, strategy((0.0,) * 4), 0) == ()


def test_it_steps_as_torch_s_own_does_with_the_gradients_cut(small):
    plan = strategy(RATES)
    twin = copy.deepcopy(small)
    ours = adamw(small, plan, epochs=1, weight_decay=0.5)
    theirs = torch.optim.AdamW(
        [{"params": [one], "lr": RATES[twin.block_of(name)],
          "weight_decay": 0.5 if one.ndim >= 2 else 0.0} for name, one in twin.named_parameters()],
        fused=False, foreach=False,
    )
    set_rates(ours, RATES, 1.0)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        gradients = [torch.randn(one.shape, generator=generator) for one in small.parameters()]
        for owner in (small, twin):
            for one, gradient in zip(owner.parameters(), gradients, strict=True):
                one.grad = gradient.clone()
        norm = float(torch.nn.utils.get_total_norm(gradients))
        ours.step(clip=1.0, norm=norm)
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        theirs.step()
    assert norm > 10.0  # so that the cut shows
    for (name, one), other in zip(small.named_parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, msg=name)


def test_what_it_kept_goes_on_to_the_same_bits(small):
    twin = copy.deepcopy(small)
    first, second = made(small, RATES), made(twin, RATES)
    for owner, optimizer, steps in ((small, first, 3), (twin, second, 1)):
        set_rates(optimizer, RATES, 1.0)
        for _ in range(steps):
            stepped(owner, optimizer)
    third = made(twin, RATES)
    third.restore({name: value.clone() for name, value in second.state().items()})
    set_rates(third, RATES, 1.0)
    for _ in range(2):
        stepped(twin, third)
    assert all(torch.equal(one, other)
               for one, other in zip(small.parameters(), twin.parameters(), strict=True))


def stepped(network, optimizer):
    for one in network.parameters():
        one.grad = one.detach().cos()
    optimizer.step(clip=1.0, norm=0.5)


def test_no_compiler_is_imported_for_a_step():
    code = """
import sys, torch
from fettle.engine.optim import AdamW, Group
one = torch.nn.Parameter(torch.ones(3))
one.grad = torch.ones(3)
AdamW([Group(0, 0.1, [one], 0.1)]).step(clip=1.0, norm=1.0)
print(*({"torch._dynamo", "sympy"} & set(sys.modules)), float(one[0]))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (weight,) = said.stdout.split()
    assert float(weight) == pytest.approx(1 - 0.1 * 0.1 - 0.1)
