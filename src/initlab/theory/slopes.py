"""Where an activation still has a slope: outside of that range a bounded activation is saturated."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.root_finding import find_root
from initlab.theory.saturation import largest_slope

_FAR, _FARTHER = 1e3, 1e6
_NEAR = 1e-6  # of zero: an end is found to about 1e-9 beside a kink
_GROWTH = 1.1  # what a bounded function may still grow by between the two: 1 / x tails do by 1e-3, logarithms by 2


def open_range(f: ActivationLike, *, share: float = 0.05) -> tuple[float, float] | None:
    """The range outside of which the slope of a bounded, rising activation is below a share of its largest.

    Args:
        f: The activation.
        share: Of the largest slope, between 0 and 1.

    Returns:
        The range; None for an activation that is not bounded on both sides, that falls somewhere, or that is flat on
        one whole side of zero: there its units are silent, as a ReLU's are.

    Raises:
        OptionError: A share out of range.

    Example:
        >>> low, high = open_range("tanh")
        >>> round(float(np.tanh(high) ** 2), 9)      # the slope is 1 - tanh^2
        0.95
        >>> open_range("relu") is None, open_range("relu6") is None
        (True, True)
    """
    if not 0.0 < share < 1.0:
        raise OptionError(f"a share of {share!r} of the largest slope", fix="give one between 0 and 1")
    return _open_range(activation(f), share)


@lru_cache(maxsize=256)
def _open_range(act: Activation, share: float) -> tuple[float, float] | None:
    # Points off the kinks, each kink between two of them.
    near = [k + side * 1e-9 for k in act.kinks for side in (-1.0, 1.0)]
    x = np.unique(np.concatenate([np.linspace(-50.0, 50.0, 4001) + 1.23e-3, near]))
    with np.errstate(all="ignore"):
        values, slopes = act(x), act.slope(x)
        far, farther = np.abs(act([-_FAR, _FAR])), np.abs(act([-_FARTHER, _FARTHER]))
    bounded = np.isfinite(farther).all() and (farther <= _GROWTH * max(far.max(), np.abs(values).max())).all()
    if not bounded or not np.isfinite(slopes).all() or slopes.min() < -1e-9 or slopes.max() <= 0:
        return None
    limit = share * largest_slope(act)
    open_at = np.flatnonzero(slopes >= limit)
    first, last = int(open_at[0]), int(open_at[-1])
    if first == 0 or last == len(x) - 1:
        return None

    def excess(z: float) -> float:
        return float(act.slope([z])[0]) - limit

    low = find_root(excess, float(x[first - 1]), float(x[first]))
    high = find_root(excess, float(x[last]), float(x[last + 1]))
    return (low, high) if low < -_NEAR < _NEAR < high else None
