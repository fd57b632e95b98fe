"""What a module holds, as a weights file has it, and what torch's generators do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter

from initlab.core.draws.dtypes import wide
from initlab.core.draws.seeding import check_alone, narrowed
from initlab.core.facts.spec import ParamSpec
from initlab.core.generators import global_generators
from initlab.core.restoring import put_back
from initlab.frameworks.torch.reading.parameters import find
from initlab.frameworks.torch.writing import memory


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within it, the global generators of torch, NumPy and Python start from the seed; afterwards they are as before.

    Args:
        seed: 0 or more.

    Example:
        >>> with seeded(1):
        ...     first = torch.rand(1)
        >>> with seeded(1):
        ...     bool(torch.rand(1) == first)
        True
    """
    with torch.random.fork_rng(), global_generators(seed):
        torch.manual_seed(narrowed(seed, 64))
        yield


@contextmanager
def holding(model: object, params: Iterable[ParamSpec]) -> Iterator[None]:
    """After it, these parameters hold the numbers of before it, in the memory and of the version of before it.

    A graph of the user's own that waits for its backward pass is not spoiled by what is written meanwhile.

    Args:
        model: The module.
        params: Some of its parameters.

    Raises:
        OptionError: The model has no such parameter.
    """
    found = [find(model, p.native) for p in params]
    held = [entry.tensor for entry in found if entry.computed is None]
    before = [tensor.detach().clone() for tensor in held]

    def restore() -> None:
        for tensor, numbers in zip(held, before, strict=True):
            tensor.detach().copy_(numbers)

    computed = [entry.computed for entry in found if entry.computed is not None]
    with ExitStack() as versions:
        for tensor in (*held, *(part for one in computed for part in one.parts.values())):
            versions.enter_context(_unsafe_preserve_version_counter(tensor))
        for one in computed:
            versions.enter_context(one.restored())
        try:
            yield
        finally:
            put_back(restore)


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


def load(model: object, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Copy arrays into the tensors of ``state_dict``, by name."""
    assert isinstance(model, nn.Module)
    held = model.state_dict()
    with torch.no_grad():
        for name, array in arrays.items():
            held[name].copy_(torch.from_numpy(np.array(wide(array))))


def state(model: object) -> Mapping[str, NDArray[np.generic]]:
    """The tensors of ``state_dict`` as read-only arrays, on the model's own memory where that is possible.

    Raises:
        MissingDependencyError: bfloat16 weights without the package that defines the type for NumPy.
    """
    assert isinstance(model, nn.Module)
    held = model.state_dict().items()
    return {name: memory.as_array(tensor) for name, tensor in held if isinstance(tensor, torch.Tensor)}
