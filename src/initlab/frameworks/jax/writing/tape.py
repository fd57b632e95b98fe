"""A pass through a module as a list of operations on arrays."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from initlab.core.growth.tape import Array, Tape
from initlab.frameworks.jax.reading.inputs import arguments
from initlab.frameworks.jax.reading.parameters import check_model
from initlab.frameworks.jax.reading.trace import refused
from initlab.frameworks.reading.programs import tape_of


def evaluated(model: object, example: object) -> list[Array]:
    """What a module returns for an example in evaluation mode; the module stays as it is.

    Raises:
        ShapeError: It does not take the example.
    """
    call, leaves, _ = _passed(model, example)
    try:
        return [np.asarray(one) for one in call(*leaves)]
    except Exception as error:  # the model's own code, on an input that does not fit it
        raise refused(error, arguments(example), "example") from error


def tape(model: object, example: object) -> Tape:
    """One pass of a copy in evaluation mode, as the primitives that it is made of."""
    call, leaves, names = _passed(model, example)
    return tape_of(jax.make_jaxpr(call)(*leaves), names, [np.asarray(leaf) for leaf in leaves])


def _passed(model: object, example: object) -> tuple[Any, list[Any], list[str]]:
    """A function of all numbers of a module and of the inputs, with these and the names of the first."""
    copy = nnx.clone(check_model(model))
    copy.eval()  # type: ignore[no-untyped-call]
    graph, state = nnx.split(copy)
    flat = nnx.to_flat_state(state)
    names, held = [], []
    for path, variable in flat:
        value = variable.get_value()
        is_key = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        names.append("" if is_key else ".".join(map(str, path)))
        held.append(jax.random.key_data(value) if is_key else value)
    args, kwargs = arguments(example)
    inputs, shape = jax.tree.flatten((args, kwargs))
    paths = [path for path, _ in flat]

    def call(*leaves: Any) -> list[Any]:
        values = []
        for (_, variable), leaf in zip(flat, leaves, strict=False):
            before = variable.get_value()
            is_key = jnp.issubdtype(before.dtype, jax.dtypes.prng_key)
            value = jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(before)) if is_key else leaf
            values.append(variable.replace(value))
        given, named = jax.tree.unflatten(shape, leaves[len(paths) :])
        rebuilt = nnx.merge(graph, nnx.from_flat_state(list(zip(paths, values, strict=True))))
        return [jnp.asarray(one) for one in jax.tree.leaves(rebuilt(*given, **named))]

    return call, [*held, *map(jnp.asarray, inputs)], names
