"""PyTorch's function behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.frameworks.activations import Arrays, function_of

# The registry's functions that torch lacks.
_OWN: dict[str, Callable[..., Tensor]] = {
    "gaussian": lambda x: torch.exp(-torch.square(x)),
    "lecun_tanh": lambda x: 1.7159 * torch.tanh(2.0 * x / 3.0),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu_squared": lambda x: torch.square(torch.relu(x)),
    "snake": lambda x, *, alpha: x + torch.square(torch.sin(alpha * x)) / alpha,
    "squareplus": lambda x, *, b: 0.5 * (x + torch.sqrt(torch.square(x) + b)),
    "telu": lambda x: x * torch.tanh(torch.exp(x)),
}


# NumPy's names that torch spells otherwise.
_SPELLED: dict[str, Callable[..., Tensor]] = {
    "equal": torch.eq,
    "expit": torch.sigmoid,
    "power": torch.pow,
    "rint": torch.round,
}
_NUMBERS = frozenset({"pow", "power", "where", "zeros_like", "ones_like"})  # they take numbers as they are


def _find(name: str) -> Callable[..., Tensor] | None:
    found = _SPELLED.get(name) or getattr(torch, name, None) or getattr(torch.special, name, None)
    function: Callable[..., Tensor] | None = found
    return function if function is None or name in _NUMBERS else _of_tensors(function)


def _of_tensors(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function with its numbers made tensors, as many of torch's functions of two want them."""

    def called(*inputs: Tensor | float) -> Tensor:
        # Without axes, it leaves the type of the others as it is, whatever its own.
        return function(*(torch.tensor(x, dtype=torch.float64) if isinstance(x, float) else x for x in inputs))

    return called


def _cast(y: Tensor, x: Tensor) -> Tensor:
    # What fx follows a model with is no tensor, and has no type.
    return y.to(x.dtype) if isinstance(x, Tensor) and y.dtype != x.dtype else y


def _trial(f: Callable[[Tensor], Tensor], values: NDArray[np.float32]) -> NDArray[np.float32]:
    with torch.no_grad():
        found: NDArray[np.float32] = f(torch.from_numpy(values)).numpy()
    return found


ARRAYS = Arrays("torch", "torch", _find, _cast, _trial, own=_OWN)


@lru_cache(maxsize=256)
def activation(text: str) -> Callable[[Tensor], Tensor]:
    """The function behind a name with options.

    Args:
        text: E.g. ``"relu"`` or ``"leaky_relu(negative_slope=0.2)"``.

    Raises:
        UnknownNameError: No activation has the name.
        OptionError: The activation has no such option, or torch no such function.

    Example:
        >>> float(activation("leaky_relu(negative_slope=0.25)")(torch.tensor(-2.0)))
        -0.5
    """
    return function_of(text, ARRAYS)
