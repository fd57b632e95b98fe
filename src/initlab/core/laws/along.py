"""A law without chance: a given number for each place along an axis."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype, write
from initlab.core.draws.selection import Index, select
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws.elementwise import check_finite
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats


@dataclass(frozen=True)
class Along:
    """Every entry is the number of its place along an axis; the same along all others.

    Attributes:
        values: The numbers, one for each place.
        axis: The axis, counted from 0.
        formula: What they are, in short.

    Example:
        >>> rates = Along((0.0, 3.0), axis=1)
        >>> rates.mean((5, 2)), rates.std((5, 2))
        (1.5, 1.5)
    """

    values: tuple[float, ...]
    axis: int = 0
    formula: str = field(default="", compare=False)
    family: ClassVar[str] = "along"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.values or self.axis < 0:
            raise OptionError(f"{len(self.values)} numbers along axis {self.axis}", fix="give a number for each place")
        check_finite(smallest=min(self.values), largest=max(self.values), sum=math.fsum(self.values))

    def check(self, shape: Shape) -> None:
        """The axis has as many places as there are numbers."""
        if self.axis >= len(shape) or shape[self.axis] != len(self.values):
            raise ShapeError(f"{len(self.values)} numbers do not fit axis {self.axis} of the shape {shape}")

    def mean(self, shape: Shape) -> float:
        """Mean of the numbers."""
        return math.fsum(self.values) / len(self.values)

    def std(self, shape: Shape) -> float:
        """Deviation over all entries."""
        centre = self.mean(shape)
        return math.sqrt(math.fsum((value - centre) ** 2 for value in self.values) / len(self.values))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The smallest and the largest."""
        return min(self.values), max(self.values)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """The share of the numbers that are at most ``x``."""
        found = np.searchsorted(np.sort(self.values), np.asarray(x, np.float64), side="right")
        return np.asarray(found / len(self.values), np.float64)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The numbers, repeated; the stream is not used."""
        self.check(shape)
        picked = select(shape, index)
        at = picked.all_places() // prod(shape[self.axis + 1 :]) % shape[self.axis]
        out = np.empty(picked.shape, weight_dtype(dtype))
        write(np.asarray(self.values, np.float64)[at].reshape(picked.shape), out)
        return out

    def __str__(self) -> str:
        return self.formula or f"{min(self.values):.4g} to {max(self.values):.4g} along axis {self.axis}"
