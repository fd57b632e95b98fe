"""Saturated units: those whose slope is a small share of the activation's largest, so that little gradient passes."""

from __future__ import annotations

from functools import lru_cache
from math import sqrt

import numpy as np

from initlab.core.erf import Array, normal_cdf
from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.root_finding import find_root

_REACH = 9.0
_POINTS = 4001


def saturation_probability(f: ActivationLike, q: float, *, share: float = 0.05) -> float:
    """``P(|f'(u)| < share * max |f'|)`` for ``u ~ N(0, q)``: the share of saturated units.

    For tanh, whose slope is ``1 - tanh^2``, it is ``P(|tanh u| > sqrt(1 - share))``
    ``= erfc(atanh(sqrt(1 - share)) / sqrt(2 q))``. For any other activation the ends of the intervals are found on a
    grid of 4001 points over ``+-9 sqrt(q)`` and sharpened; the normal probability of each is exact.

    Args:
        f: The activation; the number tells most for a bounded one.
        q: The variance before the activation, above 0.
        share: Of the largest slope, between 0 and 1.

    Returns:
        The probability.

    Raises:
        OptionError: An argument out of range, or an activation without a slope.

    Example:
        >>> round(saturation_probability("hard_tanh", 1.0), 12)      # P(|z| > 1)
        0.317310507863
    """
    act = activation(f)
    if not (0.0 < share < 1.0 and q > 0.0):
        raise OptionError(f"saturation at a share of {share!r} and q = {q!r}", fix="give 0 < share < 1 and q above 0")
    limit, scale = share * largest_slope(act), sqrt(q)

    def excess(x: float) -> float:
        return float(np.abs(act.slope([x]))[0]) - limit

    # Points off the kinks, each kink between two of them.
    x = np.linspace(-_REACH, _REACH, _POINTS) * scale
    x = np.unique(np.concatenate([x, *([k - 1e-9 * scale, k + 1e-9 * scale] for k in act.kinks)]))
    is_low = np.abs(act.slope(x)) < limit
    turns = np.flatnonzero(is_low[1:] != is_low[:-1])
    ends = [find_root(excess, float(x[i]), float(x[i + 1])) for i in turns]
    below = np.concatenate([[0.0], normal_cdf(np.array(ends) / scale), [1.0]])
    first = 0 if is_low[0] else 1
    return float(np.diff(below)[first::2].sum())


def largest_slope(f: ActivationLike) -> float:
    """``max |f'|`` over the real line, to about 1e-12; where it has none, its largest value up to ``|x| = 1000``.

    Args:
        f: The activation.

    Returns:
        The largest slope.

    Raises:
        OptionError: The activation is constant between its jumps.

    Example:
        >>> largest_slope("sigmoid"), round(largest_slope("gelu"), 6)
        (0.25, 1.128904)
    """
    act = activation(f)
    found = _largest_slope(act)
    if not found > 0.0:
        raise OptionError(f"no gradient passes '{act.call}'", fix="choose an activation with a slope")
    return found


@lru_cache(maxsize=256)
def _largest_slope(act: Activation) -> float:
    def size(x: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore"):
            return np.nan_to_num(np.abs(act.slope(x)), nan=0.0, posinf=0.0)

    far = np.geomspace(12.0, 1000.0, 200)
    x = np.unique(np.concatenate([np.linspace(-12.0, 12.0, _POINTS), far, -far, np.array(act.kinks) + 1e-9]))
    best, step = x[np.argmax(size(x))], 0.01
    while step > 1e-9:
        near = np.linspace(best - step, best + step, 21)
        best, step = near[np.argmax(size(near))], 0.2 * step
    return float(max(size(np.array([best]))[0], size(x).max()))
