"""The sums of a value over a batch, by ``keras.ops`` on the value's own device: what ``core.signals.sums`` says.

Measuring leaves small tensors where the value is; ``fetched`` brings them over, all at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, GRAM_ROWS, Sums, WeightGradient
from initlab.core.signals.sums import HISTOGRAM_REACH, mean_cosine, participation
from initlab.frameworks.keras.probing.autodiff import Autodiff
from initlab.frameworks.keras.writing.memory import to_numpy

_NAN = float("nan")
_WIDE = ("float32", "float64")
_NEAR = 1e-5  # of a root mean square: float32 sums of the same numbers, in whatever order

Numbers = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Measured:
    """The sums of one value before they are fetched.

    Attributes:
        shape: Samples first.
        axis: The axis of units.
        parts: Small tensors, by what they hold.
        is_whole: Whether samples, tokens and units were looked at as well.
        entries: Numbers in all.
    """

    shape: tuple[int, ...]
    axis: int
    parts: Mapping[str, Any]
    is_whole: bool
    entries: int


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
        return Measured(shape, axis, parts, whole, prod(shape))

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
        "norms": _rows(xp.square(x)),
        "sum": _total(x),
    }
    if whole:
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
    if len(x.shape) == 1:
        return {"low": xp.reshape(xp.min(x), (1,)), "high": xp.reshape(xp.max(x), (1,))}
    table = xp.reshape(x, (-1, x.shape[-1]))
    products = xp.matmul(_cast(directions, keras.backend.standardize_dtype(table.dtype)), table)
    return {"low": xp.min(table, axis=0), "high": xp.max(table, axis=0), "projections": products}


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
        parts["resultants"] = xp.sum(xp.square(xp.sum(shares, axis=1)), axis=1)
        parts["alive"] = xp.sum(_cast(alive, "float32"), axis=1)
    return parts


def _counts(x: Any, parts: Mapping[str, Any]) -> Any:
    """How many entries are below each inner edge of the histogram."""
    xp = _of(x)
    n = float(prod(x.shape)) - parts["broken"]
    reach = HISTOGRAM_REACH * xp.sqrt(xp.sum(parts["norms"]) / xp.maximum(n, 1.0))
    reach = xp.where(reach > 0, reach, xp.ones_like(reach))
    inside = xp.sort(xp.reshape(x, (-1,)) / reach)
    edges = np.linspace(-1.0, 1.0, BINS + 1)[1:-1].astype(np.float32)
    return xp.searchsorted(inside, edges if xp is np else _cast(ops.convert_to_tensor(edges), inside.dtype))


# Fetched


def fetched(measured: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as float64 arrays."""
    return [{name: _fetched(part) for name, part in one.parts.items()} for one in measured]


def _fetched(part: Any) -> NDArray[np.float64]:
    return np.asarray(part if _of(part) is np else to_numpy(part), np.float64)


def sums(one: Measured, numbers: Numbers, *, saturated: float | None = None) -> Sums:
    """The record of one value.

    Args:
        one: The value's sums.
        numbers: Their parts, fetched.
        saturated: Entries beyond the range in which the activation that takes the value has a slope.
    """
    broken, scale, rows = int(numbers["broken"]), float(numbers["scale"]), one.shape[0]
    count = one.entries - broken
    by_row = numbers["norms"] * scale**2
    squares = by_row * (rows / one.entries)
    gram = numbers.get("gram", np.empty((0, 0)))
    silent = (numbers["low"] == 0) & (numbers["high"] == 0) if one.is_whole else np.zeros(0, bool)
    return Sums(
        rows=rows,
        entries=one.entries,
        units=one.shape[one.axis] if len(one.shape) > 1 else 1,
        mean=float(numbers["sum"]) * scale / count if count else _NAN,
        square=float(by_row.sum()) / count if count else _NAN,
        square_error=float(squares.std(ddof=1)) / math.sqrt(rows) if rows > 1 else _NAN,
        broken=broken,
        dead_units=int(silent.sum()),
        equal_units=_equal(one, numbers) if "projections" in numbers else 0,
        cosine=mean_cosine(gram) if gram.size else _NAN,
        token_cosine=_token_cosine(numbers),
        rank=participation(gram) if gram.size else _NAN,
        saturated=saturated / count if saturated is not None and count else _NAN,
        entropy=_entropy(one, numbers),
        counts=_histogram(one, numbers, broken),
    )


def weight_gradient(one: Measured, numbers: Numbers) -> WeightGradient:
    """The record of a parameter's gradient."""
    found = sums(one, numbers)
    return WeightGradient(found.square, found.broken)


def _equal(one: Measured, numbers: Numbers) -> int:
    """Units with the same ends whose projections lie as close as two sums of the same numbers."""
    low, high, along = numbers["low"], numbers["high"], numbers["projections"]
    order = np.lexsort((along[0], high, low))
    order = order[(low[order] != 0) | (high[order] != 0)]
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    width = np.maximum(np.abs(low[order]), np.abs(high[order]))[1:] * math.sqrt(one.entries / one.shape[one.axis])
    near = (np.abs(np.diff(along[:, order])) <= _NEAR * width).all(axis=0)
    return int((same & near).sum())


def _token_cosine(numbers: Numbers) -> float:
    if "alive" not in numbers:
        return _NAN
    n, length = numbers["alive"], numbers["resultants"]
    known = n > 1
    return float(((length - n)[known] / (n * (n - 1))[known]).mean()) if known.any() else _NAN


def _entropy(one: Measured, numbers: Numbers) -> float:
    places = one.shape[-1]
    if "entropy" not in numbers or places < 2:
        return _NAN
    scale = float(numbers["scale"])
    # With x = p / s: -sum p log p = s (-sum x log x) - s log(s) sum x.
    whole = float(numbers["entropy"]) * scale - float(numbers["sum"]) * scale * math.log(scale)
    return whole / (one.entries / places) / math.log(places)


def _histogram(one: Measured, numbers: Numbers, broken: int) -> NDArray[np.int64]:
    if "counts" not in numbers:
        return np.empty(0, np.int64)
    below = np.concatenate(([0.0], np.rint(numbers["counts"]), [one.entries]))
    counts = (below[1:] - below[:-1]).astype(np.int64)
    counts[BINS // 2] -= broken  # they were put to 0
    return counts
