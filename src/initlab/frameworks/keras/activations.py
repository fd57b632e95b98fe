"""Keras' function behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.activations import Arrays, function_of

# NumPy's and SciPy's names that Keras spells otherwise.
_SPELLED = {"expit": keras.ops.sigmoid, "positive": lambda x: x, "rint": keras.ops.round}
# Keras has one operation, but no activation, of these names.
_OWN: dict[str, Callable[[Any], Any]] = {
    "erf": keras.ops.erf,
    "arctan": keras.ops.arctan,
    "asinh": keras.ops.arcsinh,
    "sin": keras.ops.sin,
    "cos": keras.ops.cos,
    "abs": keras.ops.abs,
    "square": keras.ops.square,
    "sign": keras.ops.sign,
}


def _find(name: str) -> Callable[..., Any] | None:
    return _SPELLED.get(name) or getattr(keras.ops, name, None)


def _trial(f: Callable[[Any], Any], values: NDArray[np.float32]) -> NDArray[Any]:
    return np.asarray(keras.ops.convert_to_numpy(f(keras.ops.convert_to_tensor(values))))


ARRAYS = Arrays(
    "keras", "Keras", _find, lambda y, x: keras.ops.cast(y, x.dtype), _trial, home="keras.activations.", own=_OWN
)


@lru_cache(maxsize=256)
def activation(text: str) -> Callable[[Any], Any]:
    """The function behind a name with options.

    Args:
        text: E.g. ``"relu"`` or ``"leaky_relu(negative_slope=0.2)"``.

    Raises:
        UnknownNameError: No activation has the name.
        OptionError: The activation has no such option, or Keras no such function.

    Example:
        >>> float(activation("leaky_relu(negative_slope=0.25)")(keras.ops.array(-2.0)))
        -0.5
    """
    return function_of(text, ARRAYS)
