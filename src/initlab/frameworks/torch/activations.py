"""PyTorch's function behind each activation of the registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from importlib import import_module

import torch
from torch import Tensor

from initlab.core.errors import OptionError
from initlab.theory import activation as registered

# The registry's functions that torch lacks.
_OWN: dict[str, Callable[..., Tensor]] = {
    "gaussian": lambda x: torch.exp(-torch.square(x)),
    "identity": lambda x: x,
    "lecun_tanh": lambda x: 1.7159 * torch.tanh(2.0 * x / 3.0),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu_squared": lambda x: torch.square(torch.relu(x)),
    "snake": lambda x, *, alpha: x + torch.square(torch.sin(alpha * x)) / alpha,
    "squareplus": lambda x, *, b: 0.5 * (x + torch.sqrt(torch.square(x) + b)),
    "telu": lambda x: x * torch.tanh(torch.exp(x)),
}


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
    found = registered(text)
    if found.name in _OWN:
        return partial(_OWN[found.name], **found.options)
    native = found.native_call("torch")
    if native is not None:
        path, arguments = native
        module, _, name = path.rpartition(".")
        return partial(getattr(import_module(module), name), **arguments)
    raise OptionError(
        f"torch has no function for '{found.call}'",
        where="activation",
        fix='register it with native={"torch": "module.function"}',
    )
