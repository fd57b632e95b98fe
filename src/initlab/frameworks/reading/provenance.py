"""Who wrote a model's parameters, kept beside the model and not in it, as long as their values stay."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from weakref import finalize, ref

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.provenance import Construction, Provenance, Write

Stamps = Callable[[Collection[str]], Mapping[str, Hashable]]

_KNOWN: dict[int, dict[str, tuple[Provenance, Hashable]]] = {}  # by the model's id, let go with the model
_OPEN: list[tuple[str, Construction]] = []  # by framework: recordings that go on, of models that are not at hand yet
_ENDED: list[tuple[str, Construction]] = []


def remember(model: object, found: Sequence[Provenance], stamps: Stamps) -> None:
    """Keep who wrote a model's parameters, of those of which it is known; nothing is stored in the model.

    Args:
        model: The model.
        found: Its parameters' writers.
        stamps: What tells the present values of these parameters from any later ones, by native name.
    """
    if id(model) not in _KNOWN:
        finalize(model, _KNOWN.pop, id(model), None).atexit = False
    known = [one for one in found if one.state != "unknown"]
    present = stamps([one.native for one in known])
    _KNOWN[id(model)] = {one.native: (one, present[one.native]) for one in known if one.native in present}


@contextmanager
def asked(seen: Sequence[tuple[str, Construction]]) -> Iterator[None]:
    """From now on these constructions, each of a framework, are asked who wrote a model that is described.

    After the context they are let go when nothing is left of what they saw built.
    """
    _OPEN.extend(seen)
    try:
        yield
    finally:
        for one in seen:
            _OPEN.remove(one)
        _ENDED[:] = [one for one in (*_ENDED, *seen) if one[1].is_alive]


def recalled(model: object, stamps: Stamps, framework: str = "") -> Mapping[str, Provenance]:
    """The writers of those parameters whose values nobody changed since the model was built, by native name.

    Args:
        model: The model.
        stamps: See ``remember``.
        framework: The model's, of whose recorded constructions each is asked; empty asks none.

    Example:
        >>> class Model: ...
        >>> model = Model()
        >>> found = [Provenance(name, (2,), "written") for name in ("a", "b")]
        >>> remember(model, found, lambda names: {"a": 1, "b": 1})
        >>> list(recalled(model, lambda names: {"a": 1, "b": 2}))      # b was written since
        ['a']
    """
    if id(model) not in _KNOWN:
        found: dict[str, Provenance] = {}
        recorded = [one for name, one in (*_ENDED, *_OPEN) if name == framework]
        for construction in recorded:
            found |= {one.native: one for one in construction.of(model) if one.state != "unknown"}
        if recorded:
            remember(model, tuple(found.values()), stamps)
    known = _KNOWN.get(id(model), {})
    present = stamps(known.keys()) if known else {}
    return {name: known[name][0] for name, stamp in present.items() if known[name][1] == stamp}


class Same:
    """Equal for one and the same object."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._value is self._value

    def __hash__(self) -> int:
        return id(self._value)


class Histories:
    """The writes of objects that still are there, by the object."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[ref[Any], History]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __getitem__(self, one: object) -> History | None:
        found = self._by_id.get(id(one))
        return None if found is None else found[1]

    def __setitem__(self, one: object, history: History) -> None:
        key = id(one)
        if type(one).__weakrefoffset__:  # not a number of Python's own, which is no array
            self._by_id[key] = ref(one, lambda _: self._by_id.pop(key, None)), history  # before the id is another's


class History:
    """The writes of one parameter of a framework that makes a new value at every write.

    Attributes:
        last: The last write; None where none was seen.
        before: Laws that were chosen and then written over.
    """

    def __init__(self, last: Write | None, stamp: object) -> None:
        self.last, self.before, self._stamp = last, list[Write](), stamp

    def write(self, write: Write, stamp: object) -> None:
        """Remember a write over all that is there."""
        if self.last is not None and not self.last.is_default:
            self.before.append(self.last)
        self.last, self._stamp = write, stamp

    def copy(self) -> History:
        """The same writes, to go on from for another value."""
        other = History(self.last, self._stamp)
        other.before = list(self.before)
        return other

    def stands(self, stamp: object) -> bool:
        """Whether the value still is that of the last write."""
        return self._stamp is stamp or bool(self._stamp == stamp)


def settled(write: Write, numbers: NDArray[np.generic]) -> Write:
    """The write, of which the numbers themselves tell that no generator was drawn from where they all are one.

    Args:
        write: What wrote them.
        numbers: What it wrote.

    Example:
        >>> [settled(Write("f()"), values).is_random for values in (np.full(3, -2.0), np.arange(3.0))]
        [False, None]
    """
    is_one = numbers.size > 1 and bool((numbers == numbers.reshape(-1)[0]).all())
    return replace(write, is_random=False) if write.is_random is None and is_one else write
