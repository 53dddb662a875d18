"""Strides: what is computed by another way is what torch computes."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from fettle.core.plan import Pictures
from fettle.models import strides
from fettle.models.network import open_network
from fettle.models.strides import convolved, stepping
from pictures import card, own_cache

__all__ = ["own_cache"]

LIKE_TORCH = [  # side, channels, kernel, stride, padding, dilation
    (9, 8, 3, 2, 1, 1), (10, 8, 3, 2, 0, 1), (11, 6, 5, 2, 2, 1), (12, 8, 3, (2, 3), (1, 0), 1),
    (13, 8, 3, 2, 2, 2), (9, 4, 2, 3, 0, 1), (8, 8, 3, 2, 1, 1),
]


def slopes(run, pixels, weight, bias):
    given = [one.clone().requires_grad_(True) for one in (pixels, weight, bias)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        made = run(*given)
    torch.manual_seed(1)
    made.backward(torch.randn_like(made))
    return made.detach(), [one.grad for one in given]


@pytest.fixture
def stepped(monkeypatch):
    """How often the other way was taken."""
    taken = []
    real = strides._Stepped.apply
    monkeypatch.setattr(strides._Stepped, "apply",
                        lambda *given: (taken.append(given[3]), real(*given))[1])
    return taken


@pytest.mark.parametrize("setting", LIKE_TORCH)
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_outputs_and_gradients_are_those_of_torch(setting, layout, stepped):
    side, channels, kernel, *rest = setting
    torch.manual_seed(0)
    pixels = torch.randn(3, channels, side, side + 2).to(memory_format=layout)
    weight, bias = torch.randn(channels, 1, kernel, kernel), torch.randn(channels)

    def by(function):
        return slopes(lambda one, two, three: function(one, two, three, *rest, channels),
                      pixels, weight, bias)

    (expected, due), (made, found) = by(functional.conv2d), by(convolved)
    assert len(stepped) == 1
    assert made.dtype == torch.bfloat16
    assert torch.equal(made, expected)
    for one, other in zip(found, due, strict=True):
        assert torch.allclose(one, other, rtol=0.02, atol=0.02 * float(other.abs().max()))


def test_only_what_is_slow_goes_another_way(stepped):
    pixels, alone = torch.randn(2, 4, 8, 8), torch.randn(4, 1, 3, 3)
    with stepping():
        functional.conv2d(pixels, alone, stride=2, groups=4)  # not in bf16
        with torch.autocast("cpu", dtype=torch.bfloat16):
            functional.conv2d(pixels, alone, groups=4)  # no steps
            functional.conv2d(pixels, alone, groups=4, padding="same")
            functional.conv2d(pixels, torch.randn(4, 4, 3, 3), stride=2)  # all channels
            assert not stepped
            nn.Conv2d(4, 8, 3, stride=2, groups=4)(pixels)
            functional.conv2d(pixels, alone, stride=2, groups=4, padding="valid")
    assert stepped == [[2, 2]]


def test_no_gradient_is_computed_that_nobody_asked_for():
    pixels, weight = torch.randn(2, 4, 8, 8), torch.randn(4, 1, 3, 3, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        convolved(pixels, weight, None, 2, 1, 1, 4).sum().backward()
    assert weight.grad is not None
    assert pixels.grad is None


@pytest.mark.parametrize("folded", [False, True])
def test_a_network_learns_by_it_in_bf16(tmp_path, folded, stepped):
    network = open_network(card(tmp_path, "mobilenetv2_035"))
    network.run_on(Pictures(32, folded=folded))
    batch = {"pixels": torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)}

    def learned():
        network.module.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            network.taps(batch, ("own",))["own"].float().square().mean().backward()
        return {name: one.grad for name, one in network.module.named_parameters()}

    found = learned()
    assert len(stepped) == 4, "the kernels of MobileNetV2 that step, but for the first"
    stepped.clear()
    with torch.no_grad():
        network.taps(batch, ("own",))
    assert not stepped, "only training does"
    assert all(one is not None for one in found.values())
