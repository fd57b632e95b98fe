"""What finite width adds to the mean-field picture: the signal of one net strays from the mean over all nets.

The logarithm of a net's signal is a sum over its layers of nearly independent terms of variance of order
``1 / width``, so the signal is close to lognormal with ``beta = sum_l 1 / n_l`` in place of depth. Test and compare
logarithms: the mean of the signal itself is carried by nets too rare to be drawn.
Sources: Hanin & Rolnick, arXiv 1803.01719; Hanin & Nica, arXiv 1812.05994.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, lgamma, log, log1p
from typing import Literal

import numpy as np

from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike, value_moments
from initlab.theory.gains import check_variance
from initlab.theory.overflow import exp_within_float
from initlab.theory.special import digamma, trigamma

ExactLayer = Literal["relu", "identity"]


@dataclass(frozen=True)
class LogGrowth:
    """The logarithm of the factor by which a net, or one layer, multiplies the mean square of its signal.

    Attributes:
        mean: Its mean over draws of the weights.
        variance: Its variance.
    """

    mean: float
    variance: float


def inverse_width_sum(widths: Sequence[int]) -> float:
    """``beta = sum_l 1 / n_l`` over the hidden layers: what takes the place of depth in a net of finite width.

    Raises:
        OptionError: A width below 1.

    Example:
        >>> inverse_width_sum([256] * 64)
        0.25
    """
    if any(n < 1 for n in widths):
        raise OptionError(f"widths {list(widths)}", fix="give whole numbers of 1 or more")
    return float(sum(1.0 / n for n in widths))


def exact_log_growth(widths: Sequence[int], *, f: ExactLayer = "relu") -> LogGrowth:
    """The exact log-mean and log-variance of ``|a_L|^2 / |a_0|^2`` (as mean squares) at the critical weights, no bias.

    With the input of a layer held, its ``n`` sums are independent normal numbers. The mean square of what passes is
    ``chi^2_n / n`` for the identity at ``sigma_w^2 = 1`` and ``(2 / n) chi^2_K``, ``K ~ Binomial(n, 1/2)``, for ReLU
    at 2, so the logarithms have mean ``E psi(K / 2) + ln(4 / n)`` and variance ``E psi'(K / 2) + Var psi(K / 2)``.
    Layers with ``K = 0`` are left out, which have no logarithm: ``dead_layer_probability``.

    Args:
        widths: The units of each hidden layer.
        f: ReLU or the identity.

    Returns:
        The sum over the layers.

    Raises:
        OptionError: A width below 1.

    Example:
        >>> one = exact_log_growth([64])
        >>> round(one.mean, 6), round(one.variance, 6)      # near -5 / (2 n) and 5 / n
        (-0.040109, 0.082997)
    """
    inverse_width_sum(widths)
    layer = _relu_layer if f == "relu" else _linear_layer
    rows = [(times, layer(n)) for n, times in Counter(widths).items()]
    return LogGrowth(sum(times * r.mean for times, r in rows), sum(times * r.variance for times, r in rows))


def lognormal_growth(f: ActivationLike, widths: Sequence[int]) -> LogGrowth:
    """The log-mean ``-k beta / 2`` and log-variance ``k beta`` of the signal of a homogeneous net, to first order.

    ``k = Var f(z)^2 / (E f(z)^2)^2`` is 5 for ReLU and 2 for the identity.

    Args:
        f: A homogeneous activation: ReLU, leaky ReLU, the absolute value, the identity.
        widths: The units of each hidden layer.

    Returns:
        The log-mean and log-variance at critical weights.

    Raises:
        OptionError: ``f`` is not homogeneous, so the variance map of its signal is no straight line.

    Example:
        >>> lognormal_growth("relu", [100] * 20).variance.__round__(12)      # 5 * 20 / 100
        1.0
    """
    act = activation(f)
    m = value_moments(act, 1.0)
    if abs(value_moments(act, 4.0).second - 4.0 * m.second) > 1e-9 * m.second:
        raise OptionError(f"'{act.call}' is not homogeneous", fix="use signal_noise, which takes V'(q)")
    spread = (m.fourth / m.second**2 - 1.0) * inverse_width_sum(widths)
    return LogGrowth(-0.5 * spread, spread)


def second_moment_growth(f: ActivationLike, widths: Sequence[int]) -> float:
    """``E (q_L / q_0)^2 = prod_l (1 + k / n_l)`` of a homogeneous net at critical weights: exact, and heavy-tailed.

    ``k = Var f(z)^2 / (E f(z)^2)^2`` is 5 for ReLU and 2 for the identity. No sample of practical size shows this mean.

    Args:
        f: A homogeneous activation.
        widths: The units of each hidden layer.

    Returns:
        The factor.

    Raises:
        OptionError: ``f`` is not homogeneous.
        InitlabError: A float does not hold it: take ``log_second_moment_growth``.

    Example:
        >>> round(second_moment_growth("identity", [2, 4]), 12)      # (1 + 2/2) (1 + 2/4)
        3.0
    """
    found = log_second_moment_growth(f, widths)
    return exp_within_float(
        found, what=f"the second moment behind {len(widths)} layers", twin="log_second_moment_growth"
    )


def log_second_moment_growth(f: ActivationLike, widths: Sequence[int]) -> float:
    """The natural logarithm of ``second_moment_growth``, which is finite at any depth; raises as that does.

    Example:
        >>> round(log_second_moment_growth("identity", [2] * 1000) / log(2.0), 9)
        1000.0
    """
    inverse_width_sum(widths)
    excess = lognormal_growth(f, [1]).variance
    return sum(log1p(excess / n) for n in widths)


def signal_noise(
    f: ActivationLike, widths: Sequence[float], *, sigma_w2: float, q: float, start: float = 0.0
) -> tuple[float, ...]:
    """The relative variance of ``q_l`` from net to net behind each layer, at a fixed point of the variance map.

    ``v_(l+1) = V'(q)^2 v_l + sigma_w^4 Var f(sqrt(q) z)^2 / n_l``, told as ``v_l / q^2``: to first order in ``1 / n``,
    so while it is well below 1. It stays bounded where ``|V'| < 1`` and grows like ``k beta`` where ``V' = 1``.

    Args:
        f: The activation.
        widths: The fan-in of each layer, above 0; infinite ones add nothing.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        q: The fixed point of the variance map, above 0.
        start: The relative variance of the input's own ``q``, 0 or more.

    Returns:
        One number a layer.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> [round(v, 12) for v in signal_noise("relu", [50, 50], sigma_w2=2.0, q=1.0)]      # 5 / 50 each
        [0.1, 0.2]
    """
    weight, noise = check_variance(sigma_w2, "sigma_w2"), check_variance(start, "start")
    if not all(n > 0.0 for n in widths):  # NaN is not either
        raise OptionError(f"widths {list(widths)}", fix="give numbers above 0")
    m = value_moments(activation(f), q)
    slope = weight * m.second_rate
    fresh = weight**2 * max(m.fourth - m.second**2, 0.0) / q**2
    found = []
    for n in widths:
        noise = slope**2 * noise + (0.0 if n == inf else fresh / n)
        found.append(noise)
    return tuple(found)


def _linear_layer(n: int) -> LogGrowth:
    return LogGrowth(float(digamma(0.5 * n)) + log(2.0 / n), float(trigamma(0.5 * n)))


def _relu_layer(n: int) -> LogGrowth:
    k = np.arange(1, n + 1)
    log_weight = np.array([lgamma(n + 1.0) - lgamma(i + 1.0) - lgamma(n - i + 1.0) for i in k]) - n * log(2.0)
    weight = np.exp(log_weight)
    weight /= weight.sum()
    level = digamma(0.5 * k)
    mean = float(weight @ level)
    spread = float(weight @ np.square(level - mean))
    return LogGrowth(mean + log(4.0 / n), spread + float(weight @ trigamma(0.5 * k)))
