"""The trainer of our own networks on JAX: chunks of models under ``vmap``, optimiser steps under ``lax.scan``.

It follows Keras where Keras has a rule: the training loss and accuracy run over the epoch's minibatches with dropout
active, both losses hold the L1 and L2 penalties, a batch norm moves with momentum 0.99, Adam's epsilon is Keras'.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax
import numpy as np
from jax import Array
from numpy.typing import NDArray

from initlab.core.training.batches import dropout_key, epoch_order
from initlab.core.training.checks import check_recipe, check_start
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import EpochRecord, trained
from initlab.core.training.protocol import Recipe, Start, Trained
from initlab.frameworks.jax.activations import activation
from initlab.frameworks.jax.training.chunks import chunk_size
from initlab.frameworks.jax.training.model import Params
from initlab.frameworks.jax.training.program import cpu, device_data, layout_of, program
from initlab.frameworks.jax.training.step import Losses, Measured, State

__all__ = ["train"]


def train(recipe: Recipe, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, in the same order; a model's bits do not depend on which others are given with it.

    Models train in chunks of one size, ``chunk_size(recipe)``; a chunk that is not full is filled up with copies of its
    last model, because a compiled program for another number of models may round differently.

    Args:
        recipe: Architecture, data, optimiser, budget and what to record.
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
        >>> recipe = Recipe(Mlp((1, 1), bias=False), data, Optimizer("sgd", 0.25), Budget(2, 1), loss="mse")
        >>> trained = train(recipe, [Start(0, {"0/weight": 0 * one})])[0]
        >>> trained.curves["test_loss"].tolist()      # w = 0, then 0.5, then 0.75: the error halves
        [1.0, 0.25, 0.0625]
    """
    check_recipe(recipe)
    activation(recipe.arch.activation)
    for start in starts:
        check_start(recipe.arch, start)
    size = chunk_size(recipe)
    results: list[Trained] = []
    for i in range(0, len(starts), size):
        results += _train_chunk(recipe, list(starts[i : i + size]), size)
    return results


def _train_chunk(recipe: Recipe, starts: list[Start], size: int) -> list[Trained]:
    """The records of at most ``size`` models, trained together."""
    began = time.perf_counter()
    layout, data, models = layout_of(recipe), device_data(recipe.dataset), len(starts)
    run = program(layout)
    filled = starts + [starts[-1]] * (size - models)
    state = run.start(_stacked_weights(recipe, filled))
    keys = _on_device(np.stack([dropout_key(start.seed) for start in filled]))
    rate = _on_device(np.asarray(recipe.optimizer.learning_rate, np.float32))
    now = run.measure(data, state)
    records = [_epoch_record(recipe, 0, models, None, state, now)]
    alive = np.ones(models, bool)
    for epoch in range(1, recipe.budget.epochs + 1):
        order = np.stack([epoch_order(start.seed, epoch, layout.rows, layout.batch_size) for start in filled])
        state, losses = run.epoch(rate, data, keys, _on_device(order), state)
        now = run.measure(data, state)
        records.append(_epoch_record(recipe, epoch, models, losses, state, now))
        alive &= np.isfinite(records[-1].losses).all(axis=1)
        if not alive.any():
            break
    outputs, first_weight = np.asarray(now.outputs), np.asarray(state.params["0/weight"])
    wall = (time.perf_counter() - began) / models
    return [
        trained(recipe, records, outputs, first_weight, start=start, model=i, counts=layout.counts, wall=wall)
        for i, start in enumerate(starts)
    ]


def _epoch_record(
    recipe: Recipe, epoch: int, models: int, losses: Losses | None, state: State, now: Measured
) -> EpochRecord:
    """One epoch's numbers on the host, of the first ``models`` of the chunk; the rest is filling."""
    histograms = []
    if epoch in recipe.histogram_epochs:
        weights = [state.params[f"{i}/weight"] for i in range(recipe.arch.depth)]
        arrays = zip(weights, now.activations, now.gradients, strict=True)
        on_host = [(np.asarray(w)[:models], np.asarray(a)[:models], np.asarray(g)[:models]) for w, a, g in arrays]
        histograms = chunk_histograms(on_host, epoch=epoch)
    none = np.empty((models, 0), np.float32)
    return EpochRecord(
        losses=none if losses is None else np.asarray(losses.loss)[:models],
        hits=none if losses is None else np.asarray(losses.hits)[:models],
        test=np.asarray(now.test)[:models],
        probe_loss=np.asarray(now.probe_loss)[:models],
        layers=np.asarray(now.layers)[:models],
        histograms=histograms,
    )


def _stacked_weights(recipe: Recipe, starts: list[Start]) -> Params:
    """Each parameter of all models, (models, ...)."""
    paths = [p.path for p in recipe.arch.spec().params]
    return {path: _on_device(np.stack([np.float32(start.weights[path]) for start in starts])) for path in paths}


def _on_device(array: NDArray[np.generic]) -> Array:
    placed: Array = jax.device_put(array, cpu())
    return placed
