"""The sums of a value over a batch, on the value's own device: what ``core.signals.sums`` says.

On an accelerator they are compiled, and small arrays stay there until all are fetched. On the CPU the numbers are at
hand: NumPy sums them, for a compilation takes longer than the sums of a hundred passes.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from initlab.core.signals.readings import BINS
from initlab.frameworks.reading.value_sums import NUMPY, Library, Look, Parts, bin_places, parts_of, row_sums


def arranged_shape(shape: tuple[int, ...], rows: int) -> tuple[int, ...]:
    """The shape of a value of this shape that is arranged.

    Example:
        >>> arranged_shape((6, 5), 2), arranged_shape((7, 2, 5), 2)      # three tokens a sample; seven, samples second
        ((2, 3, 5), (2, 7, 5))
    """
    return _arrangement(shape, rows)[1]


def _arrangement(shape: tuple[int, ...], rows: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The order of axes that puts samples first, and the shape thereafter."""
    order = tuple(range(len(shape)))
    if len(shape) < 2 or not rows or shape[0] == rows:
        return order, shape
    if shape[0] % rows == 0:
        return order, (rows, shape[0] // rows, *shape[1:])
    if rows in shape[:-1]:
        first = shape.index(rows)
        order = (first, *(axis for axis in order if axis != first))
    return order, tuple(shape[axis] for axis in order)


def summed(value: Any, *, rows: int, look: Look) -> Parts:
    """The parts of a value's sums, as ``reading.records.Measured`` names them.

    Args:
        value: Real numbers, rank 1 or more and not empty, units along the last axis.
        rows: Samples of the batch; 0 where the value is one row, as the gradient by a parameter is.
        look: What is looked at.
    """
    is_at_hand = isinstance(value, np.ndarray) or all(device.platform == "cpu" for device in value.devices())
    return _arranged_sums(np.asarray(value), rows, look) if is_at_hand else summed_there(value, rows=rows, look=look)


@partial(jax.jit, static_argnames=("rows", "look"))
def summed_there(value: jax.Array, *, rows: int, look: Look) -> Parts:
    """As ``summed``, where the value is; compiled once for values of one shape."""
    with jax.default_matmul_precision("highest"):
        return _arranged_sums(value, rows, look)


def _arranged_sums(value: Any, rows: int, look: Look) -> Parts:
    order, shape = _arrangement(value.shape, rows) if rows else (tuple(range(value.ndim)), (1, value.size))
    x = value.transpose(order).reshape(shape)
    library = NUMPY if isinstance(x, np.ndarray) else _JAX
    return parts_of(x if x.dtype.itemsize >= 4 else x.astype(np.float32), look, library)


def _directions(table: Any) -> jax.Array:
    """The bits of a counter, mixed, as numbers in [-1, 1); no constant to store."""
    bits = jnp.arange(2 * len(table), dtype=jnp.uint32).reshape(2, len(table))
    for factor in (0x7FEB352D, 0x846CA68B):  # odd, so that no two counters meet
        bits = (bits ^ (bits >> 16)) * jnp.uint32(factor)
    return (bits >> 8).astype(table.dtype) / 2**23 - 1


def _bins(inside: jax.Array) -> jax.Array:
    return jnp.bincount(bin_places(inside, jnp), length=BINS)


_JAX = Library(jnp, row_sums, _bins, _directions)
