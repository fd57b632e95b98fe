"""Laws made of laws: blocks along an axis, and kernels whose axes are named."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from math import prod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype
from initlab.core.draws.selection import Index, select
from initlab.core.draws.streams import Stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import Axes
from initlab.core.laws.protocol import Law, Shape
from initlab.core.laws.whole import Floats


@dataclass(frozen=True)
class Blocks:
    """Several laws in one tensor, one after the other along an axis: gates, packed QKV, a padding row.

    An entry of an element-wise part is what the part would draw for the whole tensor at that place. A part that is
    drawn whole takes a stream of its block, so equal blocks differ.

    Attributes:
        parts: The law of each block.
        sizes: The blocks' sizes along ``axis``, each 1 or more.
        axis: The axis they lie along, counted from 0.

    Example:
        >>> from initlab.core.laws.elementwise import Constant
        >>> halves = Blocks((Constant(0.0), Constant(2.0)), (3, 3))
        >>> halves.mean((6, 4)), halves.std((6, 4))
        (1.0, 1.0)
    """

    parts: tuple[Law, ...]
    sizes: tuple[int, ...]
    axis: int = 0
    family: ClassVar[str] = "blocks"
    elementwise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.parts or len(self.parts) != len(self.sizes):
            raise OptionError(f"{len(self.parts)} laws for {len(self.sizes)} blocks", fix="give one law a block")
        if min(self.sizes) < 1 or self.axis < 0:
            raise OptionError(f"blocks of sizes {self.sizes} along axis {self.axis}", fix="give sizes of 1 or more")

    def check(self, shape: Shape) -> None:
        """The sizes add up to the axis, and each part can take its block."""
        if self.axis >= len(shape) or shape[self.axis] != sum(self.sizes):
            raise ShapeError(f"blocks {self.sizes} do not add up to axis {self.axis} of the shape {shape}")
        for part, block in zip(self.parts, self._shapes(shape), strict=True):
            part.check(block)

    def _shapes(self, shape: Shape) -> list[Shape]:
        return [(*shape[: self.axis], size, *shape[self.axis + 1 :]) for size in self.sizes]

    def _weighted(self, shape: Shape) -> list[tuple[Law, Shape, float]]:
        self.check(shape)
        total = sum(self.sizes)
        shares = [size / total for size in self.sizes]
        return list(zip(self.parts, self._shapes(shape), shares, strict=True))

    def mean(self, shape: Shape) -> float:
        """Mean of the parts' means, weighted by size."""
        return math.fsum(share * part.mean(block) for part, block, share in self._weighted(shape))

    def std(self, shape: Shape) -> float:
        """Deviation inside the parts and between their means, over all entries."""
        centre = self.mean(shape)
        terms = (w * (p.std(b) ** 2 + (p.mean(b) - centre) ** 2) for p, b, w in self._weighted(shape))
        return math.sqrt(math.fsum(terms))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """The widest of the parts' bounds."""
        ends = [part.bounds(block) for part, block, _ in self._weighted(shape)]
        return min(low for low, _ in ends), max(high for _, high in ends)

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Mixture of the parts', weighted by size."""
        total = np.zeros(np.shape(x))
        for part, block, share in self._weighted(shape):
            total = total + share * part.cdf(x, block)
        return total

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """Each block by its own law; an index draws only what it picks where every part is element-wise."""
        self.check(shape)
        if index is not None and all(part.elementwise for part in self.parts):
            return self._draw_entries(shape, stream, dtype, index)
        out = np.empty(shape, weight_dtype(dtype))
        start = 0
        for number, (part, block) in enumerate(zip(self.parts, self._shapes(shape), strict=True)):
            region = (slice(None),) * self.axis + (slice(start, start + block[self.axis]),)
            if part.elementwise:
                out[region] = part.draw(shape, stream, dtype=dtype, index=region)
            else:
                out[region] = part.draw(block, stream.further(f"block{number}"), dtype=dtype)
            start += block[self.axis]
        return out if index is None else out.reshape(-1)[select(shape, index).all_places()]

    def _draw_entries(self, shape: Shape, stream: Stream, dtype: DTypeLike, index: Index) -> NDArray[np.floating]:
        picked = select(shape, index)
        at = picked.all_places() // prod(shape[self.axis + 1 :]) % shape[self.axis]
        number = np.searchsorted(np.cumsum(self.sizes), at, side="right")
        out = np.empty(picked.shape, weight_dtype(dtype))
        for one in np.unique(number):
            whole = self.parts[one].draw(shape, stream, dtype=dtype, index=index)
            np.copyto(out, whole, where=number == one)
        return out

    def __str__(self) -> str:
        lines = groupby(f"{size}: {part}" for part, size in zip(self.parts, self.sizes, strict=True))
        counted = [(line, sum(1 for _ in same)) for line, same in lines]
        return "; ".join(line if count == 1 else f"{count} x {line}" for line, count in counted)


@dataclass(frozen=True)
class Arranged:
    """A law of a (out, in * rest) matrix in a kernel whose axes are named; each batch slice is a draw of its own.

    An element-wise law is drawn in the kernel's own order. Another law draws a block for each slice, of the outputs'
    axes in their order by the inputs' axes and then the rest, and the block is put back where its axes are.

    Attributes:
        law: The law of the matrix.
        axes: The kernel's axes by role.

    Example:
        >>> from initlab.core.laws.orthogonal import Orthogonal
        >>> query = Arranged(Orthogonal(), Axes(inputs=(0,), outputs=(1, 2)))      # (d_model, heads, head_dim)
        >>> query.std((64, 4, 4))      # a (16, 64) matrix: 1 / sqrt(64)
        0.125
    """

    law: Law
    axes: Axes
    family: ClassVar[str] = "arranged"

    @property
    def elementwise(self) -> bool:
        """Whether the law is."""
        return self.law.elementwise

    def _order(self, rank: int) -> tuple[int, ...]:
        """Axes in the order batch, outputs, inputs, rest."""
        named = (*self.axes.batch, *self.axes.outputs, *self.axes.inputs)
        return (*named, *(axis for axis in range(rank) if axis not in named))

    def matrix(self, shape: Shape) -> Shape:
        """The shape (out, in * rest) of a slice."""
        outputs = prod(shape[axis] for axis in self.axes.outputs)
        batch = prod(shape[axis] for axis in self.axes.batch)
        return outputs, prod(shape) // max(outputs * batch, 1)

    def check(self, shape: Shape) -> None:
        """The axes exist, once each, and the law can take a slice."""
        named = (*self.axes.batch, *self.axes.outputs, *self.axes.inputs)
        if len(set(named)) != len(named) or any(not 0 <= axis < len(shape) for axis in named):
            raise ShapeError(f"axes {self.axes} do not fit the shape {shape}")
        self.law.check(self.matrix(shape))

    def mean(self, shape: Shape) -> float:
        """Mean of the law on a slice."""
        return self.law.mean(self.matrix(shape))

    def std(self, shape: Shape) -> float:
        """Standard deviation of the law on a slice."""
        self.check(shape)
        return self.law.std(self.matrix(shape))

    def bounds(self, shape: Shape) -> tuple[float, float]:
        """Bounds of the law on a slice."""
        return self.law.bounds(self.matrix(shape))

    def cdf(self, x: ArrayLike, shape: Shape) -> Floats:
        """Distribution function of the law on a slice."""
        return self.law.cdf(x, self.matrix(shape))

    def draw(
        self, shape: Shape, stream: Stream, *, dtype: DTypeLike = "float64", index: Index | None = None
    ) -> NDArray[np.floating]:
        """A block for each slice, its axes put back; element-wise laws draw the kernel itself."""
        self.check(shape)
        if self.elementwise:
            return self.law.draw(shape, stream, dtype=dtype, index=index)
        out = np.empty(shape, weight_dtype(dtype))
        order = self._order(len(shape))
        ordered = out.transpose(order)
        batch = ordered.shape[: len(self.axes.batch)]
        for number, place in enumerate(np.ndindex(batch)):
            source = stream.further(f"block{number}") if batch else stream
            block = self.law.draw(self.matrix(shape), source, dtype=dtype)
            ordered[place] = block.reshape(ordered.shape[len(batch) :])
        return out if index is None else out.reshape(-1)[select(shape, index).all_places()]

    def __str__(self) -> str:
        return str(self.law)
