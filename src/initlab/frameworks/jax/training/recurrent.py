"""The forward pass of ``core.facts.recurrent.Recurrent``, of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jax import Array, lax

from initlab.core.facts.recurrent import Recurrent
from initlab.frameworks.jax.activations import activation


class Unrolled(NamedTuple):
    """What a batch of sequences gives: logits (rows, outputs), and the states after the first and the last step."""

    logits: Array
    first: Array
    last: Array


def unrolled(arch: Recurrent, params: Mapping[str, Array], x: Array) -> Unrolled:
    """The states and logits of sequences, (rows, steps * inputs).

    Args:
        arch: The architecture.
        params: By canonical path, in the canonical layout.
        x: The sequences, flat.

    Example:
        >>> import jax.numpy as jnp
        >>> arch = Recurrent(inputs=1, width=1, outputs=1, steps=3, activation="relu", bias=False)
        >>> params = {"0/weight": jnp.ones((1, 1)), "1/weight": jnp.full((1, 1), 2.0), "2/weight": jnp.ones((1, 1))}
        >>> out = unrolled(arch, params, jnp.array([[1.0, 0.0, 5.0]]))
        >>> float(out.first[0, 0]), float(out.logits[0, 0])      # 2 (2 * 1 + 0) + 5
        (1.0, 9.0)
    """
    f = activation(arch.activation)
    by_step = x.reshape(-1, arch.steps, arch.inputs).transpose(1, 0, 2)
    driven = by_step @ params["0/weight"].T
    if arch.bias:
        driven = driven + params["1/bias"]
    first = f(driven[0])

    def step(state: Array, drive: Array) -> tuple[Array, None]:
        return f(drive + state @ params["1/weight"].T), None

    last, _ = lax.scan(step, first, driven[1:])
    logits = last @ params["2/weight"].T
    return Unrolled(logits + params["2/bias"] if arch.bias else logits, first, last)
