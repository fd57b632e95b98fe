"""The loss of a network before its first step, from the scale of its outputs.

Outputs of a wide random network are normal numbers that know nothing of the target, so the loss is an expectation over
them. It is what a training curve must start from; a larger one says that the last layer's weights are too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from initlab.core.erf import Array
from initlab.core.errors import OptionError
from initlab.theory.gains import check_variance
from initlab.theory.softmax import log_sum_exp


@dataclass(frozen=True)
class InitialLoss:
    """The loss at initialization.

    Attributes:
        mean: Its expectation.
        deviation: The std of one example's loss; of a mean over ``n`` examples whose outputs are independent,
            ``deviation / sqrt(n)``.
    """

    mean: float
    deviation: float


def initial_cross_entropy(
    classes: int, variance: float, *, biases: Sequence[float] | None = None, shares: Sequence[float] | None = None
) -> InitialLoss:
    """The cross entropy, in nats, of ``K`` independent logits ``N(b_k, s^2)`` against labels they know nothing of.

    ``loss = ln sum_k e^(l_k) - l_y``, so with ``S = ln sum_k e^(l_k)`` its mean is ``E S - sum_k p_k b_k`` and, without
    biases, its variance ``Var S + s^2 - 2 s^2 / K``: ``Cov(S, l_y) = s^2 E a_y = s^2 / K`` by Stein's lemma.

    Args:
        classes: ``K``, 1 or more.
        variance: ``s^2``, the variance of a logit about its bias, 0 or more.
        biases: ``b_k``; without them zeros.
        shares: ``p_k``, the share of class ``k`` among the labels; without them all equal. They matter beside
            biases only.

    Returns:
        The loss; with biases that differ the deviation is the upper bound ``sqrt(Var S + Var l_y)``.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(initial_cross_entropy(3, 4.0).mean, 2)
        2.02
        >>> round(initial_cross_entropy(1000, 0.0).mean, 4)      # ln 1000
        6.9078
    """
    found = log_sum_exp(classes, variance, offsets=biases)
    if biases is None or len(set(biases)) == 1:
        base = 0.0 if biases is None else float(biases[0])
        return InitialLoss(found.mean - base, sqrt(max(found.variance + variance * (1.0 - 2.0 / classes), 0.0)))
    b = np.array(biases, dtype=np.float64)
    p = _shares(classes, shares)
    mean_bias = float(p @ b)
    spread = float(p @ np.square(b - mean_bias))
    return InitialLoss(found.mean - mean_bias, sqrt(found.variance + variance + spread))


def initial_squared_error(variance: float, *, target_second_moment: float = 1.0, bias: float = 0.0) -> InitialLoss:
    """The squared error ``(l - y)^2`` of an output ``l ~ N(b, s^2)`` against a target it knows nothing of.

    The mean is ``s^2 + E(y - b)^2``. With ``d = y - b``, ``Var = 2 s^4 + 4 s^2 E d^2 + Var d^2``; the last term is that
    of a normal target, ``2 (E d^2)^2``.

    Args:
        variance: ``s^2``, 0 or more.
        target_second_moment: ``E y^2`` of a target of mean 0, 1 for a standardised one.
        bias: ``b``.

    Returns:
        The loss of one output; the mean over several independent ones has the same mean.

    Raises:
        OptionError: A variance out of range.

    Example:
        >>> initial_squared_error(1.0).mean
        2.0
        >>> round(initial_squared_error(1.0).deviation ** 2, 12)      # 2 (E (l - y)^2)^2
        8.0
    """
    s2, target = check_variance(variance, "variance"), check_variance(target_second_moment, "target_second_moment")
    apart = target + bias * bias
    # A constant offset b of a normal y: Var (y - b)^2 = 2 (E y^2)^2 + 4 b^2 E y^2.
    spread = 2.0 * target**2 + 4.0 * bias * bias * target
    return InitialLoss(s2 + apart, sqrt(2.0 * s2**2 + 4.0 * s2 * apart + spread))


def _shares(classes: int, shares: Sequence[float] | None) -> Array:
    p = np.full(classes, 1.0 / classes) if shares is None else np.array(shares, dtype=np.float64)
    if p.shape != (classes,) or bool(np.any(p < 0.0)) or not p.sum() > 0.0:
        raise OptionError(f"shares must be {classes} numbers of 0 or more, got {shares!r}", fix="give one a class")
    return np.asarray(p / p.sum(), dtype=np.float64)
