"""The trainer of the user's own Keras models, whichever the back end: one after another, by Keras' compiled step.

Batches, records and the rules of divergence are those of ``initlab.frameworks.keras.training.train``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import GivenWeights
from initlab.core.errors import ShapeError
from initlab.core.training.batches import epoch_order
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import OwnRecipe, Start, Trained
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.training.program import optimizer_of
from initlab.frameworks.keras.training.train import layer_statistics
from initlab.frameworks.keras.user_training.build import called
from initlab.frameworks.keras.user_training.measure import Layer, Probe, weights_of
from initlab.frameworks.keras.writing.memory import to_numpy

__all__ = ["train"]

_EVALUATED_ROWS = 1_000
_BUILDING_ROWS = 4
_SMALLEST = 1e-7  # probabilities below it count as this much, as in Keras' cross-entropy


@dataclass(frozen=True, eq=False)
class _Program:
    """A recipe's model, compiled once a process; each run puts its own numbers into it.

    Attributes:
        recipe: What is trained.
        model: The model.
        layers: Its weights.
        probe: What looks at it.
        fresh: The optimiser's variables with their first values.
        x_train: Rows in the model's own shape.
        y_train: Targets as Keras' loss takes them.
        x_test: As ``x_train``.
        y_test: As ``y_train``.
    """

    recipe: OwnRecipe
    model: Any
    layers: tuple[Layer, ...]
    probe: Probe
    fresh: tuple[tuple[Any, NDArray[np.generic]], ...]
    x_train: NDArray[np.generic]
    y_train: NDArray[np.generic]
    x_test: NDArray[np.generic]
    y_test: NDArray[np.generic]


def train(recipe: OwnRecipe, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, one after another in the same order.

    A model is built under its start's seed, which decides what the plan keeps and what dropout draws; then the start's
    weights are written into it. All runs of a process share one compiled step.

    Args:
        recipe: What builds the model, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    return [_train_one(_program(recipe), start) for start in starts]


@lru_cache(maxsize=1)
def _program(recipe: OwnRecipe) -> _Program:
    data, arch, o = recipe.dataset, recipe.arch, recipe.optimizer
    x_train, x_test = (
        np.asarray(x, arch.row_kind).reshape(len(x), *arch.row_shape) for x in (data.x_train, data.x_test)
    )
    model = called(recipe.build, 0, x_train[:_BUILDING_ROWS])
    layers = weights_of(model, arch.weights)
    if o.l1 or o.l2:
        for layer in layers:
            layer.variable.regularizer = keras.regularizers.L1L2(l1=o.l1, l2=o.l2)
    classes = data.kind == "classification"
    model.compile(optimizer_of(o), _loss(recipe), metrics=["accuracy"] if classes else [])
    model.optimizer.build(model.trainable_variables)
    fresh = tuple((v, to_numpy(v.value).copy()) for v in model.optimizer.variables)
    probe = Probe(model, layers, _loss(recipe))
    targets = (_targets(recipe, y) for y in (data.y_train, data.y_test))
    return _Program(recipe, model, layers, probe, fresh, x_train, next(targets), x_test, next(targets))


def _loss(recipe: OwnRecipe) -> Any:
    if recipe.loss == "mse":
        return keras.losses.MeanSquaredError()
    return keras.losses.SparseCategoricalCrossentropy(from_logits=recipe.arch.gives == "logits")


def _targets(recipe: OwnRecipe, y: NDArray[np.generic]) -> NDArray[np.generic]:
    """Squared errors of classes are those of one-hot rows."""
    if recipe.dataset.kind != "classification":
        return np.asarray(y, np.float32)
    if recipe.loss == "mse":
        hot: NDArray[np.float32] = np.eye(recipe.arch.outputs, dtype=np.float32)[np.asarray(y, np.int32)]
        return hot
    return np.asarray(y, np.int32)


def _begin(run: _Program, start: Start) -> None:
    """Make the program's model a fresh one of the start's seed, with the start's weights."""
    recipe = run.recipe
    model = called(recipe.build, start.seed, run.x_train[:_BUILDING_ROWS])
    theirs, ours = _state(model), _state(run.model)
    if [v.shape for v in theirs] != [v.shape for v in ours]:
        raise ShapeError(
            f"seed {start.seed} builds another model", where="build", fix="return the same architecture every time"
        )
    for mine, other in zip(ours, theirs, strict=True):
        mine.assign(to_numpy(other.value))
    for variable, value in run.fresh:
        variable.assign(value)
    for p in recipe.arch.params:
        if p.path in start.weights:
            ADAPTER.write(run.model, p, GivenWeights(start.weights[p.path], p))


def _state(model: Any) -> list[Any]:
    """Parameters, moving statistics and the seeds of dropout; not what compiling adds."""
    return [*model.trainable_variables, *model.non_trainable_variables]


def _train_one(run: _Program, start: Start) -> Trained:
    recipe, began = run.recipe, time.perf_counter()
    _begin(run, start)
    rows = len(run.x_train)
    batch = min(recipe.budget.batch_size, rows)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    outputs, record = _measured(run, 0, [])
    records = [record]
    for epoch in range(1, recipe.budget.epochs + 1):
        order = epoch_order(start.seed, epoch, rows, batch)
        outputs, record = _measured(run, epoch, [_step(run, order[i, :count]) for i, count in enumerate(counts)])
        records.append(record)
        if not np.isfinite(record.losses).all():
            break
    first, wall = _first_weight(run, start), time.perf_counter() - began
    return trained(recipe, records, outputs[None], first, start=start, model=0, counts=counts, wall=wall)


def _step(run: _Program, rows: NDArray[np.int32]) -> tuple[float, float]:
    """One optimiser step; the batch's loss, and its rows classified right (NaN for regression)."""
    logs = run.model.train_on_batch(run.x_train[rows], run.y_train[rows], return_dict=True)
    return float(logs["loss"]), round(float(logs["accuracy"]) * len(rows)) if "accuracy" in logs else np.nan


def _measured(run: _Program, epoch: int, steps: list[tuple[float, float]]) -> tuple[NDArray[np.float32], EpochRecord]:
    """The test rows' outputs, and one epoch's numbers."""
    blocks = [run.x_test[i : i + _EVALUATED_ROWS] for i in range(0, len(run.x_test), _EVALUATED_ROWS)]
    outputs = np.concatenate([np.asarray(run.model.predict_on_batch(block), np.float32) for block in blocks])
    weights = [np.asarray(to_numpy(layer.variable.value), np.float32) for layer in run.layers]
    loss = _total_loss(run, outputs, weights)
    hits = np.nan if np.isnan(loss) else _hits(run.recipe, outputs)
    probe = run.probe(run.x_train[:PROBE_ROWS], run.y_train[:PROBE_ROWS])
    per_layer = list(zip(weights, probe.activations, probe.gradients, strict=True))
    histograms = []
    if epoch in run.recipe.histogram_epochs:
        histograms = chunk_histograms([(w[None], a[None], g[None]) for w, a, g in per_layer], epoch=epoch)
    seen = np.array(steps, np.float32).reshape(-1, 2)
    record = EpochRecord(
        losses=seen[None, :, 0],
        hits=seen[None, :, 1],
        test=np.array([[loss, hits]], np.float32),
        probe_loss=np.array([probe.loss], np.float32),
        layers=np.stack([layer_statistics(*arrays) for arrays in per_layer], axis=1)[None],
        histograms=histograms,
    )
    return outputs, record


def _total_loss(run: _Program, outputs: NDArray[np.float32], weights: Sequence[NDArray[np.float32]]) -> float:
    """Data loss of the test rows plus the L1 and L2 penalties of the weights."""
    o = run.recipe.optimizer
    with np.errstate(all="ignore"):  # of a model that diverged
        loss = _data_loss(run, outputs.astype(np.float64))
        loss += o.l1 * sum(float(np.abs(w).sum()) for w in weights)
        return loss + o.l2 * sum(float(np.square(w).sum()) for w in weights)


def _data_loss(run: _Program, outputs: NDArray[np.float64]) -> float:
    y = run.y_test
    if run.recipe.loss == "mse":
        return float(np.square(outputs - y.astype(np.float64)).mean())
    own = outputs[np.arange(len(y)), y.astype(np.intp)]
    if run.recipe.arch.gives == "probabilities":
        return float(-np.log(np.maximum(own, _SMALLEST)).mean())
    highest = outputs.max(axis=1)
    return float((highest + np.log(np.exp(outputs - highest[:, None]).sum(axis=1)) - own).mean())


def _hits(recipe: OwnRecipe, outputs: NDArray[np.float32]) -> float:
    if recipe.dataset.kind != "classification":
        return np.nan
    return float(np.count_nonzero(outputs.argmax(axis=1) == recipe.dataset.y_test))


def _first_weight(run: _Program, start: Start) -> NDArray[np.float32] | None:
    """The weights into the first layer, (1, units, inputs), where each of its units sees the whole row."""
    p = run.layers[0].param
    if p.role != "dense" or p.shape[1:] != (run.recipe.dataset.features,) or p.path not in start.weights:
        return None
    return np.asarray(ADAPTER.read(run.model, p), np.float32)[None]
