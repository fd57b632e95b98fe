"""Units that say nothing: zero on every input of a batch, layers and nets in which nothing passes.

A unit of a one-sided activation is silent where its input lies below a threshold, 0 for ReLU. On one input that is
half of all units and no fault; silent on a whole batch it has no gradient. Inputs that a deep net has made alike are
silent together, so a share of dead units is told against the correlation of the inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, log1p, sqrt

import numpy as np

from initlab.core.erf import Array, normal_cdf
from initlab.core.errors import OptionError
from initlab.theory.activations import activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.quadrature import gaussian_integral

_FAR_BELOW = -60.0


def dead_share(batch: int, correlation: float, *, threshold: float = 0.0) -> float:
    """``P(max_i u_i <= t)``: the share of units below their threshold on all of ``B`` inputs.

    The ``u_i`` are standard normal with pairwise correlation ``c``, so the share is
    ``E Phi((t - sqrt(c) z) / sqrt(1 - c))^B`` (Tong, The Multivariate Normal Distribution, 1990, section 8.2.5).

    Args:
        batch: ``B``, the number of inputs, 1 or more.
        correlation: ``c``, of two inputs before the activation, up to 1. One below 0 counts as 0, which gives an upper
            bound (Slepian's inequality).
        threshold: ``t``, in standard deviations of ``u``: for a ReLU whose biases are all ``b``, ``-b / sqrt(q)``.

    Returns:
        The share, from ``Phi(t)^B`` for independent inputs to ``Phi(t)`` for equal ones.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(dead_share(2, 0.5), 12)                # 1/4 + asin(c) / (2 pi)
        0.333333333333
        >>> round(dead_share(128, 0.0), 12), dead_share(128, 1.0)
        (0.0, 0.5)
    """
    if isinstance(batch, bool) or not isinstance(batch, int) or batch < 1:
        raise OptionError(f"a batch of {batch!r}", fix="give a whole number of 1 or more")
    if not (-1.0 <= correlation <= 1.0 and isfinite(threshold)):
        raise OptionError(f"correlation {correlation!r} or threshold {threshold!r}", fix="give a correlation up to 1")
    alone = float(normal_cdf(np.array(threshold)))
    shared, own = sqrt(max(correlation, 0.0)), sqrt(1.0 - max(correlation, 0.0))
    if own == 0.0 or batch == 1:
        return alone
    if shared == 0.0:
        return alone**batch

    def row(z: Array) -> Array:
        return (normal_cdf((threshold - shared * z) / own) ** batch)[None]

    # For inputs that are nearly equal the power is a step of width sqrt(1 - c): too narrow to be
    # seen from the standard panels, it has its own.
    steps = [(threshold - k * own) / shared for k in (-8.0, -4.0, -2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)]
    return float(gaussian_integral(row, kinks=steps, rtol=1e-11, what="the share of dead units")[0])


def dead_layer_probability(width: int, *, share: float = 0.5) -> float:
    """``p^n``: the chance that all units of a layer are silent on one input.

    Lu, Shin, Su & Karniadakis, arXiv 1903.06733.

    Args:
        width: ``n``, 1 or more.
        share: ``p``, the chance that one is; 1/2 for ReLU without a bias.

    Returns:
        The probability.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> dead_layer_probability(3)
        0.125
    """
    if width < 1 or not 0.0 <= share <= 1.0:
        raise OptionError(f"a layer of {width} units, each silent with probability {share}", fix="give 1 unit or more")
    return float(share**width)


def dead_net_probability(widths: Sequence[int], *, share: float = 0.5) -> float:
    """``1 - prod (1 - p^(n_l))``: the chance that some layer of a net is silent on one input, and so all behind it.

    Lu, Shin, Su & Karniadakis, arXiv 1903.06733.

    Args:
        widths: The units of each hidden layer.
        share: The chance that one unit is silent; 1/2 for ReLU without a bias.

    Returns:
        The probability.

    Raises:
        OptionError: An argument out of range.

    Example:
        >>> round(dead_net_probability([2, 2]), 12)      # 1 - (3/4)^2
        0.4375
    """
    dead = [dead_layer_probability(width, share=share) for width in widths]
    return 1.0 if 1.0 in dead else -float(np.expm1(sum(log1p(-p) for p in dead)))


def silent_below(f: ActivationLike) -> float | None:
    """The threshold below which an activation has no slope, so that no gradient passes; None where there is none.

    Args:
        f: The activation.

    Returns:
        0 for ReLU, -3 for hard swish; None for two-sided and smooth activations.

    Raises:
        UnknownNameError: No activation has that name.

    Example:
        >>> silent_below("relu"), silent_below("hard_swish"), silent_below("leaky_relu")
        (0.0, -3.0, None)
    """
    act = activation(f)
    ends = [k for k in act.kinks if isfinite(k)]
    for end in sorted(ends, reverse=True):
        below = end - np.concatenate([np.geomspace(1e-6, -_FAR_BELOW, 400), [1e3, 1e6]])
        if not np.any(act.slope(below)):
            return float(end)
    return None
