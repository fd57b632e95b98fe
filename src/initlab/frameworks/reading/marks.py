"""What initlab itself wrote into a model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

_SAMPLE = 4096  # entries looked at: a training step moves nearly all of them


@dataclass(frozen=True)
class Mark:
    """One write.

    Attributes:
        seed: The seed of the draw.
        stamp: What the parameter's value was known by after the write.
    """

    seed: int
    stamp: Hashable


_MARKS: dict[int, dict[str, Mark]] = {}  # by the model's id, for one that is compared by its fields has no hash


def mark(model: object, stamps: Mapping[str, Hashable], seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it.
        stamps: By native name, what tells the present value from any later one.
        seed: The seed of the draw.
    """
    if id(model) not in _MARKS:  # let go before the id can be another's
        finalize(model, _MARKS.pop, id(model), None).atexit = False
        _MARKS[id(model)] = {}
    _MARKS[id(model)].update({name: Mark(seed, stamp) for name, stamp in stamps.items()})


def marked(model: object, stamps: Callable[[Collection[str]], Mapping[str, Hashable]]) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter, by native name.

    A parameter that was changed since then, by training or by hand, is no longer among them.

    Args:
        model: The model.
        stamps: The present stamps of those of these parameters that the model still has.

    Example:
        >>> class Model: ...
        >>> model = Model()
        >>> mark(model, {"a": 1, "b": 1}, seed=7)
        >>> dict(marked(model, lambda names: {"a": 1, "b": 2}))      # b was written again
        {'a': 7}
    """
    marks = _MARKS.get(id(model), {})
    present = stamps(marks.keys()) if marks else {}
    return MappingProxyType({name: marks[name].seed for name, stamp in present.items() if marks[name].stamp == stamp})


def digest(values: NDArray[np.generic]) -> bytes:
    """A stamp for a framework that counts no writes: of evenly spaced entries."""
    flat = values.reshape(-1)
    step = max(flat.size // _SAMPLE, 1)
    return blake2b(np.ascontiguousarray(flat[::step]).tobytes(), digest_size=16).digest()
