"""The trainer of the user's own modules: plain tensors and indices, no loader, one thread, one model after another.

Batches, records and the rules of divergence are those of ``initlab.frameworks.torch.train``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from initlab.core.adapter import GivenWeights
from initlab.core.batches import dropout_key, epoch_order
from initlab.core.histograms import chunk_histograms
from initlab.core.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training import Histogram, OwnRecipe, Start, Trained
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.frameworks.torch.optim import Rule, clipped, new_rule, take_step
from initlab.frameworks.torch.own_build import built, device_of, seeded
from initlab.frameworks.torch.own_probe import Layer, Probed, layers_of, probed, unit_axis

__all__ = ["train"]

_EVALUATED_ROWS = 1_000
_SMALLEST = 1e-7  # probabilities below it count as this much, as in Keras' cross-entropy


class _Data(NamedTuple):
    x_train: Tensor
    y_train: Tensor
    x_test: Tensor
    y_test: Tensor


@dataclass(eq=False)
class _Run:
    """One module in training."""

    recipe: OwnRecipe
    model: nn.Module
    layers: tuple[Layer, ...]
    data: _Data
    params: list[Tensor]
    rule: Rule
    step: int = 0


def train(recipe: OwnRecipe, starts: Sequence[Start]) -> list[Trained]:
    """Each start trained, one after another in the same order.

    A module is built under its start's seed, which decides what the plan keeps; then the start's weights are written
    into it. Dropout draws from torch's generator, seeded by the start alone. All generators are left as they were.

    Args:
        recipe: What builds the module, data, optimiser, budget and what to record.
        starts: Seeds and weights.

    Returns:
        A record for each start. A model whose loss becomes NaN or infinite is ``diverged``: its curves and layers are
        NaN from that epoch on, its predicted classes -1 (outputs NaN).

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    with _one_thread():
        return [_train_one(recipe, start) for start in starts]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Within it, torch computes on one thread: sums cut among threads are rounded otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _train_one(recipe: OwnRecipe, start: Start) -> Trained:
    began = time.perf_counter()
    run = _begun(recipe, start)
    rows = len(run.data.x_train)
    batch = min(recipe.budget.batch_size, rows)
    counts = [min(batch, rows - first) for first in range(0, rows, batch)]
    outputs, record = _measured(run, 0, None)
    records = [record]
    with seeded(int(dropout_key(start.seed)[0])):
        for epoch in range(1, recipe.budget.epochs + 1):
            order = torch.from_numpy(epoch_order(start.seed, epoch, rows, batch).astype(np.int64))
            seen = _epoch(run, order.to(run.data.x_train.device), counts)
            outputs, record = _measured(run, epoch, seen)
            records.append(record)
            if not np.isfinite(record.losses).all():
                break
    wall = time.perf_counter() - began
    first = _first_weight(run, start)
    return trained(recipe, records, outputs[None], first, start=start, model=0, counts=counts, wall=wall)


def _begun(recipe: OwnRecipe, start: Start) -> _Run:
    """The module with the start's weights, on its data."""
    model = built(recipe.build, start.seed)
    for p in recipe.arch.params:
        if p.path in start.weights:
            ADAPTER.write(model, p, GivenWeights(start.weights[p.path], p))
    params: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    layers = layers_of(model, recipe.arch.weights)
    return _Run(recipe, model, layers, _tensors(recipe, device_of(model)), params, new_rule(recipe.optimizer, params))


def _tensors(recipe: OwnRecipe, device: torch.device) -> _Data:
    """The data set's arrays, rows in the model's own shape."""
    data, arch = recipe.dataset, recipe.arch
    x_kind = np.int64 if arch.row_kind == "int64" else np.float32
    y_kind = np.int64 if data.kind == "classification" else np.float32

    def tensor(array: NDArray[np.generic], kind: type[np.generic], *shape: int) -> Tensor:
        return torch.from_numpy(np.array(array, kind).reshape(len(array), *shape)).to(device)

    targets = () if data.kind == "classification" else (data.outputs,)
    return _Data(
        tensor(data.x_train, x_kind, *arch.row_shape),
        tensor(data.y_train, y_kind, *targets),
        tensor(data.x_test, x_kind, *arch.row_shape),
        tensor(data.y_test, y_kind, *targets),
    )


def _epoch(run: _Run, order: Tensor, counts: Sequence[int]) -> NDArray[np.float32]:
    """Losses and rows classified right of each step, (2, steps), after which the module has moved."""
    losses, hits = [], []
    limit = run.recipe.optimizer.clip_norm
    run.model.train()
    for i, count in enumerate(counts):
        rows = order[i, :count]
        y = run.data.y_train.index_select(0, rows)
        outputs = run.model(run.data.x_train.index_select(0, rows))
        loss = _total_loss(run, outputs, y)
        gradients = list(torch.autograd.grad(loss, run.params, allow_unused=True, materialize_grads=True))
        run.step += 1
        with torch.no_grad():
            if limit is not None:
                gradients = clipped(gradients, norm=limit, stacked=False)
            take_step(run.rule, run.params, gradients, step=run.step)
            hits.append(_hits(outputs, y))
        losses.append(loss.detach())
    return torch.stack([torch.stack(losses), torch.stack(hits)]).cpu().float().numpy()


def _measured(run: _Run, epoch: int, seen: NDArray[np.float32] | None) -> tuple[NDArray[np.float32], EpochRecord]:
    """The test rows' outputs, and one epoch's numbers."""
    outputs = _evaluated(run)
    with torch.no_grad():
        loss = _total_loss(run, outputs, run.data.y_test)
        right = torch.where(torch.isnan(loss), torch.nan, _hits(outputs, run.data.y_test))
    x, y = run.data.x_train[:PROBE_ROWS], run.data.y_train[:PROBE_ROWS]
    probe = probed(run.model, run.layers, x, lambda given: _total_loss(run, given, y))
    steps = np.empty((2, 0), np.float32) if seen is None else seen
    record = EpochRecord(
        losses=steps[None, 0],
        hits=steps[None, 1],
        test=np.array([[float(loss), float(right)]], np.float32),
        probe_loss=np.array([float(probe.loss)], np.float32),
        layers=_statistics(run, probe).T[None],
        histograms=_histograms(run, probe, epoch) if epoch in run.recipe.histogram_epochs else [],
    )
    return outputs.float().cpu().numpy(), record


def _evaluated(run: _Run) -> Tensor:
    """The outputs for every test row, in evaluation mode."""
    run.model.eval()
    with torch.no_grad():
        return torch.cat([run.model(rows) for rows in torch.split(run.data.x_test, _EVALUATED_ROWS)])


def _statistics(run: _Run, probe: Probed) -> NDArray[np.float32]:
    """The numbers of ``core.outcomes.LAYER_METRICS``, a row a layer; NaN for the activation of one that did not run."""
    rows = []
    for layer, a, gradient in zip(run.layers, probe.activations, probe.gradients, strict=True):
        activation = torch.full((1, 1), torch.nan) if a is None else a
        numbers = [m for x in (layer.weight.detach(), activation, gradient) for m in _moments(x.float())]
        axis = unit_axis(layer, activation)
        dead = (activation == 0.0).movedim(axis, 0).flatten(1).all(1).float().mean()
        rows.append(torch.stack([*numbers, torch.nan * dead if a is None else dead]))
    return torch.stack(rows).cpu().numpy()


def _moments(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x.mean(), x.var(correction=0), x.square().sum().sqrt()


def _histograms(run: _Run, probe: Probed, epoch: int) -> list[list[Histogram]]:
    nothing = torch.full((1,), torch.nan)
    arrays = zip(run.layers, probe.activations, probe.gradients, strict=True)
    return chunk_histograms(
        [(_host(la.weight), _host(nothing if a is None else a), _host(g)) for la, a, g in arrays], epoch=epoch
    )


def _host(tensor: Tensor) -> NDArray[np.float32]:
    """The numbers with a first axis of one model."""
    array: NDArray[np.float32] = tensor.detach().cpu().float().numpy()
    return array[None]


def _first_weight(run: _Run, start: Start) -> NDArray[np.float32] | None:
    """The weights into the first layer, (1, units, inputs), where each of its units sees the whole row."""
    layer = run.layers[0]
    whole = layer.param.role == "dense" and layer.param.shape[1:] == (run.recipe.dataset.features,)
    if not whole or layer.param.path not in start.weights:
        return None
    return _host(layer.weight)


def _total_loss(run: _Run, outputs: Tensor, y: Tensor) -> Tensor:
    """Data loss plus the L1 and L2 penalties of the weights (not of biases and norms)."""
    loss, o = _data_loss(run.recipe, outputs, y), run.recipe.optimizer
    if o.l1:
        loss = loss + o.l1 * torch.stack([layer.weight.abs().sum() for layer in run.layers]).sum()
    if o.l2:
        loss = loss + o.l2 * torch.stack([layer.weight.square().sum() for layer in run.layers]).sum()
    return loss


def _data_loss(recipe: OwnRecipe, outputs: Tensor, y: Tensor) -> Tensor:
    """The mean of cross-entropy, or of the squared error's mean over outputs; classes count as one-hot rows there."""
    if recipe.loss == "mse":
        target = y if y.is_floating_point() else functional.one_hot(y, recipe.arch.outputs).to(outputs.dtype)
        return (outputs - target).square().mean()
    if recipe.arch.gives == "probabilities":
        return functional.nll_loss(outputs.clamp_min(_SMALLEST).log(), y)
    return functional.cross_entropy(outputs, y)


def _hits(outputs: Tensor, y: Tensor) -> Tensor:
    """Rows whose largest output is their class; NaN for regression."""
    if y.is_floating_point():
        return torch.tensor(torch.nan)
    return (outputs.argmax(-1) == y).sum().float()
