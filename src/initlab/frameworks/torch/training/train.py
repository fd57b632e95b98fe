"""The trainer of our own networks on PyTorch: plain tensors and indices, no loader, one thread.

Tiny networks train in chunks under ``torch.func``, all others one after another. Every rule is that of
``initlab.frameworks.jax.training.train``: the same batches, the same dropout masks, the same records.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.core.training.batches import dropout_key, epoch_order
from initlab.core.training.checks import chain_of, check_recipe, check_start
from initlab.core.training.dataset import Dataset
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import Recipe, Start, Trained
from initlab.frameworks.torch.activations import activation
from initlab.frameworks.torch.training.chunks import chunk_size
from initlab.frameworks.torch.training.model import initial_moments
from initlab.frameworks.torch.training.optim import new_rule
from initlab.frameworks.torch.training.step import Data, Measured, Models, measured, train_epoch

__all__ = ["train"]


def train(recipe: Recipe, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, in the same order; a model's bits do not depend on which others are given with it.

    Models train in chunks of one size, ``chunk_size(recipe)``; a chunk that is not full is filled up with copies of its
    last model. MKL rounds a matrix product by where in memory it lies, which in a chunk is the model's place, unless it
    was told ``MKL_CBWR=AUTO,STRICT`` before its first product, as the workers of a study are; else models train alone.

    Args:
        recipe: Architecture, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        ShapeError: Weights or data that do not fit the architecture.
        OptionError: A loss that does not fit the data, or an activation that torch has not.
        UnknownNameError: An unknown activation.

    Example:
        >>> from initlab.core.facts.arch import Mlp
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
    size = chunk_size(recipe) if _is_strict() else 1
    results: list[Trained] = []
    with _one_thread():
        data = _tensors(recipe.dataset)
        for i in range(0, len(starts), size):
            results += _train_chunk(recipe, data, list(starts[i : i + size]), size)
    return results


def _is_strict() -> bool:
    """Whether a matrix product's bits do not depend on where its operands lie."""
    strict = os.environ.get("MKL_CBWR", "").upper().endswith(",STRICT")
    return strict or not torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it, torch computes on one thread: sums cut among threads are rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train_chunk(recipe: Recipe, data: Data, starts: list[Start], size: int) -> list[Trained]:
    """The records of at most ``size`` models, trained together."""
    began = time.perf_counter()
    count, rows = len(starts), len(data.x_train)
    filled = starts + [starts[-1]] * (size - count)
    models, batch = _models(recipe, filled), min(recipe.budget.batch_size, rows)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    now = measured(recipe, data, models)
    records = [_epoch_record(recipe, 0, count, None, models, now)]
    alive = np.ones(count, bool)
    for epoch in range(1, recipe.budget.epochs + 1):
        orders = [epoch_order(start.seed, epoch, rows, batch) for start in filled]
        seen = train_epoch(recipe, data, models, _stacked(orders).long(), counts)
        now = measured(recipe, data, models)
        records.append(_epoch_record(recipe, epoch, count, seen, models, now))
        alive &= np.isfinite(records[-1].losses).all(axis=1)
        if not alive.any():
            break
    outputs, wall = _host(now.outputs, models), (time.perf_counter() - began) / count
    first_weight = _host(models.params["0/weight"], models)
    return [
        trained(recipe, records, outputs, first_weight, start=start, model=i, counts=counts, wall=wall)
        for i, start in enumerate(starts)
    ]


def _models(recipe: Recipe, starts: list[Start]) -> Models:
    weights = {p.path: [np.asarray(s.weights[p.path], np.float32) for s in starts] for p in recipe.arch.spec().params}
    params = {path: _stacked(arrays) for path, arrays in weights.items()}
    moments = initial_moments(chain_of(recipe))
    if len(starts) > 1:
        moments = {n: (m.repeat(len(starts), 1), v.repeat(len(starts), 1)) for n, (m, v) in moments.items()}
    keys = _stacked([dropout_key(start.seed).view(np.int32) for start in starts])
    return Models(params, moments, keys, new_rule(recipe.optimizer, list(params.values())), len(starts))


def _stacked(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    """A tensor of its own with a first axis of models; without that axis for one model."""
    return torch.from_numpy(np.stack(arrays) if len(arrays) > 1 else arrays[0].copy())


def _host(tensor: Tensor, models: Models) -> NDArray[np.float32]:
    """The numbers with a first axis of models, which one model alone lacks."""
    array: NDArray[np.float32] = tensor.detach().numpy()
    return array if models.chunk > 1 else array[None]


def _epoch_record(
    recipe: Recipe, epoch: int, count: int, seen: Tensor | None, models: Models, now: Measured
) -> EpochRecord:
    """One epoch's numbers, of the first ``count`` of the chunk; the rest is filling."""

    def host(tensor: Tensor) -> NDArray[np.float32]:
        return _host(tensor, models)[:count]

    histograms = []
    if epoch in recipe.histogram_epochs:
        weights = [models.params[f"{i}/weight"] for i in range(recipe.arch.depth)]
        arrays = zip(weights, now.activations, now.gradients, strict=True)
        histograms = chunk_histograms([(host(w), host(a), host(g)) for w, a, g in arrays], epoch=epoch)
    steps = np.empty((count, 2, 0), np.float32) if seen is None else host(seen)
    return EpochRecord(
        losses=steps[:, 0],
        hits=steps[:, 1],
        test=host(now.test),
        probe_loss=host(now.probe_loss),
        layers=host(now.layers),
        histograms=histograms,
    )


def _tensors(dataset: Dataset) -> Data:
    """The data set's arrays; those that matrix products read at once in memory that torch aligned."""
    kind = np.int64 if dataset.kind == "classification" else np.float32
    x_train, probe, x_test = (
        np.asarray(x, np.float32) for x in (dataset.x_train, dataset.x_train[:PROBE_ROWS], dataset.x_test)
    )
    y_train, y_test = (torch.tensor(np.asarray(y, kind)) for y in (dataset.y_train, dataset.y_test))
    return Data(_shared(x_train), y_train, torch.tensor(probe), torch.tensor(x_test), y_test)


def _shared(array: NDArray[np.generic]) -> Tensor:
    """The array's own memory where torch may write to it, as it never does; a copy of a read-only one."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())
