"""Dropout masks from a counter hash: each element of each mask is a function of (seed, step, layer, element)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def _mix(x: Array) -> Array:
    """MurmurHash3's 32-bit finaliser (Appleby, public domain): a bijection; an input bit flips half of the output's."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def words(key: Array, step: Array, layer: int, shape: tuple[int, ...]) -> Array:
    """One 32-bit word an element, the same for the same (key, step, layer, element) wherever it is computed.

    Two rounds of a 32-bit hash, the first entered by the element and one word made of (key, step, layer), the second by
    another, so that two masks whose first words collide still differ. Threefry, JAX's own generator, costs more than
    the whole of a small network's step.

    Args:
        key: uint32 (2,), the model's.
        step: uint32 scalar, the optimiser step.
        layer: The dense layer, counted from 0.
        shape: (rows, units); fewer than 2^32 elements.

    Returns:
        uint32 of that shape.
    """
    place = step * jnp.uint32(0x9E3779B9) + jnp.uint32(layer) * jnp.uint32(0x7F4A7C15)
    first = _mix(_mix(key[0] ^ place) + key[1])
    second = _mix(_mix(key[1] + place) ^ key[0])
    element = jax.lax.iota(jnp.uint32, shape[0] * shape[1]).reshape(shape)
    return _mix(_mix(element ^ first) + second)


def drop(x: Array, layer: int, *, rate: float, key: Array, step: Array) -> Array:
    """``x`` with a share ``rate`` of its elements zero and the others times 1 / (1 - rate), as Keras does.

    Args:
        x: (rows, units).
        layer: The dense layer, counted from 0.
        rate: In (0, 1), rounded to a multiple of 2^-32.
        key: uint32 (2,), the model's.
        step: uint32 scalar, the optimiser step.
    """
    threshold = jnp.uint32(min(round(rate * 2**32), 2**32 - 1))
    keep = words(key, step, layer, (x.shape[0], x.shape[1])) >= threshold
    return jnp.where(keep, x * (1.0 / (1.0 - rate)), 0.0)
