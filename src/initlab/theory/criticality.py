"""The edge of chaos: the weights at which neither signals nor gradients decay or grow with depth.

Sources: Schoenholz et al., arXiv 1611.01232; Hayou, Doucet & Rousseau, arXiv 1902.06853.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import inf

import numpy as np

from initlab.core.errors import InitlabError, OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.near_zero import LARGEST_SERIES_Q, series_at_zero
from initlab.theory.quadrature import UnboundedIntegralError
from initlab.theory.root_finding import find_root
from initlab.theory.rules import TABLED_Q, moment_table, rule_moments

_ONE = 1e-10
# The fixed rule's own error, as a share: below it a difference is zero.
_ROUGH = 1e-11
_BESIDE_ZERO = 1e-12
_NEAR_ZERO = 1e-6


@dataclass(frozen=True)
class CriticalPoint:
    """A point of the edge of chaos, ``chi_1 = 1``.

    Attributes:
        q_star: The variance before an activation.
        sigma_w2: The variance of a weight times its fan-in.
        sigma_b2: The variance of a bias.
        chi_q: ``V'(q_star)``.
        is_stable: Whether the variance returns to ``q_star``: ``chi_q`` is at most 1 in size.
    """

    q_star: float
    sigma_w2: float
    sigma_b2: float
    chi_q: float
    is_stable: bool


def edge_of_chaos(f: ActivationLike, *, sigma_b2: float | None = None, q: float | None = None) -> CriticalPoint | None:
    """The weights at which a squared gradient keeps its size, ``chi_1 = 1``, at a given bias or variance.

    The curve is ``sigma_w^2 = 1 / E f'(sqrt(q) z)^2``, ``sigma_b^2 = q - sigma_w^2 E f(sqrt(q) z)^2``. For GELU, SiLU
    and Mish it is unstable at small biases: look at ``is_stable``.

    Args:
        f: The activation.
        sigma_b2: The variance of a bias, 0 or more; the point of smallest ``q`` is given.
        q: In its place, the variance before an activation, above 0.

    Returns:
        The point, or None where there is none: softplus would need a negative bias variance for every ``q``, sigmoid
        for ``q`` below 45.6.

    Raises:
        OptionError: Both or none of ``sigma_b2`` and ``q``, or one out of range.

    Example:
        >>> edge_of_chaos("relu", sigma_b2=0.0).sigma_w2.__round__(12)
        2.0
        >>> edge_of_chaos("softplus", sigma_b2=0.1) is None
        True
    """
    act = activation(f)
    if (sigma_b2 is None) == (q is None):
        raise OptionError("the edge of chaos is asked for at one point", fix="give either sigma_b2 or q")
    if q is not None:
        point = _critical_at(act, q)
        return point if point.sigma_b2 >= 0.0 else None
    target = check_variance(0.0 if sigma_b2 is None else sigma_b2, "sigma_b2")
    if target == 0.0:
        return _critical_without_bias(act)

    return (
        _below_the_table(act, target)
        or _first_crossing(act, lambda point: point.sigma_b2 - target)
        or (_above_the_table(act, target))
    )


def half_stable_point(f: ActivationLike) -> CriticalPoint | None:
    """The point of the edge of chaos from which on, with growing bias, it is stable: ``chi_q = chi_1 = 1``.

    Args:
        f: The activation.

    Returns:
        The point, or None where the curve is stable or unstable throughout.

    Raises:
        InitlabError: A moment of the activation is not finite.

    Example:
        >>> half_stable_point("gelu").q_star.__round__(9)      # (3 + sqrt(17)) / 2
        3.561552813
        >>> half_stable_point("tanh") is None
        True
    """
    act = activation(f)

    # For a homogeneous function it is zero throughout, but for rounding.
    return _first_crossing(act, lambda point: point.chi_q - 1.0 if abs(point.chi_q - 1.0) > 1e-13 else 0.0)


def critical_curve(f: ActivationLike, *, points: int = 60) -> tuple[CriticalPoint, ...]:
    """The edge of chaos from small to large ``q``, for a phase diagram: points of ``sigma_b^2 >= 0`` only, to 1e-9.

    Args:
        f: The activation.
        points: At most so many, from ``q`` = 1e-6 up to 1e4, evenly in ``ln q``.

    Returns:
        The points in ascending ``q``; none where there is no edge, one for a homogeneous activation.

    Raises:
        OptionError: ``points`` is below 2, or no gradient passes the activation.

    Example:
        >>> [(p.sigma_w2.__round__(9), p.sigma_b2) for p in critical_curve("relu")]
        [(2.0, 0.0)]
    """
    act = activation(f)
    if points < 2:
        raise OptionError(f"a curve of {points} points", fix="give 2 or more")
    if _critical_at(act, 1.0).sigma_b2 == 0.0:
        return (_critical_at(act, 1.0),)
    rough = _rough_curve(act)
    kept = np.linspace(0, len(rough) - 1, min(points, len(rough))).astype(int)
    return tuple(rough[i] for i in kept if rough[i].sigma_b2 >= 0.0)


def _critical_at(act: Activation, q: float) -> CriticalPoint:
    slope = slope_moments(act, q)
    if not slope.second > 0.0:
        raise OptionError(f"no gradient passes '{act.call}'", fix="choose an activation with a slope")
    value = value_moments(act, q)
    series = series_at_zero(act) if q <= LARGEST_SERIES_Q else None
    if series is not None and series.origin == 0.0 and q <= series.largest_q:
        chi_q = value.second_rate / slope.second
        bias = series.edge_surplus(q) / slope.second
        return CriticalPoint(q, 1.0 / slope.second, bias, chi_q, is_stable=abs(chi_q) <= 1.0 + _ONE)
    return _point(q, value.second, slope.second, value.second_rate, rounding=1e-14)


def _point(q: float, second: float, slope_second: float, second_rate: float, *, rounding: float) -> CriticalPoint:
    weight = 1.0 / slope_second if slope_second > 0.0 else inf
    bias = q - weight * second
    # What is left of two equal numbers is zero: the bias of a homogeneous function.
    bias = 0.0 if abs(bias) < rounding * q else bias
    chi_q = weight * second_rate
    return CriticalPoint(q, weight, bias, chi_q, is_stable=abs(chi_q) <= 1.0 + _ONE)


def _rough_curve(act: Activation) -> tuple[CriticalPoint, ...]:
    """The edge by the fixed rule, at the tabled variances."""
    rows = zip(*(column.tolist() for column in moment_table(act)), strict=True)
    return tuple(_point(*row, rounding=_ROUGH) for row in rows)


def _critical_without_bias(act: Activation) -> CriticalPoint | None:
    homogeneous = _critical_at(act, 1.0)
    if homogeneous.sigma_b2 == 0.0:
        return homogeneous
    slopes = act.slope([-_BESIDE_ZERO, _BESIDE_ZERO])
    if float(act([0.0])[0]) == 0.0 and slopes.any():
        # The curve ends at q = 0, where f is two straight lines: E f^2 = q E f'^2, so chi_q = chi_1 = 1.
        # Signals fall to it where the map lies below the diagonal beside it.
        weight = 1.0 / float(np.mean(slopes**2))
        beside = weight * value_moments(act, _NEAR_ZERO).second / _NEAR_ZERO
        return CriticalPoint(0.0, weight, 0.0, 1.0, is_stable=beside <= 1.0 + _ONE)
    return _first_crossing(act, lambda point: point.sigma_b2)


def _first_crossing(act: Activation, excess: Callable[[CriticalPoint], float]) -> CriticalPoint | None:
    """The point of smallest ``q`` at which ``excess`` changes its sign, from 1e-6 to 1e4; None where it keeps it.

    The fixed rule says where to look. Where its answer does not hold, the refined integrals walk the whole grid.
    """
    rough = np.array([excess(point) for point in _rough_curve(act)])
    turns = np.flatnonzero((rough[1:] > _ROUGH) != (rough[:-1] > _ROUGH))
    if len(turns) == 0 and len(rough) == len(TABLED_Q):
        return None

    def h(q: float) -> float:
        return excess(_critical_at(act, q))

    def rough_h(q: float) -> float:
        m = rule_moments(act, q)
        return excess(_point(q, m.second, m.slope_second, m.second_rate, rounding=_ROUGH))

    try:
        if len(turns) > 0:
            near = find_root(rough_h, TABLED_Q[turns[0]], TABLED_Q[turns[0] + 1])
            for reach in (1e-9, 1e-5):
                low, high = near * (1.0 - reach), near * (1.0 + reach)
                if (h(low) > 0.0) != (h(high) > 0.0):
                    return _critical_at(act, find_root(h, low, high))
        found = _walk(h)
    except InitlabError:
        return None
    return None if found is None else _critical_at(act, found)


def _below_the_table(act: Activation, target: float) -> CriticalPoint | None:
    """The point below the smallest tabled variance; the bias falls to 0, or below it, as the variance does."""
    return _beyond(act, target, TABLED_Q[0], 1e-2)


def _above_the_table(act: Activation, target: float) -> CriticalPoint | None:
    return _beyond(act, target, TABLED_Q[-1], 1e2)


def _beyond(act: Activation, target: float, start: float, factor: float) -> CriticalPoint | None:
    """The point at which the bias is the target, from ``start`` on by ``factor``; None where ``start`` is past it."""

    def h(q: float) -> float:
        return _critical_at(act, q).sigma_b2 - target

    near, past = start, factor > 1.0
    try:
        if not slope_moments(act, near).second > 0.0 or (h(near) > 0.0) == past:
            return None
        while 1e-300 < near * factor < 1e300 and slope_moments(act, near * factor).second > 0.0:
            if (h(near * factor) > 0.0) == past:
                return _critical_at(act, find_root(h, *sorted((near, near * factor))))
            near *= factor
    except UnboundedIntegralError:
        return None  # a moment is beyond float64 there
    return None


def _walk(h: Callable[[float], float]) -> float | None:
    at_near = h(TABLED_Q[0])
    for near, far in pairwise(TABLED_Q):
        at_far = h(far)
        if (at_near > 0.0) != (at_far > 0.0):
            return find_root(h, near, far)
        at_near = at_far
    return None
