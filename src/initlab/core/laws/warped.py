"""Laws whose entries are a function of uniform numbers: rates, steps and decays that are stored in another scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype, write
from initlab.core.draws.selection import Index, check_shape
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError
from initlab.core.laws.elementwise import Uniform
from initlab.core.laws.protocol import Shape

Floats: TypeAlias = NDArray[np.float64]
Through = Literal["log", "step", "radius"]

_POINTS = 64  # of a Gauss-Legendre rule: the functions are analytic, and the moments exact to rounding


class _Map(NamedTuple):
    forth: Callable[[Floats], Floats]
    back: Callable[[Floats], Floats]
    words: str
    shown: Callable[[float], float]


def _softplus(x: Floats) -> Floats:
    return np.logaddexp(0.0, x)


def _from_softplus(y: Floats) -> Floats:
    """The number whose softplus is ``y``: ``y + log(1 - e^-y)``, which does not overflow."""
    return y + np.log(-np.expm1(-y))


_MAPS: dict[str, _Map] = {
    "log": _Map(np.log, np.exp, "log of U({}, {})", lambda u: u),
    "step": _Map(
        lambda u: _from_softplus(np.exp(u)),
        lambda x: np.log(_softplus(x)),
        "softplus^-1 of a step, log-uniform in [{}, {}]",
        math.exp,
    ),
    "radius": _Map(
        lambda u: _from_softplus(-0.5 * np.log(u)),
        lambda x: np.exp(-2.0 * _softplus(x)),
        "softplus^-1 of -log a, a^2 uniform, a in [{}, {}]",
        math.sqrt,
    ),
}


@dataclass(frozen=True)
class Warped:
    """Entries are a strictly monotone function of independent uniform numbers.

    ``log``: the logarithm of the number. ``step``: the inverse softplus of a step whose logarithm is the number.
    ``radius``: the inverse softplus of ``-log a``, where the number is ``a^2``.

    Attributes:
        law: The law of the numbers.
        through: The function.

    Example:
        >>> Warped(Uniform(1.0, 16.0), "log").bounds((6,)) == (0.0, math.log(16.0))
        True
        >>> print(Warped(Uniform(math.log(0.001), math.log(0.1)), "step"))
        softplus^-1 of a step, log-uniform in [0.001, 0.1]
    """

    law: Uniform
    through: Through
    family: ClassVar[str] = "warped"
    elementwise: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.through not in _MAPS:
            raise OptionError(f"unknown function '{self.through}'", fix=f"one of {', '.join(_MAPS)}")
        low, high = self.law.low, self.law.high
        if (self.through != "step" and low <= 0.0) or (self.through == "radius" and high >= 1.0):
            room = "(0, 1)" if self.through == "radius" else "(0, inf)"
            raise OptionError(f"'{self.through}' of numbers in ({low:g}, {high:g})", fix=f"give numbers in {room}")

    @property
    def _map(self) -> _Map:
        return _MAPS[self.through]

    @cached_property
    def _moments(self) -> tuple[float, float, float]:
        """Mean, variance and excess kurtosis."""
        nodes, weights = np.polynomial.legendre.leggauss(_POINTS)
        low, high = self.law.low, self.law.high
        values = self._map.forth(0.5 * (high - low) * nodes + 0.5 * (high + low))
        mean = float(0.5 * weights @ values)
        second, fourth = (float(0.5 * weights @ (values - mean) ** power) for power in (2, 4))
        return mean, second, fourth / second**2 - 3.0

    @property
    def excess(self) -> float:
        """Excess kurtosis of an entry."""
        return self._moments[2]

    def check(self, shape: Shape) -> None:
        """Any shape will do."""
        check_shape(shape)

    def mean(self, shape: Shape) -> float:
        """Mean, to rounding."""
        return self._moments[0]

    def std(self, shape: Shape) -> float:
        """Standard deviation, to rounding."""
        return math.sqrt(self._moments[1])

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """What the ends of the uniform law become."""
        low, high = sorted(self._map.forth(np.array([self.law.low, self.law.high])).tolist())
        return low, high

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """The uniform law's, at the number that becomes ``x``."""
        low, high = self.bounds(shape)
        below = self.law.cdf(self._map.back(np.clip(np.asarray(x, np.float64), low, high)), shape)
        return 1.0 - below if self.through == "radius" else below  # which falls as the number grows

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The function of the uniform law's draw, kept inside the bounds."""
        numbers = self.law.draw(shape, stream, index=index).astype(np.float64)
        out = np.empty(numbers.shape, weight_dtype(dtype))
        write(np.clip(self._map.forth(numbers), *self.bounds(shape)), out)
        return out

    def __str__(self) -> str:
        ends = (f"{self._map.shown(end):.4g}" for end in (self.law.low, self.law.high))
        return self._map.words.format(*ends)
