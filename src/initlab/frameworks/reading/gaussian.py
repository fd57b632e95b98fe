"""Moments of functions of independent normal numbers, by values alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.reading.graph import Function

Entries: TypeAlias = NDArray[np.float64]
Evaluate: TypeAlias = Callable[[Function, Entries], Entries | None]
"""What a function of a framework's arrays makes of float64 numbers; None where it cannot take them."""

_POINTS = {1: 3000, 2: 150, 3: 50}  # of each number, by how many there are; even, for 0 is where functions break
_REACH = 12.0  # in deviations
_STEP = 1e-3  # of a slope of float32 numbers
_CHANGE = 0.02  # of a mean square by half the points: what changes more does not converge


def moments_of(
    f: Callable[..., Any], evaluate: Evaluate, sizes: Sequence[tuple[float, float]]
) -> tuple[float, float] | None:
    """``E f^2`` and ``E f`` of independent normal numbers, by the rule of the trapezoids.

    Args:
        f: The function of the framework's arrays.
        evaluate: What such a function makes of numbers.
        sizes: The mean and the std of each number.

    Returns:
        The two; None for more numbers than three, and where a moment is not finite.
    """
    if len(sizes) not in _POINTS:
        return None
    z, weights = _grid(_POINTS[len(sizes)])
    places = [axis.reshape(-1) for axis in np.meshgrid(*[z] * len(sizes), indexing="ij")]
    shares = np.prod(np.meshgrid(*[weights] * len(sizes), indexing="ij"), axis=0).reshape(-1)
    made = values_at(f, evaluate, [mean + std * place for (mean, std), place in zip(sizes, places, strict=True)])
    if made is None:
        return None
    with np.errstate(all="ignore"):
        terms = shares * made**2
        found = float(terms.sum()), float((shares * made).sum())
        half = float(terms[_every_other(len(sizes))].sum()) * 2 ** len(sizes)
        # Where the ends of the range count, the integral is that of the range, and not that of the function.
        ends = float(terms[np.abs(np.stack(places)).max(axis=0) > _REACH - 2.0].sum())
    if not all(map(isfinite, (*found, half, ends))) or abs(ends) > 1e-3 * found[0]:
        return None
    return found if abs(half - found[0]) <= _CHANGE * found[0] else None


def _every_other(numbers: int) -> NDArray[np.intp]:
    """The places of every other point on each axis."""
    many = _POINTS[numbers]
    return np.arange(many**numbers).reshape((many,) * numbers)[(slice(None, None, 2),) * numbers].reshape(-1)


def chi_1(f: Function, evaluate: Evaluate) -> float | None:
    """``E f'(z)^2 / E f(z)^2`` of a standard normal number: by how much a layer that keeps the signal spreads inputs.

    Example:
        >>> round(chi_1(lambda z: np.sin(30.0 * z), lambda f, z: f(z)))      # 30^2 of E cos^2 over E sin^2
        900
    """
    z, weights = _grid(_POINTS[1])
    here, low, high = (values_at(f, evaluate, [z + shift]) for shift in (0.0, -_STEP, _STEP))
    if here is None or low is None or high is None:
        return None
    with np.errstate(all="ignore"):
        square, slope = float(weights @ here**2), float(weights @ ((high - low) / (2.0 * _STEP)) ** 2)
    return slope / square if isfinite(slope) and isfinite(square) and square > 0.0 else None


def passes_through(f: Callable[..., Any], evaluate: Evaluate, numbers: int, at: int) -> bool:
    """Whether a function of several numbers is a straight line in one of them, to which the others add.

    Args:
        f: The function of the framework's arrays.
        evaluate: What such a function makes of numbers.
        numbers: How many it takes.
        at: Which of them.

    Example:
        >>> gate = lambda z: 1 / (1 + np.exp(-z))
        >>> highway = lambda x, h, t: gate(t) * h + (1 - gate(t)) * x
        >>> [passes_through(highway, lambda f, z: f(z), 3, at) for at in range(3)]
        [True, True, False]
        >>> passes_through(lambda x, t: x * gate(t), lambda f, z: f(z), 2, 0)       # nothing is added
        False
    """
    places = [np.cos(np.arange(1.0, 65.0) * (n + 1.3)) * 1.7 for n in range(numbers)]
    made = []
    for value in (0.0, 1.0, 2.0):
        places[at] = np.full(64, value)
        made.append(values_at(f, evaluate, list(places)))
    zero, one, two = made
    if zero is None or one is None or two is None or not bool(np.isfinite(two - zero).all()):
        return False
    size = float(np.abs(np.stack([zero, one, two])).max())
    straight = bool((np.abs(two - 2.0 * one + zero) <= 1e-5 * size).all())
    return straight and bool((two - zero).mean() > 0.0) and float(np.std(zero)) > 1e-5 * size


def _grid(points: int) -> tuple[Entries, Entries]:
    """Places of a normal number, and their shares."""
    z = np.linspace(-_REACH, _REACH, points)
    density = np.exp(-0.5 * z**2)
    return z, density / density.sum()


def values_at(f: Callable[..., Any], evaluate: Evaluate, places: Sequence[Entries]) -> Entries | None:
    """The function's values at places of several numbers, which are given behind each other in one array."""
    many = len(places[0])

    def of_one(z: Any) -> Any:
        return f(*(z[n * many : (n + 1) * many] for n in range(len(places))))

    with np.errstate(all="ignore"):
        made = evaluate(of_one, np.concatenate(places))
    return None if made is None or made.shape != (many,) else made
