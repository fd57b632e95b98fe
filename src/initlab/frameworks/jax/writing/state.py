"""Everything that a module holds, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.core.facts.spec import ParamSpec
from initlab.core.restoring import put_back
from initlab.frameworks.jax.reading.parameters import check_model, find, value_of
from initlab.frameworks.jax.reading.wrapped import wrapped


def load(model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Set the module's variables to arrays, by the names that ``state`` gives them, on their own devices."""
    for path, variable in nnx.to_flat_state(nnx.state(check_model(model))):
        array = arrays.get(".".join(str(part) for part in path))
        if array is None:
            continue
        if not isinstance(variable, nnx.Variable):  # an array that a wrapper holds bare
            nnx.update(check_model(model), nnx.from_flat_state({path: jnp.asarray(array, variable.dtype)}))
            continue
        before = variable.get_value()
        if jnp.issubdtype(before.dtype, jax.dtypes.prng_key):
            variable.set_value(jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(before)))
        else:
            variable.set_value(jax.device_put(np.array(array).astype(before.dtype), before.sharding))


def state(model: object) -> Mapping[str, NDArray[np.generic]]:
    """The arrays of every variable, by its native name and in Flax' own layout; of a generator's key, its words."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for path, variable in nnx.to_flat_state(nnx.state(check_model(model))):
        value = variable.get_value() if isinstance(variable, nnx.Variable) else variable
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        arrays[".".join(str(part) for part in path)] = np.array(value)
    return arrays


@contextmanager
def holding(model: object, params: Iterable[ParamSpec]) -> Iterator[None]:
    """After it, the variables of these parameters hold the arrays of before it, which nothing changes in place.

    Args:
        model: The module.
        params: Some of its parameters.

    Raises:
        OptionError: The model has no such parameter.
    """
    found = [find(model, p.native) for p in params]
    before = [(entry.variable, value_of(entry.variable)) for entry in found]

    def restore() -> None:
        for variable, value in before:
            variable.set_value(value)

    with ExitStack() as wrappers:
        for within in filter(None, map(wrapped, found)):
            wrappers.enter_context(within.restored())
        try:
            yield
        finally:
            put_back(restore)
