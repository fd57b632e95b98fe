"""What Keras holds beside the parameters: the global seed, and everything that a weights file has."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.seeding import check_alone
from initlab.frameworks.keras.reading.parameters import entries


def generator_state(model: object = None) -> bytes:
    """The state of Python's generator, which ``set_random_seed`` sets and from which Keras' initializers are seeded."""
    return repr(random.getstate()).encode()


def random_bits(model: object = None) -> int:
    """One draw of 64 bits from Python's generator.

    Raises:
        OptionError: The process is one of a group.
    """
    check_alone(_processes())
    return random.getrandbits(64)


def _processes() -> int:
    """How many processes of the back end's work together."""
    back_end = keras.config.backend()
    if back_end == "jax":
        return int(sys.modules["jax"].process_count())
    if back_end == "torch":
        distributed = sys.modules["torch"].distributed
        is_group = distributed.is_available() and distributed.is_initialized()
        return int(distributed.get_world_size()) if is_group else 1
    return 1


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
