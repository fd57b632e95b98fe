"""The sums of a value over a batch, on the value's own device: what ``core.signals.sums`` says.

On an accelerator they are compiled, and small arrays stay there until all are fetched. On the CPU the numbers are at
hand: NumPy sums them, for a compilation takes longer than the sums of a hundred passes. What follows is written once
for both, whose functions have the same names. ``reading.records`` turns the small arrays into records.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from initlab.core.signals.readings import BINS, GRAM_ROWS
from initlab.core.signals.sums import HISTOGRAM_REACH

Parts = dict[str, Any]

_SMALL, _LARGE = 1e-12, 1e15  # between them the squares of a million float32 numbers neither vanish nor overflow


@dataclass(frozen=True)
class Look:
    """What is looked at in a value.

    Attributes:
        whole: Whether samples, tokens and units are, besides the size.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether entries are counted.
        takes: The range of the activation that takes the value, outside of which its slope is below 5 % of its
            largest; None where it is not bounded.
    """

    whole: bool = True
    is_softmax: bool = False
    histogram: bool = False
    takes: tuple[float, float] | None = None


SIZE = Look(whole=False)


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


def _of(x: Any) -> Any:
    """The functions of this kind of array."""
    return np if isinstance(x, np.ndarray | np.generic) else jnp


def _arranged_sums(value: Any, rows: int, look: Look) -> Parts:
    order, shape = _arrangement(value.shape, rows) if rows else (tuple(range(value.ndim)), (1, value.size))
    x = value.transpose(order).reshape(shape)
    return _parts(x if x.dtype.itemsize >= 4 else x.astype(np.float32), look)


def _parts(x: Any, look: Look) -> Parts:
    outside = None if look.takes is None else ((x < look.takes[0]) | (x > look.takes[1])).sum()
    x, parts = _tamed(x)
    xp, flat = _of(x), x.reshape(len(x), -1)
    if outside is not None:
        parts["outside"] = outside
    parts |= {"norms": xp.sqrt(xp.square(flat).sum(axis=1)), "sum": flat.sum()}
    if look.whole and x.ndim > 1:
        parts |= {**_units(x.reshape(-1, x.shape[-1])), **_angles(x)}
    if look.is_softmax:
        parts["entropy"] = (-flat * xp.log(xp.where(flat > 0, flat, 1))).sum()
    if look.histogram:
        parts["counts"] = _counts(flat, parts)
    return parts


def _tamed(x: Any) -> tuple[Any, Parts]:
    """The value with zeros where it is not finite, divided by its largest magnitude, and the parts that say so.

    Squares of numbers up to 1 neither vanish nor overflow; at hand, numbers of a common size stay as they are.
    """
    xp = _of(x)
    if xp is np and np.isfinite(top := max(x.max(), -x.min())) and (_SMALL < top < _LARGE or top == 0):
        return x, {"scale": np.ones((), x.dtype), "broken": np.zeros((), int)}
    finite = xp.isfinite(x)
    x = xp.where(finite, x, xp.zeros((), x.dtype))
    largest = xp.abs(x).max()
    scale = xp.where(largest > 0, largest, xp.ones((), x.dtype))
    return x / scale, {"scale": scale, "broken": (~finite).sum()}


def _units(table: Any) -> Parts:
    """What tells dead units and equal ones, which are columns here.

    At hand, units with the same ends are compared entry by entry. Elsewhere two sums of each come along, which are
    those of another unit only where the two are the same.
    """
    low, high = table.min(axis=0), table.max(axis=0)
    if _of(table) is not np:
        return {"unit_low": low, "unit_high": high, "unit_along": _directions(len(table), table.dtype) @ table}
    order = np.lexsort((low, high))
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    is_doubtful = np.append(same, False) | np.append(False, same)
    is_dead = (low == 0) & (high == 0)
    doubtful = order[is_doubtful & ~is_dead[order]]
    columns = np.ascontiguousarray(table[:, doubtful].T) + 0  # -0 is 0
    equal = len(columns) - len({column.tobytes() for column in columns})
    return {"dead": is_dead.sum(), "equal": np.asarray(equal)}


def _directions(entries: int, dtype: Any) -> jax.Array:
    """Two rows of fixed numbers in [-1, 1) without a pattern: the bits of a counter, mixed; no constant to store."""
    bits = jnp.arange(2 * entries, dtype=jnp.uint32).reshape(2, entries)
    for factor in (0x7FEB352D, 0x846CA68B):  # odd, so that no two counters meet
        bits = (bits ^ (bits >> 16)) * jnp.uint32(factor)
    return (bits >> 8).astype(dtype) / 2**23 - 1


def _angles(x: Any) -> Parts:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    xp, few = _of(x), x[:GRAM_ROWS]
    flat = few.reshape(len(few), -1)
    # NumPy takes the product of a matrix with its own transpose for a symmetric one, whose threads in OpenBLAS wait for
    # each other a thousand times as long as they work on a busy machine; with a copy it is a common product.
    parts: Parts = {"gram": flat @ flat.T.copy()}
    if x.ndim == 3:
        lengths = xp.sqrt(xp.square(few).sum(axis=2))
        alive = lengths > 0
        shares = few / xp.where(alive, lengths, xp.ones((), x.dtype))[:, :, None]
        parts["resultants"] = xp.sqrt(xp.square(shares.sum(axis=1)).sum(axis=1))
        parts["alive"] = alive.sum(axis=1)
    return parts


def _counts(flat: Any, parts: Parts) -> Any:
    """Entries by bin; those outside are in the last bins."""
    xp = _of(flat)
    reach = HISTOGRAM_REACH * xp.sqrt(xp.square(parts["norms"]).sum() / xp.maximum(flat.size - parts["broken"], 1))
    width = xp.where(reach > 0, reach, xp.ones((), flat.dtype)) / (BINS // 2)
    at = xp.clip(xp.floor(flat / width), -(BINS // 2), BINS // 2 - 1).astype(np.int32).reshape(-1) + BINS // 2
    return np.bincount(at, minlength=BINS) if xp is np else jnp.bincount(at, length=BINS)
