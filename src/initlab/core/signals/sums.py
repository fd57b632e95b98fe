"""The sums of a value over a batch, on NumPy arrays: slow and plain, what every framework's own must agree with."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from initlab.core.errors import ShapeError
from initlab.core.signals.readings import BINS, GRAM_ROWS, Sums

HISTOGRAM_REACH = 5.0
"""Root mean squares on each side of zero that a histogram covers."""


def sums_of(
    value: ArrayLike,
    *,
    units: int = -1,
    takes: tuple[float, float] | None = None,
    is_softmax: bool = False,
    histogram: bool = False,
) -> Sums:
    """The sums of one value.

    Args:
        value: Of rank 1 or more, samples along axis 0.
        units: The axis of channels or features.
        takes: The range of the activation that takes the value, outside of which its slope is below 5 % of its
            largest; None where it is not bounded.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether to count entries.

    Raises:
        ShapeError: A value without an axis of samples, or without entries.

    Example:
        >>> found = sums_of([[3.0, 0.0, 4.0], [0.0, 0.0, 5.0]])
        >>> found.square, found.dead_units, round(found.cosine, 12)      # (9 + 16 + 25) / 6; 4 * 5 / (5 * 5)
        (8.333333333333334, 1, 0.8)
    """
    x = np.asarray(value, np.float64)
    if x.ndim == 0 or x.size == 0:
        raise ShapeError(f"a value of shape {x.shape} has no samples", fix="give a batch")
    finite = np.isfinite(x)
    kept = np.where(finite, x, 0.0)
    count = int(finite.sum())
    flat = kept.reshape(len(x), -1)
    by_unit = np.moveaxis(kept, units, 0).reshape(x.shape[units], -1) if x.ndim > 1 else kept[None]
    square = float((flat**2).sum() / count) if count else math.nan
    return Sums(
        rows=len(x),
        entries=x.size,
        units=len(by_unit),
        mean=float(kept.sum() / count) if count else math.nan,
        square=square,
        square_error=_error((flat**2).mean(axis=1)),
        broken=x.size - count,
        dead_units=int((by_unit == 0).all(axis=1).sum()),
        equal_units=_equal(by_unit),
        cosine=mean_cosine(flat[:GRAM_ROWS] @ flat[:GRAM_ROWS].T),
        token_cosine=_token_cosine(kept),
        rank=participation(flat[:GRAM_ROWS] @ flat[:GRAM_ROWS].T),
        saturated=math.nan if takes is None or not count else _outside(x, takes) / count,
        entropy=_entropy(kept) if is_softmax else math.nan,
        counts=_counts(x[finite], square) if histogram else np.empty(0, np.int64),
    )


def mean_cosine(gram: NDArray[np.float64]) -> float:
    """The mean cosine of two different vectors, from their Gram matrix; vectors of length 0 are left out.

    Example:
        >>> mean_cosine(np.array([[4.0, 1.0], [1.0, 1.0]]))      # 1 / (2 * 1)
        0.5
    """
    lengths = np.sqrt(np.diag(gram))
    alive = lengths > 0
    n = int(alive.sum())
    if n < 2:
        return math.nan
    cosines = gram[np.ix_(alive, alive)] / np.outer(lengths[alive], lengths[alive])
    return float((cosines.sum() - n) / (n * (n - 1)))


def participation(gram: NDArray[np.float64]) -> float:
    """The number of directions that vectors take, from their Gram matrix: ``tr(G)^2 / tr(G^2)``.

    Example:
        >>> participation(np.eye(3)), participation(np.ones((3, 3)))
        (3.0, 1.0)
    """
    whole = float((gram**2).sum())
    return float(np.trace(gram) ** 2 / whole) if whole > 0 else math.nan


def _error(squares: NDArray[np.float64]) -> float:
    return float(squares.std(ddof=1) / math.sqrt(len(squares))) if len(squares) > 1 else math.nan


def _equal(by_unit: NDArray[np.float64]) -> int:
    alive = by_unit[(by_unit != 0).any(axis=1)] + 0.0  # -0 is 0
    return len(alive) - len({row.tobytes() for row in alive})


def _token_cosine(x: NDArray[np.float64]) -> float:
    if x.ndim != 3:
        return math.nan
    found = [mean_cosine(sample @ sample.T) for sample in x[:GRAM_ROWS]]
    known = [cosine for cosine in found if not math.isnan(cosine)]
    return float(np.mean(known)) if known else math.nan


def _outside(x: NDArray[np.float64], takes: tuple[float, float]) -> int:
    low, high = takes
    return int(((x < low) | (x > high)).sum())


def _entropy(shares: NDArray[np.float64]) -> float:
    places = shares.shape[-1]
    if places < 2:
        return math.nan
    logs = np.log(np.where(shares > 0, shares, 1.0))
    return float(-(shares * logs).sum(axis=-1).mean() / math.log(places))


def _counts(x: NDArray[np.float64], square: float) -> NDArray[np.int64]:
    reach = HISTOGRAM_REACH * math.sqrt(square) if square > 0 else 1.0
    edges = np.linspace(-reach, reach, BINS + 1)
    return np.histogram(np.clip(x, -reach, reach), edges)[0].astype(np.int64)
