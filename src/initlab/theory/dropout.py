"""Dropout in the mean-field picture: every input of a layer is kept with probability ``rho`` and divided by ``rho``.

The noise multiplies ``E f^2`` by ``1 / rho``, but two passes draw independent masks, so ``E f(u) f(v)`` stays as it is:
equal inputs are told apart, ``C(1) < 1``, and there is no edge of chaos (Schoenholz et al., arXiv 1611.01232, section
5). Any multiplicative noise of mean 1 and second moment ``mu_2`` acts like ``rho = 1 / mu_2`` (Pretorius et al.,
arXiv 1811.00293).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log

from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments
from initlab.theory.fixed_points import q_star
from initlab.theory.gains import check_variance
from initlab.theory.maps import correlation_map, correlation_slope, variance_map
from initlab.theory.root_finding import find_root


@dataclass(frozen=True)
class DropoutPoint:
    """Where a deep network under dropout settles.

    Attributes:
        q_star: The variance before an activation.
        c_star: The correlation of two inputs, below 1 even for two passes of one input.
        chi_1: The factor of a squared gradient per layer.
        xi_c: Layers in which a deviation from ``c_star`` falls to 1/e: finite for every choice of weights.
    """

    q_star: float
    c_star: float
    chi_1: float
    xi_c: float


def dropout_variance_map(f: ActivationLike, q: float, *, keep: float, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """``V(q) = sigma_w^2 / rho * E f(sqrt(q) z)^2 + sigma_b^2``: the variance one layer later.

    Args:
        f: The activation.
        q: The variance before it, above 0.
        keep: ``rho``, above 0 and at most 1.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.

    Returns:
        The variance before the next activation.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> dropout_variance_map("relu", 3.0, keep=0.5, sigma_w2=1.0).__round__(12)
        3.0
    """
    return variance_map(f, q, sigma_w2=sigma_w2 / _check_keep(keep), sigma_b2=sigma_b2)


def dropout_correlation_map(
    f: ActivationLike, c: float, *, keep: float, sigma_w2: float, sigma_b2: float = 0.0, q: float
) -> float:
    """``C(c) = (sigma_w^2 E f(u) f(v) + sigma_b^2) / q``: as without dropout, but for a ``q`` that holds the noise.

    Args:
        f: The activation.
        c: The correlation before the activation, from -1 to 1.
        keep: ``rho``, above 0 and at most 1.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.
        q: The variance of both, a fixed point of ``dropout_variance_map``.

    Returns:
        The correlation one layer later; of two passes of one input (``c = 1``) it is
        ``1 - (1 - rho) (1 - sigma_b^2 / q)``.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> dropout_correlation_map("relu", 1.0, keep=0.9, sigma_w2=1.8, q=1.0).__round__(12)
        0.9
    """
    _check_keep(keep)
    return correlation_map(f, c, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=q)


def dropout_critical_weight(f: ActivationLike, *, keep: float) -> float:
    """``rho / E f(z)^2``: the ``sigma_w^2`` at which a homogeneous activation keeps signal and gradient under dropout.

    Pretorius et al., arXiv 1811.00293: ``2 / mu_2``, so ``2 rho`` for ReLU.

    Args:
        f: The activation; for one that is not homogeneous it keeps a signal of variance 1, but not its gradient.
        keep: ``rho``, above 0 and at most 1.

    Returns:
        The variance of a weight times its fan-in.

    Raises:
        OptionError: ``keep`` is out of range.

    Example:
        >>> dropout_critical_weight("relu", keep=0.8).__round__(12)
        1.6
    """
    return _check_keep(keep) / value_moments(activation(f), 1.0).second


def dropout_point(f: ActivationLike, *, keep: float, sigma_w2: float, sigma_b2: float = 0.0) -> DropoutPoint:
    """Where variance and correlation settle under dropout.

    Args:
        f: The activation.
        keep: ``rho``, above 0 and at most 1.
        sigma_w2: The variance of a weight times its fan-in, above 0.
        sigma_b2: The variance of a bias, 0 or more.

    Returns:
        The point.

    Raises:
        OptionError: An argument out of range, or a signal that dies out or explodes.

    Example:
        >>> at = dropout_point("tanh", keep=0.9, sigma_w2=1.76, sigma_b2=0.05)
        >>> at.c_star < 0.9, round(at.xi_c, 1)
        (True, 4.7)
    """
    act, rho = activation(f), _check_keep(keep)
    noisy = check_variance(sigma_w2, "sigma_w2") / rho
    q = q_star(act, sigma_w2=noisy, sigma_b2=sigma_b2)
    if not 0.0 < q < inf:
        raise OptionError(
            f"the signal of '{act.call}' {'dies out' if q == 0.0 else 'explodes'} (keep={keep}, sigma_w2={sigma_w2})",
            fix="change sigma_w2 or give a sigma_b2",
        )

    def surplus(c: float) -> float:
        return correlation_map(act, c, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=q) - c

    at_zero, at_one = surplus(0.0), surplus(1.0)
    c = 0.0 if at_zero <= 1e-15 else 1.0 if at_one >= 0.0 else find_root(surplus, 0.0, 1.0)
    factor = correlation_slope(act, c, sigma_w2=sigma_w2, q=q)
    depth = 0.0 if factor <= 0.0 else inf if abs(factor - 1.0) < 1e-12 else -1.0 / log(factor)
    return DropoutPoint(q, c, noisy * slope_moments(act, q).second, depth)


def _check_keep(keep: float) -> float:
    if not 0.0 < keep <= 1.0:
        raise OptionError(f"keep must be above 0 and at most 1, got {keep!r}", fix="give 1 minus the dropout rate")
    return float(keep)
