"""What a batch and its targets hold, and what is refused of them, in the same words for every framework."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError, ShapeError
from initlab.core.signals.readings import BatchFacts

_AT_A_TIME = 1 << 18  # entries that are wide at a time


def batch_facts(arrays: Sequence[NDArray[Any]]) -> tuple[BatchFacts, ...]:
    """What each array of numbers holds; empty ones and single numbers are left out.

    Example:
        >>> facts = batch_facts([np.array([[3.0, 1.0], [3.0, -1.0], [3.0, 1.0]])])[0]
        >>> facts.mean, facts.constant, facts.columns, facts.repeated
        (1.6666666666666667, 1, 2, 1)
    """
    return tuple(_facts(array) for array in arrays if array.dtype.kind in "biuf" and array.ndim and array.size)


def _facts(array: NDArray[Any]) -> BatchFacts:
    rows = array.reshape(len(array), -1)
    is_table = array.ndim == 2
    total, square = 0.0, 0.0
    for part in _parts(rows):
        total, square = total + float(part.sum()), square + float(np.square(part).sum())
    is_constant = (rows == rows[:1]).all(axis=0) & (rows[0] != 0) if is_table else np.zeros(1, bool)
    held = float(np.square(rows[0][is_constant].astype(np.float64)).sum()) * len(rows) if is_table else 0.0
    return BatchFacts(
        shape=tuple(int(n) for n in array.shape),
        mean=total / array.size,
        square=square / array.size,
        least=float(array.min()),
        largest=float(array.max()),
        constant=int(is_constant.sum()) if is_table and len(rows) > 1 else 0,
        columns=rows.shape[1] if is_table else 0,
        constant_share=held / square if square else 0.0,
        repeated=len(rows) - len({row.tobytes() for row in np.ascontiguousarray(rows)}),
        is_whole=array.dtype.kind in "biu",
    )


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[np.float64]]:
    step = max(_AT_A_TIME // rows.shape[1], 1)
    for at in range(0, len(rows), step):
        yield rows[at : at + step].astype(np.float64)


def check_finite(broken: int) -> None:
    """Raises DataError for a batch in which so many numbers are NaN or infinite.

    Example:
        >>> check_finite(0)
        >>> check_finite(1)
        Traceback (most recent call last):
        initlab.core.errors.DataError: the batch holds 1 number that is NaN or infinite (batch): leave it out
    """
    if broken:
        said, them = ("number that is", "it") if broken == 1 else ("numbers that are", "them")
        raise DataError(f"the batch holds {broken} {said} NaN or infinite", where="batch", fix=f"leave {them} out")


def one_value_a_channel() -> ShapeError:
    """The error of a batch norm in training that is given one value a channel, which has no variance."""
    what = "a batch norm in training needs more than one value a channel"
    return ShapeError(what, where="batch", fix="give two samples or more")
