"""The sums of the values of a pass: everything where a unit or a sample is looked at, the size alone elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.sums import HISTOGRAM_REACH
from initlab.core.taps import BINS, Sums, WeightGradient


def arranged(value: Any, rows: int) -> NDArray[np.generic]:
    """A value as an array, samples first; parts of a sample that stand along the axis of samples get one of their own.

    Example:
        >>> arranged(np.zeros((6, 5)), 2).shape      # three tokens a sample
        (2, 3, 5)
    """
    array = np.asarray(value)
    array = array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
    if array.ndim < 2 or not rows or array.shape[0] == rows:
        return array
    if array.shape[0] % rows:
        return np.moveaxis(array, array.shape.index(rows), 0) if rows in array.shape[:-1] else array
    return array.reshape(rows, array.shape[0] // rows, *array.shape[1:])


def sizes_of(value: NDArray[np.generic], *, is_softmax: bool = False, histogram: bool = False) -> Sums:
    """The size of a value's entries; of a softmax the entropy too.

    Args:
        value: Of rank 1 or more, samples along axis 0.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether to count entries.

    Example:
        >>> found = sizes_of(np.array([[3.0, 4.0], [0.0, 5.0]]))
        >>> found.square, found.dead_units      # (9 + 16 + 25) / 4; units are not looked at
        (12.5, 0)
    """
    wide = value.astype(np.float64).reshape(len(value), -1)
    finite = np.isfinite(wide)
    kept, count = np.where(finite, wide, 0.0), int(finite.sum())
    squares = np.square(kept)
    square = float(squares.sum() / count) if count else math.nan
    return Sums(
        rows=len(value),
        entries=value.size,
        units=value.shape[-1] if value.ndim > 1 else 1,
        mean=float(kept.sum() / count) if count else math.nan,
        square=square,
        square_error=standard_error(squares.mean(axis=1)),
        broken=value.size - count,
        entropy=_entropy(kept.reshape(value.shape)) if is_softmax else math.nan,
        counts=_counts(wide[finite], square) if histogram else np.empty(0, np.int64),
    )


def _counts(entries: NDArray[np.float64], square: float) -> NDArray[np.int64]:
    """Entries by bin; those outside are in the last bins."""
    reach = HISTOGRAM_REACH * math.sqrt(square) if square > 0 else 1.0
    edges = np.linspace(-reach, reach, BINS + 1)
    return np.histogram(np.clip(entries, -reach, reach), edges)[0].astype(np.int64)


def standard_error(by_sample: NDArray[np.float64] | None) -> float:
    """Standard error of the mean over samples; NaN where it is not known.

    Example:
        >>> standard_error(np.array([1.0, 3.0]))      # sqrt(2) / sqrt(2)
        1.0
    """
    if by_sample is None or len(by_sample) < 2:
        return math.nan
    return float(np.std(by_sample, ddof=1)) / math.sqrt(len(by_sample))


def _entropy(shares: NDArray[np.float64]) -> float:
    """Mean entropy over the logarithm of the number of places."""
    places = shares.shape[-1]
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return float(-(shares * logs).sum(axis=-1).mean() / math.log(places)) if places > 1 else math.nan


def weight_gradient(gradient: Any) -> WeightGradient:
    """The record of a parameter's gradient."""
    values = np.asarray(gradient).astype(np.float64).reshape(-1)
    finite = values[np.isfinite(values)]
    square = float(np.mean(np.square(finite))) if finite.size else math.nan
    return WeightGradient(square, values.size - finite.size)
