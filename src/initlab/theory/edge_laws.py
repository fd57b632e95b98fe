"""How slowly correlations and signals settle where no exponential does it: at the edge of chaos.

At ``chi_1 = 1`` the correlation map touches the diagonal at ``c = 1``. What bends it there decides the law.
Sources: Hayou, Doucet & Rousseau, arXiv 1902.06853 (propositions 2 and 3); Schoenholz et al., arXiv 1611.01232.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sqrt
from typing import Literal

import numpy as np

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.differentiation import numerical_derivative
from initlab.theory.expectations import ActivationLike, panel_cuts, slope_moments, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.quadrature import gaussian_integral

# Derivatives of values that are derivatives themselves keep about 1e-9.
_RTOL = 1e-8
_BESIDE = 1e-7
_JUMP = 1e-5


@dataclass(frozen=True)
class EdgeLaw:
    """``1 - c_l ~ coefficient / l^power`` for layers ``l`` far from the first.

    Attributes:
        power: 1 for smooth activations, 2 for those with kinks.
        coefficient: What ``l^power`` divides.
    """

    power: Literal[1, 2]
    coefficient: float

    def separation(self, layer: int) -> float:
        """``1 - c`` at a layer, 1 or more."""
        return self.coefficient / float(layer) ** self.power


def edge_law(f: ActivationLike, *, sigma_w2: float, q: float) -> EdgeLaw | None:
    """The law by which correlations go to 1 at a point of the edge of chaos.

    With ``e = 1 - c``: a smooth activation has ``C''(1) = sigma_w^2 q E f''^2``, so ``e' = e - C'' e^2 / 2`` and
    ``e ~ beta / l``, ``beta = 2 / (sigma_w^2 q E f''^2)``. Where ``f'`` jumps by ``D_k`` at ``x_k``,
    ``E(f'(u) - f'(v))^2 = sum_k D_k^2 p_q(x_k) E|u - v|`` to first order, ``p_q`` the density of ``N(0, q)``; so
    ``e' = e - s e^(3/2)``, ``s = (2/3) sigma_w^2 sqrt(q / pi) sum_k D_k^2 p_q(x_k)``, and ``e ~ 4 / (s l)^2``.

    Args:
        f: The activation.
        sigma_w2: The variance of a weight times its fan-in, above 0.
        q: The variance before the activation, above 0: a fixed point.

    Returns:
        The law, or None for a straight line, which keeps every correlation.

    Raises:
        OptionError: An argument out of range, or an activation that jumps itself.

    Example:
        >>> law = edge_law("relu", sigma_w2=2.0, q=1.0)
        >>> law.power, round(law.coefficient / pi**2, 9)      # 9 pi^2 / 2
        (2, 4.5)
    """
    act = activation(f)
    if not (check_variance(sigma_w2, "sigma_w2") > 0.0 and q > 0.0):
        raise OptionError(f"the edge at sigma_w2={sigma_w2}, q={q}", fix="give variances above 0")
    bends = _squared_bends(act, q)
    if bends > 0.0:
        s = 2.0 / 3.0 * sigma_w2 * sqrt(q / pi) * bends
        return EdgeLaw(2, 4.0 / s**2)
    curvature = sigma_w2 * q * _second_derivative_moment(act, q)
    return EdgeLaw(1, 2.0 / curvature) if curvature > 1e-12 else None


def origin_law(f: ActivationLike) -> tuple[float, float]:
    """``(a, b)``: at the end of the edge without bias ``q_l ~ a / l`` and a squared gradient falls like ``l^-b``.

    There ``f(0) = 0``, ``sigma_w^2 = 1 / f'(0)^2`` and ``q* = 0``: ``V(q) = q - v q^2``, ``chi_1(q) = 1 - g q``, so
    ``q_l ~ 1 / (v l)`` and the product of ``chi_1`` falls like ``l^(-g / v)``. With
    ``f = f' x + f'' x^2 / 2 + f''' x^3 / 6``: ``v = -(f' f''' + 3/4 f''^2) / f'^2`` and
    ``g = -(f' f''' + f''^2) / f'^2``.

    Args:
        f: An activation that is smooth at 0, odd or not.

    Returns:
        ``a`` and ``b``.

    Raises:
        OptionError: The signal does not fall by this law: a kink at 0, a value there, or ``v <= 0``.

    Example:
        >>> a, b = origin_law("tanh")
        >>> round(a, 6), round(b, 6)
        (0.5, 1.0)
    """
    act = activation(f)
    near = 2e-3 if act.derivative is not None else 3e-2
    if any(abs(k) < 10.0 * near for k in act.kinks) or float(act([0.0])[0]) != 0.0 or float(act.slope([0.0])[0]) == 0.0:
        raise OptionError(f"'{act.call}' is no straight line with smooth bends at 0", fix="use edge_law")

    first2 = float(act.slope([0.0])[0]) ** 2

    def bend(moment: Callable[[float], float]) -> float:
        # (1 - moment(h) / f'(0)^2) / h at h = near, near / 2, near / 4, extrapolated to 0 (Richardson).
        one, half, quarter = ((1.0 - moment(h) / first2) / h for h in (near, near / 2.0, near / 4.0))
        return (8.0 * quarter - 6.0 * half + one) / 3.0

    v = bend(lambda h: value_moments(act, h).second / h)
    g = bend(lambda h: slope_moments(act, h).second)
    if not v > 0.0:
        raise OptionError(f"the signal of '{act.call}' does not fall at its linear weights", fix="look at V'(q)")
    return 1.0 / v, g / v


def _squared_bends(act: Activation, q: float) -> float:
    """``sum_k D_k^2 p_q(x_k)`` over the kinks."""
    total = 0.0
    for k in act.kinks:
        step = _BESIDE * max(1.0, abs(k))
        low, high = np.array([k - step]), np.array([k + step])
        if abs(float((act(high) - act(low))[0])) > _JUMP:
            raise OptionError(f"'{act.call}' jumps at {k:g}", fix="the correlation of a jump leaves 1 at once")
        jump = float((act.slope(high) - act.slope(low))[0])
        if abs(jump) > _JUMP:
            total += jump**2 * exp(-0.5 * k * k / q) / sqrt(2.0 * pi * q)
    return total


def _second_derivative_moment(act: Activation, q: float) -> float:
    scale = sqrt(q)
    bend = numerical_derivative(act.slope, kinks=act.kinks)
    kinks = panel_cuts(act, scale)
    what = f"'{act.call}'"
    return float(gaussian_integral(lambda z: np.square(bend(scale * z))[None], kinks=kinks, rtol=_RTOL, what=what)[0])
