"""The error function and the normal distribution's density and probability, in NumPy alone.

Source: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969) 631-637:
one rational function for |x| <= 15/32, one for 15/32 < x <= 4 and one in 1/x^2 beyond.
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
RealFunction = Callable[[Array], Array]
"""A real function of one variable, applied to every entry of a float64 array."""

_CENTRAL_END = 0.46875
_MIDDLE_END = 4.0
# exp(-x^2) is below the smallest float64 from here on, and x * x cannot overflow before it.
_FAR = 40.0

# Each pair of tuples holds the numerator and the denominator, highest power first.
_CENTRAL = (
    (
        1.85777706184603153e-1,
        3.16112374387056560e00,
        1.13864154151050156e02,
        3.77485237685302021e02,
        3.20937758913846947e03,
    ),
    (1.0, 2.36012909523441209e01, 2.44024637934444173e02, 1.28261652607737228e03, 2.84423683343917062e03),
)
_MIDDLE = (
    (
        2.15311535474403846e-8,
        5.64188496988670089e-1,
        8.88314979438837594e00,
        6.61191906371416295e01,
        2.98635138197400131e02,
        8.81952221241769090e02,
        1.71204761263407058e03,
        2.05107837782607147e03,
        1.23033935479799725e03,
    ),
    (
        1.0,
        1.57449261107098347e01,
        1.17693950891312499e02,
        5.37181101862009858e02,
        1.62138957456669019e03,
        3.29079923573345963e03,
        4.36261909014324716e03,
        3.43936767414372164e03,
        1.23033935480374942e03,
    ),
)
_TAIL = (
    (
        1.63153871373020978e-2,
        3.05326634961232344e-1,
        3.60344899949804439e-1,
        1.25781726111229246e-1,
        1.60837851487422766e-2,
        6.58749161529837803e-4,
    ),
    (
        1.0,
        2.56852019228982242e00,
        1.87295284992346725e00,
        5.27905102951428412e-1,
        6.05183413124413191e-2,
        2.33520497626869185e-3,
    ),
)


def erf(x: Array) -> Array:
    """The error function ``2/sqrt(pi) int_0^x exp(-t^2) dt``, to 4e-16 relative.

    Args:
        x: Any real numbers.

    Returns:
        Values in [-1, 1], of the shape of ``x``.

    Example:
        >>> round(float(erf(np.array(0.5))), 12)
        0.520499877813
    """
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    return np.where(size <= _CENTRAL_END, _central(x, size), np.copysign(1.0 - _upper(size), x))


def erfc(x: Array) -> Array:
    """The complement ``1 - erf(x)``, to 1e-15 relative down to the smallest normal float64 (x about 26.5).

    Args:
        x: Any real numbers.

    Returns:
        Values in [0, 2], of the shape of ``x``.

    Example:
        >>> float(erfc(np.array(0.0))), float(erfc(np.array(1e300)))
        (1.0, 0.0)
    """
    x = np.asarray(x, dtype=np.float64)
    size = np.abs(x)
    upper = _upper(size)
    return np.where(size <= _CENTRAL_END, 1.0 - _central(x, size), np.where(x > 0.0, upper, 2.0 - upper))


def normal_cdf(x: ArrayLike) -> Array:
    """The probability ``P(z <= x)`` of a standard normal ``z``.

    Example:
        >>> round(float(normal_cdf(np.array(1.959963984540054))), 12)
        0.975
    """
    return 0.5 * erfc(np.asarray(x, dtype=np.float64) * -sqrt(0.5))


def normal_pdf(x: Array) -> Array:
    """The standard normal density ``exp(-x^2 / 2) / sqrt(2 pi)``.

    Example:
        >>> round(float(normal_pdf(np.array(0.0))), 12)
        0.398942280401
    """
    return np.exp(-0.5 * np.minimum(np.abs(x), _FAR) ** 2) / sqrt(2.0 * pi)


def _central(x: Array, size: Array) -> Array:
    """``erf(x)`` for sizes within the central interval; the other values are not meaningful."""
    return x * _ratio(_CENTRAL, np.minimum(size, _CENTRAL_END) ** 2)


def _upper(size: Array) -> Array:
    """``erfc(size)`` for sizes above the central interval; the values below it are not meaningful."""
    middle = _ratio(_MIDDLE, np.clip(size, _CENTRAL_END, _MIDDLE_END))
    if not bool((size > _MIDDLE_END).any()):
        return _exp_minus_square(size) * middle
    far = np.clip(size, _MIDDLE_END, _FAR)
    inverse_square = 1.0 / (far * far)
    tail = (1.0 / sqrt(pi) - inverse_square * _ratio(_TAIL, inverse_square)) / far
    return _exp_minus_square(size) * np.where(size <= _MIDDLE_END, middle, tail)


def _exp_minus_square(size: Array) -> Array:
    # x^2 rounded to float64 would cost exp(-x^2) a relative error of x^2 eps: a leading part whose square is exact
    # is taken out first.
    size = np.minimum(size, _FAR)
    leading = np.floor(size * 16.0) / 16.0
    return np.exp(-leading * leading) * np.exp(-(size - leading) * (size + leading))


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: Array) -> Array:
    above, below = coefficients
    numerator, denominator = np.full_like(x, above[0]), np.full_like(x, below[0])
    for a, b in zip(above[1:], below[1:], strict=True):
        numerator = numerator * x + a
        denominator = denominator * x + b
    return numerator / denominator
