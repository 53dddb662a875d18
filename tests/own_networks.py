"""Networks of a user's own, as `--model own_networks:NAME` finds them."""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

CIFAR = {"side": 32, "fixed": False, "crop": 1.0,
         "mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}


class Basic(nn.Module):
    """Two convolutions and a way around them; where it halves, the way is padded with zeros."""

    def __init__(self, before: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.stride, self.more = stride, (width - before) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = x
        if self.stride > 1:
            around = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        made = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(made)) + around)


class ResNet20(nn.Module):
    """The CIFAR ResNet-20 of He et al., 2016, section 4.2."""

    picture = CIFAR

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*(Basic(16, 16, 1) for _ in range(3)))
        self.layer2 = nn.Sequential(Basic(16, 32, 2), Basic(32, 32, 1), Basic(32, 32, 1))
        self.layer3 = nn.Sequential(Basic(32, 64, 2), Basic(64, 64, 1), Basic(64, 64, 1))
        self.linear = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(functional.avg_pool2d(x, x.shape[-1]).flatten(1))


def random_resnet20() -> nn.Module:
    """With weights of its own drawing."""
    return ResNet20()


def resnet20() -> nn.Module:
    """With the real weights."""
    from safetensors.torch import load_file

    model = ResNet20()
    folder = Path(os.environ["FETTLE_WEIGHTS"]) / "resnet20_cifar10"
    state = {name: value.float() if value.is_floating_point() else value
             for name, value in load_file(folder / "model.safetensors").items()}
    model.load_state_dict(state, strict=False)
    return model


def no_network() -> str:
    """What is no network at all."""
    return "a text"


def takes_texts() -> nn.Module:
    """A network that takes no pictures."""
    return nn.Sequential(nn.Embedding(10, 4))


def fails() -> nn.Module:
    """Never comes back."""
    raise RuntimeError("the weights are on another machine")


class Shares(nn.Module):
    """One pooling and one activation that every stage uses."""

    picture = CIFAR

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3)
        self.pool, self.relu = nn.MaxPool2d(2), nn.ReLU()
        self.fc1, self.fc2 = nn.Linear(16 * 36, 32), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.relu(self.conv1(x)))
        x = self.pool(self.relu(self.conv2(x)))
        return self.fc2(self.relu(self.fc1(x.flatten(1))))


def shares() -> nn.Module:
    """Drawn by this seed."""
    torch.manual_seed(5)
    return Shares()


def with_a_new_head() -> nn.Module:
    """What it has learned is in its kernels; its last linear map is drawn each time."""
    model = shares()
    model.fc2 = nn.Linear(32, 10)
    with torch.random.fork_rng(devices=[]):
        torch.seed()
        model.fc2.reset_parameters()
    return model


def grey() -> nn.Module:
    """Takes one channel, and says nothing of how it was scaled."""
    torch.manual_seed(6)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.picture = {"side": 28, "channels": 1}
    return model


def odd_means() -> nn.Module:
    """Three means for one channel."""
    model = grey()
    model.picture = {"side": 28, "channels": 1, "mean": (0.1, 0.2, 0.3)}
    return model


class Features(nn.Module):
    """A linear map, and steps behind it: what it gives are features, no classes."""

    def __init__(self, is_unit: bool) -> None:
        super().__init__()
        self.conv, self.fc, self.act = nn.Conv2d(3, 4, 3), nn.Linear(4, 6), nn.ReLU()
        self.is_unit = is_unit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fc(self.conv(x).mean((2, 3)))
        x = self.act(x)
        return functional.normalize(x) if self.is_unit else x * 2


def scaled_features() -> nn.Module:
    """Features times 2."""
    return Features(is_unit=False)


def unit_features() -> nn.Module:
    """Features of length 1."""
    return Features(is_unit=True)


THERE = ResNet20()
