"""Three scripts that do not train: a deep sigmoid net, a CNN drawn too small, a transformer with a loud tied table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from initlab.tasks import load_task

WORDS, LENGTH = 64, 16


def sigmoids() -> nn.Module:
    return nn.Sequential(*[m for _ in range(8) for m in (nn.Linear(64, 64), nn.Sigmoid())], nn.Linear(64, 10))


def small_cnn() -> nn.Module:
    body = [m for _ in range(6) for m in (nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())]
    net = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )
    for module in net:
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)
    return net


class Block(nn.Module):
    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.before, self.between = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        rows, length, width = x.shape
        parts = self.qkv(self.before(x)).chunk(3, -1)
        q, k, v = (part.reshape(rows, length, self.heads, -1).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(functional.gelu(self.up(self.between(x))))


class Transformer(nn.Module):
    """Pre-norm, with a tied embedding: both tables as ``nn.Embedding`` draws them, N(0, 1)."""

    def __init__(self, width: int = 256, blocks: int = 2, *, std: float = 1.0) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, WORDS, bias=False)
        self.head.weight = self.words.weight
        for table in (self.words, self.places):
            nn.init.normal_(table.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        h = self.words(x) + self.places(torch.arange(x.shape[1]))
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h))


def digits() -> tuple[Tensor, Tensor]:
    data = load_task("digits")
    return torch.tensor(np.asarray(data.x_train, np.float32)), torch.tensor(np.asarray(data.y_train)).long()


def pictures() -> tuple[Tensor, Tensor]:
    x, y = digits()
    return x.reshape(-1, 1, 8, 8), y


def counting() -> tuple[Tensor, Tensor]:
    """Words that count on by 1, 2 or 3, and the word after each."""
    given = torch.Generator().manual_seed(1)
    first, step = (torch.randint(low, high, (2000, 1), generator=given) for low, high in ((0, WORDS), (1, 4)))
    words = (first + step * torch.arange(LENGTH + 1)) % WORDS
    return words[:, :-1], words[:, 1:]


@dataclass(frozen=True)
class Script:
    """A net, its data, and how it is trained."""

    build: Callable[[], nn.Module]
    data: Callable[[], tuple[Tensor, Tensor]]
    steps: int
    rate: float

    def model(self) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return self.build()

    def batch(self) -> tuple[Tensor, Tensor]:
        x, y = self.data()
        return x[:64], y[:64]

    def trained(self, model: nn.Module) -> float:
        """The share of right answers after Adam's steps."""
        x, y = self.data()
        optimizer: Any = torch.optim.Adam(model.parameters(), self.rate)
        rows = torch.Generator().manual_seed(2)
        for _ in range(self.steps):
            at = torch.randint(0, len(x), (32,), generator=rows)
            optimizer.zero_grad()
            functional.cross_entropy(model(x[at]).flatten(0, -2), y[at].flatten()).backward()
            optimizer.step()
        with torch.no_grad():
            return float((model(x[:500]).argmax(-1) == y[:500]).float().mean())


SCRIPTS = {
    "sigmoids": Script(sigmoids, digits, 300, 3e-3),
    "small cnn": Script(small_cnn, pictures, 300, 3e-3),
    "transformer": Script(Transformer, counting, 100, 3e-4),
}
