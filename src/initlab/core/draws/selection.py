"""Places of the entries that an index picks out of a tensor, without the tensor."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from types import EllipsisType
from typing import SupportsIndex, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import ShapeError

Places = NDArray[np.int64]
IndexItem: TypeAlias = "SupportsIndex | slice | EllipsisType | list[int] | NDArray[np.integer]"
Index: TypeAlias = "tuple[IndexItem, ...]"

_FIX = "give a tuple of slices, whole numbers or integer arrays, one an axis"


@dataclass(frozen=True)
class Group:
    """Neighbouring axes of the result whose places are evenly spaced, or stand in a table.

    Attributes:
        size: Entries along the group.
        step: Places from one entry to the next, where there is no table.
        table: The places, counted from the selection's first; None for evenly spaced ones.
    """

    size: int
    step: int = 0
    table: Places | None = None

    def places(self, at: Places) -> Places:
        """Places of the entries ``at``."""
        return at * self.step if self.table is None else self.table[at]


@dataclass(frozen=True)
class Selection:
    """What ``tensor[index]`` picks: its shape, and the row-major place in the tensor of each entry.

    Attributes:
        shape: Shape of the result.
        base: Place from which the groups count.
        groups: The result's axes, outermost first.
    """

    shape: tuple[int, ...]
    base: int
    groups: tuple[Group, ...]

    @property
    def size(self) -> int:
        """Entries of the result."""
        return prod(self.shape)

    @property
    def run(self) -> int:
        """Entries in a row that are neighbours in the tensor too; divides ``size``."""
        run = 1
        for group in reversed(self.groups):
            if group.size == 1 and group.table is None:
                continue
            if group.table is not None or group.step != run:
                break
            run *= group.size
        return run

    def places(self, start: int, stop: int) -> Places:
        """Places in the tensor of the result's entries ``start, ..., stop - 1`` in row-major order."""
        rest: Places = np.arange(start, stop, dtype=np.int64)
        total = np.full(stop - start, self.base, np.int64)
        for group in reversed(self.groups):
            rest, at = np.divmod(rest, group.size)
            total += group.places(at)
        return total

    def all_places(self) -> Places:
        """Places in the tensor of all the result's entries, in the result's shape."""
        return self.places(0, self.size).reshape(self.shape)


def check_shape(shape: Sequence[SupportsIndex]) -> tuple[int, ...]:
    """The shape as a tuple of plain integers.

    Raises:
        ShapeError: A size that is negative or no integer, or more entries than 2^63.
    """
    try:
        sizes = tuple(operator.index(n) for n in shape)
    except TypeError:
        raise ShapeError(f"{shape!r} is not a shape", fix="give a tuple of whole numbers, e.g. (64, 4)") from None
    if any(n < 0 for n in sizes) or prod(sizes) > 2**63:
        raise ShapeError(f"the shape {sizes} has a negative size or more than 2^63 entries")
    return sizes


def select(shape: tuple[int, ...], index: Index | None) -> Selection:
    """The selection of ``tensor[index]``, by NumPy's rules; None selects the whole.

    Args:
        shape: Shape of the tensor, at most 2^63 entries.
        index: Slices, whole numbers, integer arrays and one ellipsis, in a tuple.

    Returns:
        The selection.

    Raises:
        ShapeError: Too many items, an item out of range or of another kind, or arrays that do not broadcast.

    Example:
        >>> picked = select((4, 6), (slice(1, 3), np.array([5, 0])))
        >>> picked.shape, picked.places(0, 4).tolist()
        ((2, 2), [11, 6, 17, 12])
    """
    given = () if index is None else index if isinstance(index, tuple) else (index,)
    base, extents, groups = 0, list[tuple[int, ...]](), list[Group]()
    tables, before = list[Places](), 0
    for axis, chosen in enumerate(_axes(shape, given)):
        stride = prod(shape[axis + 1 :])
        if isinstance(chosen, range):
            base += chosen.start * stride
            extents.append((len(chosen),))
            groups.append(Group(len(chosen), chosen.step * stride))
        else:
            before = before if tables else len(groups)
            tables.append(chosen * stride)
    if tables:
        table = _sum(tables)
        spot = before if _side_by_side(given) else 0
        extents.insert(spot, table.shape)
        groups.insert(spot, Group(table.size, table=table.reshape(-1)))
    return Selection(tuple(n for extent in extents for n in extent), base, tuple(groups))


def _side_by_side(given: Index) -> bool:
    """Whether no slice or ellipsis stands between the arrays and numbers; NumPy puts the axes of parted ones first."""
    places = [at for at, item in enumerate(given) if item is not Ellipsis and not isinstance(item, slice)]
    return places[-1] - places[0] == len(places) - 1


def _axes(shape: tuple[int, ...], given: Index) -> list[range | Places]:
    """What is chosen along each axis: a range, or an array of places of 0 or more."""
    dots = [at for at, item in enumerate(given) if item is Ellipsis]
    missing = len(shape) - (len(given) - len(dots))
    if missing < 0 or len(dots) > 1:
        raise ShapeError(f"an index of {len(given)} items for the shape {shape}", fix=_FIX)
    at = dots[0] if dots else len(given)
    filled = [*given[:at], *[slice(None)] * missing, *given[at + len(dots) :]]
    return [_axis(item, n) for item, n in zip(filled, shape, strict=True)]


def _axis(item: IndexItem, n: int) -> range | Places:
    if isinstance(item, slice):
        try:
            return range(*item.indices(n))
        except (TypeError, ValueError):
            raise ShapeError(f"the index item {item!r} is no slice of whole numbers", fix=_FIX) from None
    array = np.asarray(item)
    if array.size == 0 and isinstance(item, list):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise ShapeError(f"the index item {item!r} is no slice and no integer array", fix=_FIX)
    if array.size and (array.min() < -n or array.max() >= n):
        raise ShapeError(f"an index outside an axis of size {n}", fix=f"stay in {-n} to {n - 1}")
    places = array.astype(np.int64)
    return np.where(places < 0, places + n, places)


def _sum(tables: list[Places]) -> Places:
    try:
        shape = np.broadcast_shapes(*(table.shape for table in tables))
    except ValueError:
        raise ShapeError("the integer arrays of the index do not broadcast together", fix=_FIX) from None
    total = np.zeros(shape, np.int64)
    for table in tables:
        total += table
    return total
