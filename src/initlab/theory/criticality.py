"""The edge of chaos: the weights at which neither signals nor gradients decay or grow with depth.

Sources: Schoenholz et al., arXiv 1611.01232; Hayou, Doucet & Rousseau, arXiv 1902.06853.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from initlab.core.errors import InitlabError, OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.root_finding import find_root

_ONE = 1e-10
_STEP = 1.5
_BESIDE_ZERO = 1e-12


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

    def excess(at: float) -> float:
        return _critical_at(act, at).sigma_b2 - target

    found = _first_crossing(excess)
    return None if found is None else _critical_at(act, found)


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

    def excess(q: float) -> float:
        above = _critical_at(act, q).chi_q - 1.0
        # For a homogeneous function it is zero throughout, but for rounding.
        return above if abs(above) > 1e-13 else 0.0

    found = _first_crossing(excess)
    return None if found is None else _critical_at(act, found)


def _critical_at(act: Activation, q: float) -> CriticalPoint:
    value, slope = value_moments(act, q), slope_moments(act, q)
    if not slope.second > 0.0:
        raise OptionError(f"no gradient passes '{act.call}'", fix="choose an activation with a slope")
    weight = 1.0 / slope.second
    bias = q - weight * value.second
    # What is left of two equal numbers is zero: the bias of a homogeneous function.
    bias = 0.0 if abs(bias) < 1e-14 * q else bias
    chi_q = weight * value.second_rate
    return CriticalPoint(q, weight, bias, chi_q, is_stable=abs(chi_q) <= 1.0 + _ONE)


def _critical_without_bias(act: Activation) -> CriticalPoint | None:
    homogeneous = _critical_at(act, 1.0)
    if homogeneous.sigma_b2 == 0.0:
        return homogeneous
    slopes = act.slope([-_BESIDE_ZERO, _BESIDE_ZERO])
    if float(act([0.0])[0]) == 0.0 and slopes.any():
        # The curve ends at q = 0, where f is two straight lines: E f^2 = q E f'^2, so chi_q = chi_1 = 1.
        weight = 1.0 / float(np.mean(slopes**2))
        return CriticalPoint(0.0, weight, 0.0, 1.0, is_stable=_critical_at(act, 1e-6).chi_q <= 1.0 + 1e-12)
    found = _first_crossing(lambda q: _critical_at(act, q).sigma_b2)
    return None if found is None else _critical_at(act, found)


def _first_crossing(h: Callable[[float], float]) -> float | None:
    """The root of smallest ``q`` on a grid from 1e-6 to 1e4, a factor of 1.5 apart."""
    near = 1e-6
    at_near = h(near)
    while near < 1e4:
        far = near * _STEP
        try:
            at_far = h(far)
        except InitlabError:
            return None
        if (at_near > 0.0) != (at_far > 0.0):
            return find_root(h, near, far)
        near, at_near = far, at_far
    return None
