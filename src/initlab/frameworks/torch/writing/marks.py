"""What initlab itself wrote into a PyTorch model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import partial

from torch import nn

from initlab.frameworks.reading import marks


def mark(model: object, names: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters, by native name, were drawn by initlab."""
    assert isinstance(model, nn.Module)
    marks.mark(model, stamps(model, frozenset(names)), seed)


def marked(model: nn.Module) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter that nobody changed since, by native name."""
    return marks.marked(model, partial(stamps, model))


def stamps(model: nn.Module, names: Collection[str]) -> dict[str, int]:
    """The version counters of these parameters: one moves with every change in place."""
    held = model.named_parameters(remove_duplicate=False)
    return {name: tensor._version for name, tensor in held if name in names}
