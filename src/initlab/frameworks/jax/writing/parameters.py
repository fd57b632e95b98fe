"""The values of a module's parameters, read and written in the canonical layout."""

from __future__ import annotations

from functools import partial

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.jax.reading.layers import layer_facts, stored
from initlab.frameworks.jax.reading.parameters import Entry, find, value_of
from initlab.frameworks.jax.reading.wrapped import wrapped
from initlab.frameworks.jax.writing import memory
from initlab.frameworks.reading.computed import check_made
from initlab.frameworks.reading.description import bare_layout
from initlab.frameworks.reading.layout import Layout


def read(model: object, param: ParamSpec) -> NDArray[np.generic]:
    """A copy in the canonical layout, float64 for float64 and float32 else.

    Raises:
        OptionError: The model has no such parameter.
    """
    entry = find(model, param.native)
    within, order = wrapped(entry), layout_of(entry, param)
    if within is None or within.is_divided:
        return memory.read(entry, order)
    return order.to_canonical(np.asarray(within.made(value_of(entry.variable)), np.float32))


def write(model: object, param: ParamSpec, source: Source) -> None:
    """Set a parameter's variable to the source's numbers, in its own layout and dtype, on its own devices.

    Raises:
        OptionError: The model has no such parameter, or one of numbers that are not drawn.
        ShapeError: Its shape is not the plan's.
    """
    entry = find(model, param.native)
    before, within = value_of(entry.variable), wrapped(entry)
    memory.write(entry, layout_of(entry, param), source)
    if within is None:
        return
    drawn = value_of(entry.variable)
    within.follow(drawn)
    kind = type(within.wrapper).__name__
    eps = float(jnp.finfo(drawn.dtype).eps)  # type: ignore[no-untyped-call]
    try:
        check_made(np.asarray(within.made(drawn)), np.asarray(drawn), kind=kind, native=param.native, eps=eps)
    except OptionError:
        entry.variable.set_value(before)
        raise


def layout_of(entry: Entry, param: ParamSpec) -> Layout:
    """How a parameter's axes become those of its description."""
    known = layer_facts(entry)
    return known.layout if known is not None else bare_layout(param, entry.shape, partial(stored, entry.leaf))
