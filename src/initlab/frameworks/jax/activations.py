"""JAX's function behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from initlab.frameworks.activations import Arrays, function_of


def _threshold(x: Array, *, threshold: float, value: float) -> Array:
    return jnp.where(x > threshold, x, value)


def _soft_shrink(x: Array, *, lambd: float) -> Array:
    return jnp.sign(x) * jnp.maximum(jnp.abs(x) - lambd, 0.0)


# The registry's functions that JAX lacks, or takes without an option of theirs.
_OWN: dict[str, Callable[..., Array]] = {
    "gaussian": lambda x: jnp.exp(-jnp.square(x)),
    "hard_shrink": lambda x, *, lambd: jnp.where(jnp.abs(x) > lambd, x, 0.0),
    "hard_tanh": lambda x, *, min_val, max_val: jnp.clip(x, min_val, max_val),
    "lecun_tanh": lambda x: 1.7159 * jnp.tanh(2.0 * x / 3.0),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "relu_squared": lambda x: jnp.square(jax.nn.relu(x)),
    "snake": lambda x, *, alpha: x + jnp.square(jnp.sin(alpha * x)) / alpha,
    "soft_shrink": _soft_shrink,
    "softplus": lambda x, *, beta: jax.nn.softplus(beta * x) / beta,
    "tanhshrink": lambda x: x - jnp.tanh(x),
    "telu": lambda x: x * jnp.tanh(jnp.exp(x)),
    "threshold": _threshold,
}


def _find(name: str) -> Callable[..., Array] | None:
    found: Callable[..., Array] | None = getattr(jnp, name, None) or getattr(jax.scipy.special, name, None)
    return found


def _trial(f: Callable[[Array], Array], values: NDArray[np.float32]) -> NDArray[np.float32]:
    with jax.ensure_compile_time_eval():  # asked for inside of a function that is being compiled
        return np.asarray(f(jnp.asarray(values)))


ARRAYS = Arrays("jax", "JAX", _find, lambda y, x: jnp.asarray(y).astype(x.dtype), _trial, own=_OWN)


@lru_cache(maxsize=256)
def activation(text: str) -> Callable[[Array], Array]:
    """The function behind a name with options.

    Args:
        text: E.g. ``"relu"`` or ``"leaky_relu(negative_slope=0.2)"``.

    Raises:
        UnknownNameError: No activation has the name.
        OptionError: The activation has no such option, or JAX no such function.

    Example:
        >>> float(activation("leaky_relu(negative_slope=0.25)")(jnp.float32(-2.0)))
        -0.5
    """
    return function_of(text, ARRAYS)
