"""Roots of a function of one number."""

from __future__ import annotations

from collections.abc import Callable


def find_root(h: Callable[[float], float], low: float, high: float) -> float:
    """A root of ``h`` between ``low`` and ``high``, where it changes sign, to a few units of float64.

    The secant that keeps its bracket (Illinois; Dowell & Jarratt, BIT 11, 1971), with a halving every fourth time.

    Example:
        >>> round(find_root(lambda x: x * x - 2.0, 1.0, 2.0), 12)
        1.414213562373
    """
    at_low, at_high = h(low), h(high)
    best, at_best = (low, at_low) if abs(at_low) < abs(at_high) else (high, at_high)
    kept = 0
    for turn in range(200):
        middle = 0.5 * (low + high)
        if at_best == 0.0 or not low < middle < high:
            break
        x = (low * at_high - high * at_low) / (at_high - at_low)
        x = middle if turn % 4 == 3 or not low < x < high else x
        y = h(x)
        best, at_best = (x, y) if abs(y) <= abs(at_best) else (best, at_best)
        # The end that stays twice is given half its value, or the secant would never move it.
        if (y > 0.0) == (at_low > 0.0):
            low, at_low, at_high = x, y, 0.5 * at_high if kept == 1 else at_high
            kept = 1
        else:
            high, at_high, at_low = x, y, 0.5 * at_low if kept == -1 else at_low
            kept = -1
    return best
