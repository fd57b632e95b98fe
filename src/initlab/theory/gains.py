"""Gains: the factor by which an activation's weights must be larger than 1/sqrt(fan) to keep a signal's size.

A layer draws ``W_ij`` with variance ``gain^2 / fan_in``. With an input of variance 1 before the activation, the
forward gain keeps it there in the next layer, the backward gain does so for the gradient.
Sources: He et al., arXiv 1502.01852; Poole et al., arXiv 1606.05340; Schoenholz et al., arXiv 1611.01232.
"""

from __future__ import annotations

from math import inf, isfinite, sqrt

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike, slope_moments, value_moments


def forward_gain(f: ActivationLike) -> float:
    """The gain ``1 / sqrt(E f(z)^2)``, which keeps ``E[signal^2]`` at 1 from layer to layer.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.

    Returns:
        The gain, above 0.

    Raises:
        OptionError: ``f`` is zero almost everywhere, or not square-integrable.

    Example:
        >>> round(forward_gain("relu"), 12)             # sqrt(2)
        1.414213562373
        >>> round(forward_gain(lambda x: 3 * x), 12)
        0.333333333333
    """
    act = activation(f)
    return _inverse_root(act, value_moments(act, 1.0).second, "forward gain", "E f(z)^2")


def centered_gain(f: ActivationLike) -> float:
    """The gain ``1 / sqrt(Var f(z))``, which gives an output of variance 1 once its mean is taken off.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.

    Returns:
        The gain, above 0; no smaller than the forward gain.

    Raises:
        OptionError: ``f`` is constant, or not square-integrable.

    Example:
        >>> round(centered_gain("relu") ** -2, 12)      # 1/2 - 1/(2 pi)
        0.340845056908
    """
    act = activation(f)
    return _inverse_root(act, value_moments(act, 1.0).variance, "centered gain", "Var f(z)")


def backward_gain(f: ActivationLike) -> float:
    """The gain ``1 / sqrt(E f'(z)^2)``, which keeps the mean square of a gradient from layer to layer.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.

    Returns:
        The gain, above 0.

    Raises:
        OptionError: ``f`` is constant between its jumps, so no gradient passes.

    Example:
        >>> round(backward_gain("arctan") ** -2, 12)    # E 1/(1 + z^2)^2 = 1/2
        0.5
    """
    act = activation(f)
    return _inverse_root(act, slope_moments(act, 1.0).second, "backward gain", "E f'(z)^2")


def chi_1(f: ActivationLike, sigma_w2: float, q: float = 1.0) -> float:
    """``sigma_w^2 E f'(sqrt(q) z)^2``: the factor of a squared gradient from one layer to the one before it.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        q: The variance before the activation, above 0.

    Returns:
        Below 1 gradients vanish and nearby inputs merge; above 1 gradients explode and they part.

    Raises:
        OptionError: ``sigma_w2`` is negative or ``q`` is not above 0.

    Example:
        >>> chi_1("relu", 2.0).__round__(12)
        1.0
    """
    return check_variance(sigma_w2, "sigma_w2") * slope_moments(activation(f), q).second


def variance_slope(f: ActivationLike, sigma_w2: float | None = None, q: float = 1.0) -> float:
    """``V'(q)``, the slope of the variance map ``V(q) = sigma_w^2 E f(sqrt(q) z)^2 + sigma_b^2``.

    A signal whose variance is off a fixed point of the map by a little is off by ``V'`` times as much a layer later.

    Args:
        f: A name, an ``Activation``, or any NumPy function of one array.
        sigma_w2: The variance of a weight times its fan-in; without one the squared forward gain, which makes q = 1
            a fixed point where there is no bias.
        q: The variance before the activation, above 0.

    Returns:
        The slope: above 1 the fixed point repels, between -1 and 1 it attracts.

    Raises:
        OptionError: ``sigma_w2`` is negative, ``q`` is not above 0, or the forward gain is infinite.

    Example:
        >>> round(variance_slope("relu"), 12)           # homogeneous: every q is a fixed point
        1.0
        >>> round(variance_slope("square"), 12)         # E (sqrt(q) z)^4 = 3 q^2
        2.0
    """
    act = activation(f)
    weight = forward_gain(act) ** 2 if sigma_w2 is None else check_variance(sigma_w2, "sigma_w2")
    return weight * value_moments(act, q).second_rate


def check_variance(value: float, name: str) -> float:
    """The value itself, where it is finite and 0 or more.

    Raises:
        OptionError: It is not.
    """
    if isinstance(value, bool) or not isfinite(value) or value < 0.0:
        raise OptionError(f"{name} must be 0 or more, got {value!r}", fix="give a variance")
    return float(value)


def _inverse_root(act: Activation, moment: float, gain: str, what: str) -> float:
    root = 1.0 / sqrt(moment) if moment > 0.0 else inf
    if not (isfinite(root) and root > 0.0):
        raise OptionError(
            f"the {gain} of '{act.call}' is infinite, for {what} = {moment:.3g}",
            fix="choose an activation that passes a signal",
        )
    return root
