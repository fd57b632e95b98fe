"""The trainer of the user's own Keras models, whichever the back end: one after another, by Keras' compiled step.

Batches, records and the rules of divergence are those of ``initlab.frameworks.keras.training.train``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import GivenWeights
from initlab.core.errors import ShapeError
from initlab.core.training.loop import Array, train_chunk
from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.keras.training.chunk import KerasChunk, Probed, compile_model, loss_of, penalise, rows_of
from initlab.frameworks.keras.user_training.build import called
from initlab.frameworks.keras.user_training.measure import Probe, weights_of
from initlab.frameworks.keras.writing.parameters import read, write

__all__ = ["train"]

_EVALUATED_ROWS = 1_000
_BUILDING_ROWS = 4
_DRAWN = "seed_generator_state"
"""Keras' name of the state that a dropout layer draws from."""


def train(setup: UserTrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, one after another in the same order.

    A model is built under its start's seed, which decides what the plan keeps and what dropout draws; then the start's
    weights are written into it. All runs of a process share one compiled step.

    Args:
        setup: What builds the model, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    return [one for start in starts for one in train_chunk(setup, [start], _program(setup).begin)]


class _Program(KerasChunk):
    """A setup's model, compiled once a process; each run puts its own numbers into it.

    Args:
        setup: What is trained.
    """

    setup: UserTrainingSetup

    def __init__(self, setup: UserTrainingSetup) -> None:
        arch = setup.arch
        data = rows_of(setup, arch.row_kind, arch.row_shape, arch.outputs, arch.gives)
        model = called(setup.build, 0, data.x_train[:_BUILDING_ROWS])
        super().__init__(setup, model, data, evaluated_rows=_EVALUATED_ROWS, gives=arch.gives)
        self.layers = weights_of(model, arch.weights)
        penalise(setup.optimizer, [layer.variable for layer in self.layers])
        compile_model(setup, model, loss_of(setup, arch.gives), arch.gives)
        self._fresh = [(v, to_numpy(v.value).copy()) for v in model.optimizer.variables]
        self._probe = Probe(model, self.layers, loss_of(setup, arch.gives))

    def begin(self, starts: Sequence[Start]) -> Self:
        """This program with its model made a fresh one of the one start's seed, with the start's weights."""
        start, setup = starts[0], self.setup
        rows = self.data.x_train[:_BUILDING_ROWS]
        model = called(setup.build, start.build_seed, rows)
        theirs, ours = _state(model), _state(self.model)
        if [v.shape for v in theirs] != [v.shape for v in ours]:
            raise ShapeError(
                f"seed {start.seed} builds another model", where="build", fix="return the same architecture every time"
            )
        if start.build_seed != start.seed:  # what dropout draws belongs to the batches
            drawing = _state(called(setup.build, start.seed, rows))
            theirs = [d if d.name == _DRAWN else v for v, d in zip(theirs, drawing, strict=True)]
        for mine, other in zip(ours, theirs, strict=True):
            mine.assign(to_numpy(other.value))
        for variable, value in self._fresh:
            variable.assign(value)
        for p in setup.arch.params:
            if p.path in start.weights:
                write(self.model, p, GivenWeights(start.weights[p.path], p))
        return self

    def weights(self) -> list[Array]:
        """Each layer's weight, as Keras lays it out."""
        return [np.asarray(to_numpy(layer.variable.value), np.float32) for layer in self.layers]

    def probe(self, x: NDArray[Any], y: NDArray[np.generic]) -> Probed:
        """What the probe batch shows."""
        return self._probe(x, y)

    def first_weights(self, start: Start) -> Array | None:
        """The first layer's in the canonical layout, if the study draws it and it sees whole rows."""
        p = self.layers[0].param
        if p.role != "dense" or p.shape[1:] != (self.setup.dataset.features,) or p.path not in start.weights:
            return None
        return np.asarray(read(self.model, p), np.float32)[None]


@lru_cache(maxsize=1)
def _program(setup: UserTrainingSetup) -> _Program:
    return _Program(setup)


def _state(model: Any) -> list[Any]:
    """Parameters, moving statistics and the seeds of dropout; not what compiling adds."""
    return [*model.trainable_variables, *model.non_trainable_variables]
