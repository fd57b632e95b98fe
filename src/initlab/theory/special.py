"""The digamma and trigamma functions in NumPy alone.

Source: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 6.3.5 and 6.4.6 (recurrence), 6.3.18 and 6.4.12
(asymptotic series). The recurrence carries the argument past 10, where the series below is exact to float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from initlab.core.erf import Array
from initlab.core.errors import OptionError

EULER_GAMMA = 0.57721566490153286
"""``-digamma(1)``, the mean of a standard Gumbel variable."""

_STEPS = 10
# B_2k / (2k) for digamma and B_2k for trigamma, k = 1 to 7, with B_2k the Bernoulli numbers.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)
# Ein: where the series gives way to the fraction, and the terms of each that leave nothing out.
_SERIES_END, _SERIES_TERMS, _FRACTION_TERMS = 2.0, 30, 60


def digamma(x: ArrayLike) -> Array:
    """``psi(x) = d ln Gamma(x) / dx`` for ``x > 0``, to 1e-14.

    The mean of ``ln`` of a chi-square variable of ``k`` degrees of freedom is ``psi(k / 2) + ln 2``.

    Raises:
        OptionError: An argument is not above 0.

    Example:
        >>> round(float(digamma(1.0)), 12)              # minus Euler's constant
        -0.577215664902
    """
    low = _positive(x)
    far = low + _STEPS
    inverse = 1.0 / (far * far)
    series = sum(b / (2 * k) * inverse**k for k, b in enumerate(_BERNOULLI, start=1))
    carried = sum(1.0 / (low + step) for step in range(_STEPS))
    return np.asarray(np.log(far) - 0.5 / far - series - carried)


def trigamma(x: ArrayLike) -> Array:
    """``psi'(x)`` for ``x > 0``, to 1e-14 relative.

    The variance of ``ln`` of a chi-square variable of ``k`` degrees of freedom is ``psi'(k / 2)``.

    Raises:
        OptionError: An argument is not above 0.

    Example:
        >>> round(float(trigamma(1.0)) * 6.0, 12) == round(float(np.pi**2), 12)
        True
    """
    low = _positive(x)
    far = low + _STEPS
    inverse = 1.0 / (far * far)
    series = sum(b * inverse**k for k, b in enumerate(_BERNOULLI, start=1))
    carried = sum(1.0 / np.square(low + step) for step in range(_STEPS))
    return np.asarray(1.0 / far + 0.5 * inverse + series / far + carried)


def exponential_integral(x: ArrayLike) -> Array:
    """``Ein(x) = int_0^x (1 - e^-t) / t dt = E_1(x) + ln x + gamma`` for ``x`` of 0 or more, to 1e-15.

    The power series (Abramowitz & Stegun 5.1.11) up to 2, the continued fraction of ``E_1`` (5.1.22) beyond.

    Example:
        >>> exponential_integral([0.0, 1.0]).round(9)      # 1 - 1/4 + 1/18 - 1/96 + ...
        array([0.      , 0.7965996])
    """
    given = np.asarray(x, dtype=np.float64)
    near, far = np.minimum(given, _SERIES_END), np.maximum(given, _SERIES_END)
    term, series = -np.ones_like(near), np.zeros_like(near)
    for k in range(1, _SERIES_TERMS):
        term = term * (-near / k)
        series = series + term / k
    fraction = far + 2.0 * _FRACTION_TERMS + 1.0
    for k in range(_FRACTION_TERMS, 0, -1):
        fraction = far + 2.0 * k - 1.0 - k * k / fraction
    return np.where(given <= _SERIES_END, series, np.exp(-far) / fraction + np.log(far) + EULER_GAMMA)


def _positive(x: ArrayLike) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if not bool(np.all(values > 0.0)):
        raise OptionError("digamma and trigamma take numbers above 0", fix="give half the degrees of freedom")
    return values
