"""Folding: the same outputs and gradients, whatever stands around a kernel and its norm."""

import copy

import pytest
import torch
from torch import nn

from fettle.core.parts import PictureInput
from fettle.core.plan import Pictures
from fettle.models.folding import Folding
from fettle.models.network import open_network
from fettle.models.pictures import PictureBackbone
from pictures import card, own_cache

__all__ = ["own_cache"]

HEAD = {"kind": "linear", "pooling": "own", "normalise": False, "dropout": 0.0, "outputs": 3}
PIXELS = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8,
                       generator=torch.Generator().manual_seed(0))


class Odd(nn.Module):
    """A chain, a kernel with a bias, a norm that comes first, and a kernel read by two."""

    def __init__(self):
        super().__init__()
        self.one, self.after_one = nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)
        self.before_two, self.two = nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, groups=4)
        self.after_two = nn.BatchNorm2d(4, affine=False)
        self.three, self.after_three = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        self.twice, self.after_twice = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, pixels):
        made = torch.relu(self.after_one(self.one(pixels)))
        made = self.after_two(self.two(self.before_two(made)))
        split = self.three(made)
        made = self.after_three(split) + split
        for _ in range(2):
            made = torch.relu_(self.after_twice(self.twice(made)))
        return made.mean(dim=(2, 3))


@pytest.fixture
def odd():
    torch.manual_seed(0)
    made = Odd()
    with torch.no_grad():
        for one in made.modules():
            if isinstance(one, nn.BatchNorm2d):
                one.running_mean.normal_()
                one.running_var.uniform_(0.5, 2)
                if one.affine:
                    one.weight.normal_()
                    one.bias.normal_()
    return made.double().eval()


def learned(model, side=12):
    made = Folding()
    made.learn(model, torch.zeros(1, 3, side, side, dtype=torch.float64))
    return made


def gradients(model, inputs):
    model.zero_grad()
    outputs = model(inputs)
    outputs.square().sum().backward()
    return outputs.detach(), {name: one.grad.clone() for name, one in model.named_parameters()}


def test_pairs_are_norms_that_alone_read_a_kernel_that_runs_once(odd):
    pairs = learned(odd).pairs
    assert {(one.out_channels, id(norm)) for one, norm in pairs} == {
        (4, id(odd.after_one)), (4, id(odd.after_two))}


def test_outputs_and_gradients_are_those_of_both(odd):
    inputs = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    expected, slopes = gradients(odd, inputs)
    folding = learned(odd)
    ran = []
    odd.one.register_forward_hook(lambda _, args, output: ran.append(output.detach()))
    with folding.inside():
        outputs, folded = gradients(odd, inputs)
    torch.testing.assert_close(outputs, expected)
    assert folded.keys() == slopes.keys()
    for name, value in slopes.items():
        torch.testing.assert_close(folded[name], value, msg=name)
    assert not torch.allclose(ran[0], nn.functional.conv2d(inputs, odd.one.weight))  # it is folded


@pytest.mark.parametrize("activation", [nn.ReLU6, nn.Hardswish, nn.SiLU, nn.Mish, nn.ReLU])
def test_activations_in_place_give_the_same_without_a_copy(activation):
    """What is overwritten in place would be copied for the way back first."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), activation(inplace=True),
                          nn.AdaptiveAvgPool2d(1), nn.Flatten()).double().eval()
    inputs = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    expected, slopes = gradients(model, inputs)
    folding = learned(model)
    with folding.inside():
        outputs, folded = gradients(model, inputs)
    torch.testing.assert_close(outputs, expected)
    for name, value in slopes.items():
        torch.testing.assert_close(folded[name], value, msg=name)
    assert model[2].inplace


def test_a_norm_that_learns_statistics_is_not_folded(odd):
    folding = learned(odd)
    odd.after_one.train()
    inputs = torch.randn(3, 3, 12, 12, dtype=torch.float64)
    before = odd.after_one.running_mean.clone()
    expected = copy.deepcopy(odd)(inputs)
    with folding.inside():
        torch.testing.assert_close(odd(inputs), expected)
    assert not torch.equal(odd.after_one.running_mean, before)


def test_a_norm_whose_kernel_did_not_run_is_not_passed_over(odd):
    folding = learned(odd)
    inputs = torch.randn(2, 4, 5, 5, dtype=torch.float64)
    with folding.inside():
        torch.testing.assert_close(odd.after_one(inputs), odd.after_one.forward(inputs))
        assert not torch.equal(odd.after_one(inputs), inputs)


@pytest.mark.parametrize("architecture", ["test_resnet", "test_efficientnet", "test_mambaout"])
@pytest.mark.parametrize("layout", ["channels last", "channels first"])
def test_a_network_trains_alike_and_is_asked_to_the_bit_as_before(tmp_path, architecture, layout):
    network = open_network(card(tmp_path, architecture))
    network.set_head(HEAD)
    plain = copy.deepcopy(network)
    network.run_on(Pictures(32, layout=layout, folded=True))
    plain.run_on(Pictures(32, layout=layout))
    losses = []
    for one in (plain, network):
        one.train()
        loss = one({"pixels": PIXELS}).square().sum()
        loss.backward()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    for (name, one), other in zip(plain.named_parameters(), network.parameters(), strict=True):
        if one.grad is not None:
            most = max(float(one.grad.abs().max()), 1e-3)
            assert float((one.grad - other.grad).abs().max()) < 1e-3 * most, name
    with torch.inference_mode():
        assert torch.equal(network.eval()({"pixels": PIXELS}), plain.eval()({"pixels": PIXELS}))


def test_a_network_has_pairs_and_a_copy_learns_its_own(tmp_path):
    network = open_network(card(tmp_path, "test_resnet"))
    network.run_on(Pictures(32, folded=True))
    network.backbone({"pixels": PIXELS})
    folding = network.backbone._folding
    assert folding.pairs
    again = copy.deepcopy(network)
    again.backbone({"pixels": PIXELS})
    own = {id(one) for one in again.modules()}
    assert all(id(norm) in own for _, norm in again.backbone._folding.pairs)
    assert len(again.backbone._folding.pairs) == len(folding.pairs)


def test_channels_first_replays_to_the_bit(tmp_path):
    network = open_network(card(tmp_path, "test_resnet"))
    network.set_head(HEAD)
    outputs = {}
    for layout in ("channels last", "channels first"):
        network.run_on(Pictures(32, layout=layout))
        batch = {"pixels": PIXELS}
        with torch.inference_mode():
            tap = network.taps(batch, ("block 2",))["block 2"]
            outputs[layout] = network(batch)
            assert torch.equal(network(batch, start=2, hidden=tap), outputs[layout])
    torch.testing.assert_close(*outputs.values(), rtol=1e-4, atol=1e-4)


def test_a_backbone_without_kernels_has_nothing_to_fold():
    made = PictureBackbone(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4)),
                           picture=PictureInput(side=32), block_names=())
    made.run(layout="channels last", folded=True)
    assert made({"pixels": PIXELS}).shape == (4, 4)
