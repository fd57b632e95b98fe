"""One module of the user's trained alone: plain tensors and indices, no loader, one thread."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from initlab.core.adapter import GivenWeights
from initlab.core.training.batches import dropout_key, epoch_order
from initlab.core.training.histograms import chunk_histograms
from initlab.core.training.outcomes import PROBE_ROWS, EpochRecord, trained
from initlab.core.training.protocol import Histogram, OwnRecipe, Start, Trained
from initlab.frameworks.torch.adapter import ADAPTER
from initlab.frameworks.torch.training.optim import Rule, clipped, new_rule, take_step
from initlab.frameworks.torch.user_training.build import built, device_of, seeded
from initlab.frameworks.torch.user_training.measure import Layer, Probe, Probed, layer_numbers, layers_of
from initlab.frameworks.torch.user_training.objective import OwnData, hits, own_data, total_loss

_EVALUATED_ROWS = 1_000


@dataclass(eq=False)
class _Run:
    """One module in training."""

    recipe: OwnRecipe
    model: nn.Module
    layers: tuple[Layer, ...]
    probe: Probe
    data: OwnData
    params: list[Tensor]
    rule: Rule
    step: int = 0


def started(recipe: OwnRecipe, start: Start) -> nn.Module:
    """The module as built under the start's seed, which decides what the plan keeps, with the start's weights."""
    model = built(recipe.build, start.seed)
    for p in recipe.arch.params:
        if p.path in start.weights:
            ADAPTER.write(model, p, GivenWeights(start.weights[p.path], p))
    return model


def train_alone(recipe: OwnRecipe, start: Start) -> Trained:
    """The record of one start; the caller has torch compute on one thread.

    Raises:
        InitlabError: The function builds something else than it did when the study was planned.
    """
    began = time.perf_counter()
    model = started(recipe, start)
    params: list[Tensor] = [p for p in model.parameters() if p.requires_grad]
    layers, data = layers_of(model, recipe.arch.weights), own_data(recipe, device_of(model))
    run = _Run(recipe, model, layers, Probe(model, layers), data, params, new_rule(recipe.optimizer, params))
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
    first = _host(layers[0].weight) if sees_whole_rows(recipe, start) else None
    return trained(recipe, records, outputs[None], first, start=start, model=0, counts=counts, wall=wall)


def sees_whole_rows(recipe: OwnRecipe, start: Start) -> bool:
    """Whether each unit of the first layer sees the whole row, and its weights are the start's."""
    first = recipe.arch.weights[0]
    return first.role == "dense" and first.shape[1:] == (recipe.dataset.features,) and first.path in start.weights


def _epoch(run: _Run, order: Tensor, counts: Sequence[int]) -> NDArray[np.float32]:
    """Losses and rows classified right of each step, (2, steps), after which the module has moved."""
    losses, right = [], []
    limit = run.recipe.optimizer.clip_norm
    run.model.train()
    for i, count in enumerate(counts):
        rows = order[i, :count]
        y = run.data.y_train.index_select(0, rows)
        outputs = run.model(run.data.x_train.index_select(0, rows))
        loss = _loss(run, outputs, y)
        gradients = list(torch.autograd.grad(loss, run.params, allow_unused=True, materialize_grads=True))
        run.step += 1
        with torch.no_grad():
            if limit is not None:
                gradients = clipped(gradients, norm=limit, stacked=False)
            take_step(run.rule, run.params, gradients, step=run.step)
            right.append(hits(outputs, y))
        losses.append(loss.detach())
    return torch.stack([torch.stack(losses), torch.stack(right)]).cpu().float().numpy()


def _measured(run: _Run, epoch: int, seen: NDArray[np.float32] | None) -> tuple[NDArray[np.float32], EpochRecord]:
    """The test rows' outputs, and one epoch's numbers."""
    outputs = _evaluated(run)
    with torch.no_grad():
        loss = _loss(run, outputs, run.data.y_test)
        right = torch.where(torch.isnan(loss), torch.nan, hits(outputs, run.data.y_test))
    x, y = run.data.x_train[:PROBE_ROWS], run.data.y_train[:PROBE_ROWS]
    probe = run.probe(x, lambda given: _loss(run, given, y))
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
    """The numbers of ``core.training.outcomes.LAYER_METRICS``, a row a layer; NaN for what did not run."""
    arrays = zip(run.layers, probe.activations, probe.gradients, strict=True)
    rows = [layer_numbers(layer.param, layer.weight.detach(), a, gradient) for layer, a, gradient in arrays]
    return torch.stack(rows).cpu().numpy()


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


def _loss(run: _Run, outputs: Tensor, y: Tensor) -> Tensor:
    return total_loss(run.recipe, [layer.weight for layer in run.layers], outputs, y)
