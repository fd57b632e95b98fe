"""Numbers taken from a weight that the model holds: the two factors of a low-rank update, and what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.selection import Index
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError
from initlab.core.laws.protocol import Shape
from initlab.core.laws.whole import Floats, finished, need

Method = Literal["pissa", "olora"]
Part = Literal["A", "B", "rest"]


@dataclass(frozen=True)
class LowRank:
    """A factor of a low-rank update ``W + s B A``, made of the weight W itself, or the W that is left beside it.

    Its numbers are known when W is: until then it is not drawn, and its moments are NaN. There is no chance in it.

    Attributes:
        method: ``pissa``: the principal singular triplets. ``olora``: the first columns of Q and rows of R.
        part: The factor of the input, that of the output, or the rest ``W - s B A``.
        of: The native name of W.
        rank: Rows of A, columns of B.
        scale: s; None where a pass is to show it.
        source: What gives the numbers, in float64.

    Example:
        >>> print(LowRank("pissa", "rest", "q.weight", 4, 2.0))
        W - 2 B A
    """

    method: Method
    part: Part
    of: str
    rank: int
    scale: float | None = None
    source: Callable[[], Floats] | None = field(default=None, compare=False, repr=False)
    family: ClassVar[str] = "low_rank"
    elementwise: ClassVar[bool] = False

    def check(self, shape: Shape) -> None:
        """A matrix that holds so many rows and columns."""
        need(len(shape) == 2 and min(shape) >= self.rank, f"a part of rank {self.rank}", shape, "a matrix of that rank")

    def mean(self, shape: Shape) -> float:
        """Not known before W is."""
        return math.nan

    def std(self, shape: Shape) -> float:
        """Not known before W is."""
        return math.nan

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Not known before W is."""
        return -math.inf, math.inf

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Not known before W is."""
        return np.full(np.shape(x), math.nan)

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """The numbers; the stream is not used.

        Raises:
            OptionError: There is no weight to take them from.
        """
        if self.source is None:
            fix = "initialize(model, ...), or plan(model, ...).apply(), takes them from the model"
            raise OptionError(f"{self} is made of the weight '{self.of}'", fix=fix)
        return finished(self.source(), dtype, index)

    def __str__(self) -> str:
        if self.part == "rest":
            return f"W - {'s' if self.scale is None else format(self.scale, '.4g')} B A"
        pissa = "sqrt(S/s) V^T" if self.part == "A" else "U sqrt(S/s)"
        return f"{pissa if self.method == 'pissa' else 'R' if self.part == 'A' else 'Q'}, rank {self.rank}"


def factors(weight: Floats, rank: int, scale: float, method: Method) -> tuple[Floats, Floats]:
    """The two factors A, (rank, in), and B, (out, rank), of a weight's low-rank update.

    Args:
        weight: (out, in).
        rank: Up to the smaller of both.
        scale: What their product is multiplied by, above 0.
        method: ``pissa``: ``s B A`` is the best approximation of that rank. ``olora``: ``B A`` is that of the first
            columns of Q, which are orthonormal, by Householder reflections.

    Returns:
        A and B. The sign of a singular triplet is open: LAPACK's differs by build and by precision. Here the largest
        entry of each row of A is above 0.

    Example:
        >>> a, b = factors(np.diag([-8.0, 2.0, 1.0]), 1, 2.0, "pissa")      # 8 = 2 * 2 * 2
        >>> a.tolist(), (b + 0.0).tolist()
        ([[2.0, 0.0, 0.0]], [[-2.0], [0.0], [0.0]])

    Source: Meng, Wang and Zhang 2024, "PiSSA", arXiv:2404.02948, equations 2 and 3; Büyükakyüz 2024, "OLoRA",
    arXiv:2406.01775, algorithm 1; both with the factor s as in peft, tuners/lora/layer.py.
    """
    if method == "olora":
        q, r = np.linalg.qr(weight)
        return r[:rank], q[:, :rank]
    u, s, vt = np.linalg.svd(weight, full_matrices=False)
    largest = np.take_along_axis(vt, np.abs(vt).argmax(axis=1)[:, None], axis=1)[:, 0]
    signs = np.where(largest < 0, -1.0, 1.0)
    u, vt = u * signs, signs[:, None] * vt
    root = np.sqrt(s[:rank] / scale)
    return root[:, None] * vt[:rank], u[:, :rank] * root
