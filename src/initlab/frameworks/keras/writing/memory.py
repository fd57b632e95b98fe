"""A variable's numbers: out of its own dtype and layout into the canonical ones, and back."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.errors import OptionError, ShapeError
from initlab.frameworks.keras.reading.parameters import Entry, numbers

_FLOATS = ("float16", "bfloat16", "float32", "float64")


def read(entry: Entry) -> NDArray[np.generic]:
    """A copy of a parameter's values in the canonical layout."""
    return entry.facts.layout.to_canonical(numbers(entry.variable))


def write(entry: Entry, source: Source) -> None:
    """Draw a parameter's values and assign them, in the variable's own layout and dtype.

    Narrow floats are the float32 values, cast by the back end.

    Raises:
        ShapeError: The source's shape is not the parameter's canonical one.
        OptionError: A variable of whole numbers or another type that is not drawn.
    """
    shape, variable = entry.facts.layout.shape, entry.variable
    if source.param.shape != shape:
        raise ShapeError(f"the plan is for shape {source.param.shape}, the parameter has {shape}", where=entry.native)
    if dtype_of(variable) not in _FLOATS:
        raise OptionError(
            f"{dtype_of(variable)} numbers are not drawn", where=entry.native, fix="keep this parameter as it is"
        )
    drawn = source.part(dtype="float64" if dtype_of(variable) == "float64" else "float32")
    variable.assign(entry.facts.layout.to_native(drawn, tuple(variable.shape)))


def dtype_of(variable: Any) -> str:
    """The name of the dtype that the variable is stored in."""
    return str(keras.backend.standardize_dtype(variable.dtype))
