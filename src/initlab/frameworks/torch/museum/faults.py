"""Further planted faults in PyTorch, each beside its healthy twin, for the findings that no exhibit has."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional, init

from initlab.frameworks.torch.museum.chains import he, mlp

# 13


def broken_uninitialised() -> nn.Module:
    """Memory that nobody wrote."""
    model = he(mlp(nn.ReLU, depth=3, width=64))
    weight = model.get_parameter("2.weight")
    with torch.no_grad():
        weight[3, 5] = 1e30  # what empty memory may hold, made certain
    return model


def mended_uninitialised() -> nn.Module:
    """Fill the parameter where it is made."""
    return he(mlp(nn.ReLU, depth=3, width=64))


# 14


def broken_saturated() -> nn.Module:
    """Tanh units that stand at their ends."""
    model = mlp(nn.Tanh, depth=4, width=64)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            init.normal_(parameter, std=1.0)
    return model


def mended_saturated() -> nn.Module:
    """Divide by the root of the fan."""
    model = mlp(nn.Tanh, depth=4, width=64)
    for name, parameter in model.named_parameters():
        if name.endswith("weight"):
            init.normal_(parameter, std=1.0 / 8.0)
    return model


# 15


def broken_growing_stream() -> nn.Module:
    """A residual stream that doubles in every block."""
    return ResidualMlp()


class ResidualMlp(nn.Module):
    """Residual blocks without norms."""

    def __init__(self, *, width: int = 64, depth: int = 16) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.head(x)
        return logits


class ResidualBlock(nn.Module):
    """``x + second(relu(first(x)))``, He's weights in both layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        for layer in (self.first, self.second):
            init.zeros_(layer.bias)
        init.normal_(self.first.weight, std=math.sqrt(1.0 / width))
        init.kaiming_normal_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The stream with what the branch adds."""
        out: Tensor = x + self.second(functional.relu(self.first(x)))
        return out


def mended_growing_stream() -> nn.Module:
    """Start the last layer of every branch at zero, or scale it by 1/sqrt(L)."""
    model = ResidualMlp()
    depth = len(model.blocks)
    for name, parameter in model.named_parameters():
        if name.endswith("second.weight"):
            with torch.no_grad():
                parameter.mul_(1.0 / math.sqrt(depth))
    return model


# 16


def broken_sharp_attention() -> nn.Module:
    """Attention that looks at one token only."""
    return AttentionNet(scale=1.0, std=1.0)


class AttentionNet(nn.Module):
    """One attention with a skip, the mean over its tokens, and a head."""

    def __init__(self, *, scale: float, std: float, width: int = 32) -> None:
        super().__init__()
        self.queries, self.keys = nn.Linear(width, width), nn.Linear(width, width)
        self.values, self.head = nn.Linear(width, width), nn.Linear(width, 10)
        self.scale = scale
        for layer in (self.queries, self.keys):
            init.normal_(layer.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        mixed = functional.scaled_dot_product_attention(self.queries(x), self.keys(x), self.values(x), scale=self.scale)
        logits: Tensor = self.head((x + mixed).mean(1))
        return logits


def mended_sharp_attention() -> nn.Module:
    """Divide the logits by sqrt(head size)."""
    return AttentionNet(scale=32**-0.5, std=32**-0.5)


# 17


def broken_half_precision() -> nn.Module:
    """Weights that are too small for float16."""
    return narrow(std=1e-6)


def narrow(*, std: float) -> nn.Module:
    """A model in float16 whose head has a std of choice."""
    model = he(mlp(nn.ReLU, depth=3, width=64))
    init.normal_(model.get_parameter("6.weight"), std=std)
    return Narrow(model)


class Narrow(nn.Module):
    """A model in float16 that takes float32."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.half()

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.inner(x.half())
        return logits


def mended_half_precision() -> nn.Module:
    """Keep such weights in float32, or start at zero."""
    return narrow(std=0.05)


# 18


def broken_bare_attention() -> nn.Module:
    """Attention without residual connections."""
    return AttentionStack(skip=False)


class AttentionStack(nn.Module):
    """Attention after attention, and a head on the mean over tokens."""

    def __init__(self, *, skip: bool, width: int = 32, depth: int = 12) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.head, self.skip = nn.Linear(width, 10), skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for layer, norm in zip(self.layers, self.norms, strict=True):
            mixed, _ = layer(x, x, x, need_weights=False)
            x = norm(x + mixed if self.skip else mixed)
        logits: Tensor = self.head(x.mean(1))
        return logits


def mended_bare_attention() -> nn.Module:
    """Keep a residual connection around every attention."""
    return AttentionStack(skip=True)
