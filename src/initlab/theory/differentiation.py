"""Kinks and derivatives of functions that come without them, from values alone.

A kink is a point where the function or one of its derivatives jumps, so that no polynomial fits on both sides of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from initlab.core.erf import Array, RealFunction

SEARCH_RANGE = 40.0
"""Kinks are searched in ``[-SEARCH_RANGE, SEARCH_RANGE]``."""

# An offset that no round number shares, lest a kink fall on the end of a panel and be seen by neither neighbour.
_OFFSET = 0.0123456789
_COARSE = 80
_NARROW = 2.0**-10
_MOST_PANELS = 8192
_MOST_KINKS = 200
_DEGREES = 16
_SIDE_DEGREES = 6
_HALVINGS = 42
_ROUGH = 1e-12
_ROUNDINGS = 64.0
_MOST_IN_A_PANEL = 8
_APART = 1e-8
# Two slopes this close, relative to their size, need no third.
_CONFIRMED = 1e-12
_STEPS = (0.5, 2.0**-3, 2.0**-5, 2.0**-7, 2.0**-9, 2.0**-11)


def find_kinks(f: RealFunction, *, rounding: float = 0.0) -> tuple[float, ...]:
    """The kinks of ``f`` in ``[-40, 40]``, located to about 1e-14 for a jump or a bend.

    Panels on which a polynomial of degree 15 misses the function between its nodes are halved; those still missed at
    a width of 2^-10 hold a kink, which is then closed in on by halving.
    A jump of the second derivative is located to about 1e-8, which is as far as float64 values show it. What is left
    of a panel on either side of a kink is looked at again, so kinks may lie as close as 1e-7 to each other. Functions
    with more than 200 rough panels (fast oscillations) are reported without kinks: Gaussian integrals refine such
    panels on their own.

    Args:
        f: A function of float64 arrays.
        rounding: The spacing of its values beside 1, where they are narrower than float64.

    Returns:
        The kinks, ascending.

    Example:
        >>> [round(k, 12) for k in find_kinks(lambda x: np.maximum(x - 0.3, 0.0))]
        [0.3]
        >>> find_kinks(np.tanh)
        ()
    """
    with np.errstate(all="ignore"):
        return _find_kinks(f, max(_ROUGH, _ROUNDINGS * rounding))


def _find_kinks(f: RealFunction, share: float) -> tuple[float, ...]:
    floor = float(np.max(np.abs(f(np.linspace(-3.0, 3.0, 61)))))
    edges = np.linspace(-SEARCH_RANGE, SEARCH_RANGE, _COARSE + 1) + _OFFSET
    low, high = edges[:-1], edges[1:]
    while True:
        missed, size = _misfit(f, low, high, _DEGREES)
        rough = missed > share * np.maximum(size, floor)
        low, high = low[rough], high[rough]
        if low.size == 0 or high[0] - low[0] <= _NARROW:
            break
        if low.size > _MOST_PANELS:
            return ()
        middle = 0.5 * (low + high)
        low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
    if not 0 < low.size <= _MOST_KINKS:
        return ()
    low, high = _join_neighbours(np.sort(low), np.sort(high))
    found = _close_in(f, low, high)
    kinks = found.tolist()
    for _ in range(_MOST_IN_A_PANEL):
        low, high = _beside(low, high, found)
        if low.size == 0:
            break
        missed, size = _misfit(f, low, high, _DEGREES)
        rough = missed > share * np.maximum(size, floor)
        low, high = low[rough], high[rough]
        if low.size == 0:
            break
        found = _close_in(f, low, high)
        # Beside a point of infinite slope every panel is rough, and its end the roughest: that is no other kink.
        inside = np.minimum(found - low, high - found) > _gap(found)
        low, high, found = low[inside], high[inside], found[inside]
        if found.size == 0 or len(kinks) + found.size > _MOST_KINKS:
            break
        kinks += found.tolist()
    return tuple(sorted(kinks))


def _beside(low: Array, high: Array, kinks: Array) -> tuple[Array, Array]:
    """What is left of each panel on either side of its kink."""
    starts, ends = np.concatenate([low, kinks + _gap(kinks)]), np.concatenate([kinks - _gap(kinks), high])
    wide = ends - starts > 4.0 * _gap(starts)
    return starts[wide], ends[wide]


def _gap(x: Array) -> Array:
    return np.asarray(_APART * (1.0 + np.abs(x)))


def numerical_derivative(f: RealFunction, *, kinks: Iterable[float] = ()) -> RealFunction:
    """A function whose values are those of ``f'``, to about 1e-11 relative where ``f`` is smooth between the kinks.

    At each point it is the derivative of the polynomial through 16 Chebyshev nodes around it, on intervals of six
    widths from 1 to 2^-10 that are cut off at the kinks and of two that keep off them: of these the one that the next
    one confirms best.

    Args:
        f: A function of float64 arrays.
        kinks: Where ``f`` or a derivative jumps; at a kink itself the value is that of the right side.

    Returns:
        A function of float64 arrays.

    Example:
        >>> round(float(numerical_derivative(np.tanh)(np.array([0.0]))[0]), 10)
        1.0
    """
    inner = np.array(sorted(kinks), dtype=np.float64)
    walls = np.concatenate([[-np.inf], inner, [np.inf]])
    # A jump is located to rounding: this near it the slope could be that of the jump, so it is read a little further.
    guards = np.concatenate([[0.0], np.where(_jumps(f, inner), 1e-9 * (1.0 + np.abs(inner)), 0.0), [0.0]])

    def derivative(x: Array) -> Array:
        asked = np.ravel(np.asarray(x, dtype=np.float64))
        right = np.searchsorted(walls, asked, side="right")
        floor, ceiling = walls[right - 1], walls[right]
        points = np.clip(asked, floor + guards[right - 1], ceiling - guards[right])
        return _best_slope(f, points, floor, ceiling).reshape(np.shape(x))

    return derivative


def _jumps(f: RealFunction, at: Array) -> NDArray[np.bool_]:
    """Whether ``f`` steps at each point: it changes far more across it than on either side."""
    near = 1e-9 * (1.0 + np.abs(at))
    left, right = f(at - near), f(at + near)
    beside = np.maximum(np.abs(f(at - 100.0 * near) - left), np.abs(f(at + 100.0 * near) - right))
    return np.asarray(np.abs(right - left) > np.maximum(4.0 * beside, 1e-12 * np.abs(right)))


def _best_slope(f: RealFunction, x: Array, floor: Array, ceiling: Array) -> Array:
    """Of the slopes at ``x`` on several intervals inside ``[floor, ceiling]`` the one that the next confirms best."""
    # Beside a kink where the slope is infinite only intervals that keep off the kink tell the slope.
    room = np.minimum(x - floor, ceiling - x)
    reach = np.where(room > 1e-12 * np.abs(x), np.minimum(room, _STEPS[-1]), 0.0)
    steps = [*(np.full_like(x, h) for h in _STEPS), 0.5 * reach, 0.25 * reach]
    last = _slope_within(f, x, np.maximum(x - steps[0], floor), np.minimum(x + steps[0], ceiling))
    best, doubt = last.copy(), np.full_like(x, np.inf)
    enough = _CONFIRMED * (np.abs(last) + np.mean(np.abs(last)))
    for step in steps[1:]:
        left = np.flatnonzero((doubt > enough) & (step > 0.0))
        if left.size == 0:
            break
        at, h = x[left], step[left]
        here = _slope_within(f, at, np.maximum(at - h, floor[left]), np.minimum(at + h, ceiling[left]))
        change = np.abs(here - last[left])
        better = left[change < doubt[left]]
        best[better], doubt[left] = last[better], np.minimum(doubt[left], change)
        last[left] = here
    return best


def _slope_within(f: RealFunction, x: Array, low: Array, high: Array) -> Array:
    """The derivative at each ``x`` of the polynomial that interpolates ``f`` on its ``[low, high]``."""
    values = _sample(f, low, high, _DEGREES)
    # Without its first value a constant has slope zero exactly, not to rounding.
    coefficients = (values - values[:, :1]) @ _fit(_DEGREES)
    half = 0.5 * (high - low)
    return np.asarray(_slope(coefficients, (x - low) / half - 1.0) / half)


def _misfit(f: RealFunction, low: Array, high: Array, degrees: int) -> tuple[Array, Array]:
    """How far ``f`` is between the nodes from its interpolant on each ``[low, high]``, and how large it is there."""
    values = _sample(f, low, high, degrees)
    # With both ends, or a kink in the outermost quarter per cent of a panel would be seen by no point of it.
    between = np.cos(np.pi * np.arange(degrees + 1) / degrees)
    there = f((0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * between).ravel())
    missed = _value(values @ _fit(degrees), between[None, :]) - there.reshape(len(low), -1)
    return np.max(np.abs(missed), axis=1), np.max(np.abs(values), axis=1)


def _join_neighbours(low: Array, high: Array) -> tuple[Array, Array]:
    """Touching panels, in ascending order, made into one."""
    apart = low[1:] - high[:-1] > 0.5 * _NARROW
    return low[np.concatenate([[True], apart])], high[np.concatenate([apart, [True]])]


def _close_in(f: RealFunction, low: Array, high: Array) -> Array:
    """The kink of each ``[low, high]``: of its two halves, again and again, the one that a polynomial fits worse."""
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        missed, _ = _misfit(f, np.concatenate([low, middle]), np.concatenate([middle, high]), _SIDE_DEGREES)
        on_left = missed[: len(low)] >= missed[len(low) :]
        low, high = np.where(on_left, low, middle), np.where(on_left, middle, high)
    return 0.5 * (low + high)


def _sample(f: RealFunction, low: Array, high: Array, degrees: int) -> Array:
    """Values of ``f`` at the Chebyshev nodes of the first kind, which lie inside each ``[low, high]``: a row each."""
    nodes = np.cos(_angles(degrees))
    at = 0.5 * (low + high)[:, None] + 0.5 * (high - low)[:, None] * nodes
    return f(at.ravel()).reshape(at.shape)


def _angles(degrees: int) -> Array:
    return np.asarray((2.0 * np.arange(degrees) + 1.0) * np.pi / (2.0 * degrees), dtype=np.float64)


@lru_cache(maxsize=4)
def _fit(degrees: int) -> Array:
    """The matrix that turns a row of values at the nodes into a row of Chebyshev coefficients."""
    matrix: Array = 2.0 / degrees * np.cos(np.outer(_angles(degrees), np.arange(degrees)))
    matrix[:, 0] *= 0.5
    return matrix


def _value(coefficients: Array, t: Array) -> Array:
    """``sum_k c_k T_k(t)`` for each row of coefficients and the row's ``t``, by the three-term recurrence."""
    before, here = np.ones_like(t), t
    total = coefficients[:, :1] + coefficients[:, 1:2] * t
    for k in range(2, coefficients.shape[1]):
        before, here = here, 2.0 * t * here - before
        total = total + coefficients[:, k : k + 1] * here
    return total


def _slope(coefficients: Array, t: Array) -> Array:
    """``sum_k c_k T_k'(t)``, one ``t`` a row, with ``T_k' = k U_{k-1}``."""
    before, here = np.zeros_like(t), np.ones_like(t)
    total = np.zeros_like(t)
    for k in range(1, coefficients.shape[1]):
        total = total + k * coefficients[:, k] * here
        before, here = here, 2.0 * t * here - before
    return total
