"""Numbers of a sample that a law is held against: moments, distances, orthogonality."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from initlab.auditing.grids import Grid, Values
from initlab.core.laws import Law, Shape, TruncatedNormal, Warped

FEW = 30  # entries below which a light-tailed law is held to the wider errors of a normal
MOST = 1 << 16  # entries in which a family shows; more cost time and say the same
_CHUNK = 1 << 15  # whose float64 stays in a core's own cache
_CANCELLED = 1e-6  # share of the mean square below which a variance is not read off the difference
_SINGLE_ERROR = 2.0**-18  # what a factorisation in float32 leaves of orthogonality


@dataclass(frozen=True)
class Moments:
    """Number of entries, their mean, and their mean square around the centre that was asked for."""

    n: int
    mean: float
    square: float
    low: float
    high: float


def moments(x: Values, centre: float = 0.0) -> Moments:
    """The moments of finite numbers, summed in float64, a chunk at a time.

    Example:
        >>> moments(np.float32([1.0, 3.0]), centre=2.0)
        Moments(n=2, mean=2.0, square=1.0, low=1.0, high=3.0)
    """
    flat = x.reshape(-1)
    total = squares = 0.0
    low, high = (math.inf, -math.inf) if flat.size else (math.nan, math.nan)
    with np.errstate(over="ignore"):
        for at in range(0, flat.size, _CHUNK):
            part = flat[at : at + _CHUNK].astype(np.float64)
            low, high = min(low, float(part.min())), max(high, float(part.max()))
            part -= centre
            total += float(part.sum())
            squares += float(np.square(part, out=part).sum())
    n = max(flat.size, 1)
    return Moments(flat.size, total / n + centre, squares / n, low, high)


def spread(found: Moments, values: Values) -> float:
    """The std of numbers whose moments around 0 are known; they are read again where those say little of it."""
    variance = found.square - found.mean**2
    if variance > _CANCELLED * found.square:
        return math.sqrt(variance)
    return math.sqrt(moments(values, found.mean).square)


def broken_entries(values: Values) -> int:
    """How many numbers are NaN or infinite."""
    flat = values.reshape(-1)
    with np.errstate(over="ignore", invalid="ignore"):
        square = np.dot(flat, flat)  # finite only where all of them are
    return 0 if np.isfinite(square) else int(np.count_nonzero(~np.isfinite(flat)))


def std_errors(found: Moments, std: float, *, excess: float = 0.0, share: float = 1.0) -> float:
    """By how many standard errors a deviation is too large, or (negative) too small.

    The mean square over n entries is near chi-square in its spread; its skewness lies between none and that of the
    chi-square of that spread, so of the two readings, plain and cube-rooted, the smaller one is sure in both tails.

    Args:
        found: Moments around the law's mean.
        std: The law's std.
        excess: The law's excess kurtosis.
        share: Share of the entries that count.

    Example:
        >>> wide = Moments(n=200, mean=0.0, square=1.5, low=-3.0, high=3.0)
        >>> round(std_errors(wide, 1.0), 2)      # plainly 0.5 / sqrt(2 / 200) = 5
        4.37
    """
    n = found.n * share
    degrees = n if n < FEW and excess <= 0 else 2.0 * n / (2.0 + excess)
    ratio, spread = found.square / std**2, 2.0 / (9.0 * degrees)
    rooted = (math.cbrt(ratio) - (1.0 - spread)) / math.sqrt(spread)
    plain = (ratio - 1.0) * math.sqrt(0.5 * degrees)
    return min(rooted, plain, key=abs)


def excess_kurtosis(law: Law) -> float:
    """Fourth standardised moment less 3, of a law of independent entries; 0 where it is not known.

    Example:
        >>> from initlab.core.laws import Uniform
        >>> excess_kurtosis(Uniform(-1.0, 1.0))
        -1.2
    """
    if law.family == "uniform":
        return -1.2
    if isinstance(law, Warped):
        return law.excess
    if isinstance(law, TruncatedNormal) and law.low == -law.high and law.cut.mass > 0:
        # With phi the density at the cut c and Z the mass: E z^2 = 1 - 2 c phi / Z, E z^4 = 3 E z^2 - 2 c^3 phi / Z.
        edge = 2.0 * law.high * math.exp(-0.5 * law.high**2) / math.sqrt(2.0 * math.pi) / law.cut.mass
        second = 1.0 - edge
        return (3.0 * second - law.high**2 * edge) / second**2 - 3.0
    return 0.0


class Sample:
    """What the distribution of numbers looks like; more than ``MOST`` are thinned out evenly."""

    def __init__(self, x: Values, grid: Grid) -> None:
        """Sort the numbers."""
        flat = x.reshape(-1)
        if flat.size > MOST:
            flat = flat[np.arange(MOST) * flat.size // MOST]
        at, counts = np.unique(flat.astype(np.float64), return_counts=True)
        self._up_to = np.cumsum(counts) / flat.size
        self._before = np.concatenate(([0.0], self._up_to[:-1]))
        # A value stands for all that is rounded to it.
        with np.errstate(over="ignore"):
            self._above, self._below = grid.upper_edges(at), -grid.upper_edges(-at)

    def distance(self, law: Law, shape: Shape) -> float:
        """Kolmogorov's: the largest between the empirical and the law's distribution function, but for rounding."""
        with np.errstate(over="ignore"):  # numbers that nobody initialised, in units of a small std
            above, below = law.cdf(self._above, shape), law.cdf(self._below, shape)
        return float(max(np.abs(self._up_to - above).max(), np.abs(self._before - below).max()))


def orthogonality(x: Values) -> float:
    """The largest entry of ``Q^T Q - I``, over the shorter side of the matrix (out, in * k).

    Example:
        >>> orthogonality(np.array([[0.6, 0.8], [-0.8, 0.6]])) < 1e-15
        True
    """
    q = x.reshape(x.shape[0], -1).astype(np.float64)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    gram[np.diag_indices_from(gram)] -= 1.0
    return float(np.abs(gram).max(initial=0.0))


def orthogonal_tolerance(grid: Grid) -> float:
    """What rounding, and a factorisation in float32, leave of ``Q^T Q = I``."""
    return 8.0 * grid.eps + _SINGLE_ERROR
