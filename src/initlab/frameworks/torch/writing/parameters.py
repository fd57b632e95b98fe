"""The values of a module's parameters, read and written in the canonical layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.torch.reading.layers import bare_layout, is_hf_conv1d
from initlab.frameworks.torch.reading.parameters import Entry, find
from initlab.frameworks.torch.writing import memory


def read(model: object, param: ParamSpec) -> NDArray[np.generic]:
    """A copy in the canonical layout, float64 for float64 and float32 else.

    Raises:
        OptionError: The model has no such parameter.
    """
    entry = find(model, param.native)
    return memory.read(entry.tensor, layout_of(entry, param))


def write(model: object, param: ParamSpec, source: Source) -> None:
    """Put the source's numbers into the parameter's own memory, a chunk at a time; a padding row is left zero.

    Raises:
        OptionError: The model has no such parameter, or one of numbers that are not drawn.
        ShapeError: Its shape is not the plan's.
    """
    entry = find(model, param.native)
    memory.write(entry.tensor, layout_of(entry, param), source)
    if param.padding_row is not None:
        entry.tensor.detach()[param.padding_row].zero_()


def layout_of(entry: Entry, param: ParamSpec) -> Layout:
    """How a parameter's axes become those of its description."""
    shape = tuple(entry.tensor.shape)
    if entry.leaf == "weight" and is_hf_conv1d(entry.owner):
        return layout.dense(shape)
    return bare_layout(param.role, shape, param.groups)
