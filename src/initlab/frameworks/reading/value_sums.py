"""The sums of a value over a batch, written once for the arrays of any library whose functions have NumPy's names.

``reading.records`` turns the small arrays into records; what they say stands in ``core.signals.sums``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, GRAM_ROWS
from initlab.core.signals.sums import HISTOGRAM_REACH

Parts = dict[str, Any]

_SMALL, _LARGE = 1e-12, 1e15  # between them the squares of a million float32 numbers neither vanish nor overflow


@dataclass(frozen=True)
class Look:
    """What is looked at in a value.

    Attributes:
        whole: Whether samples, tokens and units are, besides the size.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether entries are counted.
        takes: The range of the activation that takes the value, outside of which its slope is below 5 % of its
            largest; None where it is not bounded.
    """

    whole: bool = True
    is_softmax: bool = False
    histogram: bool = False
    takes: tuple[float, float] | None = None


SIZE = Look(whole=False)


@dataclass(frozen=True)
class Library:
    """A library of arrays.

    Attributes:
        xp: Its functions, by NumPy's names.
        rows: The sums over all axes but the first; of truth values, how many are true.
        bins: How many of the entries, divided by the reach of a histogram, are in each bin; those outside are in the
            last ones.
        directions: Of a matrix with a column a unit, two rows of fixed numbers without a pattern, by whose products
            with it two units that differ anywhere are told apart. None where units are compared entry by entry.
    """

    xp: Any
    rows: Callable[[Any], Any]
    bins: Callable[[Any], Any]
    directions: Callable[[Any], Any] | None

    def total(self, x: Any) -> Any:
        """The sum of all entries."""
        return self.rows(self.xp.reshape(x, (1, -1)))[0]


def parts_of(x: Any, look: Look, library: Library) -> Parts:
    """The parts of a value's sums, as ``reading.records.Measured`` names them.

    Args:
        x: Numbers of 32 bits or more, samples first, units along the last axis.
        look: What is looked at.
        library: Whose array it is.
    """
    xp, total = library.xp, library.total
    parts: Parts = {}
    if look.takes is not None:
        parts["outside"] = outside(x, *look.takes, library)
    x, parts["scale"], parts["broken"] = _tame(x, library)
    parts |= {"norms": xp.sqrt(library.rows(xp.square(x))), "sum": total(x)}
    if look.whole and len(x.shape) > 1:
        parts |= {**_units(xp.reshape(x, (-1, x.shape[-1])), library), **_angles(x, library)}
    if look.is_softmax:
        parts["entropy"] = total(-x * xp.log(xp.where(x > 0, x, xp.ones_like(x))))
    if look.histogram:
        count = xp.maximum(float(prod(x.shape)) - parts["broken"], 1.0)
        reach = HISTOGRAM_REACH * xp.sqrt(xp.sum(xp.square(parts["norms"])) / count)
        parts["counts"] = library.bins(xp.reshape(x, (-1,)) / xp.where(reach > 0, reach, xp.ones_like(reach)))
    return parts


def outside(x: Any, low: Any, high: Any, library: Library) -> Any:
    """How many entries are below ``low`` or above ``high``."""
    return library.total(library.xp.logical_or(x < low, x > high))


def _tame(x: Any, library: Library) -> tuple[Any, Any, Any]:
    """The value with zeros where it is not finite, divided by its largest magnitude; that, and how many zeros.

    Squares of numbers up to 1 neither vanish nor overflow; at hand, numbers of a common size stay as they are.
    """
    xp = library.xp
    if xp is np and np.isfinite(top := max(x.max(), -x.min())) and (_SMALL < top < _LARGE or top == 0):
        return x, np.ones((), x.dtype), np.zeros((), int)
    finite = xp.isfinite(x)
    x = xp.where(finite, x, xp.zeros_like(x))
    largest = xp.max(xp.abs(x))
    scale = xp.where(largest > 0, largest, xp.ones_like(largest))
    return x / scale, scale, library.total(xp.logical_not(finite))


def _units(table: Any, library: Library) -> Parts:
    """What tells dead units and equal ones, which are columns here.

    At hand, units with the same ends are compared entry by entry. Elsewhere two sums of each come along, which are
    those of another unit only where the two are the same.
    """
    xp = library.xp
    low, high = xp.min(table, axis=0), xp.max(table, axis=0)
    if library.directions is not None:
        return {"unit_low": low, "unit_high": high, "unit_along": xp.matmul(library.directions(table), table)}
    order = np.lexsort((low, high))
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    is_doubtful = np.append(same, False) | np.append(False, same)
    is_dead = (low == 0) & (high == 0)
    doubtful = order[is_doubtful & ~is_dead[order]]
    columns = np.ascontiguousarray(table[:, doubtful].T) + 0  # -0 is 0
    equal = len(columns) - len({column.tobytes() for column in columns})
    return {"dead": is_dead.sum(), "equal": np.asarray(equal)}


def _angles(x: Any, library: Library) -> Parts:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    xp, few = library.xp, x[:GRAM_ROWS]
    flat = xp.reshape(few, (few.shape[0], -1))
    # NumPy takes the product of a matrix with its own transpose for a symmetric one, whose threads in OpenBLAS wait for
    # each other a thousand times as long as they work on a busy machine; with a copy it is a common product.
    other = flat.T.copy() if xp is np else xp.transpose(flat)
    parts: Parts = {"gram": xp.matmul(flat, other)}
    if len(x.shape) == 3:
        lengths = xp.sqrt(xp.sum(xp.square(few), axis=2))
        alive = lengths > 0
        shares = few / xp.where(alive, lengths, xp.ones_like(lengths))[:, :, None]
        parts["resultants"] = xp.sqrt(xp.sum(xp.square(xp.sum(shares, axis=1)), axis=1))
        parts["alive"] = library.rows(alive)
    return parts


def bin_places(inside: Any, xp: Any) -> Any:
    """The bin of each entry that was divided by the reach of a histogram."""
    return xp.clip(xp.floor(inside * (BINS // 2)), -(BINS // 2), BINS // 2 - 1).astype(np.int32) + BINS // 2


def row_sums(x: Any) -> Any:
    """The sums over all axes but the first, by the array's own methods."""
    return x.reshape(len(x), -1).sum(axis=1)


def _bins(inside: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(bin_places(inside, np), minlength=BINS)


NUMPY = Library(np, row_sums, _bins, directions=None)
"""Arrays at hand."""
