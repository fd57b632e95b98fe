"""What initlab itself wrote into a model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

SAMPLE = 4096  # entries looked at: a training step moves nearly all of them
_FEWEST = 4  # parameters whose constants no author chooses all alike
_COPIES = 32  # models whose copies are known after they are gone


@dataclass(frozen=True)
class Mark:
    """One write.

    Attributes:
        seed: The seed of the draw.
        stamp: What the parameter's value was known by after the write.
    """

    seed: int
    stamp: bytes


Marks = dict[str, Mark]
Stamps = Mapping[str, bytes]

_MARKS: dict[int, Marks] = {}  # by the model's id, for one that is compared by its fields has no hash
_COPIED: dict[frozenset[bytes], Marks] = {}  # by the random numbers that were written, which no other model has


def mark(model: object, stamps: Stamps, seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it. That of its copies goes by the random
            numbers in them, for the last models that were written.
        stamps: By native name, the ``digest`` of the present value.
        seed: The seed of the draw.
    """
    if id(model) not in _MARKS:  # let go before the id can be another's
        finalize(model, _MARKS.pop, id(model), None).atexit = False
        _MARKS[id(model)] = {}
    held = _MARKS[id(model)]
    held.update({name: Mark(seed, stamp) for name, stamp in stamps.items()})
    key = _key({name: one.stamp for name, one in held.items()})
    if key:
        _COPIED.pop(key, None)
        _COPIED[key] = dict(held)
        while len(_COPIED) > _COPIES:
            del _COPIED[next(iter(_COPIED))]


def marked(model: object, stamps: Callable[[Collection[str]], Stamps]) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter whose value is not its author's, by native name.

    That is where the value is the one that was written; and for every parameter once most of them have changed, as
    training does it. One that alone was written anew is its author's again. A model that holds the random numbers that
    were written into another is that model's copy.

    Args:
        model: The model.
        stamps: The present stamps of those of these parameters that the model still has.

    Example:
        >>> class Model: ...
        >>> model = Model()
        >>> mark(model, {"a": b"1", "b": b"1"}, seed=7)
        >>> dict(marked(model, lambda names: {"a": b"1", "b": b"2"}))      # b was written again
        {'a': 7}
        >>> dict(marked(model, lambda names: {"a": b"3", "b": b"2"}))      # all were trained
        {'a': 7, 'b': 7}
    """
    marks = _MARKS.get(id(model)) or _of_a_copy(stamps)
    present = stamps(marks.keys()) if marks else {}
    same = {name for name, stamp in present.items() if marks[name].stamp == stamp}
    is_trained = 2 * len(same) < len(present)
    return MappingProxyType({name: marks[name].seed for name in present if is_trained or name in same})


def _of_a_copy(stamps: Callable[[Collection[str]], Stamps]) -> Marks:
    """The marks of the model that was written last among those whose random numbers these are; else none."""
    names = {name for marks in _COPIED.values() for name in marks}
    present = stamps(names) if names else {}
    for key, marks in reversed(_COPIED.items()):
        if 2 * len(key & _key({name: stamp for name, stamp in present.items() if name in marks})) > len(key):
            return {name: mark for name, mark in marks.items() if present.get(name) == mark.stamp}
    return {}


def _key(stamps: Stamps) -> frozenset[bytes]:
    """What no other model holds by chance: its random numbers; or, where it has none, constants that are not all 0."""
    random = frozenset(stamp for stamp in stamps.values() if _is_telling(stamp))
    if random or len(stamps) < _FEWEST or not any(any(stamp) for stamp in stamps.values()):
        return random
    return frozenset([b"\0".join(name.encode() + b"=" + stamp for name, stamp in sorted(stamps.items()))])


def digest(values: NDArray[np.generic]) -> bytes:
    r"""A stamp of evenly spaced entries; of entries that are all the same, their own bytes.

    Example:
        >>> digest(np.zeros((2, 3), np.float16)), len(digest(np.arange(6.0)))
        (b'\x00\x00', 16)
    """
    flat = values.reshape(-1)
    some = np.ascontiguousarray(flat[:: max(flat.size // SAMPLE, 1)])
    if not some.size or bool((some == some[0]).all()):
        return some[:1].tobytes()
    return blake2b(some.tobytes(), digest_size=16).digest()


def _is_telling(stamp: bytes) -> bool:
    """Whether no other model holds the same by chance."""
    return len(stamp) == blake2b(digest_size=16).digest_size
