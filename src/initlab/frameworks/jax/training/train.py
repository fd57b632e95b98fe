"""The trainer of our own networks on JAX: chunks of models under ``vmap``, optimiser steps under ``lax.scan``.

It follows Keras where Keras has a rule: the training loss and accuracy run over the epoch's minibatches with dropout
active, both losses hold the L1 and L2 penalties, a batch norm moves with momentum 0.99, Adam's epsilon is Keras'.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from initlab.core.training import loop
from initlab.core.training.batches import dropout_key
from initlab.core.training.checks import check_setup, check_start
from initlab.core.training.forward import running
from initlab.core.training.protocol import Start, Trained, TrainingSetup
from initlab.frameworks.jax.activations import activation
from initlab.frameworks.jax.training.chunks import chunk_size
from initlab.frameworks.jax.training.model import Params
from initlab.frameworks.jax.training.program import cpu, device_data, layout_of, program
from initlab.frameworks.jax.training.step import Measured

__all__ = ["train"]


def train(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, in the same order; a model's bits do not depend on which others are given with it.

    Models train in chunks of one size, ``chunk_size(setup)``; a chunk that is not full is filled up with copies of its
    last model, because a compiled program for another number of models may round differently.

    Args:
        setup: Architecture, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        ShapeError: Weights or data that do not fit the architecture.
        OptionError: A loss that does not fit the data.
        UnknownNameError: An activation that JAX has not.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> from initlab.core.training.dataset import Dataset
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> one = np.ones((1, 1), np.float32)
        >>> data = Dataset("line", one, one, one, one, kind="regression")
        >>> setup = TrainingSetup(Mlp((1, 1), bias=False), data, Optimizer("sgd", 0.25), Budget(2, 1), loss="mse")
        >>> trained = train(setup, [Start(0, {"0/weight": 0 * one})])[0]
        >>> trained.curves["test_loss"].tolist()      # w = 0, then 0.5, then 0.75: the error halves
        [1.0, 0.25, 0.0625]
    """
    check_setup(setup)
    activation(setup.arch.activation)
    for start in starts:
        check_start(setup.arch, start)
    size = chunk_size(setup)
    results: list[Trained] = []
    for i in range(0, len(starts), size):
        results += loop.train_chunk(setup, starts[i : i + size], partial(_Chunk, setup), size=size)
    return results


class _Chunk:
    """Models that train together by one compiled program, and what was last measured of them."""

    now: Measured

    def __init__(self, setup: TrainingSetup, starts: list[Start]) -> None:
        layout = layout_of(setup)
        self.setup, self.program, self.data = setup, program(layout), device_data(setup.dataset)
        self.state = self.program.start(_stacked_weights(setup, starts))
        self.keys = _on_device(np.stack([dropout_key(start.seed) for start in starts]))
        self.rate = _on_device(np.asarray(setup.optimizer.learning_rate, np.float32))

    def train_epoch(self, orders: Sequence[NDArray[np.int32]], counts: Sequence[int]) -> tuple[loop.Array, loop.Array]:
        order = _on_device(np.stack(orders))
        self.state, losses = self.program.epoch(self.rate, self.data, self.keys, order, self.state)
        return np.asarray(losses.loss), np.asarray(losses.hits)

    def measure(self) -> loop.State:
        self.now = self.program.measure(self.data, self.state)
        return loop.State(*map(np.asarray, self.now[:3]))

    def arrays(self) -> list[tuple[loop.Array, loop.Array, loop.Array]]:
        weights = [self.state.params[f"{i}/weight"] for i in range(self.setup.arch.depth)]
        kinds = zip(weights, self.now.activations, self.now.gradients, strict=True)
        return [(np.asarray(weight), np.asarray(a), np.asarray(gradient)) for weight, a, gradient in kinds]

    def outputs(self) -> loop.Array:
        return np.asarray(self.now.outputs)

    def first_weights(self, start: Start) -> loop.Array:
        return np.asarray(self.state.params["0/weight"])

    def variables(self) -> dict[str, NDArray[Any]]:
        return {name: np.asarray(held) for name, held in running(self.state.params, self.state.moments).items()}


def _stacked_weights(setup: TrainingSetup, starts: list[Start]) -> Params:
    """Each parameter of all models, (models, ...)."""
    paths = [p.path for p in setup.arch.spec().params]
    return {path: _on_device(np.stack([np.float32(start.weights[path]) for start in starts])) for path in paths}


def _on_device(array: NDArray[np.generic]) -> Array:
    placed: Array = jax.device_put(array, cpu())
    return placed
