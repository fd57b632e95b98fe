"""A pass through a model as a list of operations on arrays."""

from __future__ import annotations

import sys
from typing import Any

import keras
import numpy as np

from initlab.core.errors import UnsupportedError
from initlab.core.growth.tape import Array, Tape
from initlab.frameworks.keras.reading.inputs import arguments
from initlab.frameworks.keras.writing.state import variables
from initlab.frameworks.reading.programs import tape_of


def evaluated(model: Any, example: object) -> list[Array]:
    """What a model returns for an example in evaluation mode.

    Raises:
        ShapeError: It does not take the example.
    """
    given = keras.tree.map_structure(keras.ops.convert_to_tensor, arguments(model, example))
    made = model(*given, training=False)
    return [np.array(keras.ops.convert_to_numpy(one)) for one in keras.tree.flatten(made)]


def tape(model: Any, example: object) -> Tape:
    """One pass in evaluation mode, as the primitives that it is made of.

    Raises:
        UnsupportedError: Keras does not run on JAX.
    """
    if keras.config.backend() != "jax":
        raise UnsupportedError(
            f"Keras on {keras.config.backend()} does not write a pass down", fix="run it with KERAS_BACKEND=jax"
        )
    jax = sys.modules["jax"]
    names = {id(variable): name for name, variable in variables(model).items()}
    groups = (model.trainable_variables, model.non_trainable_variables)
    held = [variable for group in groups for variable in group]
    given = [np.asarray(one) for one in keras.tree.flatten(arguments(model, example))]
    count = len(groups[0])

    def call(*leaves: Any) -> Any:
        inputs = leaves[len(held) :]
        made, _ = model.stateless_call(
            list(leaves[:count]), list(leaves[count : len(held)]), *_like(model, example, inputs), training=False
        )
        return keras.tree.flatten(made)

    values = [np.asarray(variable.value) for variable in held]
    return tape_of(jax.make_jaxpr(call)(*values, *given), [names[id(one)] for one in held], [*values, *given])


def _like(model: Any, example: object, leaves: Any) -> tuple[Any, ...]:
    """The arguments of a call with other arrays in their places."""
    made: tuple[Any, ...] = keras.tree.pack_sequence_as(arguments(model, example), list(leaves))
    return made
