"""Laws whose matrices have orthonormal rows or columns."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.householder import stiefel
from initlab.core.draws.marginals import sphere_cdf, step_cdf
from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream
from initlab.core.laws.elementwise import check_not_negative
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats, centre, finished, matrix, need


def _semi_orthogonal(rows: int, columns: int, stream: Stream) -> Floats:
    """Orthonormal columns, or orthonormal rows where the matrix is wide."""
    q = stiefel(max(rows, columns), min(rows, columns), stream.further("1"))
    return q if rows >= columns else q.T


@dataclass(frozen=True)
class Orthogonal:
    """The kernel, flattened to (out, in * k), has orthonormal rows or columns times ``gain``; Haar where it is square.

    Attributes:
        gain: Norm of the shorter side's vectors, 0 or more.
        widen: Whether a layer with more outputs than inputs gets another ``sqrt(out / in)``, which keeps the mean
            square of the signal where orthonormal columns alone keep its sum of squares.

    Example:
        >>> Orthogonal(2.0).std((3, 4)), Orthogonal(2.0).std((16, 4)), Orthogonal(2.0, widen=True).std((16, 4))
        (1.0, 0.5, 1.0)

    Source: Saxe, McClelland, Ganguli, arXiv:1312.6120.
    """

    gain: float = 1.0
    widen: bool = False
    family: ClassVar[str] = "orthogonal"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_not_negative(gain=self.gain)

    def check(self, shape: Shape) -> None:
        """Rank 2 or more."""
        need(len(shape) >= 2, "an orthogonal law", shape, "rank 2 or more, (out, in, *kernel)")

    def scale(self, shape: Shape) -> float:
        """Norm of the vectors of the shorter side."""
        rows, columns = matrix(shape)
        return self.gain * (math.sqrt(rows / columns) if self.widen and rows > columns > 0 else 1.0)

    def mean(self, shape: Shape) -> float:
        """Zero."""
        return 0.0

    def std(self, shape: Shape) -> float:
        """``scale / sqrt(max(out, in * k))``: the longer side's entries share the norm."""
        self.check(shape)
        return self.scale(shape) / math.sqrt(max(*matrix(shape), 1))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Plus and minus the norm of a vector."""
        return -self.scale(shape), self.scale(shape)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """A coordinate of a random vector on the sphere in max(out, in * k) dimensions."""
        if self.scale(shape) == 0:
            return step_cdf(x, 0.0)
        return sphere_cdf(np.asarray(x, np.float64) / self.scale(shape), max(*matrix(shape), 1))

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """A product of random reflections, scaled; the whole is drawn, then indexed."""
        self.check(shape)
        values = _semi_orthogonal(*matrix(shape), stream)
        values *= self.scale(shape)
        return finished(values.reshape(shape), dtype, index)

    def __str__(self) -> str:
        return f"orthogonal, gain {self.gain:.4g}" + (", widened" if self.widen else "")


@dataclass(frozen=True)
class DeltaOrthogonal:
    """A kernel that is zero but for its centre tap, which is (semi-)orthogonal times ``gain``; odd kernels.

    Attributes:
        gain: Norm of the centre tap's shorter side's vectors, 0 or more.

    Example:
        >>> DeltaOrthogonal(2.0).std((4, 4, 3, 3))      # 2 / sqrt(4 * 9)
        0.3333333333333333

    Source: Xiao et al., arXiv:1806.05393, algorithm 1.
    """

    gain: float = 1.0
    family: ClassVar[str] = "delta_orthogonal"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_not_negative(gain=self.gain)

    def check(self, shape: Shape) -> None:
        """Rank 3 or more, every kernel size odd."""
        fits = len(shape) >= 3 and all(k % 2 for k in shape[2:])
        need(fits, "a delta-orthogonal law", shape, "(out, in, *kernel) with odd kernel sizes")

    def mean(self, shape: Shape) -> float:
        """Zero."""
        return 0.0

    def std(self, shape: Shape) -> float:
        """``gain / sqrt(max(out, in) k)``, over all taps."""
        self.check(shape)
        return self.gain / math.sqrt(max(*shape[:2], 1) * prod(shape[2:]))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Plus and minus the gain."""
        return -self.gain, self.gain

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Zero, but for one tap in k."""
        centre = Orthogonal(self.gain).cdf(x, shape[:2])
        share = 1.0 / prod(shape[2:])
        return share * centre + (1.0 - share) * step_cdf(x, 0.0)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """Zeros around one orthogonal tap; the whole is drawn, then indexed."""
        self.check(shape)
        values = np.zeros(shape)
        values[centre(shape)] = self.gain * _semi_orthogonal(shape[0], shape[1], stream)
        return finished(values, dtype, index)

    def __str__(self) -> str:
        return f"delta-orthogonal, gain {self.gain:.4g}"
