"""The sums of the values of a pass: everything where a unit or a sample is looked at, the size alone elsewhere."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.sums import sums_of
from initlab.core.taps import Sums, WeightGradient


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
    # One unit, so that no two are compared.
    flat = np.asarray(value).reshape(len(value), -1)
    whole = sums_of(flat[:, :, None], units=-1, histogram=histogram)
    return Sums(
        rows=whole.rows,
        entries=whole.entries,
        units=value.shape[-1] if value.ndim > 1 else 1,
        mean=whole.mean,
        square=whole.square,
        square_error=whole.square_error,
        broken=whole.broken,
        entropy=_entropy(np.asarray(value, np.float64)) if is_softmax else math.nan,
        counts=whole.counts,
    )


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
