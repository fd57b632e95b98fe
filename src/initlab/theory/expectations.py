"""Expectations of an activation under a normal input of variance q."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, takewhile
from math import isfinite, sqrt
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from initlab.core.erf import Array
from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.near_zero import LARGEST_SERIES_Q, series_at_zero
from initlab.theory.quadrature import gaussian_integral

ActivationLike: TypeAlias = str | Activation | Callable[..., ArrayLike]
"""A name, a text with options, an ``Activation``, or any NumPy function of one array."""

_RTOL = 1e-13
# Of a function of narrow numbers: errors of single values, which a mean takes over and a difference quotient enlarges.
_VALUE_ROUNDINGS, _SLOPE_ROUNDINGS = 64.0, 1e4
_WIDE = 8.0  # deviations of the argument from which on a function of length 1 is narrow
_RTOL_OF_NUMERICAL_SLOPES = 1e-10


@dataclass(frozen=True)
class Moments:
    """Moments of ``f(u)`` and ``f'(u)`` for ``u ~ N(0, q)``.

    At a jump of ``f`` the slope is taken from both sides, as back-propagation does: the jump itself does not count.

    Attributes:
        q: The variance of ``u``.
        mean: ``E f(u)``.
        second: ``E f(u)^2``.
        fourth: ``E f(u)^4``.
        variance: ``Var f(u)``.
        slope_mean: ``E f'(u)``.
        slope_second: ``E f'(u)^2``.
        slope_fourth: ``E f'(u)^4``.
        second_rate: ``d E f(u)^2 / dq``, which is ``E[f f'(sqrt(q) z) z] / sqrt(q)`` where ``f`` has no jumps.
    """

    q: float
    mean: float
    second: float
    fourth: float
    variance: float
    slope_mean: float
    slope_second: float
    slope_fourth: float
    second_rate: float


def expect(f: ActivationLike, q: float = 1.0, *, rtol: float | None = None) -> float:
    """``E f(sqrt(q) z)`` for ``z ~ N(0, 1)``, to ``rtol`` of ``E |f|``.

    Args:
        f: The activation or function.
        q: The variance of the argument, 0 or more.
        rtol: The relative tolerance; without one 1e-13, for a function that gives float32 what its numbers allow.

    Returns:
        The expectation.

    Raises:
        OptionError: ``q`` is negative or not finite.
        InitlabError: The expectation is not finite, or ``f`` is too rough for ``rtol``.

    Example:
        >>> round(expect("relu"), 12)                  # 1 / sqrt(2 pi)
        0.398942280401
        >>> round(expect(lambda x: x**2, q=3.0), 12)
        3.0
    """
    act = activation(f)
    scale = _root(q)
    if scale == 0.0:
        return float(act([0.0])[0])
    wanted = _value_tolerance(act) if rtol is None else rtol
    cuts = panel_cuts(act, scale)
    total = gaussian_integral(lambda z: act(scale * z)[None], kinks=cuts, rtol=wanted, what=f"'{act.call}'")
    return float(total[0])


def moments(f: ActivationLike, q: float = 1.0) -> Moments:
    """The moments of an activation and its slope under ``N(0, q)``, to 1e-13 (without a known derivative 1e-10).

    A function that gives float32 has those of its own numbers, to about 1e-5, those of the slope to about 1e-3.

    Args:
        f: The activation or function.
        q: The variance of the argument, above 0.

    Returns:
        The moments; those of registered activations are kept for the next call.

    Raises:
        OptionError: ``q`` is not above 0.
        InitlabError: A moment is not finite.

    Example:
        >>> m = moments("abs", q=4.0)
        >>> [round(v, 12) for v in (m.second, m.fourth, m.slope_second, m.second_rate)]
        [4.0, 48.0, 1.0, 1.0]
    """
    act = activation(f)
    value, slope = value_moments(act, q), slope_moments(act, q)
    return Moments(
        q=float(q),
        mean=value.mean,
        second=value.second,
        fourth=value.fourth,
        variance=value.variance,
        slope_mean=slope.mean,
        slope_second=slope.second,
        slope_fourth=slope.fourth,
        second_rate=value.second_rate,
    )


@dataclass(frozen=True)
class ValueMoments:
    """The moments of ``f(u)`` alone; they exist for functions whose slope has none."""

    mean: float
    second: float
    fourth: float
    variance: float
    second_rate: float


@dataclass(frozen=True)
class SlopeMoments:
    """The moments of ``f'(u)`` alone."""

    mean: float
    second: float
    fourth: float


def value_moments(act: Activation, q: float) -> ValueMoments:
    """The moments of ``f(sqrt(q) z)``; raises as ``moments`` does."""
    return _value_moments(act, check_positive(q))


def slope_moments(act: Activation, q: float) -> SlopeMoments:
    """The moments of ``f'(sqrt(q) z)``; raises as ``moments`` does."""
    return _slope_moments(act, check_positive(q))


@lru_cache(maxsize=512)
def value_at_zero(act: Activation) -> float:
    """``f(0)``, and 0 where that is not finite."""
    origin = float(act([0.0])[0])
    return origin if isfinite(origin) else 0.0


@lru_cache(maxsize=4096)
def _value_moments(act: Activation, q: float) -> ValueMoments:
    scale = sqrt(q)
    series = series_at_zero(act) if q <= LARGEST_SERIES_Q and value_at_zero(act) != 0.0 else None
    if series is not None and q <= series.largest_q:

        def powers(z: Array) -> Array:
            value = act(scale * z)
            return np.stack([value, value**2, value**4])

        mean, second, fourth = _integrals(act, powers, scale, _value_tolerance(act))
        return ValueMoments(mean, second, fourth, series.variance(q), series.second_rate(q))
    # The variance and the rate do not depend on a constant taken off f or f^2, and are small beside it where f is flat.
    origin = value_at_zero(act)

    def rows(z: Array) -> Array:
        value = act(scale * z)
        square, shifted = value**2, value - origin
        rate = (square - origin**2) * (z**2 - 1.0) / (2.0 * q)
        return np.stack([value, square, square**2, shifted, shifted**2, rate])

    mean, second, fourth, shift, spread, rate = _integrals(act, rows, scale, _value_tolerance(act))
    return ValueMoments(mean, second, fourth, max(spread - shift * shift, 0.0), rate)


@lru_cache(maxsize=4096)
def _slope_moments(act: Activation, q: float) -> SlopeMoments:
    scale = sqrt(q)

    def rows(z: Array) -> Array:
        slope = act.slope(scale * z)
        square = slope**2
        return np.stack([slope, square, square**2])

    rtol = _RTOL if act.derivative else max(_RTOL_OF_NUMERICAL_SLOPES, _SLOPE_ROUNDINGS * act.rounding)
    return SlopeMoments(*_integrals(act, rows, scale, rtol))


def _value_tolerance(act: Activation) -> float:
    return max(_RTOL, _VALUE_ROUNDINGS * act.rounding)


def forget_moments() -> None:
    """After this every moment is computed anew; for measurements of speed."""
    _value_moments.cache_clear()
    _slope_moments.cache_clear()


def _integrals(act: Activation, rows: Callable[[Array], Array], scale: float, rtol: float) -> list[float]:
    with np.errstate(over="ignore", invalid="ignore"):
        totals = gaussian_integral(rows, kinks=panel_cuts(act, scale), rtol=rtol, what=f"'{act.call}'")
    return [float(total) for total in totals]


def panel_cuts(act: Activation, scale: float) -> list[float]:
    """Where panels of an integral over ``f(scale z)`` end: at the kinks, and where ``f`` is narrow, close to zero.

    Without these a slope that is 0 but for a hundredth of the innermost panel would be taken for 0.

    Example:
        >>> panel_cuts(activation("relu"), 1.0), len(panel_cuts(activation("tanh"), 1e6))
        ([0.0], 20)
    """
    widths = takewhile(lambda width: width < 1.0, (4.0**n / scale for n in count())) if scale > _WIDE else ()
    return [*(k / scale for k in act.kinks), *(side * width for width in widths for side in (-1.0, 1.0))]


def check_positive(q: float) -> float:
    """The variance itself, where it is finite and above 0.

    Raises:
        OptionError: It is not.
    """
    if not _root(q) > 0.0:
        raise OptionError(f"q must be above 0, got {q}", fix="give the variance of the activation's input")
    return float(q)


def _root(q: float) -> float:
    if isinstance(q, bool) or not isinstance(q, int | float | np.floating) or not isfinite(q) or q < 0.0:
        raise OptionError(f"q must be a variance of 0 or more, got {q!r}", fix="give a number like 1.0")
    return sqrt(q)
