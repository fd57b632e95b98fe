"""The text behind functions and classes: what tells whether code has changed."""

from __future__ import annotations

import inspect
from types import CodeType

_PLAIN = (bool, int, float, str, type(None))


def source_of(thing: object) -> str:
    """The source of a function or class; where there is none, as at a prompt, its compiled code.

    What it calls elsewhere is not in it.

    Example:
        >>> source_of(source_of).splitlines()[0]
        'def source_of(thing: object) -> str:'
    """
    try:
        return inspect.getsource(thing)  # type: ignore[arg-type]  # a TypeError says that it has none
    except (OSError, TypeError):
        members = vars(thing).values() if isinstance(thing, type) else (thing,)
        codes = [getattr(member, "__code__", None) for member in members]
        return "\n".join(_compiled(code) for code in codes if code is not None)


def own_sources(kind: type, *, libraries: tuple[str, ...]) -> list[str]:
    """The sources of a class and of those that it inherits from, but for the classes of these packages.

    Args:
        kind: The class.
        libraries: Top-level packages whose code is known by their version.
    """
    home = (*libraries, "builtins", "abc", "typing")
    return [source_of(base) for base in kind.__mro__ if base.__module__.partition(".")[0] not in home]


def plain_facts(thing: object) -> dict[str, object]:
    """An object's attributes that are numbers, texts or tuples of them, and the names of those that are functions.

    Example:
        >>> class Layer:
        ...     def __init__(self):
        ...         self.rate, self.sizes, self.f, self.table = 0.5, (2, 3), len, []
        >>> plain_facts(Layer())
        {'f': 'len', 'rate': 0.5, 'sizes': (2, 3)}
    """
    facts: dict[str, object] = {}
    for name, value in sorted(vars(thing).items()):
        if isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(v, _PLAIN) for v in value)):
            facts[name] = value
        elif inspect.isroutine(value):
            facts[name] = getattr(value, "__qualname__", "")
    return facts


def _compiled(code: CodeType) -> str:
    constants = [_compiled(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {constants}"
