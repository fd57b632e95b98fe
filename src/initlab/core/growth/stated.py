"""Whole numbers that a model's own objects state: its sizes among them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType, MethodType, ModuleType

_LEAVES = (int, float, complex, str, bytes, type, type(None), FunctionType, MethodType, ModuleType, range, slice)


@dataclass(frozen=True, eq=False)
class Stated:
    """A whole number, or several, that an object holds under a name.

    Attributes:
        holder: The object.
        name: The attribute.
        value: The number, or a tuple of numbers.
    """

    holder: object
    name: str
    value: int | tuple[int, ...]

    def put(self, value: int | tuple[int, ...]) -> None:
        """Let the object state another number, also one that is frozen: it is to say what is."""
        object.__setattr__(self.holder, self.name, value)


def stated(model: object, *, but: Collection[str] = ()) -> Iterator[Stated]:
    """The whole numbers among the attributes of a model, of its parts, and of what these refer to, as a configuration.

    Each object is looked at once; arrays, functions and classes are not looked into.

    Args:
        model: The model.
        but: Packages whose own objects are looked through, and state nothing.

    Example:
        >>> from types import SimpleNamespace as Box
        >>> [(one.name, one.value) for one in stated(Box(heads=4, parts=[Box(config=Box(vocab_size=100))], drop=True))]
        [('heads', 4), ('vocab_size', 100)]
    """
    seen, queue = {id(model)}, [model]
    while queue:
        at = queue.pop(0)
        for name, value in _items(at):
            if _is_numbers(value) and name and type(at).__module__.partition(".")[0] not in but:
                yield Stated(at, name, value)  # type: ignore[arg-type]
            elif not isinstance(value, _LEAVES) and not hasattr(value, "shape") and id(value) not in seen:
                seen.add(id(value))
                queue.append(value)


def _is_numbers(value: object) -> bool:
    several = value if isinstance(value, tuple) and type(value) is tuple else (value,)
    return len(several) > 0 and all(type(one) is int for one in several)


def _items(at: object) -> list[tuple[str, object]]:
    if isinstance(at, Mapping):
        return [("", value) for value in at.values()]
    if isinstance(at, list | tuple | set | frozenset):
        return [("", value) for value in at]
    return list(vars(at).items()) if hasattr(at, "__dict__") else []
