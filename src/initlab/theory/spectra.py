"""The singular values of a deep network's input-output Jacobian at initialization.

``J = prod_l D_l W_l`` with ``D_l = diag f'(z_l)``; free probability gives the distribution of the squared singular
values of a wide network from the law of ``f'(sqrt(q) z)^2`` alone.
Source: Pennington, Schoenholz & Ganguli, arXiv 1711.04735 and 1802.09979.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb, inf, lgamma, log, sqrt
from typing import Literal

import numpy as np

from initlab.core.erf import Array
from initlab.core.errors import InitlabError, OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, panel_cuts, slope_moments
from initlab.theory.gains import check_variance
from initlab.theory.overflow import exp_within_float
from initlab.theory.quadrature import gaussian_integral
from initlab.theory.saturation import largest_slope

WeightLaw = Literal["gaussian", "orthogonal"]

_GOLDEN = 0.5 * (sqrt(5.0) - 1.0)
_NEAREST, _FARTHEST = -18.0, 12.0


@dataclass(frozen=True)
class JacobianSpectrum:
    """The squared singular values of the Jacobian of ``L`` layers.

    Attributes:
        mean: ``chi_1^L``, their mean: the factor of a squared gradient.
        relative_variance: Their variance over the squared mean: how far the net is from an isometry.
        largest_squared: The upper edge of their distribution; infinite where the slope is unbounded.
    """

    mean: float
    relative_variance: float
    largest_squared: float

    @property
    def largest(self) -> float:
        """The largest singular value."""
        return sqrt(self.largest_squared)


def jacobian_spectrum(
    f: ActivationLike, depth: int, *, sigma_w2: float, q: float, weights: WeightLaw = "gaussian"
) -> JacobianSpectrum:
    """Mean, variance and upper edge of the squared singular values of ``L`` wide layers at a fixed point.

    With ``mu_k = E f'(sqrt(q) z)^(2k)``: mean ``(sigma_w^2 mu_1)^L``, relative variance
    ``L (mu_2 / mu_1^2 - 1 - s_1)``, ``s_1`` -1 for Gaussian and 0 for orthogonal weights.

    Args:
        f: The activation.
        depth: ``L``, 1 or more.
        sigma_w2: The variance of a weight times its fan-in, above 0; of orthogonal weights the squared scale.
        q: The variance before the activations, above 0.
        weights: Gaussian or orthogonal.

    Returns:
        The spectrum.

    Raises:
        OptionError: An argument out of range, or an activation without a slope.

    Example:
        >>> at = jacobian_spectrum("relu", 4, sigma_w2=2.0, q=1.0, weights="orthogonal")
        >>> round(at.relative_variance, 9), round(at.largest_squared, 6)      # L, L^L / (L - 1)^(L - 1)
        (4.0, 9.481481)
    """
    return JacobianSpectrum(
        jacobian_mean(f, depth, sigma_w2=sigma_w2, q=q),
        jacobian_variance(f, depth, q=q, weights=weights),
        jacobian_edge(f, depth, sigma_w2=sigma_w2, q=q, weights=weights),
    )


def jacobian_mean(f: ActivationLike, depth: int, *, sigma_w2: float, q: float) -> float:
    """``(sigma_w^2 E f'^2)^L = chi_1^L``: the mean squared singular value.

    Raises:
        OptionError: An argument out of range.
        InitlabError: A float does not hold it: take ``log_jacobian_mean``.

    Example:
        >>> jacobian_mean("identity", 3, sigma_w2=2.0, q=1.0).__round__(12)
        8.0
    """
    found = log_jacobian_mean(f, depth, sigma_w2=sigma_w2, q=q)
    return exp_within_float(found, what=f"chi_1^{depth}", twin="log_jacobian_mean")


def log_jacobian_mean(f: ActivationLike, depth: int, *, sigma_w2: float, q: float) -> float:
    """``L ln chi_1``: the natural logarithm of the mean squared singular value; -infinity where no gradient passes.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(log_jacobian_mean("relu", 10**4, sigma_w2=4.0, q=1.0) / log(2.0), 9)
        10000.0
    """
    _check_depth(depth)
    chi = check_variance(sigma_w2, "sigma_w2") * slope_moments(activation(f), q).second
    return depth * log(chi) if chi > 0.0 else -inf


def jacobian_variance(f: ActivationLike, depth: int, *, q: float, weights: WeightLaw = "gaussian") -> float:
    """``L (mu_2 / mu_1^2 - 1 - s_1)``: the variance of the squared singular values over their squared mean.

    Raises:
        OptionError: An argument out of range, or an activation without a slope.

    Example:
        >>> [jacobian_variance("relu", 10, q=1.0, weights=w).__round__(9) for w in ("gaussian", "orthogonal")]
        [20.0, 10.0]
    """
    _check_depth(depth)
    act = activation(f)
    slope = slope_moments(act, q)
    if not slope.second > 0.0:
        raise OptionError(f"no gradient passes '{act.call}'", fix="choose an activation with a slope")
    s_1 = -1.0 if weights == "gaussian" else 0.0
    return max(depth * (slope.fourth / slope.second**2 - 1.0 - s_1), 0.0)


def jacobian_edge(
    f: ActivationLike, depth: int, *, sigma_w2: float, q: float, weights: WeightLaw = "gaussian"
) -> float:
    """The upper edge of the squared singular values: infinite for unbounded slopes.

    S-transforms multiply. With ``m(y) = E[d^2 / (y - d^2)]``, ``d = f'(sqrt(q) z)``, the inverse moment function of
    ``J J^T`` is ``x(y) = (sigma_w^2 y)^L (m / (1 + m))^(L - 1)``, times ``(1 + m)^L`` for Gaussian weights; the edge
    is its minimum over ``y > max d^2``. A net of finite width ``n`` falls short of it by a share of order ``n^(-2/3)``.

    Args:
        f: The activation.
        depth: ``L``, 1 or more.
        sigma_w2: The variance of a weight times its fan-in, above 0.
        q: The variance before the activations, above 0.
        weights: Gaussian or orthogonal.

    Returns:
        The edge, to about 1e-6.

    Raises:
        OptionError: An argument out of range, or an activation without a slope.
        InitlabError: A float does not hold it: take ``log_jacobian_edge``; or an integral does not settle.

    Example:
        >>> jacobian_edge("identity", 4, sigma_w2=1.0, q=1.0).__round__(5)      # (L + 1)^(L + 1) / L^L
        12.20703
    """
    found = log_jacobian_edge(f, depth, sigma_w2=sigma_w2, q=q, weights=weights)
    return found if found == inf else exp_within_float(found, what="the upper edge", twin="log_jacobian_edge")


def log_jacobian_edge(
    f: ActivationLike, depth: int, *, sigma_w2: float, q: float, weights: WeightLaw = "gaussian"
) -> float:
    """The natural logarithm of ``jacobian_edge``, which is finite at any depth; infinite, and raises, as that.

    Example:
        >>> round(log_jacobian_edge("identity", 4, sigma_w2=1.0, q=1.0), 6)      # 5 ln 5 - 4 ln 4
        2.502012
    """
    _check_depth(depth)
    act = activation(f)
    steepest = largest_slope(act)
    if steepest > 100.0:
        return inf
    top = steepest**2
    extra = 1.0 if weights == "gaussian" else 0.0

    def log_x(log_gap: float) -> float:
        y = top * (1.0 + np.exp(log_gap))
        m = _moment_function(act, q, float(y))
        ratio = depth * log(check_variance(sigma_w2, "sigma_w2") * y) + (depth - 1) * (log(m) - np.log1p(m))
        return float(ratio + extra * depth * np.log1p(m))

    least = _least(log_x, _NEAREST, _FARTHEST)
    if least == inf:
        raise InitlabError(f"the largest singular value of '{act.call}' does not settle", fix="give a smaller q")
    return least


def fuss_catalan_moment(depth: int, order: int) -> float:
    """``m_k = binom((L + 1) k, k) / (L k + 1)``: ``E s^(2k)`` for ``L`` linear layers of Gaussian weights of gain 1.

    Mueller, IEEE Trans. Inf. Theory 48 (2002); Penson & Zyczkowski, arXiv 1103.3453.

    Args:
        depth: ``L``, 1 or more; 1 gives the Catalan numbers.
        order: ``k``, 0 or more.

    Returns:
        The moment.

    Raises:
        OptionError: An argument out of range.
        InitlabError: A float does not hold it: take ``log_fuss_catalan_moment``.

    Example:
        >>> [fuss_catalan_moment(1, k) for k in range(5)], fuss_catalan_moment(10, 2)      # 1 + L
        ([1.0, 1.0, 2.0, 5.0, 14.0], 11.0)
    """
    rough = log_fuss_catalan_moment(depth, order)
    exp_within_float(rough, what=f"moment {order} of {depth} layers", twin="log_fuss_catalan_moment")
    return float(comb((depth + 1) * order, order) // (depth * order + 1))


def log_fuss_catalan_moment(depth: int, order: int) -> float:
    """The natural logarithm of ``fuss_catalan_moment``, to about 1e-12 of the largest factorial's; raises as that does.

    Example:
        >>> round(log_fuss_catalan_moment(1, 4) - log(14.0), 9) + 0.0
        0.0
    """
    _check_depth(depth)
    if order < 0:
        raise OptionError(f"a moment of order {order}", fix="give 0 or more")
    n = (depth + 1) * order
    return lgamma(n + 1.0) - lgamma(order + 1.0) - lgamma(n - order + 1.0) - log(depth * order + 1.0)


def _moment_function(act: Activation, q: float, y: float) -> float:
    scale = sqrt(q)

    def row(z: Array) -> Array:
        square = np.square(act.slope(scale * z))
        return (square / (y - square))[None]

    kinks = panel_cuts(act, scale)
    return float(gaussian_integral(row, kinks=kinks, rtol=1e-9, what=f"'{act.call}'")[0])


def _least(h: Callable[[float], float], low: float, high: float) -> float:
    """The minimum of a function that falls, then rises, by the golden section; out of reach it counts as rising."""

    def safe(x: float) -> float:
        try:
            return h(x)
        except InitlabError:
            return inf

    a, b = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_a, at_b = safe(a), safe(b)
    while high - low > 1e-5:
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - _GOLDEN * (high - low)
            at_a = safe(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + _GOLDEN * (high - low)
            at_b = safe(b)
    return min(at_a, at_b)


def _check_depth(depth: int) -> None:
    if isinstance(depth, bool) or depth < 1:
        raise OptionError(f"a depth of {depth!r}", fix="give 1 or more")
