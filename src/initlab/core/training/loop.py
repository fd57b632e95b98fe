"""The loop of every trainer: a chunk of models trained together, epoch by epoch, from its start to its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.batches import epoch_order
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.live import Epoch, listener
from initlab.core.training.outcomes import EpochRecord, epoch_curves, trained
from initlab.core.training.protocol import Start, Trained, TrainingSetup, UserTrainingSetup

Array = NDArray[np.float32]


class State(NamedTuple):
    """What is measured of a chunk at an epoch's end; every array's first axis is the model.

    Attributes:
        test: Loss, and rows classified right, (models, 2).
        probe_loss: Of the probe batch, (models,).
        layers: (models, metrics, layers), in the order of ``core.training.outcomes.LAYER_METRICS``.
    """

    test: Array
    probe_loss: Array
    layers: Array


class Chunk(Protocol):
    """Models of a framework that train together; every array it gives has the models as its first axis."""

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[Array, Array]:
        """One epoch's steps taken; of each step the loss and the rows classified right, each (models, steps).

        Args:
            orders: Of each model the rows of each step, as ``epoch_order`` gives them.
            counts: Rows of each step; what an order has beyond them is filling.
        """
        ...

    def measure(self) -> State:
        """The chunk as it is; what the three methods below give is of this moment."""
        ...

    def arrays(self) -> Sequence[tuple[Array, Array, Array]]:
        """Of each layer the weights, the activations on the probe batch, and the gradients of its loss."""
        ...

    def outputs(self) -> Array:
        """(models, test rows, outputs)."""
        ...

    def first_weights(self, start: Start) -> Array | None:
        """The first layer's, (models, units, inputs); None where there is no picture of it."""
        ...

    def variables(self) -> Mapping[str, NDArray[Any]]:
        """Everything that the models hold, by the framework's own names and in its layout, (models, ...)."""
        ...


@runtime_checkable
class HasGraph(Protocol):
    """A chunk of a framework that gives a model's graph."""

    def graph(self) -> bytes:
        """Keras' JSON of the layers, as TensorBoard takes it."""
        ...


def train_chunk(
    setup: TrainingSetup | UserTrainingSetup,
    starts: Sequence[Start],
    begin: Callable[[list[Start]], Chunk],
    *,
    size: int = 1,
    around: AbstractContextManager[object] | None = None,
) -> list[Trained]:
    """The records of models trained together, a chunk of one size whose free places are copies of the last model.

    Args:
        setup: Data, budget and what to record.
        starts: Seeds and weights, 1 to ``size``.
        begin: Makes the chunk of as many starts as ``size``.
        size: Models in the chunk.
        around: Is entered for the epochs, after the first measurement.
    """
    began = time.perf_counter()
    count, rows = len(starts), len(setup.dataset.x_train)
    batch = min(setup.budget.batch_size, rows)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    filled = [*starts, *[starts[-1]] * (size - count)]
    chunk = begin(filled)
    alive = np.ones(count, bool)

    def record(epoch: int, seen: tuple[Array, Array] | None) -> EpochRecord:
        found = _record(setup, chunk, epoch, count, seen, counts)
        if (told := listener()) is not None:
            sound = alive & np.isfinite(found.losses).all(axis=1)
            if epoch == setup.budget.epochs:
                sound &= np.isfinite(found.probe_loss)
            told.told(_heard(chunk, found, epoch, starts, sound, of_variables=told.wants_variables))
        return found

    records = [record(0, None)]
    with nullcontext() if around is None else around:
        for epoch in range(1, setup.budget.epochs + 1):
            orders = [epoch_order(start.seed, epoch, rows, batch) for start in filled]
            records.append(record(epoch, chunk.train_epoch(orders, counts)))
            alive &= np.isfinite(records[-1].losses).all(axis=1)
            if not alive.any():
                break
    outputs, first = chunk.outputs(), [chunk.first_weights(start) for start in starts]
    wall = (time.perf_counter() - began) / count
    return [
        trained(setup, records, outputs, first[i], start=start, model=i, counts=counts, wall=wall)
        for i, start in enumerate(starts)
    ]


def _record(
    setup: TrainingSetup | UserTrainingSetup,
    chunk: Chunk,
    epoch: int,
    count: int,
    seen: tuple[Array, Array] | None,
    counts: Sequence[int],
) -> EpochRecord:
    """One epoch's numbers, of the first ``count`` of the chunk; the rest is filling."""
    state = chunk.measure()
    histograms = []
    if epoch in setup.histogram_epochs:
        arrays = [
            (weight[:count], activation[:count], gradient[:count]) for weight, activation, gradient in chunk.arrays()
        ]
        histograms = chunk_histograms(arrays, epoch=epoch)
    losses, hits = (np.empty((count, 0), np.float32),) * 2 if seen is None else seen
    losses, hits, rows = losses[:count], hits[:count], len(setup.dataset.x_test)
    return EpochRecord(
        losses=losses,
        curves=epoch_curves(losses, hits, state.test[:count], counts=counts, test_rows=rows),
        probe_loss=state.probe_loss[:count],
        layers=state.layers[:count],
        histograms=histograms,
    )


def _heard(
    chunk: Chunk,
    record: EpochRecord,
    epoch: int,
    starts: Sequence[Start],
    sound: NDArray[np.bool_],
    *,
    of_variables: bool,
) -> Epoch:
    """What is told of an epoch, of the models that have not diverged; what the chunk goes on to change is copied."""
    places = None if sound.all() else np.flatnonzero(sound).tolist()
    told = of_variables and bool(record.histograms)
    return Epoch(
        epoch,
        starts if places is None else [starts[i] for i in places],
        record.curves if places is None else record.curves[places],
        record.layers if places is None else record.layers[places],
        [record.histograms[i] for i in np.flatnonzero(sound)] if record.histograms else (),
        {name: np.array(values[: len(sound)][sound]) for name, values in chunk.variables().items()} if told else {},
        chunk.graph() if of_variables and epoch == 1 and isinstance(chunk, HasGraph) else b"",
    )
