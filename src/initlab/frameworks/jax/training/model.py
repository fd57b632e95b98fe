"""The forward pass of ``core.facts.arch.Mlp``, and of what stands in its place; the trainer maps it over a chunk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from initlab.core.facts.arch import NORM_EPSILON, NORM_MOMENTUM, Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.frameworks.jax.activations import activation
from initlab.frameworks.jax.training.recurrent import unrolled

Params = dict[str, Array]
Moments = dict[str, tuple[Array, Array]]


class Forward(NamedTuple):
    """What one pass over a batch gives.

    Attributes:
        logits: (rows, outputs).
        activations: For each hidden layer the output of its nonlinearity, before skip and dropout, (rows, width); of a
            recurrent net the state after the first and after the last step.
        moments: For each batch norm the batch's mean and variance, each (width,).
    """

    logits: Array
    activations: tuple[Array, ...]
    moments: Moments


def forward(
    arch: Mlp | Recurrent,
    params: Mapping[str, Array],
    x: Array,
    *,
    running: Moments | None = None,
    share: Array | None = None,
    drop: Callable[[Array, int], Array] | None = None,
) -> Forward:
    """Dense -> norm -> activation -> + skip -> dropout in each hidden layer, then the linear output layer.

    A recurrent net has neither norms nor dropout.

    Args:
        arch: The architecture.
        params: By canonical path, in the canonical layout.
        x: (rows, features).
        running: Running moments for the batch norms, as at evaluation; None takes those of the batch itself.
        share: (rows,), the share of each row in a mean over the batch, 0 for padding; None is 1 / rows each.
        drop: Applied to a hidden layer's output and its index; None drops nothing.
    """
    if isinstance(arch, Recurrent):
        logits, first, last = unrolled(arch, params, x)
        return Forward(logits, (first, last), {})
    f = activation(arch.activation)
    h = x
    activations: list[Array] = []
    moments: Moments = {}
    for i in range(arch.depth):
        z = h @ params[f"{i}/weight"].T
        if arch.bias:
            z = z + params[f"{i}/bias"]
        if i == arch.depth - 1:
            return Forward(z, tuple(activations), moments)
        if arch.norm == "layer":
            z = _scaled(z, _layer_moments(z), params, i)
        elif arch.norm == "batch":
            moments[f"norm_{i}"] = _batch_moments(z, share) if running is None else running[f"norm_{i}"]
            z = _scaled(z, moments[f"norm_{i}"], params, i)
        a = f(z)
        activations.append(a)
        if arch.has_skip(i):
            a = a + h
        h = a if drop is None else drop(a, i)
    raise AssertionError("an Mlp has an output layer")


def _scaled(z: Array, moments: tuple[Array, Array], params: Mapping[str, Array], i: int) -> Array:
    mean, var = moments
    return (z - mean) / jnp.sqrt(var + NORM_EPSILON) * params[f"norm_{i}/scale"] + params[f"norm_{i}/bias"]


def _layer_moments(z: Array) -> tuple[Array, Array]:
    return z.mean(-1, keepdims=True), z.var(-1, keepdims=True)


def _batch_moments(z: Array, share: Array | None) -> tuple[Array, Array]:
    if share is None:
        return z.mean(0), z.var(0)
    mean = (share[:, None] * z).sum(0)
    return mean, (share[:, None] * jnp.square(z - mean)).sum(0)


def initial_moments(arch: Mlp | Recurrent) -> Moments:
    """Running moments before training: mean 0 and variance 1 for each batch norm."""
    if arch.norm != "batch":
        return {}
    widths = arch.widths[1:-1]
    return {f"norm_{i}": (jnp.zeros(n, jnp.float32), jnp.ones(n, jnp.float32)) for i, n in enumerate(widths)}


def moved(running: Moments, batch: Moments) -> Moments:
    """Running moments after one batch: ``momentum * running + (1 - momentum) * batch``."""
    return {
        name: (
            mean * NORM_MOMENTUM + batch[name][0] * (1.0 - NORM_MOMENTUM),
            var * NORM_MOMENTUM + batch[name][1] * (1.0 - NORM_MOMENTUM),
        )
        for name, (mean, var) in running.items()
    }
