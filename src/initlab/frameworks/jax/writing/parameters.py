"""The values of a module's parameters, read and written in the canonical layout."""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.jax.reading.layers import layer_facts, stored
from initlab.frameworks.jax.reading.parameters import Entry, find
from initlab.frameworks.jax.writing import memory
from initlab.frameworks.reading.description import bare_layout
from initlab.frameworks.reading.layout import Layout


def read(model: object, param: ParamSpec) -> NDArray[np.generic]:
    """A copy in the canonical layout, float64 for float64 and float32 else.

    Raises:
        OptionError: The model has no such parameter.
    """
    entry = find(model, param.native)
    return memory.read(entry, layout_of(entry, param))


def write(model: object, param: ParamSpec, source: Source) -> None:
    """Set a parameter's variable to the source's numbers, in its own layout and dtype, on its own devices.

    Raises:
        OptionError: The model has no such parameter, or one of numbers that are not drawn.
        ShapeError: Its shape is not the plan's.
    """
    entry = find(model, param.native)
    memory.write(entry, layout_of(entry, param), source)


def layout_of(entry: Entry, param: ParamSpec) -> Layout:
    """How a parameter's axes become those of its description."""
    known = layer_facts(entry)
    return known.layout if known is not None else bare_layout(param, entry.shape, partial(stored, entry.leaf))
