"""What initlab itself wrote into a Flax model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from weakref import WeakKeyDictionary

import numpy as np
from flax import nnx

from initlab.frameworks.jax.memory import numbers
from initlab.frameworks.jax.paths import entries

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


_MARKS: WeakKeyDictionary[nnx.Module, dict[str, Mark]] = WeakKeyDictionary()


def mark(model: nnx.Module, names: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it.
        names: Native names of the parameters.
        seed: The seed of the draw.
    """
    variables = {entry.native: entry.variable for entry in entries(model)}
    # A model that cannot be referred to weakly, as a dataclass that is compared by its fields, is not remembered.
    with suppress(TypeError):
        marks = _MARKS.setdefault(model, {})
        marks.update({name: Mark(seed, _digest(variables[name])) for name in names})


def marked(model: nnx.Module) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter, by its native name.

    A parameter that was changed since then, by training or by hand, is no longer among them.
    """
    marks = dict[str, Mark]()
    with suppress(TypeError):
        marks = _MARKS.get(model, marks)
    present = [(entry, marks[entry.native]) for entry in (entries(model) if marks else ()) if entry.native in marks]
    return MappingProxyType({e.native: mark.seed for e, mark in present if _digest(e.variable) == mark.digest})


def _digest(variable: nnx.Variable[object]) -> bytes:
    flat = numbers(variable).reshape(-1)
    step = max(flat.size // _SAMPLE, 1)
    return blake2b(np.ascontiguousarray(flat[::step]).tobytes(), digest_size=16).digest()
