"""The broken networks of the museum in PyTorch, each beside its healthy twin: built by name."""

from __future__ import annotations

from types import FunctionType

from initlab.core.errors import OptionError
from initlab.frameworks.torch.museum import chains, faults, tokens

_HALLS = (chains, tokens, faults)


def exhibit(name: str) -> FunctionType:
    """The function that builds a model.

    Args:
        name: ``broken_NAME`` or ``mended_NAME``.

    Raises:
        OptionError: There is none of that name.
    """
    found = next((vars(hall)[name] for hall in _HALLS if name in vars(hall)), None)
    if not isinstance(found, FunctionType):
        raise OptionError(f"the museum has no torch model '{name}'", fix="initlab museum list")
    return found
