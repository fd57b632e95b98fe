"""The trainer of our own networks on Keras, whichever its back end: one model at a time, by Keras' compiled step.

Every rule is that of ``initlab.frameworks.jax.training.train``: the same batches, dropout masks and records.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from initlab.core.training.batches import epoch_order
from initlab.core.training.checks import check_recipe, check_start
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import LossName, Recipe, Start, Trained
from initlab.frameworks.keras.activations import activation
from initlab.frameworks.keras.training.program import Program, program

__all__ = ["train"]


class _Arrays(NamedTuple):
    x_train: NDArray[np.float32]
    y_train: NDArray[np.generic]
    x_test: NDArray[np.float32]
    y_test: NDArray[np.generic]


def train(recipe: Recipe, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, one after another in the same order, by one set of compiled models.

    Args:
        recipe: Architecture, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        ShapeError: Weights or data that do not fit the architecture.
        OptionError: A loss that does not fit the data, or an activation that Keras has not.
        UnknownNameError: An unknown activation.
    """
    check_recipe(recipe)
    activation(recipe.arch.activation)
    for start in starts:
        check_start(recipe.arch, start)
    return [_train_one(recipe, program(recipe), _arrays(recipe), start) for start in starts]


def _arrays(recipe: Recipe) -> _Arrays:
    """The data as Keras' loss takes them: squared errors of classes are those of one-hot rows."""
    data = recipe.dataset
    x_train, x_test = np.asarray(data.x_train, np.float32), np.asarray(data.x_test, np.float32)
    if data.kind == "classification" and recipe.loss == "mse":
        hot = np.eye(data.outputs, dtype=np.float32)
        return _Arrays(x_train, hot[data.y_train], x_test, hot[data.y_test])
    kind = np.int32 if data.kind == "classification" else np.float32
    return _Arrays(x_train, np.asarray(data.y_train, kind), x_test, np.asarray(data.y_test, kind))


def _train_one(recipe: Recipe, run: Program, data: _Arrays, start: Start) -> Trained:
    began = time.perf_counter()
    rows = len(data.x_train)
    batch = min(recipe.budget.batch_size, rows)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    run.begin(start)
    outputs, record = _measured(recipe, run, data, 0, [])
    records = [record]
    for epoch in range(1, recipe.budget.epochs + 1):
        order = epoch_order(start.seed, epoch, rows, batch)
        chosen = [order[i, :count] for i, count in enumerate(counts)]
        steps = [run.step(data.x_train[places], data.y_train[places]) for places in chosen]
        outputs, record = _measured(recipe, run, data, epoch, steps)
        records.append(record)
        if not np.isfinite(record.losses).all():
            break
    first_weight, wall = run.weights()[0], time.perf_counter() - began
    return trained(recipe, records, outputs[None], first_weight[None], start=start, model=0, counts=counts, wall=wall)


def _measured(
    recipe: Recipe, run: Program, data: _Arrays, epoch: int, steps: list[tuple[float, float]]
) -> tuple[NDArray[np.float32], EpochRecord]:
    """The test rows' outputs, and one epoch's numbers."""
    outputs, weights = run.outputs(data.x_test), run.weights()
    loss = _total_loss(recipe, outputs, data.y_test, weights)
    hits = np.nan if np.isnan(loss) else _hits(recipe, outputs)
    probe_loss, activations, gradients = run.probed(data.x_train[:PROBE_ROWS], data.y_train[:PROBE_ROWS])
    per_layer = list(zip(weights, activations, gradients, strict=True))
    histograms = []
    if epoch in recipe.histogram_epochs:
        histograms = chunk_histograms([(w[None], a[None], g[None]) for w, a, g in per_layer], epoch=epoch)
    seen = np.array(steps, np.float32).reshape(-1, 2)
    record = EpochRecord(
        losses=seen[None, :, 0],
        hits=seen[None, :, 1],
        test=np.array([[loss, hits]], np.float32),
        probe_loss=np.array([probe_loss], np.float32),
        layers=np.stack([layer_statistics(*arrays) for arrays in per_layer], axis=1)[None],
        histograms=histograms,
    )
    return outputs, record


def layer_statistics(
    weight: NDArray[np.float32], activation: NDArray[np.float32], gradient: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The numbers of ``core.training.outcomes.LAYER_METRICS``, in that order, of one dense layer."""
    with np.errstate(all="ignore"):  # of a model that diverged
        moments = [m for x in (weight, activation, gradient) for m in (x.mean(), x.var(), np.sqrt(np.sum(x * x)))]
    return np.array([*moments, np.mean(np.all(activation == 0.0, axis=0))], np.float32)


def _total_loss(
    recipe: Recipe, outputs: NDArray[np.float32], y: NDArray[np.generic], weights: list[NDArray[np.float32]]
) -> float:
    """Data loss plus the L1 and L2 penalties of the weights, as Keras reports it."""
    o = recipe.optimizer
    with np.errstate(all="ignore"):  # of a model that diverged
        loss = _data_loss(outputs.astype(np.float64), y, recipe.loss)
        loss += o.l1 * sum(float(np.abs(w).sum()) for w in weights)
        return loss + o.l2 * sum(float(np.square(w).sum()) for w in weights)


def _data_loss(outputs: NDArray[np.float64], y: NDArray[np.generic], loss: LossName) -> float:
    if loss == "mse":
        return float(np.square(outputs - y.astype(np.float64)).mean())
    highest = outputs.max(axis=1, keepdims=True)
    logs = highest[:, 0] + np.log(np.exp(outputs - highest).sum(axis=1))
    return float((logs - outputs[np.arange(len(y)), y.astype(np.intp)]).mean())


def _hits(recipe: Recipe, outputs: NDArray[np.float32]) -> float:
    if recipe.dataset.kind != "classification":
        return np.nan
    return float(np.count_nonzero(outputs.argmax(axis=1) == recipe.dataset.y_test))
