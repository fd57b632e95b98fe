"""An epoch of optimiser steps, and what is measured at its end, for one model or for a chunk of them.

A chunk's tensors have a first axis of models and its functions are mapped by ``torch.func``; a model alone has none and
is differentiated by ``backward``, which is faster where the arithmetic outweighs the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.training.checks import chain_of
from initlab.core.training.forward import moved
from initlab.core.training.protocol import TrainingSetup
from initlab.frameworks.torch.training.backward import differentiated
from initlab.frameworks.torch.training.dropout import mask
from initlab.frameworks.torch.training.model import Forward, Mask, Moments, Params, forward
from initlab.frameworks.torch.training.objective import hits, total_loss
from initlab.frameworks.torch.training.optim import Rule, clipped, take_step
from initlab.frameworks.torch.training.products import linear

_EVALUATION_BYTES = 16_000_000


class Data(NamedTuple):
    """The data set; ``y`` is int64 classes (rows,) or float32 (rows, outputs), ``x_probe`` the first of ``x_train``."""

    x_train: Tensor
    y_train: Tensor
    x_probe: Tensor
    x_test: Tensor
    y_test: Tensor


@dataclass(eq=False)
class Models:
    """One model in training, or a chunk of them with a first axis of models; a step changes it in place.

    Attributes:
        params: By canonical path.
        moments: Running moments of the batch norms.
        keys: int32 (2,), the key of the dropout masks.
        rule: The optimiser.
        chunk: Models; 1 has no axis of models.
        step: Optimiser steps done.
    """

    params: Params
    moments: Moments
    keys: Tensor
    rule: Rule
    chunk: int
    step: int = 0


class Measured(NamedTuple):
    """The state at an epoch's end; a chunk's have a first axis of models.

    Attributes:
        test: (2,): test loss, and rows classified right.
        probe_loss: Of the probe batch.
        layers: (metrics, dense layers), in the order of ``core.training.outcomes.LAYER_METRICS``.
        outputs: (test rows, outputs), logits.
        activations: Of each dense layer on the probe batch.
        gradients: Of the probe batch's loss by each weight.
    """

    test: Tensor
    probe_loss: Tensor
    layers: Tensor
    outputs: Tensor
    activations: tuple[Tensor, ...]
    gradients: tuple[Tensor, ...]


def train_epoch(setup: TrainingSetup, data: Data, models: Models, order: Tensor, counts: Sequence[int]) -> Tensor:
    """Losses and rows classified right of each step, (2, steps), after which the models have moved.

    Args:
        setup: What is trained.
        data: The data set.
        models: The models, changed in place.
        order: int64 (steps, batch_size), the rows of each step.
        counts: Rows of each step; the rest of its row of ``order`` is padding.
    """
    flat = order.flatten(-2)[..., : sum(counts)]
    y, axis = _rows(data.y_train, flat), flat.dim() - 1
    losses, logits = [], []
    for rows, targets in zip(*(torch.split(t, list(counts), axis) for t in (flat, y)), strict=True):
        loss, outputs = _train_step(setup, models, _rows(data.x_train, rows), targets)
        losses.append(loss)
        logits.append(outputs)
    return torch.stack([torch.stack(losses, -1), hits(torch.cat(logits, -2), y, counts)], -2)


def _train_step(setup: TrainingSetup, models: Models, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    loss, out, gradients = _differentiated(setup, models, x, y, step=models.step)
    models.step += 1
    limit = setup.optimizer.clip_norm
    if limit is not None:
        gradients = clipped(gradients, norm=limit, stacked=models.chunk > 1)
    take_step(models.rule, list(models.params.values()), gradients, step=models.step)
    models.moments = moved(models.moments, out.moments)
    return loss, out.logits


def _differentiated(
    setup: TrainingSetup, models: Models, x: Tensor, y: Tensor, *, step: int | None
) -> tuple[Tensor, Forward, list[Tensor]]:
    """A batch's loss, its forward pass, and its gradient by every parameter; ``step`` None drops nothing."""
    rate = setup.arch.dropout

    def masks(key: Tensor) -> Mask | None:
        return partial(mask, rate=rate, key=key, step=step) if rate and step is not None else None

    def objective(params: Params, x: Tensor, y: Tensor, key: Tensor) -> tuple[Tensor, Forward]:
        out = forward(chain_of(setup), params, x, mask=masks(key))
        return total_loss(setup, params, out.logits, y), out

    if models.chunk == 1:
        return differentiated(setup, models.params, x, y, mask=masks(models.keys))
    mapped: Any = torch.func.vmap(torch.func.grad_and_value(objective, has_aux=True))
    gradients, (loss, out) = mapped(models.params, x, y, models.keys)
    return loss, out, list(gradients.values())


def measured(setup: TrainingSetup, data: Data, models: Models) -> Measured:
    """Test loss and rows classified right with running moments; layer statistics on the probe batch, without dropout.

    On the probe batch a batch norm uses that batch's own moments, as the gradient of training does.
    """
    y_probe = data.y_train[: len(data.x_probe)]
    batch = (_each(data.x_probe, models), _each(y_probe, models))
    probe_loss, probe, gradient = _differentiated(setup, models, *batch, step=None)
    by_path = dict(zip(models.params, gradient, strict=True))
    gradients = tuple(by_path[f"{i}/weight"] for i in range(setup.arch.depth))
    activations = (*probe.activations, probe.logits)
    statistics = _over_models(layer_statistics, models)
    per_layer = [
        statistics(models.params[f"{i}/weight"], activations[i], gradients[i]) for i in range(setup.arch.depth)
    ]
    outputs = _evaluated(setup, data.x_test, models)
    y = _each(data.y_test, models)
    test_loss = _over_models(partial(total_loss, setup), models)(models.params, outputs, y)
    right = torch.where(torch.isnan(test_loss), torch.nan, hits(outputs, y, [len(data.y_test)])[..., 0])
    return Measured(
        torch.stack([test_loss, right], -1), probe_loss, torch.stack(per_layer, -1), outputs, activations, gradients
    )


def _evaluated(setup: TrainingSetup, x: Tensor, models: Models) -> Tensor:
    """The logits of every row, in blocks of rows where a chunk's activations would not stay in cache."""

    def logits(params: Params, running: Moments, rows: Tensor) -> Tensor:
        return forward(chain_of(setup), params, rows, running=running, dense=dense).logits

    dense = linear if models.chunk == 1 else functional.linear
    block = max(1, _EVALUATION_BYTES // (4 * models.chunk * sum(setup.arch.widths)))
    run = _over_models(logits, models)
    with torch.no_grad():
        blocks = [run(models.params, models.moments, _each(rows, models)) for rows in torch.split(x, block)]
    return torch.cat(blocks, -2)


def _over_models(function: Callable[..., Tensor], models: Models) -> Callable[..., Tensor]:
    return torch.func.vmap(function) if models.chunk > 1 else function


def _each(x: Tensor, models: Models) -> Tensor:
    """``x`` as seen by each model: one matrix product a model, whose bits do not depend on the model's place."""
    return x.expand(models.chunk, *x.shape) if models.chunk > 1 else x


def _rows(x: Tensor, rows: Tensor) -> Tensor:
    return x.index_select(0, rows.reshape(-1)).reshape(*rows.shape, *x.shape[1:])


def layer_statistics(weight: Tensor, activation: Tensor, gradient: Tensor) -> Tensor:
    """The numbers of ``core.training.outcomes.LAYER_METRICS``, in that order, of one dense layer.

    Args:
        weight: The layer's weight.
        activation: (rows, units), its output on the probe batch.
        gradient: Of the probe batch's loss by the weight.
    """
    moments = [
        m for x in (weight, activation, gradient) for m in (x.mean(), x.var(correction=0), x.square().sum().sqrt())
    ]
    dead = (activation == 0.0).all(0).float().mean()
    return torch.stack([*moments, dead])
