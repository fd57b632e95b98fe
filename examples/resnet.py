"""A small residual network in PyTorch, to plan, initialise and compare: ``initlab plan examples.resnet:build``."""

from __future__ import annotations

import torch
from torch import nn


class Block(nn.Module):
    """Two convolutions with batch normalisation around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The input plus what the branch makes of it."""
        return torch.relu(x + self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))


class ResNet(nn.Module):
    """A stem, residual blocks, global average pooling and a linear head, for 28 x 28 images."""

    def __init__(self, *, width: int = 16, blocks: int = 2, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The logits of a batch of images, (rows, 1, height, width)."""
        x = torch.relu(self.stem(x))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=(2, 3)))


def build() -> tuple[nn.Module, torch.Tensor]:
    """The network and an example of its input."""
    return ResNet(), torch.zeros(1, 1, 28, 28)
