"""What Keras holds beside the parameters: the global seed, and everything that a weights file has."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.keras.reading.parameters import entries


def generator_state() -> bytes:
    """The state of Python's generator, which ``set_random_seed`` sets and from which Keras' initializers are seeded."""
    return repr(random.getstate()).encode()


def state(model: Any) -> Mapping[str, NDArray[np.generic]]:
    """The model's variables, moving statistics too, in Keras' own layout: parameters by ``ParamSpec.native``."""
    natives = {id(entry.variable): entry.native for entry in entries(model)}
    arrays: dict[str, NDArray[np.generic]] = {}
    for variable in model.weights:
        name = natives.get(id(variable), variable.path)
        while name in arrays:
            name += "~"
        arrays[name] = np.array(keras.ops.convert_to_numpy(variable.value))
    return arrays
