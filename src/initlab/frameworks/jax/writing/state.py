"""Everything that a module holds, as arrays."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.frameworks.jax.reading.parameters import check_model


def state(model: object) -> Mapping[str, NDArray[np.generic]]:
    """The arrays of every variable, by its native name and in Flax' own layout; of a generator's key, its words."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for path, variable in nnx.to_flat_state(nnx.state(check_model(model))):
        value = variable.get_value()
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
            value = jax.random.key_data(value)
        arrays[".".join(str(part) for part in path)] = np.array(value)
    return arrays
