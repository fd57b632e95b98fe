"""The digamma and trigamma functions in NumPy alone.

Source: Abramowitz & Stegun, Handbook of Mathematical Functions (1964), 6.3.5 and 6.4.6 (recurrence), 6.3.18 and 6.4.12
(asymptotic series). The recurrence carries the argument past 10, where the series below is exact to float64.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from initlab.core.errors import OptionError
from initlab.theory.erf import Array

EULER_GAMMA = 0.57721566490153286
"""``-digamma(1)``, the mean of a standard Gumbel variable."""

_STEPS = 10
# B_2k / (2k) for digamma and B_2k for trigamma, k = 1 to 7, with B_2k the Bernoulli numbers.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6)


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


def _positive(x: ArrayLike) -> Array:
    values = np.asarray(x, dtype=np.float64)
    if not bool(np.all(values > 0.0)):
        raise OptionError("digamma and trigamma take numbers above 0", fix="give half the degrees of freedom")
    return values
