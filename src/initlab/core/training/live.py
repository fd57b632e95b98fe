"""Epochs as they end: whoever listens is told of each while models train; without a listener nothing is made for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.protocol import Histogram, Start


@dataclass(frozen=True, eq=False)
class Epoch:
    """One epoch of models that train together, but for those that have diverged; each array's first axis is the model.

    Attributes:
        number: Counted from 1; 0 is the state at initialization.
        starts: The models.
        curves: (models, 4), in the order of ``core.training.outcomes.CURVES``.
        layers: (models, metrics, layers), in the order of ``core.training.outcomes.LAYER_METRICS``.
        histograms: Of each model; empty where none were asked for.
        variables: Everything that a model holds, by its own names and in its own layout, in epochs of histograms.
        graph: Keras' JSON of the model's layers, after the first epoch; empty where the framework gives none.
    """

    number: int
    starts: Sequence[Start]
    curves: NDArray[np.float64]
    layers: NDArray[np.float32]
    histograms: Sequence[Sequence[Histogram]] = ()
    variables: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    graph: bytes = b""


Told: TypeAlias = Callable[[Epoch], None]


@dataclass(frozen=True, eq=False)
class Listener:
    """Who is told of epochs.

    Attributes:
        told: Is called in the thread that trains, so it hands the epoch on and returns.
        wants_variables: Whether it is given variables and the graph as well.
    """

    told: Told
    wants_variables: bool = False


_listeners: list[Listener] = []


@contextmanager
def heard_by(listener: Listener | None) -> Iterator[None]:
    """Within it, epochs of this process are told to the listener; None is nobody.

    Args:
        listener: Who is told.
    """
    before = list(_listeners)
    _listeners[:] = [] if listener is None else [listener]
    try:
        yield
    finally:
        _listeners[:] = before


def listener() -> Listener | None:
    """Who is told of epochs, if anybody."""
    return _listeners[0] if _listeners else None
