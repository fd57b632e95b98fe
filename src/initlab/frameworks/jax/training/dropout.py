"""The dropout masks of ``core.training.dropout`` in uint32."""

from __future__ import annotations

import operator

import jax
import jax.numpy as jnp
from jax import Array

from initlab.core.training import dropout


def words(key: Array, step: Array, layer: int, shape: tuple[int, ...]) -> Array:
    """One 32-bit word an element, the same for the same (key, step, layer, element) wherever it is computed.

    Args:
        key: uint32 (2,), the model's.
        step: uint32 scalar, the optimiser step.
        layer: The dense layer, counted from 0.
        shape: (rows, units); fewer than 2^32 elements.

    Returns:
        uint32 of that shape.
    """
    place = step * jnp.uint32(dropout.STEP) + jnp.uint32(layer) * jnp.uint32(dropout.LAYER)
    element = jax.lax.iota(jnp.uint32, shape[0] * shape[1]).reshape(shape)
    found: Array = dropout.words(key, place, element, word=jnp.uint32, shift=operator.rshift)
    return found


def drop(x: Array, layer: int, *, rate: float, key: Array, step: Array) -> Array:
    """``x`` with a share ``rate`` of its elements zero and the others times 1 / (1 - rate), as Keras does.

    Args:
        x: (rows, units).
        layer: The dense layer, counted from 0.
        rate: In (0, 1), rounded to a multiple of 2^-32.
        key: uint32 (2,), the model's.
        step: uint32 scalar, the optimiser step.
    """
    keep = words(key, step, layer, (x.shape[0], x.shape[1])) >= jnp.uint32(dropout.threshold_of(rate))
    return jnp.where(keep, x * (1.0 / (1.0 - rate)), 0.0)
