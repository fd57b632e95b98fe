"""What Keras holds beside the parameters: the global seed, and everything that a weights file has."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state
from numpy.typing import NDArray

from initlab.core.draws.dtypes import wide
from initlab.core.draws.seeding import check_alone, narrowed
from initlab.core.facts.spec import ParamSpec
from initlab.core.generators import global_generators
from initlab.core.restoring import put_back
from initlab.frameworks.keras.reading.inputs import seeds_kept
from initlab.frameworks.keras.reading.lookup import find
from initlab.frameworks.keras.reading.parameters import entries, spectral_norms

_GLOBALS = ("global_random_seed", "object_name_uids")


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, the generators of Keras, NumPy and Python start from the seed, and Keras counts names from 0.

    Afterwards all is as before. TensorFlow's own global seed, which no layer of Keras 3 asks, is left alone.

    Args:
        seed: 0 or more.

    Example:
        >>> with seeded(1):
        ...     first = keras.random.normal((1,))
        >>> with seeded(1):
        ...     bool(keras.random.normal((1,)) == first)
        True
    """
    short = narrowed(seed, 32)
    kept = {name: global_state.get_global_attribute(name) for name in _GLOBALS}
    torch = sys.modules["torch"] if keras.config.backend() == "torch" else None
    state = None if torch is None else torch.get_rng_state()
    with seeds_kept(), global_generators(seed):
        for name, value in (("global_random_seed", short), ("object_name_uids", None)):
            global_state.set_global_attribute(name, value)
        # Else Keras would seed it from Python's generator, which another thread may use meanwhile.
        global_state.set_global_attribute("global_seed_generator", keras.random.SeedGenerator(short))
        if torch is not None:
            torch.manual_seed(short)
        try:
            yield
        finally:
            for name, value in kept.items():
                global_state.set_global_attribute(name, value)
            if torch is not None:
                torch.set_rng_state(state)


@contextmanager
def holding(model: Any, params: Iterable[ParamSpec]) -> Iterator[None]:
    """After it, the variables of these parameters hold the numbers of before it.

    Args:
        model: The model or layer.
        params: Some of its parameters.

    Raises:
        OptionError: The model has no such parameter.
    """
    several = list(params)
    held = [find(model, p).variable for p in several]
    norms = spectral_norms(model) if any(p.is_divided for p in several) else {}
    held += [norms[id(kernel)].vector_u for kernel in held if id(kernel) in norms]
    before = [keras.ops.copy(variable.value) for variable in held]

    def restore() -> None:
        for variable, numbers in zip(held, before, strict=True):
            variable.assign(numbers)

    try:
        yield
    finally:
        put_back(restore)


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
    return {name: np.array(keras.ops.convert_to_numpy(one.value)) for name, one in variables(model).items()}


def load(model: Any, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Assign arrays to the model's variables, by the names that ``state`` gives them."""
    held = variables(model)
    for name, array in arrays.items():
        held[name].assign(wide(array))


def variables(model: Any) -> dict[str, Any]:
    """The variables of a model by the names that ``state`` gives them."""
    natives = {id(entry.variable): entry.native for entry in entries(model)}
    found: dict[str, Any] = {}
    for variable in model.weights:
        name = natives.get(id(variable), variable.path)
        while name in found:
            name += "~"
        found[name] = variable
    return found
