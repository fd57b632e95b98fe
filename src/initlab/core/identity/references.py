"""What a function's compiled code refers to, and what it changes: names that are global, and those behind a dot."""

from __future__ import annotations

import dis
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import CodeType

_GLOBALS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_DOTS = {"LOAD_ATTR", "LOAD_METHOD"}
_MUTATORS = {"append", "appendleft", "extend", "insert", "pop", "popleft", "popitem", "clear", "remove", "reverse"}
_MUTATORS |= {"update", "setdefault", "add", "discard", "sort"}


@dataclass
class References:
    """What code refers to.

    Attributes:
        names: A global name, with the attributes that are read off it: ``("np", "random", "rand")``.
        imports: Modules that are imported within it, with the names taken from them, and the level of a relative one.
        uses: What is read off a module that is imported within it: the module's name and the attributes.
        written: Global names that it assigns, or whose content it changes.
        attributes: Attributes that it assigns.
    """

    names: dict[tuple[str, ...], None] = field(default_factory=dict)
    imports: dict[tuple[str, tuple[str, ...], int], None] = field(default_factory=dict)
    uses: dict[tuple[str, ...], None] = field(default_factory=dict)
    written: set[str] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)


def references_of(code: CodeType) -> References:
    """What a function and all that is defined within it refer to.

    Example:
        >>> import math
        >>> def f(x):
        ...     TABLE[x] = math.pi
        >>> found = references_of(f.__code__)
        >>> list(found.names), found.written
        ([('math', 'pi'), ('TABLE',)], {'TABLE'})
    """
    found = References()
    for part in _parts(code):
        _read(part, found)
    return found


def _parts(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _parts(constant)


def _read(code: CodeType, found: References) -> None:
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG")]
    constants: list[object] = []
    aliases: dict[str, str] = {}
    for at, step in enumerate(steps):
        if step.opname in _GLOBALS:
            dots = _dotted(steps, at + 1)
            found.names[(str(step.argval), *dots)] = None
            if dots and dots[0] in _MUTATORS:
                found.written.add(str(step.argval))
        elif step.opname == "LOAD_CONST":
            constants.append(step.argval)
        elif step.opname == "IMPORT_NAME":
            level, taken = constants[-2:]  # both stand before every import
            names = taken if isinstance(taken, tuple) else ()
            found.imports[(str(step.argval), names, level if isinstance(level, int) else 0)] = None
            if not names and not level:
                aliases |= _bound(steps, at)
        elif step.opname.startswith("LOAD_") and str(step.argval) in aliases:
            found.uses[(aliases[str(step.argval)], *_dotted(steps, at + 1))] = None
        elif step.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
            found.written.add(str(step.argval))
        elif step.opname in ("STORE_SUBSCR", "DELETE_SUBSCR"):
            found.written |= _container(steps, at)
        elif step.opname in ("STORE_ATTR", "DELETE_ATTR"):
            found.attributes.add(str(step.argval))


def _bound(steps: list[dis.Instruction], at: int) -> dict[str, str]:
    """The local name that an import binds, and the module: ``import a.b as c`` binds b, ``import a.b`` binds a."""
    module, renamed = str(steps[at].argval), False
    for step in steps[at + 1 :]:
        if step.opname.startswith("STORE_"):
            return {str(step.argval): module if renamed else module.partition(".")[0]}
        renamed = True
    return {}


def _dotted(steps: list[dis.Instruction], start: int) -> tuple[str, ...]:
    dots = []
    for step in steps[start:]:
        if step.opname not in _DOTS:
            break
        dots.append(str(step.argval))
    return tuple(dots)


def _container(steps: list[dis.Instruction], at: int) -> set[str]:
    """The global name whose entry is stored or deleted there, if it is one: ``TABLE`` of ``TABLE[a][b] = c``."""
    end = at - 1
    if steps[end].opname == "SWAP":  # TABLE[a] += b keeps copies of the table and of the key
        copies = [i for i in range(1, end) if steps[i].opname == steps[i - 1].opname == "COPY"]
        end = copies[-1] - 2 if copies else -1
    key = _start(steps, end)
    root = _start(steps, key - 1)
    return {str(steps[root].argval)} if root >= 0 and steps[root].opname in _GLOBALS else set()


def _start(steps: list[dis.Instruction], end: int) -> int:
    """Where the expression begins whose last instruction is there; -1 where that cannot be told."""
    depth = 0
    for at in range(end, -1, -1):
        step = steps[at]
        depth += dis.stack_effect(step.opcode, step.arg, jump=False)
        if depth >= 1:
            return at
    return -1
