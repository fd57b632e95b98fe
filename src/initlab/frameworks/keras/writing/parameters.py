"""The values of a model's parameters, read and written in the canonical layout."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Source
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws.singular import largest_singular
from initlab.frameworks.keras.reading.lookup import find
from initlab.frameworks.keras.reading.parameters import numbers, spectral_norms
from initlab.frameworks.keras.writing import memory


def read(model: object, param: ParamSpec) -> NDArray[np.generic]:
    """A copy in the canonical layout, float64 for float64 variables and float32 else.

    Raises:
        OptionError: The model has no such parameter.
    """
    return memory.read(find(model, param))


def write(model: object, param: ParamSpec, source: Source) -> None:
    """Assign the source's numbers to a variable, in its own layout and dtype.

    Raises:
        OptionError: The model has no such parameter, or one of numbers that are not drawn.
        ShapeError: Its shape is not the plan's.
    """
    entry = find(model, param)
    memory.write(entry, source)
    if param.is_divided:
        kernel = np.asarray(numbers(entry.variable), np.float64)
        right = largest_singular(kernel.reshape(-1, kernel.shape[-1])).right
        vector = spectral_norms(model)[id(entry.variable)].vector_u
        vector.assign(right[None].astype("float32"))
