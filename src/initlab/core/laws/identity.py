"""Laws without chance in them that pass a signal through: identity and dirac."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.marginals import step_cdf
from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError
from initlab.core.laws.elementwise import check_finite
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats, centre, finished, need


def _atoms_std(value: float, share: float) -> float:
    """Deviation of an entry that is ``value`` with probability ``share``, else 0."""
    return abs(value) * math.sqrt(share * (1.0 - share))


def _atoms_cdf(x: ArrayLike, value: float, share: float) -> Floats:
    """Its distribution function: a step at each of the two."""
    return share * step_cdf(x, value) + (1.0 - share) * step_cdf(x, 0.0)


@dataclass(frozen=True)
class Identity:
    """A matrix with ``gain`` on its diagonal, zeros elsewhere; rectangular ones too.

    Example:
        >>> Identity(2.0).mean((4, 8))      # four entries of 2 among 32
        0.25
    """

    gain: float = 1.0
    family: ClassVar[str] = "identity"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_finite(gain=self.gain)

    def check(self, shape: Shape) -> None:
        """Rank 2."""
        need(len(shape) == 2, "an identity law", shape, "a matrix, (out, in); for a convolution use dirac")

    def share(self, shape: Shape) -> float:
        """Share of entries on the diagonal."""
        self.check(shape)
        return 1.0 / max(*shape, 1)

    def mean(self, shape: Shape) -> float:
        """``gain / max(out, in)``."""
        return self.gain * self.share(shape)

    def std(self, shape: Shape) -> float:
        """Over all entries: ``gain sqrt(p (1 - p))`` with p the share of the diagonal."""
        return _atoms_std(self.gain, self.share(shape))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Zero and the gain."""
        return min(0.0, self.gain), max(0.0, self.gain)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Two steps."""
        return _atoms_cdf(x, self.gain, self.share(shape))

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The matrix; the stream is not used."""
        self.check(shape)
        return finished(self.gain * np.eye(shape[0], shape[1]), dtype, index)

    def __str__(self) -> str:
        return f"identity times {self.gain:.4g}"


@dataclass(frozen=True)
class Dirac:
    """A kernel that passes each channel through: ``gain`` at the tap ``k // 2`` from channel c to c, in each group.

    Attributes:
        gain: The entry at the tap.
        groups: Groups of the convolution; the shape is (out, in / groups, *kernel).

    Example:
        >>> Dirac().mean((8, 4, 3))      # four taps among 96 entries
        0.041666666666666664

    Source: Zagoruyko, Komodakis, "DiracNets", arXiv:1706.00388.
    """

    gain: float = 1.0
    groups: int = 1
    family: ClassVar[str] = "dirac"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_finite(gain=self.gain)
        if self.groups < 1:
            raise OptionError(f"groups must be a whole number of 1 or more, got {self.groups}")

    def check(self, shape: Shape) -> None:
        """Rank 3 or more; the groups divide the outputs."""
        fits = len(shape) >= 3 and shape[0] % self.groups == 0
        need(fits, "a dirac law", shape, "(out, in / groups, *kernel), with out a multiple of groups")

    def share(self, shape: Shape) -> float:
        """Share of entries that hold the gain."""
        self.check(shape)
        taps = self.groups * min(shape[0] // self.groups, shape[1])
        return taps / max(prod(shape), 1)

    def mean(self, shape: Shape) -> float:
        """The gain times its share of the entries."""
        return self.gain * self.share(shape)

    def std(self, shape: Shape) -> float:
        """Over all entries: ``gain sqrt(p (1 - p))`` with p the share of the taps."""
        return _atoms_std(self.gain, self.share(shape))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Zero and the gain."""
        return min(0.0, self.gain), max(0.0, self.gain)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Two steps."""
        return _atoms_cdf(x, self.gain, self.share(shape))

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The kernel; the stream is not used."""
        self.check(shape)
        values = np.zeros(shape)
        tap = values[centre(shape)]
        outputs = shape[0] // self.groups
        for group in range(self.groups):
            np.fill_diagonal(tap[group * outputs : (group + 1) * outputs], self.gain)
        return finished(values, dtype, index)

    def __str__(self) -> str:
        return f"dirac, gain {self.gain:.4g}"
