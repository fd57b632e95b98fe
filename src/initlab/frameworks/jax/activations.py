"""JAX's function behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

import jax
import jax.numpy as jnp
from jax import Array

from initlab.core.errors import OptionError
from initlab.theory import activation as registered


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
    found = registered(text)
    native = found.native_call("jax")
    if native is not None:
        path, arguments = native
        module, _, name = path.rpartition(".")
        return partial(getattr(import_module(module), name), **arguments)
    if found.name in _OWN:
        return partial(_OWN[found.name], **found.options)
    raise OptionError(
        f"JAX has no function for '{found.call}'",
        where="activation",
        fix='register it with native={"jax": "module.function"}',
    )
