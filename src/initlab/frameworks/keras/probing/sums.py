"""The sums of a value over a batch, by ``keras.ops`` on the value's own device: what ``core.signals.sums`` says.

Measuring leaves small tensors where the value is; ``fetched`` brings them over, all at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from math import prod
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS
from initlab.frameworks.keras.autodiff import Autodiff
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.records import Measured, measured
from initlab.frameworks.reading.value_sums import NUMPY, Library, Look, Parts, outside, parts_of

_WIDE = ("float32", "float64")

Numbers = Mapping[str, NDArray[np.float64]]


class Measure:
    """Measures values; what was compiled for one shape serves all values of that shape.

    Args:
        engine: The back end's differentiation.
    """

    def __init__(self, engine: Autodiff) -> None:
        self._engine = engine
        self._made: dict[Look, Callable[..., Parts]] = {}
        self._outside = engine.compiled(partial(outside, library=_library(None)))

    def value(
        self, value: Any, *, units: int = -1, whole: bool = True, is_softmax: bool = False, histogram: bool = False
    ) -> Measured:
        """The sums of a value.

        Args:
            value: Real numbers, samples along axis 0, rank 1 or more and not empty.
            units: The axis of channels or features.
            whole: Whether to look at samples, tokens and units as well; else at the size alone.
            is_softmax: Whether the last axis holds shares that add up to 1.
            histogram: Whether to count entries.
        """
        shape, rank = tuple(int(n) for n in value.shape), len(value.shape)
        axis = units % rank
        x = self._engine.at_hand(value)
        is_at_hand, look = isinstance(x, np.ndarray), Look(whole, is_softmax, histogram)
        if 0 < axis < rank - 1:
            x = (np if is_at_hand else ops).transpose(x, (*(n for n in range(rank) if n != axis), axis))
        if keras.backend.standardize_dtype(x.dtype) not in _WIDE:
            x = x.astype(np.float32) if is_at_hand else ops.cast(x, "float32")
        if is_at_hand:
            return measured(shape, axis, parts_of(x, look, NUMPY))
        needed = prod(shape) // shape[axis] if whole and rank > 1 else 1
        return measured(shape, axis, self._compiled(look)(x, ops.convert_to_tensor(_directions(needed))))

    def _compiled(self, look: Look) -> Callable[..., Parts]:
        if look not in self._made:
            self._made[look] = self._engine.compiled(lambda x, directions: parts_of(x, look, _library(directions)))
        return self._made[look]

    def weight(self, gradient: Any) -> Measured:
        """The sums of the gradient by a parameter."""
        return self.value(ops.reshape(gradient, (1, -1)), whole=False)

    def outside(self, value: Any, low: float, high: float) -> Measured:
        """How many entries are below ``low`` or above ``high``, as the part ``outside``."""
        x = self._engine.at_hand(value)
        count = outside(x, low, high, NUMPY) if isinstance(x, np.ndarray) else self._outside(x, low, high)
        return Measured(1, prod(value.shape), 1, (), 0, {"outside": count})


@lru_cache(maxsize=16)
def _directions(entries: int) -> NDArray[np.float32]:
    """Two rows of fixed numbers, by whose products with them two units that differ anywhere are told apart."""
    return np.random.default_rng(0).standard_normal((2, entries), np.float32)


def _rows(x: Any) -> Any:
    """Sums over all axes but the first, one after the other: a float32 sum of few numbers at a time is exact enough."""
    x = ops.cast(x, "float32") if keras.backend.standardize_dtype(x.dtype) == "bool" else x
    while len(x.shape) > 1:
        x = ops.sum(_blocks(x), axis=-1)
    return x


def _blocks(x: Any, most: int = 1024) -> Any:
    """A long last axis in two."""
    long = int(x.shape[-1])
    parts = next((n for n in range(most, 1, -1) if long % n == 0), 1) if long > most else 1
    return ops.reshape(x, (*x.shape[:-1], long // parts, parts)) if parts > 1 else x


def _bins(inside: Any) -> Any:
    """How many entries are below the end of each bin but the last."""
    edges = np.linspace(-1.0, 1.0, BINS + 1)[1:-1].astype(np.float32)
    return ops.searchsorted(ops.sort(inside), ops.cast(ops.convert_to_tensor(edges), inside.dtype))


def _library(directions: Any) -> Library:
    """That of tensors whose units are told apart by these directions."""
    return Library(ops, _rows, _bins, lambda table: ops.cast(directions, keras.backend.standardize_dtype(table.dtype)))


def fetched(values: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as float64 arrays."""
    return [{name: _fetched(one, name, part) for name, part in one.parts.items()} for one in values]


def _fetched(one: Measured, name: str, part: Any) -> NDArray[np.float64]:
    if isinstance(part, np.ndarray | np.generic):
        return np.asarray(part, np.float64)
    numbers = np.asarray(to_numpy(part), np.float64)
    return np.diff(numbers, prepend=0.0, append=one.entries) if name == "counts" else numbers
