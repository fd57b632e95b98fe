"""The sums of a value over a batch, by ``keras.ops`` on the value's own device: what ``core.signals.sums`` says.

Measuring leaves small tensors where the value is; ``fetched`` brings them over, all at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, GRAM_ROWS
from initlab.core.signals.sums import HISTOGRAM_REACH
from initlab.frameworks.keras.probing.autodiff import Autodiff
from initlab.frameworks.keras.writing.memory import to_numpy
from initlab.frameworks.reading.records import Measured, measured

_WIDE = ("float32", "float64")

Numbers = Mapping[str, NDArray[np.float64]]


class Measure:
    """Measures values; what was compiled for one shape serves all values of that shape.

    Args:
        engine: The back end's differentiation.
    """

    def __init__(self, engine: Autodiff) -> None:
        self._engine = engine
        self._made: dict[tuple[bool, bool, bool], Callable[..., dict[str, Any]]] = {}
        self._outside = engine.compiled(_outside)

    def value(
        self, value: Any, *, units: int = -1, whole: bool = True, is_softmax: bool = False, histogram: bool = False
    ) -> Measured:
        """The sums of a value.

        Args:
            value: Real numbers, samples along axis 0, rank 1 or more and not empty.
            units: The axis of channels or features.
            whole: Whether to look at samples, tokens and units as well; else at the size alone.
            is_softmax: Whether the last axis holds shares that add up to 1.
            histogram: Whether to count entries.
        """
        shape, rank = tuple(int(n) for n in value.shape), len(value.shape)
        axis = units % rank
        x = self._engine.at_hand(value)
        xp = _of(x)
        if 0 < axis < rank - 1:
            x = xp.transpose(x, (*(n for n in range(rank) if n != axis), axis))
        needed = prod(shape) // shape[axis] if whole and rank > 1 else 0
        directions = _directions(needed) if needed else None
        if xp is np:
            parts = _summed(x, directions, whole=whole, is_softmax=is_softmax, histogram=histogram)
        else:
            given = None if directions is None else ops.convert_to_tensor(directions)
            parts = self._compiled(whole, is_softmax, histogram)(x, given)
        return measured(shape, axis, parts)

    def _compiled(self, whole: bool, is_softmax: bool, histogram: bool) -> Callable[..., dict[str, Any]]:
        key = (whole, is_softmax, histogram)
        if key not in self._made:

            def summed(x: Any, directions: Any) -> dict[str, Any]:
                return _summed(x, directions, whole=whole, is_softmax=is_softmax, histogram=histogram)

            self._made[key] = self._engine.compiled(summed)
        return self._made[key]

    def weight(self, gradient: Any) -> Measured:
        """The sums of the gradient by a parameter."""
        return self.value(ops.reshape(gradient, (1, -1)), whole=False)

    def outside(self, value: Any, low: float, high: float) -> Any:
        """How many entries are below ``low`` or above ``high``."""
        x = self._engine.at_hand(value)
        return _outside(x, low, high) if _of(x) is np else self._outside(x, low, high)


@lru_cache(maxsize=16)
def _directions(entries: int) -> NDArray[np.float32]:
    """Two rows of fixed numbers, by whose products with them two units that differ anywhere are told apart."""
    return np.random.default_rng(0).standard_normal((2, entries), np.float32)


# Written once for the tensors of a back end and for arrays at hand, whose functions have the same names.


def _of(x: Any) -> Any:
    """The functions of this kind of array."""
    return np if isinstance(x, np.ndarray | np.generic) else ops


def _cast(x: Any, dtype: str) -> Any:
    return x.astype(dtype) if _of(x) is np else ops.cast(x, dtype)


def _outside(x: Any, low: Any, high: Any) -> Any:
    return _total(_cast(_of(x).logical_or(x < low, x > high), "float32"))


def _summed(value: Any, directions: Any, *, whole: bool, is_softmax: bool, histogram: bool) -> dict[str, Any]:
    """The sums of a value whose units are its last axis, or its first."""
    xp = _of(value)
    x = value if keras.backend.standardize_dtype(value.dtype) in _WIDE else _cast(value, "float32")
    finite = xp.isfinite(x)
    x = xp.where(finite, x, xp.zeros_like(x))
    largest = xp.max(xp.abs(x))
    # Squares of numbers up to 1 neither vanish nor overflow.
    scale = xp.where(largest > 0, largest, xp.ones_like(largest))
    x = x / scale
    parts = {
        "scale": scale,
        "broken": _total(_cast(xp.logical_not(finite), "float32")),
        "norms": xp.sqrt(_rows(xp.square(x))),
        "sum": _total(x),
    }
    if whole and len(x.shape) > 1:
        parts |= {**_units(x, directions), **_angles(x)}
    if is_softmax:
        parts["entropy"] = _total(-x * xp.log(xp.where(x > 0, x, xp.ones_like(x))))
    if histogram:
        parts["counts"] = _counts(x, parts)
    return parts


def _rows(x: Any) -> Any:
    """Sums over all axes but the first, one after the other: a float32 sum of few numbers at a time is exact enough."""
    while len(x.shape) > 1:
        x = _of(x).sum(_blocks(x), axis=-1)
    return x


def _total(x: Any) -> Any:
    while len(x.shape) > 0:
        x = _of(x).sum(_blocks(x), axis=-1)
    return x


def _blocks(x: Any, most: int = 1024) -> Any:
    """A long last axis in two."""
    long = int(x.shape[-1])
    parts = next((n for n in range(most, 1, -1) if long % n == 0), 1) if long > most else 1
    return _of(x).reshape(x, (*x.shape[:-1], long // parts, parts)) if parts > 1 else x


def _units(x: Any, directions: Any) -> dict[str, Any]:
    """The ends of each unit, and two numbers that are those of another unit only where the two are the same."""
    xp = _of(x)
    table = xp.reshape(x, (-1, x.shape[-1]))
    products = xp.matmul(_cast(directions, keras.backend.standardize_dtype(table.dtype)), table)
    return {"unit_low": xp.min(table, axis=0), "unit_high": xp.max(table, axis=0), "unit_along": products}


def _angles(x: Any) -> dict[str, Any]:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    xp, few = _of(x), x[:GRAM_ROWS]
    flat = xp.reshape(few, (few.shape[0], -1))
    parts = {"gram": xp.matmul(flat, xp.transpose(flat))}
    if len(x.shape) == 3:
        lengths = xp.sqrt(xp.sum(xp.square(few), axis=2))
        alive = lengths > 0
        shares = few / xp.where(alive, lengths, xp.ones_like(lengths))[:, :, None]
        parts["resultants"] = xp.sqrt(xp.sum(xp.square(xp.sum(shares, axis=1)), axis=1))
        parts["alive"] = xp.sum(_cast(alive, "float32"), axis=1)
    return parts


def _counts(x: Any, parts: Mapping[str, Any]) -> Any:
    """How many entries are below each inner edge of the histogram."""
    xp = _of(x)
    n = float(prod(x.shape)) - parts["broken"]
    reach = HISTOGRAM_REACH * xp.sqrt(xp.sum(xp.square(parts["norms"])) / xp.maximum(n, 1.0))
    reach = xp.where(reach > 0, reach, xp.ones_like(reach))
    inside = xp.sort(xp.reshape(x, (-1,)) / reach)
    edges = np.linspace(-1.0, 1.0, BINS + 1)[1:-1].astype(np.float32)
    return xp.searchsorted(inside, edges if xp is np else _cast(ops.convert_to_tensor(edges), inside.dtype))


# Fetched


def fetched(values: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as float64 arrays."""
    return [{name: _fetched(one, name, part) for name, part in one.parts.items()} for one in values]


def _fetched(one: Measured, name: str, part: Any) -> NDArray[np.float64]:
    numbers = np.asarray(part if _of(part) is np else to_numpy(part), np.float64)
    return np.diff(numbers, prepend=0.0, append=one.entries) if name == "counts" else numbers
