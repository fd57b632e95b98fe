"""The forward pass of ``core.training.forward`` in JAX, and of what stands in its place; the trainer maps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
from jax import Array

from initlab.core.facts.arch import Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.training import forward as passes
from initlab.frameworks.jax.activations import activation
from initlab.frameworks.jax.training.recurrent import unrolled

Params = dict[str, Array]
Forward = passes.Forward[Array]
Moments = passes.Moments[Array]


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
        return passes.Forward(logits, (first, last), {})
    f, chain = activation(arch.activation), arch

    def dense(h: Array, i: int) -> Array:
        z = h @ params[f"{i}/weight"].T
        return z + params[f"{i}/bias"] if chain.bias else z

    def moments_of(z: Array, axis: int) -> tuple[Array, Array]:
        if share is None or axis != 0:
            return z.mean(axis, keepdims=axis != 0), z.var(axis, keepdims=axis != 0)
        mean = (share[:, None] * z).sum(0)
        return mean, (share[:, None] * jnp.square(z - mean)).sum(0)

    def activated(z: Array, i: int) -> tuple[Array, Moments]:
        z, moments = passes.normed(chain, params, z, i, moments_of=moments_of, sqrt=jnp.sqrt, running=running)
        return f(z), moments

    return passes.forward(arch, x, dense=dense, activated=activated, drop=drop)


def initial_moments(arch: Mlp | Recurrent) -> Moments:
    """Running moments before training: mean 0 and variance 1 for each batch norm."""
    return passes.initial_moments(arch, lambda n, value: jnp.full(n, value, jnp.float32))
