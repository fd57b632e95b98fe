"""Small modules as users write them: some that train together, and some that cannot."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from initlab.core.training.dataset import Dataset


def mlp() -> nn.Module:
    """Odd widths: no array of a model fills registers or lines of the cache."""
    return nn.Sequential(nn.Linear(4, 7), nn.GELU(), nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 3))


def normed() -> nn.Module:
    layers = [nn.Linear(4, 9), nn.BatchNorm1d(9), nn.SiLU(), nn.Dropout(0.3), nn.Linear(9, 9), nn.LayerNorm(9)]
    return nn.Sequential(*layers, nn.ELU(), nn.Linear(9, 3))


class Conv(nn.Module):
    """Strides, running moments, whole channels dropped, pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.BatchNorm2d(3)
        self.drop, self.head = nn.Dropout2d(0.2), nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.drop(torch.sigmoid(self.norm(self.first(x))))
        return self.head(functional.max_pool2d(h, 2).flatten(1))


class Attention(nn.Module):
    """An embedding, attention and a branch around it."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.mixing = nn.Embedding(7, 4), nn.MultiheadAttention(4, 2, batch_first=True)
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(20, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.embedding(x)
        h = self.norm(h + self.mixing(h, h, h, need_weights=False)[0])
        return self.head(functional.gelu(h.flatten(1)))


def frozen() -> nn.Module:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    net[0].weight.requires_grad_(False)
    return net


class Dense(nn.Module):
    """What the next ones have in common: a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)


class Branching(Dense):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.fc(x)
        return z * 2 if z.sum() > 0 else z


class Noisy(Dense):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x + 0.1 * torch.randn_like(x) if self.training else x)


class Python(Dense):
    """Skips its layer by Python's own generator."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x) * (random.random() if self.training else 1.0)


class Counting(Dense):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.fc(x) * min(1.0, self.calls / 100)


class Late(Counting):
    """Counts, which has no effect within a few steps."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.fc(x) * (1.0 if self.calls < 1000 else 0.5)


class Rebinding(Dense):
    """Puts another tensor in its buffer's place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0).detach()
        return self.fc(x - self.mean)


class Constant(Dense):
    """Holds a tensor that is neither a parameter nor a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scales = torch.rand(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x * self.scales)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.memory, self.head = nn.LSTM(4, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.memory(x[:, None])[0][:, 0])


def changing() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.Dropout(random.random() / 2), nn.Linear(6, 3))


def doubled() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 3)).double()


def large() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 300), nn.ReLU(), nn.Linear(300, 300), nn.Linear(300, 3))


def busy() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 200), nn.ReLU(), nn.Tanh(), nn.Linear(200, 200), nn.ReLU(), nn.Linear(200, 3))


TOGETHER: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "mlp": (mlp, "rows"),
    "norms and dropout": (normed, "rows"),
    "frozen": (frozen, "rows"),
    "convolution": (Conv, "images"),
    "attention": (Attention, "words"),
}
"""Those that train together, with their data."""

ALONE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "branches on numbers": (Branching, "data-dependent control flow"),
    "noise": (Noisy, "draws random numbers outside of dropout"),
    "Python's generator": (Python, "draws random numbers outside of dropout"),
    "counts": (Counting, "is another than that of the module alone"),
    "counts, to no effect": (Late, "a pass changes an attribute of the module that is no buffer"),
    "rebinds a buffer": (Rebinding, "the buffer mean is another than that of the module alone"),
    "a tensor of its own": (Constant, "a tensor that is neither a parameter nor a buffer"),
    "recurrence": (Recurrent, "Batching rule not implemented for aten::lstm"),
    "another each time": (changing, "another seed builds a module of other attributes"),
    "parameters": (large, "the model has 92,703 parameters, more than 50,000"),
    "activations": (busy, "a step of one model writes"),
}
"""Those that train one by one, and why."""


def dataset(kind: str) -> Dataset:
    """Noise with 101 rows: the last batch of 30 has 11; and 31 to test."""
    rng = np.random.default_rng(0)
    shape, classes = {"rows": ((4,), 3), "images": ((8, 8), 2), "words": ((5,), 2)}[kind]
    size = int(np.prod(shape))
    x = rng.integers(0, 7, (132, size)) if kind == "words" else rng.standard_normal((132, size))
    y = rng.integers(0, classes, 132).astype(np.int32)
    names = tuple("abc"[:classes])
    image = (8, 8) if kind == "images" else None
    x = x.astype(np.float32)
    return Dataset("noise", x[:101], y[:101], x[101:], y[101:], class_names=names, image_shape=image)
