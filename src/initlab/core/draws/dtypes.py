"""The number types that weights are drawn in."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike, NDArray

from initlab.core.errors import MissingDependencyError, OptionError

NAMES = ("float64", "float32", "float16", "bfloat16")


def weight_dtype(dtype: DTypeLike) -> np.dtype[np.generic]:
    """The NumPy dtype of a name or dtype.

    Raises:
        OptionError: A complex type, or any other that weights are not drawn in.
        MissingDependencyError: bfloat16 without the package that defines it.

    Example:
        >>> weight_dtype("float32")
        dtype('float32')
    """
    if isinstance(dtype, str) and dtype == "bfloat16":
        return _bfloat16()
    unknown = OptionError(f"unknown dtype {dtype!r}", fix=f"one of {', '.join(NAMES)}")
    if dtype is None:  # NumPy reads None as float64
        raise unknown
    try:
        found: np.dtype[np.generic] = np.dtype(dtype)
    except TypeError:
        raise unknown from None
    if found.kind == "c":
        raise OptionError(f"complex weights are not drawn, got {found.name}", fix="draw the two parts as real tensors")
    if found.name not in NAMES:
        raise OptionError(f"weights are not drawn as {found.name}", fix=f"one of {', '.join(NAMES)}")
    native: np.dtype[np.generic] = found.newbyteorder("=")
    return native


def _bfloat16() -> np.dtype[np.generic]:
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise MissingDependencyError("bfloat16 needs the package ml_dtypes", fix="pip install ml_dtypes") from None
    made: np.dtype[np.generic] = np.dtype(bfloat16)
    return made


def write(values: NDArray[np.float64], out: NDArray[np.floating]) -> None:
    """Round float64 values into ``out``; by way of float32 where it is narrower, as a cast of float32 weights does."""
    if out.dtype.itemsize < 4:
        out[...] = values.astype(np.float32)
    else:
        out[...] = values


def wide(array: NDArray[np.generic]) -> NDArray[np.generic]:
    """The same numbers in a type that every library of arrays knows: bfloat16 as float32.

    Example:
        >>> wide(np.zeros(3, np.float16)).dtype
        dtype('float16')
    """
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array
