"""The forward pass of ``core.facts.arch.Mlp``, of one model; ``torch.func.vmap`` maps it over a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.facts.arch import NORM_EPSILON, NORM_MOMENTUM, Mlp
from initlab.frameworks.torch.activations import activation

Params = dict[str, Tensor]
Dense = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Mask = Callable[[tuple[int, ...], int], Tensor]
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
    h = x
    activations: list[Tensor] = []
    moments: Moments = {}
    for i in range(arch.depth):
        z = dense(h, params[f"{i}/weight"], params.get(f"{i}/bias"))
        if i == arch.depth - 1:
            return Forward(z, tuple(activations), moments)
        z, batch = normed(arch, params, i, z, running=running)
        moments |= batch
        a = f(z)
        activations.append(a)
        if arch.has_skip(i):
            a = a + h
        h = a if mask is None else a * mask(a.shape, i)
    raise AssertionError("an Mlp has an output layer")


def normed(
    arch: Mlp, params: Mapping[str, Tensor], i: int, z: Tensor, *, running: Moments | None = None
) -> tuple[Tensor, Moments]:
    """The norm of a hidden layer, and the moments by which it normalised; without a norm, ``z`` itself and none.

    Args:
        arch: The architecture.
        params: The norm's scale and bias, by canonical path.
        i: The layer, counted from 0.
        z: (rows, width).
        running: As in ``forward``.

    Returns:
        (rows, width), and for a batch norm the mean and variance, each (width,), by its name.
    """
    moments: Moments = {}
    if arch.norm == "none":
        return z, moments
    if arch.norm == "layer":
        mean, var = z.mean(-1, keepdim=True), z.var(-1, keepdim=True, correction=0)
    else:
        mean, var = (z.mean(0), z.var(0, correction=0)) if running is None else running[f"norm_{i}"]
        moments[f"norm_{i}"] = (mean, var)
    scaled = (z - mean) / torch.sqrt(var + NORM_EPSILON) * params[f"norm_{i}/scale"] + params[f"norm_{i}/bias"]
    return scaled, moments


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
