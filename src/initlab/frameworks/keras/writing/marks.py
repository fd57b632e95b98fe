"""What initlab itself wrote into a model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from initlab.frameworks.keras.reading.parameters import entries
from initlab.frameworks.keras.writing.memory import numbers

_SAMPLE = 4096  # entries looked at: a training step moves nearly all of them


@dataclass(frozen=True)
class Mark:
    """One write.

    Attributes:
        seed: The seed of the draw.
        digest: Of evenly spaced entries as they were written.
    """

    seed: int
    digest: bytes


_MARKS: WeakKeyDictionary[Any, dict[str, Mark]] = WeakKeyDictionary()


def mark(model: Any, paths: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it.
        paths: Keras' own names of the parameters, as in ``ParamSpec.native``.
        seed: The seed of the draw.
    """
    variables = {entry.native: entry.variable for entry in entries(model)}
    marks = _MARKS.setdefault(model, {})
    for path in paths:
        marks[path] = Mark(seed, _digest(variables[path]))


def marked(model: Any) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter, by Keras' own name.

    A parameter that was changed since then, by training or by hand, is no longer among them.
    """
    marks = _MARKS.get(model, {})
    if not marks:
        return MappingProxyType({})
    variables = {entry.native: entry.variable for entry in entries(model)}
    present = {name: mark for name, mark in marks.items() if name in variables}
    return MappingProxyType(
        {name: mark.seed for name, mark in present.items() if _digest(variables[name]) == mark.digest}
    )


def _digest(variable: Any) -> bytes:
    flat = numbers(variable).reshape(-1)
    step = max(flat.size // _SAMPLE, 1)
    return blake2b(np.ascontiguousarray(flat[::step]).tobytes(), digest_size=16).digest()
