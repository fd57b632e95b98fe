"""Which activation a function of each entry is, told by its values: however it was spelled, it is recognised."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from initlab.core.calls import format_call
from initlab.core.errors import InitlabError
from initlab.frameworks.reading.gaussian import moments_of
from initlab.theory import ACTIVATIONS, activation
from initlab.theory.expectations import value_moments

Values = NDArray[np.float64]

# Off the round numbers, where a kink would make the comparison depend on a convention; then the far ends.
_GRID = np.concatenate([np.linspace(-12.0, 12.0, 241) + 0.00123, [-60.0, -30.0, -1.0, 1.0, 30.0, 60.0, 0.0]])
_TOLERANCE = 1e-6  # a slope or a constant kept in float32 is off by 6e-8 of itself


@dataclass(frozen=True)
class Recognised:
    """What a function of each entry is.

    Attributes:
        f: The activation's call; None for a linear function and for one that has no name.
        slope: The slope of a linear function; None for any other.
        offset: The value of a linear function at 0.
        moment: E f(z)^2 of a standard normal z, where there is no name for it; None where that is not finite.
        mean: E f(z), where there is no name for it.
        is_share: Whether its values lie between 0 and 1, as those of a gate do.
        at_zero: Its value at 0; None where it cannot be had.
    """

    f: str | None = None
    slope: float | None = None
    offset: float = 0.0
    moment: float | None = None
    mean: float = 0.0
    is_share: bool = False
    at_zero: float | None = field(default=None, compare=False)

    @property
    def is_known(self) -> bool:
        """Whether anything is known of the size of its values."""
        return self.f is not None or self.slope is not None or self.moment is not None


def recognised(f: Callable[[Values], Values | None]) -> Recognised:
    """The activation that a function of float64 arrays is; it returns None for an array that it cannot take.

    Example:
        >>> recognised(lambda z: z / (1 + np.exp(-z))).f
        'silu'
        >>> recognised(lambda z: z / 4).slope
        0.25
        >>> round(recognised(lambda z: 0.5 * np.maximum(z, 0.0)).moment, 9)      # 1/4 of 1/2
        0.125
    """
    with np.errstate(all="ignore"):
        values = f(_GRID)
        if values is None or values.shape != _GRID.shape:
            return Recognised()
        at_zero = float(values[-1])
        slope, offset = _line(values)
        if _same(values, slope * _GRID + offset):
            return Recognised(slope=slope, offset=offset, at_zero=at_zero)
    is_share = bool(values.min() >= -_TOLERANCE and values.max() <= 1.0 + _TOLERANCE)
    name = _named(values.tobytes())
    found = Recognised(f=name) if name else _moments(f)
    return replace(found, is_share=is_share, at_zero=at_zero)


def _line(values: Values) -> tuple[float, float]:
    at_minus_one, at_one = values[-5], values[-4]
    return float(at_one - at_minus_one) / 2, float(at_one + at_minus_one) / 2


def _same(values: Values, others: Values) -> bool:
    return bool(np.allclose(values, others, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=False))


@lru_cache(maxsize=256)
def _named(raw: bytes) -> str | None:
    values = np.frombuffer(raw)
    for call in (*ACTIVATIONS, *_with_options(values)):
        try:
            with np.errstate(all="ignore"):
                if _same(values, activation(call)(_GRID)):
                    return str(call)
        except InitlabError:
            continue
    return None


def _with_options(values: Values) -> list[str]:
    """Activations whose options are read off the values, and then checked like all others."""
    low, at_minus_one, at_zero, high = values[-7], values[-5], values[-1], values[-2]
    options = [
        ("leaky_relu", {"negative_slope": -at_minus_one}),
        ("elu", {"alpha": -low}),
        ("celu", {"alpha": -low}),
        ("hard_tanh", {"min_val": low, "max_val": high}),
        ("softplus", {"beta": math.log(2.0) / at_zero if at_zero else math.nan}),
    ]
    return [
        format_call(name, {key: float(f"{value:.6g}") for key, value in inside.items()})
        for name, inside in options
        if all(math.isfinite(value) for value in inside.values())
    ]


def _moments(f: Callable[[Values], Values | None]) -> Recognised:
    found = moments_of(f, lambda function, z: function(z), [(0.0, 1.0)])
    return Recognised() if found is None or not found[0] > 0.0 else Recognised(moment=found[0], mean=found[1])


@lru_cache(maxsize=256)
def second_moment(f: str) -> float:
    """E f(z)^2 of a standard normal z."""
    return float(value_moments(activation(f), 1.0).second)


@lru_cache(maxsize=256)
def first_moment(f: str) -> float:
    """E f(z) of a standard normal z."""
    return float(value_moments(activation(f), 1.0).mean)
