"""The records of what a pass summed, from the fetched parts: a few numbers each, in float64."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, Sums, WeightGradient
from initlab.core.signals.sums import mean_cosine, participation
from initlab.frameworks.reading.loss import standard_error

_NAN = math.nan
_NEAR = 1e-5  # of a root mean square: float32 sums of the same numbers, in whatever order

Numbers = Mapping[str, NDArray[Any]]


def sums(shape: tuple[int, ...], fetched: Numbers) -> Sums:
    """The record of one value.

    Args:
        shape: The value's, samples first and units last.
        fetched: Its parts.

    Example:
        >>> from initlab.frameworks.jax.probing.sums import SIZE, summed
        >>> found = sums((2, 2), summed(np.array([[3.0, 4.0], [0.0, 5.0]], np.float32), rows=2, look=SIZE))
        >>> round(found.square, 6), found.dead_units      # (9 + 16 + 25) / 4; units are not looked at
        (12.5, 0)
    """
    numbers = {name: np.asarray(part, np.float64) for name, part in fetched.items()}
    broken, scale, rows, entries = int(numbers["broken"]), float(numbers["scale"]), shape[0], math.prod(shape)
    count = entries - broken
    by_row = numbers["norms"] * scale**2
    gram = numbers.get("gram")
    dead, equal = _dead_and_equal(numbers, entries)
    return Sums(
        rows=rows,
        entries=entries,
        units=shape[-1] if len(shape) > 1 else 1,
        mean=float(numbers["sums"].sum()) * scale / count if count else _NAN,
        square=float(by_row.sum()) / count if count else _NAN,
        square_error=standard_error(by_row * (rows / entries)),
        broken=broken,
        dead_units=dead,
        equal_units=equal,
        cosine=_NAN if gram is None else mean_cosine(gram),
        token_cosine=_token_cosine(numbers) if "alive" in numbers else _NAN,
        rank=_NAN if gram is None else participation(gram),
        saturated=float(numbers["outside"]) / count if "outside" in numbers and count else _NAN,
        entropy=_entropy(numbers, shape[-1], entries) if "entropy" in numbers else _NAN,
        counts=_histogram(numbers["counts"], broken) if "counts" in numbers else np.empty(0, np.int64),
    )


def weight_gradient(entries: int, fetched: Numbers) -> WeightGradient:
    """The record of a parameter's gradient, of its parts as one row."""
    found = sums((1, entries), fetched)
    return WeightGradient(found.square, found.broken)


def _dead_and_equal(numbers: Numbers, entries: int) -> tuple[int, int]:
    """Zero units; and units with the ends of another whose sums lie as close as two sums of the same numbers."""
    if "along" not in numbers:
        return int(numbers.get("dead", 0)), int(numbers.get("equal", 0))
    low, high, along = numbers["low"], numbers["high"], numbers["along"]
    is_dead = (low == 0) & (high == 0)
    order = np.lexsort((along[0], high, low))
    order = order[~is_dead[order]]
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    width = np.maximum(np.abs(low[order]), np.abs(high[order]))[1:] * math.sqrt(entries / len(low))
    near = (np.abs(np.diff(along[:, order])) <= _NEAR * width).all(axis=0)
    return int(is_dead.sum()), int((same & near).sum())


def _token_cosine(numbers: Numbers) -> float:
    n, length = numbers["alive"], numbers["resultants"]
    known = n > 1
    return float(((length - n)[known] / (n * (n - 1))[known]).mean()) if known.any() else _NAN


def _entropy(numbers: Numbers, places: int, entries: int) -> float:
    """Mean entropy over the logarithm of the number of places."""
    if places < 2:
        return _NAN
    scale = float(numbers["scale"])
    # With x = p / s: -sum p log p = s (-sum x log x) - s log(s) sum x.
    whole = (float(numbers["entropy"].sum()) - math.log(scale) * float(numbers["sums"].sum())) * scale
    return whole / (entries / places) / math.log(places)


def _histogram(counted: NDArray[Any], broken: int) -> NDArray[np.int64]:
    counts = counted.astype(np.int64)
    counts[BINS // 2] -= broken  # they were put to 0
    return counts
