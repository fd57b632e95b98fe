"""How the axes of a parameter as its framework stores it become canonical ones, and back."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.core.facts.spec import Axes


@dataclass(frozen=True)
class Layout:
    """A permutation of a parameter's axes, then a reshape.

    Attributes:
        order: The parameter's axes in canonical order; empty keeps them all.
        shape: The canonical shape.
        groups: Parts of the parameter's axis 0 that are permuted each by itself and then put one after the other.

    Example:
        >>> Layout((1, 0), (2, 3)).to_canonical(np.arange(6).reshape(3, 2)).tolist()
        [[0, 2, 4], [1, 3, 5]]
        >>> Layout((1, 0), (4, 1), groups=2).to_canonical(np.arange(4).reshape(2, 2)).ravel().tolist()
        [0, 1, 2, 3]
    """

    order: tuple[int, ...]
    shape: tuple[int, ...]
    groups: int = 1

    def to_canonical(self, native: NDArray[np.generic]) -> NDArray[np.generic]:
        """The parameter's numbers in the canonical layout, as a contiguous copy."""
        if self.groups > 1:
            moved = np.concatenate([part.transpose(self.order) for part in np.split(native, self.groups)])
        else:
            moved = native.transpose(self.order) if self.order else native
        return np.array(moved.reshape(self.shape), order="C")

    def axes(self, shape: tuple[int, ...], where: str) -> tuple[int, ...]:
        """The parameter's axis behind each canonical one, where each has one of its own.

        Args:
            shape: The parameter's own shape.
            where: Its name.

        Raises:
            OptionError: The canonical layout merges axes of the parameter.

        Example:
            >>> dense((4, 6)).axes((4, 6), "kernel")
            (1, 0)
        """
        order = self.order or tuple(range(len(shape)))
        if self.groups > 1 or tuple(shape[axis] for axis in order) != self.shape:
            raise OptionError(f"its axes, of shape {shape}, are merged into {self.shape}", where=where)
        return order

    def to_native(self, canonical: NDArray[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
        """Canonical numbers in the parameter's own layout of this shape."""
        if not self.order:
            return np.array(canonical.reshape(shape), order="C", copy=None)
        if self.groups > 1:
            part = (shape[0] // self.groups, *shape[1:])
            whole = Layout(self.order, self.shape)
            return np.concatenate([whole.to_native(one, part) for one in np.split(canonical, self.groups)])
        back = [self.order.index(axis) for axis in range(len(self.order))]
        split = canonical.reshape([shape[axis] for axis in self.order])
        return np.array(split.transpose(back), order="C", copy=None)


def same(shape: tuple[int, ...]) -> Layout:
    """The layout of a variable that already is canonical."""
    return Layout((), shape)


def dense(shape: tuple[int, ...]) -> Layout:
    """``(in, out)`` as ``(out, in)``."""
    return Layout((1, 0), shape[::-1])


def conv(shape: tuple[int, ...]) -> Layout:
    """``(*kernel, in / groups, out)`` as ``(out, in / groups, *kernel)``."""
    return _channels_first(shape, out=len(shape) - 1, into=len(shape) - 2)


def conv_transpose(shape: tuple[int, ...]) -> Layout:
    """``(*kernel, out, in)`` as ``(out, in, *kernel)``."""
    return _channels_first(shape, out=len(shape) - 2, into=len(shape) - 1)


def grouped_transpose(shape: tuple[int, ...], groups: int) -> Layout:
    """``(in, out / groups, *kernel)`` as ``(out, in / groups, *kernel)``.

    Example:
        >>> grouped_transpose((8, 3, 4, 4), 2).shape      # 8 in, 3 out in each of 2 groups
        (6, 4, 4, 4)
    """
    kernel = range(2, len(shape))
    return Layout((1, 0, *kernel), (shape[1] * groups, shape[0] // groups, *shape[2:]), groups)


def depthwise(shape: tuple[int, ...]) -> Layout:
    """``(*kernel, channels, multiplier)`` as ``(channels * multiplier, 1, *kernel)``, channel by channel.

    Example:
        >>> depthwise((3, 3, 16, 2)).shape
        (32, 1, 3, 3)
    """
    *kernel, channels, multiplier = shape
    rank = len(kernel)
    return Layout((rank, rank + 1, *range(rank)), (channels * multiplier, 1, *kernel))


def _channels_first(shape: tuple[int, ...], *, out: int, into: int) -> Layout:
    kernel = range(len(shape) - 2)
    return Layout((out, into, *kernel), (shape[out], shape[into], *(shape[axis] for axis in kernel)))


def einsum_axes(equation: str, rank: int) -> Axes | None:
    """The roles of a kernel's axes in an einsum's equation; None where the equation does not say them.

    Example:
        >>> einsum_axes("abc,cde->abde", 3)      # a query projection: d_model into (heads, head_dim)
        Axes(inputs=(0,), outputs=(1, 2), batch=())
        >>> einsum_axes("eti,eio->eto", 3)      # a matrix for each expert
        Axes(inputs=(1,), outputs=(2,), batch=(0,))
    """
    left, _, result = equation.replace(" ", "").replace("...", "").partition("->")
    taken, _, kernel = left.partition(",")
    if len(kernel) != rank or len(set(kernel)) != rank:
        return None
    places = {axis: (letter in taken, letter in result) for axis, letter in enumerate(kernel)}
    inputs = tuple(axis for axis, (was, stays) in places.items() if not stays)
    outputs = tuple(axis for axis, (was, stays) in places.items() if stays and not was)
    batch = tuple(axis for axis, (was, stays) in places.items() if was and stays)
    return Axes(inputs, outputs, batch)


def einsum(shape: tuple[int, ...], axes: Axes) -> tuple[Layout, Axes | None]:
    """The layout of an einsum kernel: ``(outputs, inputs)`` flattened to rank 2, or its own axes by role.

    Example:
        >>> einsum((64, 8, 16), Axes((0,), (1, 2)))[0].shape
        (128, 64)
    """
    if axes.batch or not axes.inputs or not axes.outputs:
        return same(shape), axes
    rows, columns = (prod(shape[axis] for axis in kind) for kind in (axes.outputs, axes.inputs))
    return Layout((*axes.outputs, *axes.inputs), (rows, columns)), None
