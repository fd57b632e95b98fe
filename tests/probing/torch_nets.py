"""Models that a prediction is held against: one of each kind of place."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def mlp(act: type[nn.Module], *, depth: int = 8, width: int = 128, dropout: float = 0.0) -> nn.Sequential:
    hidden: list[nn.Module] = []
    for layer in range(depth):
        hidden += [nn.Linear(width if layer else 64, width), act()]
        hidden += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*hidden, nn.Linear(width, 10))


def gelu_mlp() -> nn.Sequential:
    return mlp(nn.GELU)


def dropout_mlp() -> nn.Sequential:
    return mlp(nn.ReLU, dropout=0.3)


def conv_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=2, dilation=2, groups=4), nn.ReLU(),
        nn.Conv2d(64, 128, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(128 * 36, 10),
    )  # fmt: skip


class DenseNet(nn.Module):
    """Each layer takes all that were made before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 + 16 * i, 16, 3, padding=1) for i in range(5))
        self.head = nn.Linear(3 + 16 * 5, 10)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, functional.relu(layer(x))], 1)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Down by strides, up by transposed convolutions, with a concatenation at each level."""

    def __init__(self) -> None:
        super().__init__()
        self.in_, self.down = nn.Conv2d(3, 32, 3, padding=1), nn.Conv2d(32, 64, 3, 2, 1)
        self.low, self.up = nn.Conv2d(64, 64, 3, padding=1), nn.ConvTranspose2d(64, 32, 4, 2, 1)
        self.join, self.out = nn.Conv2d(64, 32, 3, padding=1), nn.Conv2d(32, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        top = functional.silu(self.in_(x))
        y = functional.silu(self.low(functional.silu(self.down(top))))
        y = functional.silu(self.up(y))
        return self.out(functional.silu(self.join(torch.cat([y, top], 1))))  # type: ignore[no-any-return]


class GatedBlock(nn.Module):
    """A residual SwiGLU branch behind an RMS norm, scaled by learnt numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.head = nn.RMSNorm(64), nn.Linear(64, 10)
        self.gate, self.up, self.down = nn.Linear(64, 256), nn.Linear(64, 256), nn.Linear(256, 64)
        self.scale = nn.Parameter(torch.full((64,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        return self.head(x + self.scale * self.down(functional.silu(self.gate(y)) * self.up(y)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Pre-LN blocks with causal attention, as in GPT-2."""

    def __init__(self, *, words: int = 50, tokens: int = 24, width: int = 96, blocks: int = 3) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(tokens, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.words(x) + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            y = block(y)
        return self.head(self.norm(y))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Attention and a GELU layer, each on a branch behind a layer norm."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.norm_1, self.qkv, self.proj = nn.LayerNorm(width), nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm_2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, tokens, width = x.shape
        parts = self.qkv(self.norm_1(x)).chunk(3, -1)
        q, k, v = (part.view(rows, tokens, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).reshape(rows, tokens, width))
        return x + self.down(functional.gelu(self.up(self.norm_2(x))))  # type: ignore[no-any-return]


class ResNet18(nn.Module):
    """The 18-layer residual net, at a width of choice."""

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        widths = [width, width, *[2 * width] * 2, *[4 * width] * 2, *[8 * width] * 2]
        pairs = zip([width, *widths[:-1]], widths, strict=True)
        self.blocks = nn.Sequential(*(ResidualBlock(inner, outer) for inner, outer in pairs))
        self.head = nn.Linear(8 * width, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.max_pool2d(functional.relu(self.norm(self.stem(x))), 3, 2, 1)
        return self.head(self.blocks(x).mean((2, 3)))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two convolutions with batch norm beside a skip, which is a convolution where the width changes."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        stride = 1 if inner == outer else 2
        self.first, self.norm_1 = nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer)
        self.second, self.norm_2 = nn.Conv2d(outer, outer, 3, padding=1, bias=False), nn.BatchNorm2d(outer)
        skip = nn.Sequential(nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer))
        self.skip = nn.Identity() if inner == outer else skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm_2(self.second(functional.relu(self.norm_1(self.first(x)))))
        return functional.relu(y + self.skip(x))
