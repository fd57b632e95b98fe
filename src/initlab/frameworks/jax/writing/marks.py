"""What initlab itself wrote into a Flax model, kept beside the model and not in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import MappingProxyType
from weakref import finalize

import numpy as np
from flax import nnx

from initlab.frameworks.jax.reading.parameters import check_model, entries
from initlab.frameworks.jax.writing.memory import numbers

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


_MARKS: dict[int, dict[str, Mark]] = {}  # by the model's id, for one that is compared by its fields has no hash


def mark(model: object, names: Iterable[str], seed: int) -> None:
    """Remember that the present values of these parameters were drawn by initlab.

    Args:
        model: The model; nothing is stored in it, and the memory ends with it.
        names: Native names of the parameters.
        seed: The seed of the draw.
    """
    variables = {entry.native: entry.variable for entry in entries(model)}
    _of(check_model(model)).update({name: Mark(seed, _digest(variables[name])) for name in names})


def _of(model: nnx.Module) -> dict[str, Mark]:
    """The memory of a model, which is let go before its id can be another's."""
    if id(model) not in _MARKS:
        finalize(model, _MARKS.pop, id(model), None).atexit = False
        _MARKS[id(model)] = {}
    return _MARKS[id(model)]


def marked(model: nnx.Module) -> Mapping[str, int]:
    """The seed under which initlab last wrote each parameter, by its native name.

    A parameter that was changed since then, by training or by hand, is no longer among them.
    """
    marks = _MARKS.get(id(model), {})
    present = [(entry, marks[entry.native]) for entry in (entries(model) if marks else ()) if entry.native in marks]
    return MappingProxyType({e.native: mark.seed for e, mark in present if _digest(e.variable) == mark.digest})


def _digest(variable: nnx.Variable[object]) -> bytes:
    flat = numbers(variable).reshape(-1)
    step = max(flat.size // _SAMPLE, 1)
    return blake2b(np.ascontiguousarray(flat[::step]).tobytes(), digest_size=16).digest()
