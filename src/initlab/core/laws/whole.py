"""What the laws that are drawn whole share: the shapes they take, and the end of a draw."""

from __future__ import annotations

from math import prod

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.draws.dtypes import weight_dtype, write
from initlab.core.draws.selection import Index, select
from initlab.core.errors import ShapeError
from initlab.core.laws.protocol import Shape

Floats = NDArray[np.float64]


def need(fits: bool, law: str, shape: Shape, wants: str) -> None:
    """Raise ShapeError, with what the law wants, unless the shape fits."""
    if not fits:
        raise ShapeError(f"{law} cannot fill the shape {shape}", fix=f"it needs {wants}")


def matrix(shape: Shape) -> tuple[int, int]:
    """Rows and columns of the kernel flattened to (out, in * k)."""
    return shape[0], prod(shape[1:])


def centre(shape: Shape) -> tuple[slice | int, ...]:
    """Index of the centre tap, ``k // 2`` on each kernel axis, for all pairs of channels."""
    return (slice(None), slice(None), *(k // 2 for k in shape[2:]))


def finished(values: Floats, dtype: DTypeLike, index: Index | None) -> NDArray[np.floating]:
    """The whole that was drawn, or its part ``index``, rounded to the dtype, in C order."""
    if index is not None:
        values = values.reshape(-1)[select(values.shape, index).all_places()]
    if weight_dtype(dtype) == np.float64:
        return np.ascontiguousarray(values).reshape(values.shape)
    out = np.empty(values.shape, weight_dtype(dtype))
    write(values, out)
    return out
