"""The sums of a value over a batch, by ``keras.ops`` on the value's own device: what ``core.sums`` says.

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

from initlab.core.sums import HISTOGRAM_REACH, mean_cosine, participation
from initlab.core.taps import BINS, GRAM_ROWS, Sums, WeightGradient
from initlab.frameworks.keras.memory import to_numpy

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


Compiled = Callable[[Callable[..., Any]], Callable[..., Any]]


class Measure:
    """Measures values; what was compiled for one shape serves all values of that shape.

    Args:
        compiled: A function of tensors as the back end runs it best.
    """

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        self._made: dict[tuple[bool, bool, bool], Callable[..., Any]] = {}
        self._outside = compiled(_outside)

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
        shape, key = tuple(value.shape), (whole, is_softmax, histogram)
        rank = len(shape)
        axis = units % rank
        if key not in self._made:
            self._made[key] = self._compiled(_summing(whole=whole, is_softmax=is_softmax, histogram=histogram))
        order = (*(n for n in range(rank) if n != axis), axis)
        last = value if order == tuple(range(rank)) or rank == 1 or axis == 0 else ops.transpose(value, order)
        needed = prod(shape) // shape[axis] if whole and rank > 1 else 0
        parts = self._made[key](last, ops.convert_to_tensor(_directions(needed)) if needed else None)
        return Measured(shape, axis, parts, whole, prod(shape))

    def weight(self, gradient: Any) -> Measured:
        """The sums of the gradient by a parameter."""
        return self.value(ops.reshape(gradient, (1, -1)), whole=False)

    def outside(self, value: Any, low: float, high: float) -> Any:
        """How many entries are below ``low`` or above ``high``."""
        return self._outside(value, low, high)


def _outside(value: Any, low: Any, high: Any) -> Any:
    return _total(ops.cast(ops.logical_or(value < low, value > high), "float32"))


@lru_cache(maxsize=16)
def _directions(entries: int) -> NDArray[np.float32]:
    """Two rows of fixed numbers, by whose products with them two units that differ anywhere are told apart."""
    return np.random.default_rng(0).standard_normal((2, entries), np.float32)


def _summing(*, whole: bool, is_softmax: bool, histogram: bool) -> Callable[..., dict[str, Any]]:
    """The sums of a value whose units are its last axis."""

    def summing(value: Any, directions: Any) -> dict[str, Any]:
        dtype = keras.backend.standardize_dtype(value.dtype)
        x = value if dtype in _WIDE else ops.cast(value, "float32")
        finite = ops.isfinite(x)
        x = ops.where(finite, x, ops.zeros_like(x))
        largest = ops.max(ops.abs(x))
        # Squares of numbers up to 1 neither vanish nor overflow.
        scale = ops.where(largest > 0, largest, ops.ones_like(largest))
        x = x / scale
        parts = {
            "scale": scale,
            "broken": _total(ops.cast(ops.logical_not(finite), "float32")),
            "norms": _rows(ops.square(x)),
            "sum": _total(x),
            "largest": largest,
        }
        if whole:
            parts |= {"zeros": _total(ops.cast(ops.equal(x, 0), "float32")), **_units(x, directions), **_angles(x)}
        if is_softmax:
            parts["entropy"] = _total(-x * ops.log(ops.where(x > 0, x, ops.ones_like(x))))
        if histogram:
            parts["counts"] = _counts(x, parts)
        return parts

    return summing


def _rows(x: Any) -> Any:
    """Sums over all axes but the first, one after the other: a float32 sum of few numbers at a time is exact enough."""
    while len(x.shape) > 1:
        x = ops.sum(_blocks(x), axis=-1)
    return x


def _total(x: Any) -> Any:
    while len(x.shape) > 0:
        x = ops.sum(_blocks(x), axis=-1)
    return x


def _blocks(x: Any, most: int = 1024) -> Any:
    """A long last axis in two."""
    long = int(x.shape[-1])
    parts = next((n for n in range(most, 1, -1) if long % n == 0), 1) if long > most else 1
    return ops.reshape(x, (*x.shape[:-1], long // parts, parts)) if parts > 1 else x


def _units(x: Any, directions: Any) -> dict[str, Any]:
    """The ends of each unit, and two numbers that are those of another unit only where the two are the same."""
    if len(x.shape) == 1:
        return {"low": ops.min(x, keepdims=True), "high": ops.max(x, keepdims=True)}
    table = ops.reshape(x, (-1, x.shape[-1]))
    across = tuple(range(len(x.shape) - 1))
    products = ops.matmul(ops.cast(directions, table.dtype), table)
    return {"low": ops.min(x, axis=across), "high": ops.max(x, axis=across), "projections": products}


def _angles(x: Any) -> dict[str, Any]:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    few = x[:GRAM_ROWS]
    flat = ops.reshape(few, (few.shape[0], -1))
    parts = {"gram": ops.matmul(flat, ops.transpose(flat))}
    if len(x.shape) == 3:
        lengths = ops.sqrt(ops.sum(ops.square(few), axis=2))
        alive = lengths > 0
        shares = few / ops.where(alive, lengths, ops.ones_like(lengths))[:, :, None]
        parts["resultants"] = ops.sum(ops.square(ops.sum(shares, axis=1)), axis=1)
        parts["alive"] = ops.sum(ops.cast(alive, "float32"), axis=1)
    return parts


def _counts(x: Any, parts: Mapping[str, Any]) -> Any:
    """The histogram's counts, from how many entries are below each inner edge."""
    n = float(prod(x.shape)) - parts["broken"]
    reach = HISTOGRAM_REACH * ops.sqrt(ops.sum(parts["norms"]) / ops.maximum(n, 1.0))
    reach = ops.where(reach > 0, reach, ops.ones_like(reach))
    inside = ops.sort(ops.reshape(x, (-1,)) / reach)
    edges = ops.convert_to_tensor(np.linspace(-1.0, 1.0, BINS + 1)[1:-1].astype(np.float32))
    return ops.searchsorted(inside, ops.cast(edges, inside.dtype), side="left")


# Fetched


def fetched(measured: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as float64 arrays."""
    return [{name: to_numpy(part).astype(np.float64) for name, part in one.parts.items()} for one in measured]


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
        largest=float(numbers["largest"]),
        broken=broken,
        zeros=(float(numbers["zeros"]) - broken) / count if count and one.is_whole else _NAN,
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
    return WeightGradient(found.square, found.largest, found.broken)


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
    counts = np.diff(np.rint(numbers["counts"]).astype(np.int64), prepend=0, append=one.entries)
    counts[BINS // 2] -= broken  # they were put to 0
    return counts
