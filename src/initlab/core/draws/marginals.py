"""Distribution functions of one entry: point masses, the normal, and a coordinate of a random unit vector."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def step_cdf(x: ArrayLike, at: float) -> Floats:
    """Distribution function of the constant ``at``."""
    return (np.asarray(x, np.float64) >= at).astype(np.float64)


def sphere_cdf(x: ArrayLike, n: int) -> Floats:
    """Distribution function of a coordinate of a uniformly random unit vector in n dimensions.

    The square of the coordinate has the law Beta(1/2, (n - 1)/2); one dimension has the two points -1 and 1.

    Args:
        x: Any numbers.
        n: Dimension, 1 or more.

    Example:
        >>> sphere_cdf([-1.0, 0.0, 0.5], 3).round(12).tolist()      # Archimedes: uniform in three dimensions
        [0.0, 0.5, 0.75]
    """
    t = np.clip(np.asarray(x, np.float64), -1.0, 1.0)
    if n == 1:
        return 0.5 * (step_cdf(x, -1.0) + step_cdf(x, 1.0))
    inside = _regularized_beta(np.square(t), 0.5, 0.5 * (n - 1))
    return 0.5 + 0.5 * np.sign(t) * inside


def _regularized_beta(x: Floats, a: float, b: float) -> Floats:
    turn = x > (a + 1.0) / (a + b + 2.0)
    small = _beta_fraction(np.where(turn, 0.0, x), a, b)
    large = 1.0 - _beta_fraction(np.where(turn, 1.0 - x, 0.0), b, a)
    return np.where(turn, large, small)


def _beta_fraction(x: Floats, a: float, b: float) -> Floats:
    """I_x(a, b), for ``x <= (a + 1) / (a + b + 2)``, by the continued fraction DLMF 8.17.22 and Lentz's algorithm."""
    tiny = 1e-300
    with np.errstate(divide="ignore"):
        logs = a * np.log(x) + b * np.log1p(-x)
    front = np.exp(logs + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)) / a
    c = np.ones_like(x)
    d = 1.0 / (1.0 - (a + b) / (a + 1.0) * x)
    value = d.copy()
    m = 0
    change = np.full_like(x, np.inf)
    while change.size and np.max(np.abs(change - 1.0)) > 1e-15 and m < 10_000:
        m += 1
        even = m * (b - m) / ((a + 2 * m - 1.0) * (a + 2 * m)) * x
        odd = -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1.0)) * x
        change = np.ones_like(x)
        for numerator in (even, odd):
            d = 1.0 / np.where(np.abs(1.0 + numerator * d) < tiny, tiny, 1.0 + numerator * d)
            c = 1.0 + numerator / c
            c = np.where(np.abs(c) < tiny, tiny, c)
            change = change * (c * d)
        value = value * change
    return front * value
