"""Which activation a function of Keras' tensors is; see ``frameworks.reading.recognition``."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import FunctionType
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.keras.autodiff import autodiff
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.graph import Function
from initlab.frameworks.reading.recognition import Recognised, recognised
from initlab.theory import ACTIVATIONS, activation

Values = NDArray[np.float64]

# Mixed, so that what sorts, sums or normalises along an axis is not taken for a function of each entry.
_MIXED: Values = np.random.default_rng(0).permutation(np.linspace(-8.0, 8.0, 321))


def recognise(function: Function) -> Recognised:
    """The activation that a function of each entry of a tensor is.

    Example:
        >>> recognise(lambda z: z * keras.ops.sigmoid(z)).f
        'silu'
        >>> recognise(lambda z: keras.ops.where(z > 0, z, 0.2 * z)).f
        'leaky_relu(negative_slope=0.2)'
        >>> recognise(lambda z: z / 4).slope
        0.25
        >>> round(recognise(lambda z: 0.5 * keras.ops.relu(z)).moment, 9)      # 1/4 of 1/2
        0.125
    """
    is_keras = isinstance(function, FunctionType) and function.__module__.startswith("keras.")
    return _of_keras(function) if is_keras else _recognised(function)


def _recognised(function: Function) -> Recognised:
    return recognised(lambda x: evaluate(function, x))


_of_keras = lru_cache(maxsize=64)(_recognised)  # it does not change, and many layers have the same


def evaluate(function: Function, x: Values) -> Values | None:
    """The function's values in float64; None where it raises or gives no tensor."""
    try:
        with autodiff().wide():
            return to_numpy(function(keras.ops.convert_to_tensor(x))).astype(np.float64)
    except Exception:  # a user's function may raise anything on a vector
        return None


def is_pointwise(function: Function) -> bool:
    """Whether a function of a tensor is one of each of its entries, told by a call on mixed numbers."""
    whole, half = evaluate(function, _MIXED), evaluate(function, _MIXED[1::2])
    if whole is None or half is None or whole.shape != _MIXED.shape or half.shape != _MIXED[1::2].shape:
        return False
    return bool(np.allclose(whole[1::2], half, rtol=2e-4, atol=2e-5))


_SAMPLE = 4096
_PLAUSIBLE = tuple(name for name in ACTIVATIONS if name not in ("identity", "sign", "threshold", "hard_shrink"))


def activation_between(x: Any, made: Any) -> str | None:
    """The activation that made each entry of a tensor from that of another, of as many; None where none did.

    Values of one sign alone do not tell one activation from another.

    Example:
        >>> x = keras.ops.convert_to_tensor([[-2.0, -1.0, 0.5, 3.0]])
        >>> activation_between(x, keras.ops.relu(x)), activation_between(x, x * 1.0), activation_between(x, 2 * x)
        ('relu', 'identity', None)
    """
    before, after = _sample(x), _sample(made)
    if _close(after, before):
        return "identity"
    if not before.min() < -0.05 < 0.05 < before.max():
        return None
    few = slice(None, None, 64)
    with np.errstate(all="ignore"):
        return next(
            (
                name
                for name in _PLAUSIBLE
                if _close(after[few], activation(name)(before[few])) and _close(after, activation(name)(before))
            ),
            None,
        )


def on_tensors(f: str) -> Callable[[Any], Any]:
    """A registered activation as a function of tensors."""

    def call(x: Any) -> Any:
        return keras.ops.convert_to_tensor(activation(f)(to_numpy(x).astype(np.float64)))

    return call


def _sample(tensor: Any) -> Values:
    flat = to_numpy(tensor).reshape(-1)
    return flat[:: max(flat.size // _SAMPLE, 1)].astype(np.float64)


def _close(a: Values, b: Values) -> bool:
    return bool(np.allclose(a, b, rtol=1e-3, atol=1e-4))  # float32, and back ends that shorten exp and erf
