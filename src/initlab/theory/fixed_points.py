"""Where the signals of a deep network settle: fixed points of the maps, and the depths at which they are reached.

Sources: Poole et al., arXiv 1606.05340; Schoenholz et al., arXiv 1611.01232.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, log
from typing import Literal

from initlab.core.errors import OptionError
from initlab.theory.activations import Activation, activation
from initlab.theory.expectations import ActivationLike
from initlab.theory.gains import chi_1, variance_slope
from initlab.theory.maps import correlation_map, correlation_slope, variance_map
from initlab.theory.quadrature import UnboundedIntegralError
from initlab.theory.root_finding import find_root
from initlab.theory.rules import rule_map_moments, rule_pair_moment

Phase = Literal["ordered", "critical", "chaotic"]

_ONE = 1e-10
# The way from 1 to either end of float64: in small steps where signals live, in leaps beyond.
_NEAR = tuple(1.5**k for k in range(1, 57))
_WAY = (1.0, *_NEAR, *(_NEAR[-1] * 100.0**k for k in range(1, 146)))
# The fixed rule finds the correlation to so much, the refined integral the rest.
_ROUGHLY = 1e-7


@dataclass(frozen=True)
class FixedPoint:
    """Where a deep network's signal settles, and how fast.

    Attributes:
        q_star: The variance before an activation.
        chi_1: The factor of a squared gradient per layer there.
        chi_q: ``V'(q_star)``, the factor of a small deviation of the variance.
        c_star: The correlation that two different inputs settle at.
        chi_c_star: ``C'(c_star)``, the factor of a small deviation of the correlation.
        xi_q: Layers in which a deviation of the variance falls to 1/e.
        xi_c: Layers in which a deviation of the correlation falls to 1/e; infinite at the edge of chaos.
        xi_gradient: Layers in which a squared gradient changes by e: negative where it vanishes.
        phase: ``ordered`` (``chi_1 < 1``), ``chaotic`` (``chi_1 > 1``) or ``critical``.
    """

    q_star: float
    chi_1: float
    chi_q: float
    c_star: float
    chi_c_star: float
    xi_q: float
    xi_c: float
    xi_gradient: float
    phase: Phase


def q_star(f: ActivationLike, *, sigma_w2: float, sigma_b2: float = 0.0) -> float:
    """The variance that a signal of variance 1 runs into, layer by layer.

    Args:
        f: The activation.
        sigma_w2: The variance of a weight times its fan-in, 0 or more.
        sigma_b2: The variance of a bias, 0 or more.

    Returns:
        The fixed point of the variance map next to 1 on the side to which the map moves; 0 where the signal dies out,
        infinity where it grows beyond float64.

    Raises:
        OptionError: A variance out of range.
        InitlabError: An integral on the way does not settle.

    Example:
        >>> round(q_star("relu", sigma_w2=1.0, sigma_b2=0.1), 12)      # q = q / 2 + 0.1
        0.2
    """
    act = activation(f)

    def surplus(q: float) -> float:
        return variance_map(act, q, sigma_w2=sigma_w2, sigma_b2=sigma_b2) / q - 1.0

    start = surplus(1.0)
    if abs(start) < _ONE:
        return 1.0
    grows = start > 0.0
    way = _WAY if grows else tuple(1.0 / q for q in _WAY)
    # The fixed rule says how far to go at once; the refined integral decides.
    at = _rough_end(act, sigma_w2, sigma_b2, way, grows=grows)
    try:
        while at > 0 and (surplus(way[at]) > 0.0) != grows:
            at -= 1
        while at + 1 < len(way):
            if (surplus(way[at + 1]) > 0.0) != grows:
                low, high = sorted((way[at], way[at + 1]))
                return find_root(surplus, low, high)
            at += 1
    except UnboundedIntegralError:
        return inf  # the next variance is beyond float64
    return inf if grows else 0.0


def _rough_end(act: Activation, weight: float, bias: float, way: tuple[float, ...], *, grows: bool) -> int:
    """The last place on the way at which the fixed rule's map still moves as it does at 1."""
    for at, q in enumerate(way[1:]):
        moved = weight * rule_map_moments(act, q)[0] + bias - q
        if not isfinite(moved) or (moved > 0.0) != grows:
            return at
    return len(way) - 1


def fixed_point(f: ActivationLike, *, sigma_w2: float, sigma_b2: float = 0.0) -> FixedPoint:
    """Where a deep network's signal settles, with the depth scales of signal, correlation and gradient.

    Args:
        f: The activation.
        sigma_w2: The variance of a weight times its fan-in, above 0.
        sigma_b2: The variance of a bias, 0 or more.

    Returns:
        The fixed point.

    Raises:
        OptionError: A variance out of range, or a signal that dies out or explodes.

    Example:
        >>> p = fixed_point("tanh", sigma_w2=1.0, sigma_b2=0.05)
        >>> p.phase, round(p.q_star, 9), round(p.xi_c, 6)
        ('ordered', 0.19359252, 3.626976)
    """
    act = activation(f)
    q = q_star(act, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    if not 0.0 < q < inf:
        fate = "dies out" if q == 0.0 else "explodes"
        raise OptionError(
            f"the signal of '{act.call}' {fate} (sigma_w2={sigma_w2}, sigma_b2={sigma_b2})",
            fix="choose a smaller sigma_w2" if q else "choose a larger sigma_w2 or sigma_b2",
        )
    chi, chi_q = chi_1(act, sigma_w2, q), variance_slope(act, sigma_w2, q)
    phase: Phase = "critical" if abs(chi - 1.0) < _ONE else "ordered" if chi < 1.0 else "chaotic"
    c = _c_star(act, sigma_w2, sigma_b2, q) if phase == "chaotic" else 1.0
    chi_c = chi if c == 1.0 else correlation_slope(act, c, sigma_w2=sigma_w2, q=q)
    return FixedPoint(q, chi, chi_q, c, chi_c, _decay_depth(chi_q), _decay_depth(chi_c), _growth_depth(chi), phase)


def _c_star(act: Activation, sigma_w2: float, sigma_b2: float, q: float) -> float:
    """The correlation below 1 at which the map of a chaotic network crosses the diagonal."""

    def surplus(c: float) -> float:
        return correlation_map(act, c, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=q) - c

    def rough(c: float) -> float:
        return (sigma_w2 * rule_pair_moment(act, c, q) + sigma_b2) / q - c

    if surplus(0.0) <= 1e-15:
        return 0.0
    below = 0.5
    # C'(1) > 1 puts the map below the diagonal somewhere beside 1.
    while rough(below) > 0.0 and 1.0 - below > _ROUGHLY:
        below = 0.5 * (1.0 + below)
    if rough(below) <= 0.0:
        near = find_root(rough, 0.0, below)
        low, high = max(near - _ROUGHLY, 0.0), min(near + _ROUGHLY, 1.0)
        if surplus(low) > 0.0 >= surplus(high):
            return find_root(surplus, low, high)
    while surplus(below) > 0.0:
        below = 0.5 * (1.0 + below)
    return find_root(surplus, 0.0, below)


def _decay_depth(factor: float) -> float:
    size = abs(factor)
    if size == 0.0:
        return 0.0
    return inf if abs(size - 1.0) < _ONE else -1.0 / log(size)


def _growth_depth(factor: float) -> float:
    return inf if abs(factor - 1.0) < _ONE else 1.0 / log(factor) if factor > 0.0 else 0.0
