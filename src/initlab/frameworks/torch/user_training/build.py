"""A module that the user's function builds: made under a seed, tried on rows, and told from every other by its code."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initlab.core.errors import OptionError, ShapeError
from initlab.core.factories import parts_of
from initlab.core.sources import plain_facts
from initlab.frameworks.torch.reading.parameters import entries
from initlab.frameworks.torch.reading.untouched import preserved
from initlab.frameworks.torch.writing.state import seeded


def built(build: Callable[[], object], seed: int) -> nn.Module:
    """A module as the function makes it when torch's seed is ``seed``; every generator stays as it was.

    Raises:
        OptionError: It returns something else.
    """
    return build_own(build, seed)[0]


def build_own(build: Callable[[], object], seed: int) -> tuple[nn.Module, object]:
    """The same, with the example that the function returns beside it; None for none."""
    with seeded(seed):
        model, example, _ = parts_of(build())
    if not isinstance(model, nn.Module):
        raise OptionError(f"build returned {type(model).__name__} this time", where="build", fix="return the model")
    return model, example


def made_whole(model: nn.Module, x: torch.Tensor, seed: int) -> None:
    """Lazy modules given their parameters by a pass of rows, under a seed; any other model is left alone."""
    if any(nn.parameter.is_lazy(p) for p in model.parameters()):
        with seeded(seed), torch.no_grad():
            was_training = model.training
            model.eval()(x)
            model.train(was_training)


def outputs(model: object, x: NDArray[np.generic]) -> NDArray[np.float32]:
    """What the module gives for rows, in evaluation mode; the module stays as it was.

    Raises:
        OptionError: It has no parameters.
        InitlabError: Parameters without memory, or with whole or quantised numbers.
        ShapeError: It does not take them, or gives something else than one tensor.
    """
    assert isinstance(model, nn.Module)
    try:
        made_whole(model, torch.tensor(x), 0)
    except Exception as error:  # the model's own code, on an input that may not fit it
        raise _not_taken(x, error) from error
    entries(model)  # whether its parameters are there, and of a kind that is trained
    try:
        with preserved(model):
            given = model(torch.tensor(x, device=device_of(model)))
    except Exception as error:  # the model's own code, on an input that may not fit it
        raise _not_taken(x, error) from error
    if not isinstance(given, torch.Tensor):
        raise ShapeError(
            f"the model gives a {type(given).__name__}", where="build", fix="return one tensor, (rows, outputs)"
        )
    array: NDArray[np.float32] = given.detach().cpu().float().numpy()
    return array


def _not_taken(x: NDArray[np.generic], error: Exception) -> ShapeError:
    said = (str(error).splitlines() or [type(error).__name__])[0]
    return ShapeError(f"the model does not take rows of shape {x.shape[1:]}: {said}", where="build, data")


def device_of(model: nn.Module) -> torch.device:
    """Where the module's first parameter lies."""
    return next(model.parameters()).device


def digest(model: object, build: Callable[[], object]) -> str:
    """sha256 of the modules by name, class and plain attributes, as a batch norm's momentum."""
    assert isinstance(model, nn.Module)
    parts = []
    for name, module in model.named_modules():
        facts = {key: value for key, value in plain_facts(module).items() if key != "training"}
        parts.append(f"{name} {type(module).__qualname__} {facts} {[(n, tuple(b.shape)) for n, b in _own(module)]}")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _own(module: nn.Module) -> list[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
