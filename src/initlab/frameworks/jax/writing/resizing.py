"""A module's variables in other shapes: in place, with the sizes that its layers state."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.jax.reading.parameters import check_model, find, modules_of
from initlab.frameworks.jax.writing.parameters import layout_of

_SIZES = {
    "kernel": {"in_features": -2, "out_features": -1},
    "embedding": {"num_embeddings": 0, "features": 1},
    "scale": {"num_features": 0},
}


def native_axes(model: object, param: ParamSpec) -> tuple[int, ...]:
    """The axis of the variable behind each canonical axis.

    Raises:
        OptionError: The model has no such parameter, or its canonical axes are not the variable's own.
    """
    entry = find(model, param.native)
    return layout_of(entry, param).axes(entry.shape, param.native)


def resize(model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Set variables to arrays of any size, by the names that ``state`` gives them, and let layers state their sizes.

    Raises:
        OptionError: The model holds no variable of such a name.
    """
    module = check_model(model)
    held = {".".join(map(str, path)): variable for path, variable in nnx.to_flat_state(nnx.state(module))}
    missing = [name for name in arrays if name not in held]
    if missing:
        raise OptionError(f"the model holds no '{missing[0]}'", fix="give names of its state")
    own = {".".join(map(str, path)): node for path, node in nnx.iter_graph(module) if isinstance(node, nnx.Variable)}
    for name, array in arrays.items():
        before = own[name].get_value()
        own[name].set_value(jax.device_put(jnp.asarray(array, dtype=before.dtype)))
    for _, one in modules_of(module):
        _state_sizes(one)


def _state_sizes(module: nnx.Module) -> None:
    for leaf, sizes in _SIZES.items():
        variable = vars(module).get(leaf)
        shape = variable.get_value().shape if isinstance(variable, nnx.Variable) else ()
        for name, axis in sizes.items():
            if isinstance(vars(module).get(name), int) and -len(shape) <= axis < len(shape):
                setattr(module, name, int(shape[axis]))
