"""The tensors that a module's parts hold, and others put in the places of those that have no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from initlab.core.restoring import put_back
from initlab.frameworks.torch.reading.replay import CHANCE, rebuilt

_TABLES = ("_parameters", "_buffers", "_modules")


class Held(NamedTuple):
    """A tensor under one of its names."""

    name: str
    tensor: torch.Tensor
    kind: Literal["parameter", "buffer", "attribute"]


def without_memory(model: nn.Module) -> list[Held]:
    """Every tensor on the meta device that a part of a model holds, under every name; plain attributes too.

    Example:
        >>> net = nn.BatchNorm1d(3, device="meta")
        >>> [held.name for held in without_memory(net)]
        ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked']
    """
    found = []
    for prefix, module in model.named_modules(remove_duplicate=False):
        dot = f"{prefix}." if prefix else ""
        found += [Held(dot + name, one, "parameter") for name, one in module._parameters.items() if _is_bare(one)]
        found += [Held(dot + name, one, "buffer") for name, one in module._buffers.items() if _is_bare(one)]
        own = {id(one) for one in (*module._parameters.values(), *module._buffers.values())}
        for name, value in vars(module).items():
            held = _tensors(value) if name not in _TABLES else ()
            found += [Held(dot + name, one, "attribute") for one in held if _is_bare(one) and id(one) not in own]
    return found


def replace_held(model: nn.Module, others: Mapping[int, torch.Tensor]) -> Callable[[], None]:
    """Put other tensors where a model's parts hold those of these ids, and return what puts the first ones back."""
    undo: list[tuple[MutableMapping[str, Any] | list[Any], Any, Any]] = []

    def put(place: Any, key: Any, value: Any) -> None:
        undo.append((place, key, place[key]))
        place[key] = value

    for module in model.modules():
        for table in (module._parameters, module._buffers):
            for name, one in table.items():
                if id(one) in others:
                    put(table, name, others[id(one)])
        for name, value in list(vars(module).items()):
            if name not in _TABLES and any(id(one) in others for one in _tensors(value)):
                put(vars(module), name, _with(value, others))

    def restore() -> None:
        for place, key, value in reversed(undo):
            place[key] = value

    return restore


@contextmanager
def stand_ins(model: nn.Module) -> Iterator[Mapping[int, torch.Tensor]]:
    """Within it a model that has no memory computes: with what its construction wrote without drawing, and with zeros.

    The zeros of all parameters are the same pages, which nobody writes, so that they take no memory.

    Yields:
        The stand-in of each tensor, by the ``id`` of the tensor.
    """
    bare = without_memory(model)
    pages = np.zeros(max((one.tensor.untyped_storage().nbytes() for one in bare), default=0), np.uint8)
    others: dict[int, torch.Tensor] = {}
    for held in bare:
        if id(held.tensor) not in others:
            one = _stand_in(held.tensor, pages if held.kind == "parameter" else np.zeros_like(pages))
            others[id(held.tensor)] = nn.Parameter(one, held.tensor.requires_grad) if held.kind == "parameter" else one
    restore = replace_held(model, others)
    try:
        yield others
    finally:
        put_back(restore)


def _stand_in(tensor: torch.Tensor, pages: NDArray[np.uint8]) -> torch.Tensor:
    found = rebuilt(tensor)
    if found is not None and found.doubt(tensor) < CHANCE:
        return found.numbers(tensor)
    held = torch.empty(0, dtype=tensor.dtype, device="cpu")
    storage = torch.from_numpy(pages).untyped_storage()
    return held.set_(storage, 0, tensor.shape, tensor.stride())


def _is_bare(one: object) -> bool:
    return isinstance(one, torch.Tensor) and one.is_meta


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif type(value) in (list, tuple):
        yield from (one for one in value if isinstance(one, torch.Tensor))
    elif type(value) is dict:
        yield from (one for one in value.values() if isinstance(one, torch.Tensor))


def _with(value: Any, others: Mapping[int, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return others.get(id(value), value)
    if isinstance(value, dict):
        return {key: others.get(id(one), one) for key, one in value.items()}
    return type(value)(others.get(id(one), one) for one in value)
