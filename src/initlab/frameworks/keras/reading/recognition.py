"""Which registered activation a function of single numbers is, told by its values."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.keras.writing.memory import numbers, to_numpy
from initlab.theory import ACTIVATIONS, activation

Values = NDArray[np.float64]

# Mixed, so that what sorts, sums or normalises along an axis is not taken for a function of single numbers.
GRID: Values = np.random.default_rng(0).permutation(np.linspace(-8.0, 8.0, 321))
_DENSITY = np.exp(-GRID * GRID / 2) * 0.05 / np.sqrt(2 * np.pi)
_RELATIVE, _ABSOLUTE = 2e-4, 2e-5  # float32, and back ends that shorten exp and erf


def second_moment(values: Values) -> float:
    """E[f(z)^2] for a standard normal z, from the values of f on ``GRID``.

    Example:
        >>> round(second_moment(np.maximum(GRID, 0.0)), 6)
        0.5
    """
    return float(_DENSITY @ (values * values))


def evaluate(function: Callable[..., Any], *inputs: Values) -> Values | None:
    """The function's values for these inputs, or None where it is not a function of single numbers.

    Args:
        function: A function of tensors, on the present back end.
        inputs: Values on ``GRID``, an array for each tensor it takes.
    """
    try:
        whole = _call(function, inputs)
        half = _call(function, [x[1::2] for x in inputs])
    except Exception:  # a user's function may raise anything on a vector
        return None
    if whole.shape != GRID.shape or half.shape != GRID[1::2].shape or not np.isfinite(whole).all():
        return None
    return whole if np.allclose(whole[1::2], half, _RELATIVE, _ABSOLUTE) else None


def _call(function: Callable[..., Any], inputs: Any) -> Values:
    made = function(*(keras.ops.convert_to_tensor(x.astype(np.float32)) for x in inputs))
    return to_numpy(made).astype(np.float64)


def is_affine(values: Values) -> bool:
    """Whether the values are those of a line that is not flat."""
    slope, height = np.polyfit(GRID, values, 1)
    return bool(abs(slope) > _ABSOLUTE and np.allclose(values, slope * GRID + height, _RELATIVE, _ABSOLUTE))


def activation_of(values: Values) -> str | None:
    """The activation of these values on ``GRID``; None where no registered one has them.

    Example:
        >>> activation_of(np.maximum(GRID, 0.3 * GRID))
        'leaky_relu(negative_slope=0.3)'
        >>> activation_of(GRID**3) is None
        True
    """
    return _activation_of(np.round(values, 7).tobytes())


@lru_cache(maxsize=256)
def _activation_of(rounded: bytes) -> str | None:
    values = np.frombuffer(rounded)
    for name in (*ACTIVATIONS, *_with_options(values)):
        with np.errstate(all="ignore"):
            made = activation(name)(GRID)
        if name != "identity" and np.allclose(made, values, _RELATIVE, _ABSOLUTE):
            return activation(name).call
    return None


def _with_options(values: Values) -> list[str]:
    """Families whose option can be read off one value."""
    below, middle = (float(values[np.argmin(np.abs(GRID - place))]) for place in (-1.0, 0.0))
    found = [f"leaky_relu(negative_slope={round(-below, 5)!r})"]
    if below < 0:
        found.append(f"elu(alpha={round(below / float(np.expm1(-1.0)), 5)!r})")
    if middle > 0:
        found.append(f"softplus(beta={round(float(np.log(2.0)) / middle, 5)!r})")
        found.append(f"squareplus(b={round(4 * middle**2, 5)!r})")
    return found


def values_of(function: Callable[..., Any] | None) -> Values | None:
    """The values of a layer's own activation on ``GRID``; those of the identity for None.

    The activation may itself be a layer; one with variables of its own, but for PReLU, is not looked at: a call could
    build it on the wrong shape.
    """
    if function is None:
        return GRID
    if isinstance(function, keras.layers.PReLU):
        return leaky(GRID, parametric_slope(function)) if function.built else None
    if isinstance(function, keras.Layer):
        return evaluate(function.call, GRID) if function.built and not function.variables else None
    is_keras = isinstance(function, FunctionType) and function.__module__.startswith("keras.")
    return _values_of_keras(function) if is_keras else evaluate(function, GRID)


@lru_cache(maxsize=64)
def _values_of_keras(function: Callable[..., Any]) -> Values | None:
    return evaluate(function, GRID)


def parametric_slope(layer: Any) -> float:
    """PReLU's mean slope as it stands."""
    return float(numbers(layer.alpha).astype(np.float64).mean())


def leaky(values: Values, slope: float) -> Values:
    """A leaky ReLU of these values."""
    return np.where(values > 0, values, slope * values)
