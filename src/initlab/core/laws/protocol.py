"""What a law of weights can do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream

Shape = tuple[int, ...]


class Law(Protocol):
    """The joint law of a tensor's entries. All methods are pure; equal laws and streams give equal bits."""

    @property
    def family(self) -> str:
        """The law's kind, one word."""
        ...

    @property
    def elementwise(self) -> bool:
        """Whether all entries have one law, and each depends on the bits of its own place alone."""
        ...

    def check(self, shape: Shape) -> None:
        """Raise ShapeError if the law cannot take the shape."""
        ...

    def mean(self, shape: Shape) -> float:
        """Mean of an entry, taken over all entries of the tensor; exact."""
        ...

    def std(self, shape: Shape) -> float:
        """Standard deviation of an entry, taken over all entries of the tensor; exact."""
        ...

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Smallest and largest value an entry can have."""
        ...

    def cdf(self, x: ArrayLike, shape: Shape) -> NDArray[np.float64]:
        """Probability that an entry, any one of the tensor's, is at most x."""
        ...

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The tensor, or the part that ``index`` picks, which is bit for bit that part of the whole."""
        ...

    def __str__(self) -> str:
        """A short formula for tables."""
        ...
