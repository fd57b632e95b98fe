"""A law that leaves out a fixed number of connections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.marginals import step_cdf
from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError
from initlab.core.laws.elementwise import Normal, check_not_negative
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats, finished, matrix, need

Per = Literal["unit", "column"]


@dataclass(frozen=True)
class Sparse:
    """Exactly ``ceil(zeros * n)`` zeros among the n weights of each unit, or column, at random places; the rest normal.

    Attributes:
        zeros: Share of zeros, in [0, 1), read as the decimal it prints as: 0.07 of 100 is 7.
        sigma: Standard deviation of the weights that stay.
        per: ``unit`` counts over a row of the kernel flattened to (out, in * k), ``column`` over a column of a matrix.

    Example:
        >>> Sparse(0.75, 2.0).std((8, 4))      # one weight in four stays: 2 sqrt(1 / 4)
        1.0

    Source: Martens, "Deep learning via Hessian-free optimization", ICML 2010, section 5; per column in PyTorch.
    """

    zeros: float
    sigma: float
    per: Per = "unit"
    family: ClassVar[str] = "sparse"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_not_negative(sigma=self.sigma, zeros=self.zeros)
        if self.zeros >= 1:
            raise OptionError(f"zeros must be in [0, 1), got {self.zeros:g}", fix="e.g. 0.9")
        if self.per not in get_args(Per):
            raise OptionError(f"per must be unit or column, got {self.per!r}")

    def check(self, shape: Shape) -> None:
        """Rank 2 or more; rank 2 where zeros are counted in columns."""
        if self.per == "column":
            need(len(shape) == 2, "a sparse law per column", shape, "a matrix, (out, in)")
        need(len(shape) >= 2, "a sparse law", shape, "rank 2 or more, (out, in, *kernel)")

    def _line(self, shape: Shape) -> tuple[int, int]:
        """Weights in a unit or column, and how many of them are zero."""
        self.check(shape)
        length = matrix(shape)[1] if self.per == "unit" else shape[0]
        return length, math.ceil(Fraction(str(float(self.zeros))) * length)

    def share(self, shape: Shape) -> float:
        """Share of zeros among all entries."""
        length, zeros = self._line(shape)
        return zeros / max(length, 1)

    def mean(self, shape: Shape) -> float:
        """Zero."""
        return 0.0

    def std(self, shape: Shape) -> float:
        """``sigma`` times the root of the share that stays."""
        return self.sigma * math.sqrt(1.0 - self.share(shape))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """None, unless sigma is 0."""
        return Normal(self.sigma).bounds(shape)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """A step at zero and a normal part."""
        p = self.share(shape)
        return p * step_cdf(x, 0.0) + (1.0 - p) * Normal(self.sigma).cdf(x, shape)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """Normal entries, with those whose integers of a further stream are the smallest of their line set to zero."""
        zeros = self._line(shape)[1]
        values = Normal(self.sigma).draw(shape, stream).astype(np.float64, copy=False)
        axis = 1 if self.per == "unit" else 0
        ranks = stream.further("1").bits(prod(shape)).reshape(matrix(shape))
        places = np.argsort(ranks, axis=axis, kind="stable")
        chosen = places[:, :zeros] if axis else places[:zeros]
        np.put_along_axis(values.reshape(matrix(shape)), chosen, 0.0, axis=axis)
        return finished(values, dtype, index)

    def __str__(self) -> str:
        return f"{Normal(self.sigma)}, {self.zeros:.4g} zeros a {self.per}"
