"""The broken networks of the museum in PyTorch, each beside its healthy twin: built by name."""

from __future__ import annotations

from types import FunctionType

import torch
from torch import nn

from initlab.core.errors import OptionError
from initlab.frameworks.torch.museum import chains, faults, tokens

_HALLS = (chains, tokens, faults)


def built(name: str) -> nn.Module:
    """The model of a function of the museum, the same at every call; torch's generator is left as it is.

    Args:
        name: ``broken_NAME`` or ``mended_NAME``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = factory(name)()
        return model


def factory(name: str) -> FunctionType:
    """The function that builds a model.

    Raises:
        OptionError: There is none of that name.
    """
    found = next((vars(hall)[name] for hall in _HALLS if name in vars(hall)), None)
    if not isinstance(found, FunctionType):
        raise OptionError(f"the museum has no torch model '{name}'", fix="initlab museum list")
    return found
