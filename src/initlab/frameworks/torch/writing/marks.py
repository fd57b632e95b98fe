"""What initlab itself wrote into a model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from weakref import WeakKeyDictionary

from torch import nn


@dataclass(frozen=True)
class Mark:
    """One write.

    Attributes:
        seed: The seed of the draw.
        version: The parameter's version counter after the write: it moves with every change in place.
    """

    seed: int
    version: int


_MARKS: WeakKeyDictionary[nn.Module, dict[str, Mark]] = WeakKeyDictionary()


def mark(model: object, paths: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it.
        paths: The framework's own names of the parameters.
        seed: The seed of the draw.
    """
    assert isinstance(model, nn.Module)
    marks = _MARKS.setdefault(model, {})
    for path in paths:
        marks[path] = Mark(seed, model.get_parameter(path)._version)


def marked(model: nn.Module) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter, by the framework's own name.

    A parameter that was changed in place since then, by training or by hand, is no longer among them.
    """
    marks = _MARKS.get(model, {})
    present = {name: tensor._version for name, tensor in model.named_parameters(remove_duplicate=False)}
    return MappingProxyType({name: m.seed for name, m in marks.items() if present.get(name) == m.version})
