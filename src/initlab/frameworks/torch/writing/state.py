"""What a module and torch hold: kept through a pass, and read as a weights file has it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn

from initlab.core.draws.seeding import check_alone
from initlab.core.generators import global_generators
from initlab.frameworks.torch.writing import memory


@contextmanager
def preserved(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Inside, the model is in evaluation mode without gradients; afterwards all is as it was before.

    Restored are each module's attributes (its mode among them), its buffers as objects and as numbers, and the states
    of the generators of torch, NumPy and Python. Warnings of the model are not shown.

    Args:
        model: The model.
        training: Have it in training mode with gradients instead; a model that is in that mode already keeps the
            modes of its parts.
    """
    modules = list(model.modules())
    tables = ("_parameters", "_buffers", "_modules")
    attributes = [dict(module.__dict__) for module in modules]
    members = [{table: dict(module.__dict__[table]) for table in tables} for module in modules]
    buffers = [(buffer, buffer.detach().clone()) for buffer in model.buffers() if not buffer.is_meta]
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        with (
            torch.random.fork_rng(devices),
            global_generators(),
            torch.set_grad_enabled(training),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            as_it_is = training and model.training
            for module in modules:
                module.__dict__["training"] = module.training if as_it_is else training
            yield
    finally:
        for module, before, own in zip(modules, attributes, members, strict=True):
            module.__dict__.clear()
            module.__dict__.update(before)
            for table in tables:
                before[table].clear()
                before[table].update(own[table])
        with torch.no_grad():
            for buffer, value in buffers:
                if not torch.equal(buffer, value):
                    buffer.copy_(value)


def generator_state(model: object = None) -> bytes:
    """The state of torch's global generator on the CPU, which ``torch.manual_seed`` sets with all others."""
    return torch.get_rng_state().numpy().tobytes()


def random_bits(model: object = None) -> int:
    """One draw of 64 bits from torch's default generator on the CPU, whatever device is the default one.

    Raises:
        OptionError: The process is one of a process group.

    Example:
        >>> _ = torch.manual_seed(1)
        >>> first = random_bits(), random_bits()
        >>> _ = torch.manual_seed(1)
        >>> (random_bits(), random_bits()) == first, first[0] == first[1]
        (True, False)
    """
    check_alone(distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1)
    with torch.no_grad():
        drawn = torch.empty((), dtype=torch.int64, device="cpu")
        drawn.random_(-(1 << 63), None, generator=torch.default_generator)
    return int(drawn) % (1 << 64)


def state(model: object) -> Mapping[str, NDArray[np.generic]]:
    """The tensors of ``state_dict`` as read-only arrays, on the model's own memory where that is possible.

    Raises:
        MissingDependencyError: bfloat16 weights without the package that defines the type for NumPy.
    """
    assert isinstance(model, nn.Module)
    held = model.state_dict().items()
    return {name: memory.as_array(tensor) for name, tensor in held if isinstance(tensor, torch.Tensor)}
