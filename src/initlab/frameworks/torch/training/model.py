"""The forward pass of ``core.training.forward`` in torch; ``torch.func.vmap`` maps it over a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.facts.arch import Mlp
from initlab.core.training import forward as passes
from initlab.frameworks.torch.activations import activation

Params = dict[str, Tensor]
Dense = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Mask = Callable[[tuple[int, ...], int], Tensor]
Forward = passes.Forward[Tensor]
Moments = passes.Moments[Tensor]


def forward(
    arch: Mlp,
    params: Mapping[str, Tensor],
    x: Tensor,
    *,
    running: Moments | None = None,
    mask: Mask | None = None,
    dense: Dense = functional.linear,
) -> Forward:
    """Dense -> norm -> activation -> + skip -> dropout in each hidden layer, then the linear output layer.

    Args:
        arch: The architecture.
        params: By canonical path, in the canonical layout, which is torch's own.
        x: (rows, features).
        running: Running moments for the batch norms, as at evaluation; None takes those of the batch itself.
        mask: From a hidden layer's shape, (rows, units), and its index, counted from 0, to what dropout multiplies its
            output by; None drops nothing.
        dense: ``x @ weight.T + bias``, of (x, weight, bias).
    """
    f = activation(arch.activation)

    def activated(z: Tensor, i: int) -> tuple[Tensor, Moments]:
        z, moments = normed(arch, params, z, i, running=running)
        return f(z), moments

    return passes.forward(
        arch,
        x,
        dense=lambda h, i: dense(h, params[f"{i}/weight"], params.get(f"{i}/bias")),
        activated=activated,
        drop=None if mask is None else lambda h, i: h * mask(h.shape, i),
    )


def normed(
    arch: Mlp, params: Mapping[str, Tensor], z: Tensor, i: int, *, running: Moments | None = None
) -> tuple[Tensor, Moments]:
    """The norm of a hidden layer, as ``core.training.forward.normed``."""
    return passes.normed(arch, params, z, i, moments_of=_moments_of, sqrt=torch.sqrt, running=running)


def _moments_of(z: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    return z.mean(axis, keepdim=axis != 0), z.var(axis, keepdim=axis != 0, correction=0)
