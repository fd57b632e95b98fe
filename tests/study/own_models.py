"""Functions that build models, importable by workers: ``tests.study.own_models:NAME``."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from initlab.core.facts.arch import Mlp
from initlab.frameworks.torch.zoo import build_mlp


class Cnn(nn.Module):
    """Batch norm, dropout, functional activations and pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.drop, self.fc = nn.Dropout(0.25), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(functional.relu(self.bn2(self.conv2(x))), 4)
        return self.fc(self.drop(x.flatten(1)))


class Scaled(nn.Module):
    """Has a parameter, but no weight."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.scale * x[:, :3]


class Stumbles(nn.Module):
    """Raises in training, where an example in evaluation mode does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) == 8:
            raise FloatingPointError("a row of eight")
        return self.fc(x)


def cnn() -> nn.Module:
    return Cnn()


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))


def mlp_with_example() -> tuple[nn.Module, torch.Tensor]:
    return mlp(), torch.zeros(2, 4)


class Pairs(nn.Module):
    """Has a ReLU where it is given two rows, and a tanh where it is given more."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.first(x)
        return self.last(torch.relu(z) if len(x) == 2 else torch.tanh(z))


def wide() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 3))


def twin() -> nn.Module:
    return build_mlp(Mlp((4, 16, 3)))


def stumbles() -> nn.Module:
    return Stumbles()
