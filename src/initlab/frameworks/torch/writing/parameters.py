"""The values of a module's parameters, read and written in the canonical layout."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from initlab.core.adapter import Source, WeightSource
from initlab.core.draws.seeding import narrowed
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.computed import check_made, not_made
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.torch.reading.computed import Computed
from initlab.frameworks.torch.reading.layers import bare_layout, is_hf_conv1d
from initlab.frameworks.torch.reading.parameters import Entry, find, numbers
from initlab.frameworks.torch.writing import memory


def read(model: object, param: ParamSpec) -> NDArray[np.generic]:
    """A copy in the canonical layout, float64 for float64 and float32 else.

    Raises:
        OptionError: The model has no such parameter.
    """
    entry = find(model, param.native)
    return memory.read(entry.drawn, layout_of(entry, param))


def write(model: object, param: ParamSpec, source: Source) -> None:
    """Put the source's numbers into the parameter's own memory, a chunk at a time; a padding row is left zero.

    Raises:
        OptionError: The model has no such parameter, or one of numbers that are not drawn.
        ShapeError: Its shape is not the plan's.
    """
    entry = find(model, param.native)
    target = entry.tensor.detach() if entry.computed is None else torch.empty_like(entry.drawn)
    memory.write(target, layout_of(entry, param), source)
    if param.padding_row is not None:
        target[param.padding_row].zero_()
    if entry.computed is not None:
        _assign(
            entry.computed, target, native=param.native, seed=source.seed if isinstance(source, WeightSource) else 0
        )


def _assign(computed: Computed, drawn: torch.Tensor, *, native: str, seed: int) -> None:
    """Have a module compute these numbers: its parts are set by the inverse, and what it makes of them is compared."""
    devices = [drawn.device] if drawn.device.type == "cuda" else []
    with computed.restored(is_always=False), torch.random.fork_rng(devices):
        torch.manual_seed(narrowed(seed, 64))  # an inverse may complete what it is given by random numbers
        try:
            computed.set_to(drawn)
        except Exception as error:  # whatever the inverse of a user's own raises
            told = next(iter(str(error).splitlines()), type(error).__name__)
            raise not_made(computed.kind, native, told) from error
        made, eps = numbers(computed.drawn()), torch.finfo(drawn.dtype).eps
        check_made(made, numbers(drawn), kind=computed.kind, native=native, eps=eps)


def layout_of(entry: Entry, param: ParamSpec) -> Layout:
    """How a parameter's axes become those of its description."""
    shape = entry.shape
    if entry.leaf == "weight" and is_hf_conv1d(entry.owner):
        return layout.dense(shape)
    return bare_layout(param.role, shape, param.groups)
