"""A parameter's numbers: out of its own dtype and layout into the canonical ones, and back."""

from __future__ import annotations

import jax
import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.errors import OptionError, ShapeError
from initlab.frameworks.jax.reading.parameters import Entry, numbers, value_of
from initlab.frameworks.reading.layout import Layout


def read(entry: Entry, order: Layout) -> NDArray[np.generic]:
    """A copy of a parameter's values in the canonical layout."""
    held = np.asarray(value_of(entry.variable))
    return order.to_canonical(held if held.dtype.kind == "c" else numbers(entry.variable))


def write(entry: Entry, order: Layout, source: Source) -> None:
    """Draw a parameter's values and set them, in the variable's own layout and dtype, on its own devices.

    Narrow floats are the float32 values, cast.

    Raises:
        ShapeError: The source's shape is not the parameter's canonical one.
        OptionError: Numbers that are not drawn.
    """
    if source.param.shape != order.shape:
        what = f"the plan is for shape {source.param.shape}, the parameter has {order.shape}"
        raise ShapeError(what, where=entry.native)
    if not entry.drawable:
        dtype = value_of(entry.variable).dtype
        raise OptionError(f"{dtype} numbers are not drawn", where=entry.native, fix="keep this parameter as it is")
    before = value_of(entry.variable)
    drawn = source.part(dtype="float64" if before.dtype in (np.float64, np.complex128) else "float32")
    native = order.to_native(drawn, entry.shape).astype(before.dtype, copy=False)
    place = getattr(before, "sharding", None)
    # A copy, for JAX may take an aligned array of NumPy's as its own memory.
    entry.variable.set_value(jax.device_put(np.array(native), place))
