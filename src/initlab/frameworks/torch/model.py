"""The forward pass of ``core.arch.Mlp``, of one model; ``torch.func.vmap`` maps it over a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.arch import NORM_EPSILON, NORM_MOMENTUM, Mlp
from initlab.frameworks.torch.functions import activation

Params = dict[str, Tensor]
Moments = dict[str, tuple[Tensor, Tensor]]


class Forward(NamedTuple):
    """What one pass over a batch gives.

    Attributes:
        logits: (rows, outputs).
        activations: For each hidden layer the output of its nonlinearity, before skip and dropout, (rows, width).
        moments: For each batch norm the batch's mean and variance, each (width,).
    """

    logits: Tensor
    activations: tuple[Tensor, ...]
    moments: Moments


def forward(
    arch: Mlp,
    params: Mapping[str, Tensor],
    x: Tensor,
    *,
    running: Moments | None = None,
    drop: Callable[[Tensor, int], Tensor] | None = None,
) -> Forward:
    """Dense -> norm -> activation -> + skip -> dropout in each hidden layer, then the linear output layer.

    Args:
        arch: The architecture.
        params: By canonical path, in the canonical layout, which is torch's own.
        x: (rows, features).
        running: Running moments for the batch norms, as at evaluation; None takes those of the batch itself.
        drop: Applied to a hidden layer's output and its index; None drops nothing.
    """
    f = activation(arch.activation)
    h = x
    activations: list[Tensor] = []
    moments: Moments = {}
    for i in range(arch.depth):
        z = functional.linear(h, params[f"{i}/weight"], params[f"{i}/bias"] if arch.bias else None)
        if i == arch.depth - 1:
            return Forward(z, tuple(activations), moments)
        if arch.norm == "layer":
            z = _scaled(z, (z.mean(-1, keepdim=True), z.var(-1, keepdim=True, correction=0)), params, i)
        elif arch.norm == "batch":
            batch = (z.mean(0), z.var(0, correction=0)) if running is None else running[f"norm_{i}"]
            moments[f"norm_{i}"] = batch
            z = _scaled(z, batch, params, i)
        a = f(z)
        activations.append(a)
        if arch.has_skip(i):
            a = a + h
        h = a if drop is None else drop(a, i)
    raise AssertionError("an Mlp has an output layer")


def _scaled(z: Tensor, moments: tuple[Tensor, Tensor], params: Mapping[str, Tensor], i: int) -> Tensor:
    mean, var = moments
    return (z - mean) / torch.sqrt(var + NORM_EPSILON) * params[f"norm_{i}/scale"] + params[f"norm_{i}/bias"]


def initial_moments(arch: Mlp) -> Moments:
    """Running moments before training: mean 0 and variance 1 for each batch norm."""
    if arch.norm != "batch":
        return {}
    return {f"norm_{i}": (torch.zeros(n), torch.ones(n)) for i, n in enumerate(arch.widths[1:-1])}


def moved(running: Moments, batch: Moments) -> Moments:
    """Running moments after one batch: ``momentum * running + (1 - momentum) * batch``."""
    return {
        name: (
            mean * NORM_MOMENTUM + batch[name][0] * (1.0 - NORM_MOMENTUM),
            var * NORM_MOMENTUM + batch[name][1] * (1.0 - NORM_MOMENTUM),
        )
        for name, (mean, var) in running.items()
    }
