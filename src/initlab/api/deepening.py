"""Models of more blocks that compute the same: each new block begins as no change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from initlab.core.adapter import Adapter
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec


@dataclass(frozen=True)
class Deeper:
    """A list of blocks that is to be longer.

    Attributes:
        path: Its name; empty for the model itself.
        before: Blocks that it has.
        after: Blocks that it is to have.
        size: Entries of the list that make one block: 1, or a layer and the function behind it.
        first: The entry with which the first block that can be copied begins.
    """

    path: str
    before: int
    after: int
    size: int
    first: int = 0


def wanted_depths(model: object, adapter: Adapter, depth: float | Mapping[str, int], example: object) -> list[Deeper]:
    """The lists of blocks that are to be longer.

    Args:
        model: The model.
        adapter: Its framework's side.
        depth: A whole factor, or blocks by glob of lists.
        example: As for ``grow``.

    Raises:
        OptionError: A factor that is none, a glob that matches no list, or a model without lists of blocks.
    """
    params = adapter.describe(model, example=example).params
    found = [one for path in _lists(model, params) if (one := _blocks(model, path, params)) is not None]
    if isinstance(depth, Mapping):
        for pattern, count in depth.items():
            if not any(fnmatchcase(one.path, pattern) for one in found):
                known = ", ".join(repr(one.path) for one in found) or "none that can"
                raise OptionError(
                    f"'{pattern}' is no list of blocks that can grow", where="depth", fix=f"there is {known}"
                )
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise OptionError(
                    f"a model has 1 or more blocks, got {count!r}", where=pattern, fix="give a whole number"
                )
        sizes = {one.path: count for pattern, count in depth.items() for one in found if fnmatchcase(one.path, pattern)}
        less = next((one for one in found if sizes.get(one.path, one.before) < one.before), None)
        if less is not None:
            raise OptionError(f"'{less.path}' has {less.before} blocks, more than {sizes[less.path]}", where="depth")
        return [
            Deeper(o.path, o.before, sizes[o.path], o.size, o.first) for o in found if sizes.get(o.path, 0) > o.before
        ]
    if isinstance(depth, bool) or depth < 1 or depth != int(depth):
        raise OptionError(
            f"a depth grows by a whole factor of 1 or more, got {depth!r}", where="depth", fix="e.g. depth=2"
        )
    if not found:
        raise OptionError(
            "no list of blocks, of which copies could begin as no change", where="depth", fix="leave it 1"
        )
    outer = [
        o for o in found if not any(o.path.startswith(f"{q.path}." if q.path else "") for q in found if q is not o)
    ]
    return [Deeper(o.path, o.before, o.before * int(depth), o.size, o.first) for o in outer]


def counts(deeper: Sequence[Deeper]) -> dict[int, list[int]]:
    """By each number of blocks, what it may be afterwards."""
    made: dict[int, list[int]] = {}
    for one in deeper:
        made.setdefault(one.before, []).append(one.after)
    return made


def deepen(adapter: Adapter, deeper: Sequence[Deeper], example: object, model: object) -> None:
    """Put copies of blocks behind them, in place: a branch that ends in zeros, or an identity before a ReLU."""
    for one in deeper:
        blocks: Any = _at(model, one.path)
        known = adapter.describe(model, example=example).params
        added: list[tuple[int, int]] = []  # the first entry of a copy, and of what it is a copy of
        extra = [
            (n + 1) * (one.after - one.before) // one.before - n * (one.after - one.before) // one.before
            for n in range(one.before)
        ]
        at = one.first
        for n, copies in enumerate(extra):
            old, at = at, at + one.size
            for _ in range(copies):
                for place in range(one.size):
                    shared = {id(o): o for o in vars(model).values() if hasattr(o, "__dict__") and o is not blocks}
                    blocks.insert(at + place, deepcopy(blocks[old + place], shared))  # a configuration stays one
                added.append((at, one.first + n * one.size))
                at += one.size
        _settle(adapter, model, one, added, known)


def _settle(
    adapter: Adapter, model: object, one: Deeper, added: Sequence[tuple[int, int]], known: Sequence[ParamSpec]
) -> None:
    held = adapter.state(model)
    home = f"{one.path}." if one.path else ""
    arrays: dict[str, Any] = {}
    for new, old in added:
        for p in known:
            if not p.native.startswith(f"{home}{old}."):
                continue
            name = f"{home}{new}.{p.native.removeprefix(f'{home}{old}.')}"
            if one.size == 1 and _ends(p, known):
                arrays[name] = np.zeros_like(held[name])
            elif one.size == 2:
                units = held[name].shape[-1] if p.role == "bias" else p.shape[0]
                arrays[name] = (
                    np.zeros(units, held[name].dtype) if p.role == "bias" else np.eye(units, dtype=held[name].dtype)
                )
    adapter.resize(model, arrays)


def _ends(p: ParamSpec, known: Sequence[ParamSpec]) -> bool:
    """Whether a parameter ends a residual branch: its last weight, and the bias beside it."""
    home = p.native.rpartition(".")[0]
    last = (q for q in known if q.branch is not None and q.branch.is_last and q.is_weight)
    return any(q.native == p.native or (p.role == "bias" and q.native.rpartition(".")[0] == home) for q in last)


def _lists(model: object, params: Sequence[ParamSpec]) -> list[str]:
    """The names of lists, of which a parameter's name has a number."""
    found: dict[str, None] = {}
    for p in params:
        parts = p.native.split(".")
        found |= {".".join(parts[:n]): None for n, part in enumerate(parts) if part.isdecimal()}
    return [path for path in found if hasattr(_at(model, path), "insert")]


def _at(model: object, path: str) -> object:
    for part in path.split(".") if path else ():
        model = model[int(part)] if part.isdecimal() and not hasattr(model, part) else getattr(model, part)  # type: ignore[index]
    return model


def _blocks(model: object, path: str, params: Sequence[ParamSpec]) -> Deeper | None:
    """How a list is made of blocks of which a copy can begin as no change; None where it is not."""
    entries: Any = _at(model, path)
    home = f"{path}." if path else ""
    inside = [[p for p in params if p.native.startswith(f"{home}{n}.")] for n in range(len(entries))]
    if all(any(_ends(p, params) and p.is_weight for p in own) for own in inside):
        return Deeper(path, len(entries), len(entries), 1)
    dense = [n for n, own in enumerate(inside) if [p.role for p in own if p.is_weight] == ["dense"]]
    pairs = [n for n in dense if n + 1 < len(entries) and not inside[n + 1] and n + 2 < len(entries)]
    is_chain = len(pairs) > 0 and pairs == list(range(pairs[0], pairs[0] + 2 * len(pairs), 2))
    return Deeper(path, len(pairs), len(pairs), 2, pairs[0]) if is_chain else None
