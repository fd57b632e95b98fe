"""The power series of an activation at zero: moments under ``N(0, q)`` for ``q`` so small that values have no digits.

Where ``f(0)`` is not zero, ``f(sqrt(q) z) - f(0)`` loses its digits as ``q`` falls, and so do the variance of ``f`` and
the rate of its second moment; where it is zero, the bias of the edge of chaos does, which is of order ``q^3``. Sums of
powers of ``q`` lose none. The series is that of the slope, fitted beside zero, each side by itself at a kink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from math import gamma, isfinite, pi, sqrt

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from initlab.core.erf import Array
from initlab.theory.activations import Activation

_REACHES = (0.25, 0.05, 0.01, 2e-3)
# Beyond so many deviations the normal weight is 3e-138: what the series does there is no matter.
_DEVIATIONS = 25.0
LARGEST_SERIES_Q = (_REACHES[0] / _DEVIATIONS) ** 2
"""No series holds for a larger variance."""
_AT_ZERO = 1e-12  # a kink that was found from values
_DEGREE = 14
_POINTS = 24
_TOLERANCE, _TOLERANCE_OF_NUMERICAL_SLOPES = 1e-12, 1e-8


@dataclass(frozen=True, eq=False)
class SeriesAtZero:
    """``f(x) = f(0) + sum_k a_k x^k`` on either side of zero.

    Attributes:
        origin: ``f(0)``.
        right: ``a_1, a_2, ...`` for ``x > 0``, behind a zero in the place of ``a_0``.
        left: The same for ``x < 0``.
        largest_q: The largest variance for which the moments below hold, to about 1e-12.
    """

    origin: float
    right: Polynomial
    left: Polynomial
    largest_q: float

    @property
    def _sides(self) -> tuple[Polynomial, Polynomial]:
        return self.right, self.left

    def variance(self, q: float) -> float:
        """``Var f(u)``."""
        mean = _expect(self.right, self.left, q)
        return max(_expect(self.right**2, self.left**2, q) - mean * mean, 0.0)

    def second_rate(self, q: float) -> float:
        """``d E f(u)^2 / dq``: a power ``u^n`` has ``(n / 2) E u^n / q``."""
        right, left = (_weigh(2.0 * self.origin * side + side**2, lambda n: 0.5 * n) for side in self._sides)
        return _expect(right, left, q, lowered=2)

    def edge_surplus(self, q: float) -> float:
        """``q E f'(u)^2 - E f(u)^2`` where ``f(0) = 0``: ``q E g(u)^2`` with ``g = f'(u) - f(u) / u``.

        By Stein's lemma ``2 E f f' / u = E f^2 / u^2 + E f^2 / q``, so the square's mean is the difference of the other
        two; ``g`` has the terms ``(k - 1) a_k u^(k - 1)``.
        """
        right, left = (Polynomial(_weigh(side, lambda n: n - 1.0).coef[1:]) ** 2 for side in self._sides)
        return q * _expect(right, left, q)


@lru_cache(maxsize=256)
def series_at_zero(act: Activation) -> SeriesAtZero | None:
    """The series of an activation; None where it jumps at zero, or where no power series fits beside it.

    Example:
        >>> from initlab.theory.activations import activation
        >>> found = series_at_zero(activation("cos"))
        >>> f"{found.variance(1e-20):.9g}", found.second_rate(1e-20).__round__(9)      # q^2 / 2, f'(0)^2 + f(0) f''(0)
        ('5e-41', -1.0)
    """
    with np.errstate(all="ignore"):
        origin = float(act([0.0])[0])
        beside, size = act([-1e-300, 1e-300]), float(np.max(np.abs(act([-_REACHES[0], _REACHES[0]]))))
    if not isfinite(origin) or not bool(np.all(np.abs(beside - origin) <= 1e-12 * size)):
        return None
    for reach in _REACHES:
        if any(_AT_ZERO < abs(kink) <= reach for kink in act.kinks):
            continue
        with np.errstate(all="ignore"):
            slopes = (
                _both_sides(act, reach)
                if any(abs(kink) <= _AT_ZERO for kink in act.kinks)
                else _through_zero(act, reach)
            )
        if slopes is not None:
            right, left = (slope.integ() for slope in slopes)
            return SeriesAtZero(origin, right, left, (reach / _DEVIATIONS) ** 2)
    return None


def _through_zero(act: Activation, reach: float) -> tuple[Polynomial, Polynomial] | None:
    """The slope's series where there is no kink: even and odd powers apart, so that what is not there is exactly 0."""
    x = reach * np.cos((np.arange(_POINTS) + 0.5) * pi / (2.0 * _POINTS))
    above, below, middle = act.slope(x), act.slope(-x), float(act.slope([0.0])[0])
    even, odd = (0.5 * (above + below) - middle) / x**2, 0.5 * (above - below) / x
    coefficients = np.zeros(_DEGREE + 3)
    coefficients[0] = middle
    coefficients[2::2] = _fit(x**2, even, reach**2, _DEGREE // 2)
    coefficients[1 : _DEGREE + 2 : 2] = _fit(x**2, odd, reach**2, _DEGREE // 2)
    slope = Polynomial(coefficients)
    return (slope, slope) if _fits(act, slope, reach) and _fits(act, slope, -reach) else None


def _both_sides(act: Activation, reach: float) -> tuple[Polynomial, Polynomial] | None:
    x = 0.5 * reach * (1.0 + np.cos((np.arange(_POINTS) + 0.5) * pi / _POINTS))
    right = Polynomial(_fit(x, act.slope(x), reach, _DEGREE))
    left = Polynomial(_fit(x, act.slope(-x), reach, _DEGREE) * (-1.0) ** np.arange(_DEGREE + 1))
    return (right, left) if _fits(act, right, reach) and _fits(act, left, -reach) else None


def _fit(x: Array, values: Array, reach: float, degree: int) -> Array:
    """The coefficients, lowest first, of the polynomial that comes nearest to the values on ``[0, reach]``."""
    if not bool(np.all(np.isfinite(values))):
        return np.full(degree + 1, np.nan)
    found = Chebyshev.fit(x, values, degree, domain=[0.0, reach]).convert(kind=Polynomial)
    return np.asarray(np.pad(found.coef, (0, degree + 1 - len(found.coef))), dtype=np.float64)


def _fits(act: Activation, slope: Polynomial, reach: float) -> bool:
    """Whether the series gives the slope and the value between the points that it was fitted to."""
    x = reach * np.linspace(0.013, 0.987, 41)
    rough = _TOLERANCE if act.derivative else _TOLERANCE_OF_NUMERICAL_SLOPES
    known, values = act.slope(x), act(x)
    missed = np.abs(slope(x) - known) <= rough * np.max(np.abs(known))
    grown = float(act([0.0])[0]) + slope.integ()(x)
    return bool(np.all(missed) and np.all(np.abs(grown - values) <= rough * np.max(np.abs(values))))


def _weigh(side: Polynomial, weight: Callable[[int], float]) -> Polynomial:
    """The polynomial with its ``n``-th coefficient multiplied by a function of ``n``."""
    return Polynomial([weight(n) * c for n, c in enumerate(_coefficients(side))])


def _coefficients(side: Polynomial) -> list[float]:
    return [float(c) for c in np.asarray(side.coef, dtype=np.float64)]


def _expect(right: Polynomial, left: Polynomial, q: float, *, lowered: int = 0) -> float:
    """``E p(u) / q^(lowered / 2)`` for ``u ~ N(0, q)`` and a polynomial a side."""
    terms = zip_longest(_coefficients(right), _coefficients(left), fillvalue=0.0)
    both = [(n, above + (-1.0) ** n * below) for n, (above, below) in enumerate(terms)]
    # A power that is missing on both sides must not be multiplied by an infinite 1 / sqrt(q).
    return float(sum(c * _half_moment(n) * sqrt(q) ** (n - lowered) for n, c in both if c != 0.0))


@lru_cache(maxsize=128)
def _half_moment(n: int) -> float:
    """``E z^n`` over the positive half of a standard normal ``z``."""
    return float(2.0 ** (0.5 * n - 1.0)) * gamma(0.5 * (n + 1)) / sqrt(pi)
