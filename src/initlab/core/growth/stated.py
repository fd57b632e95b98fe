"""Whole numbers that a model's own objects state: its sizes among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType

_LEAVES = (int, float, complex, str, bytes, type, type(None), FunctionType, MethodType, ModuleType, range, slice)


@dataclass(frozen=True, eq=False)
class Stated:
    """A whole number that an object holds under a name.

    Attributes:
        holder: The object.
        name: The attribute.
        value: The number.
    """

    holder: object
    name: str
    value: int

    def put(self, value: int) -> None:
        """Let the object state another number, also one that is frozen: it is to say what is."""
        object.__setattr__(self.holder, self.name, value)


def stated(model: object) -> Iterator[Stated]:
    """The whole numbers among the attributes of a model, of its parts, and of what these refer to, as a configuration.

    Each object is looked at once; arrays, functions and classes are not looked into.

    Example:
        >>> from types import SimpleNamespace as Box
        >>> [(one.name, one.value) for one in stated(Box(heads=4, parts=[Box(config=Box(vocab_size=100))], drop=True))]
        [('heads', 4), ('vocab_size', 100)]
    """
    seen, queue = {id(model)}, [model]
    while queue:
        at = queue.pop(0)
        for name, value in _items(at):
            if type(value) is int and name and hasattr(at, "__dict__"):
                yield Stated(at, name, value)
            elif not isinstance(value, _LEAVES) and not hasattr(value, "shape") and id(value) not in seen:
                seen.add(id(value))
                queue.append(value)


def _items(at: object) -> list[tuple[str, object]]:
    if isinstance(at, Mapping):
        return [("", value) for value in at.values()]
    if isinstance(at, list | tuple | set | frozenset):
        return [("", value) for value in at]
    return list(vars(at).items()) if hasattr(at, "__dict__") else []
