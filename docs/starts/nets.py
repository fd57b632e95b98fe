"""The nets of ``docs/starts.md``, on the 8 x 8 digits, and starts of attention and from a larger net."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """A residual branch of two layers without a norm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """The stream, with what the branch adds."""
        out: Tensor = x + self.b(torch.relu(self.a(x)))
        return out


class Vit(nn.Module):
    """16 patches of 2 x 2, a pre-norm block of attention and dense layers, a learned position table."""

    def __init__(self, width: int = 32, blocks: int = 1) -> None:
        super().__init__()
        self.patch, self.head = nn.Linear(4, width), nn.Linear(width, 10)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2 * blocks + 1))
        self.attention = nn.ModuleList(nn.MultiheadAttention(width, 4, batch_first=True) for _ in range(blocks))
        self.dense = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits of flat images."""
        patches = x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
        h = self.patch(patches) + self.position
        for i, (attend, dense) in enumerate(zip(self.attention, self.dense, strict=True)):
            z = self.norms[2 * i](h)
            h = h + attend(z, z, z, need_weights=False)[0]
            h = h + dense(self.norms[2 * i + 1](h))
        logits: Tensor = self.head(self.norms[-1](h).mean(1))
        return logits


def chain(act: type[nn.Module], depth: int, width: int = 64) -> nn.Module:
    """Dense layers."""
    hidden = [part for _ in range(depth - 1) for part in (nn.Linear(width, width), act())]
    return nn.Sequential(nn.Linear(64, width), act(), *hidden, nn.Linear(width, 10))


def residual(width: int = 64) -> nn.Module:
    """Four residual blocks without norms."""
    return nn.Sequential(nn.Linear(64, width), *(Block(width) for _ in range(4)), nn.ReLU(), nn.Linear(width, 10))


NETS: dict[str, Callable[[], nn.Module]] = {
    "ReLU x 6": lambda: chain(nn.ReLU, 6),
    "residual x 4, no norm": residual,
    "attention x 1": Vit,
}


def sinusoids(model: Vit) -> None:
    """The position table of Vaswani et al. 2017, as mimetic initialization has it."""
    places, width = model.position.shape
    angles = torch.arange(places)[:, None] / 10_000 ** (torch.arange(0, width, 2) / width)
    with torch.no_grad():
        model.position.copy_(torch.stack([angles.sin(), angles.cos()], 2).reshape(places, width) * 0.3)


def mimetic(model: Vit, *, near: float = 0.7, value: float = 0.4) -> None:
    """``W_q^T W_k`` near 0.7 Z + 0.7 I by head, ``W_o W_v`` near 0.4 Z - 0.4 I; Z has entries N(0, 1/d).

    Trockman & Kolter 2023, "Mimetic initialization of self-attention layers", arXiv:2305.09828, section 3.
    """
    with torch.no_grad():
        for layer in model.attention:
            assert isinstance(layer, nn.MultiheadAttention)
            d, k = layer.embed_dim, layer.head_dim
            noise, eye = (lambda d=d: torch.randn(d, d) / d**0.5), torch.eye(d)
            q, key, v = layer.in_proj_weight.view(3, d, d)
            for head in range(layer.num_heads):
                u, s, vt = torch.linalg.svd(near * noise() + near * eye)
                rows = slice(head * k, head * k + k)
                q[rows], key[rows] = (u[:, :k] * s[:k].sqrt()).T, s[:k, None].sqrt() * vt[:k]
            u, s, vt = torch.linalg.svd(value * noise() - value * eye)
            v.copy_(s[:, None].sqrt() * vt)
            layer.out_proj.weight.copy_(u * s.sqrt())


def selected(small: nn.Module, large: nn.Module) -> None:
    """Every parameter is the evenly spaced part of the larger net's, along each axis.

    Xu et al. 2023, "Initializing models with larger ones", arXiv:2311.18823, algorithm 1.
    """
    with torch.no_grad():
        for p, q in zip(small.parameters(), large.parameters(), strict=True):
            for axis, n in enumerate(p.shape):
                q = q.index_select(axis, torch.arange(n) * q.shape[axis] // n)
            p.copy_(q)


def loss_of(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The mean cross entropy."""
    return functional.cross_entropy(model(x), y)
