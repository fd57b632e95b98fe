"""What initlab itself wrote into a PyTorch model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from initlab.frameworks.reading import marks
from initlab.frameworks.torch.reading.computed import computed_in
from initlab.frameworks.torch.reading.parameters import numbers


def mark(model: object, names: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters, by native name, were drawn by initlab."""
    assert isinstance(model, nn.Module)
    marks.mark(model, stamps(model, frozenset(names)), seed)


def marked(model: nn.Module) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter whose value is not its author's, by native name."""
    return marks.marked(model, partial(stamps, model))


def stamps(model: nn.Module, names: Collection[str]) -> dict[str, bytes]:
    """Digests of the present values of these parameters; of those without memory, their count of writes."""
    if not names:
        return {}
    held = dict(model.named_parameters(remove_duplicate=False))
    for path, module in model.named_modules():
        held |= {f"{path}.{one.leaf}".removeprefix("."): one.main for one in computed_in(module)}
    return {name: _stamp(tensor) for name, tensor in held.items() if name in names}


def _stamp(tensor: torch.Tensor) -> bytes:
    if tensor.is_meta or is_lazy(tensor):
        return f"none {tensor._version}".encode()
    # The entries are picked where they are, so that no large tensor is copied or widened.
    return marks.digest(numbers(tensor.detach().reshape(-1)[:: max(tensor.numel() // marks.SAMPLE, 1)]))
