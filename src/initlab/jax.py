"""A scheme in the form of JAX and Flax: ``initlab.jax.initializer("he_normal")(key, shape, dtype)``."""

from __future__ import annotations

from initlab.core.errors import MissingDependencyError

try:
    from initlab.frameworks.jax.writing.initializers import initializer
except ModuleNotFoundError as error:
    if error.name != "jax":
        raise
    raise MissingDependencyError("initlab.jax needs jax", fix="pip install 'initlab[jax]'") from error

__all__ = ["initializer"]
