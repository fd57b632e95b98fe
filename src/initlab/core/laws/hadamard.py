"""The leading block of a Hadamard matrix: a widening layer without chance in it that loses no direction."""

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
from initlab.core.laws.elementwise import check_finite
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats, centre, finished, need


@dataclass(frozen=True)
class Hadamard:
    """``gain 2^(-m/2)`` times the leading (out, in) block of Sylvester's Hadamard matrix of order ``2^m >= out, in``.

    ``m`` is the smallest that does. Of a convolution the block stands at the tap ``k // 2``, zeros elsewhere. Row i and
    column j, counted from 0, have the sign ``(-1)^popcount(i & j)``. The block's rank is ``min(out, in)``: Sylvester's
    matrix is a Kronecker power of ``[[1, 1], [1, -1]] = L U``, so that none of its leading minors is zero.

    Example:
        >>> Hadamard().draw((3, 2), None, dtype="float64") * 2      # 4 x 4, so each entry is 1/2
        array([[ 1.,  1.],
               [ 1., -1.],
               [ 1.,  1.]])

    Source: Zhao, Schäfer, Anandkumar, "ZerO", arXiv:2110.12661, algorithms 1 and 2, with the factor of their code.
    """

    gain: float = 1.0
    family: ClassVar[str] = "hadamard"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_finite(gain=self.gain)

    def check(self, shape: Shape) -> None:
        """Rank 2 or more."""
        need(len(shape) >= 2, "a Hadamard law", shape, "(out, in, *kernel)")

    def entry(self, shape: Shape) -> float:
        """Size of an entry of the block."""
        return abs(self.gain) / math.sqrt(_order(shape))

    def mean(self, shape: Shape) -> float:
        """The sum of the signs, by recursion, over all entries."""
        self.check(shape)
        return math.copysign(self.entry(shape), self.gain) * _sum_of_signs(*shape[:2]) / max(prod(shape), 1)

    def std(self, shape: Shape) -> float:
        """Over all entries, the zeros beside the tap too."""
        self.check(shape)
        square = self.entry(shape) ** 2 / max(prod(shape[2:]), 1)
        return math.sqrt(max(square - self.mean(shape) ** 2, 0.0))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The two signs."""
        return -self.entry(shape), self.entry(shape)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """A step at each sign, and one at zero beside a tap."""
        self.check(shape)
        size, block = max(prod(shape), 1), shape[0] * shape[1]
        more = math.copysign(1.0, self.gain) * _sum_of_signs(*shape[:2])
        up, down, zero = (block + more) / 2 / size, (block - more) / 2 / size, 1.0 - block / size
        entry = self.entry(shape)
        return up * step_cdf(x, entry) + down * step_cdf(x, -entry) + zero * step_cdf(x, 0.0)

    def draw(
        self, shape: Shape, stream: Stream | None, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The block; the stream is not used."""
        self.check(shape)
        rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])
        odd = (np.bitwise_count(rows & columns) & 1).astype(bool)
        entry = math.copysign(self.entry(shape), self.gain)
        values = np.zeros(shape)
        values[centre(shape)] = np.where(odd, -entry, entry)
        return finished(values, dtype, index)

    def __str__(self) -> str:
        return f"Hadamard, gain {self.gain:.4g}"


def _order(shape: Shape) -> int:
    return 1 << (max(*shape[:2], 1) - 1).bit_length()


def _sum_of_signs(rows: int, columns: int) -> int:
    """The sum of ``(-1)^popcount(i & j)`` over i below ``rows`` and j below ``columns``.

    Example:
        >>> _sum_of_signs(3, 2), _sum_of_signs(4, 4), _sum_of_signs(5, 0)
        (4, 4, 0)
    """
    if not rows or not columns:
        return 0
    half = _order((rows, columns)) // 2
    if not half:
        return 1
    top, left = min(rows, half), min(columns, half)
    low, right = rows - top, columns - left
    beside = _sum_of_signs(top, right) + _sum_of_signs(low, left)
    return _sum_of_signs(top, left) + beside - _sum_of_signs(low, right)
