"""An epoch of optimiser steps, and what is measured at its end, for one model or for a chunk of them.

A chunk's tensors have a first axis of models and its functions are mapped by ``torch.func``; a model alone has none and
is differentiated by plain autograd, which is faster where the arithmetic outweighs the calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.training import LossName, Recipe
from initlab.frameworks.torch.dropout import drop
from initlab.frameworks.torch.model import Forward, Moments, Params, forward, moved
from initlab.frameworks.torch.optim import Rule, clipped, take_step

Objective: TypeAlias = Callable[..., tuple[Tensor, Forward]]
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
        layers: (metrics, dense layers), in the order of ``core.outcomes.LAYER_METRICS``.
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


def train_epoch(recipe: Recipe, data: Data, models: Models, order: Tensor, counts: Sequence[int]) -> Tensor:
    """Losses and rows classified right of each step, (2, steps), after which the models have moved.

    Args:
        recipe: What is trained.
        data: The data set.
        models: The models, changed in place.
        order: int64 (steps, batch_size), the rows of each step.
        counts: Rows of each step; the rest of its row of ``order`` is padding.
    """
    losses, logits, targets = [], [], []
    for i, count in enumerate(counts):
        rows = order[..., i, :count]
        targets.append(_rows(data.y_train, rows))
        loss, outputs = _train_step(recipe, models, _rows(data.x_train, rows), targets[-1])
        losses.append(loss)
        logits.append(outputs)
    y = torch.cat(targets, -1 if recipe.dataset.kind == "classification" else -2)
    return torch.stack([torch.stack(losses, -1), _hits(torch.cat(logits, -2), y, counts)], -2)


def _train_step(recipe: Recipe, models: Models, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    objective = partial(_objective, recipe, models.step)
    loss, out, gradients = _differentiated(objective, models, x, y, models.keys)
    models.step += 1
    limit = recipe.optimizer.clip_norm
    if limit is not None:
        gradients = clipped(gradients, norm=limit, stacked=models.chunk > 1)
    take_step(models.rule, list(models.params.values()), gradients, step=models.step)
    models.moments = moved(models.moments, out.moments)
    return loss, out.logits


def _objective(
    recipe: Recipe, step: int | None, params: Params, x: Tensor, y: Tensor, key: Tensor
) -> tuple[Tensor, Forward]:
    """The loss of a batch; with dropout at a step of training, without it for ``step`` None."""
    rate = recipe.arch.dropout
    dropped = partial(drop, rate=rate, key=key, step=step) if rate and step is not None else None
    out = forward(recipe.arch, params, x, drop=dropped)
    return total_loss(recipe, params, out.logits, y), out


def _differentiated(objective: Objective, models: Models, *batch: Tensor) -> tuple[Tensor, Forward, list[Tensor]]:
    """The objective's value, its forward pass, and its gradient by every parameter."""
    if models.chunk > 1:
        mapped: Any = torch.func.vmap(torch.func.grad_and_value(objective, has_aux=True))
        gradients, (loss, out) = mapped(models.params, *batch)
        return loss, out, list(gradients.values())
    leaves = {path: tensor.detach().requires_grad_() for path, tensor in models.params.items()}
    loss, out = objective(leaves, *batch)
    with torch.no_grad():
        moments = {name: (mean.detach(), var.detach()) for name, (mean, var) in out.moments.items()}
        plain = Forward(out.logits.detach(), tuple(a.detach() for a in out.activations), moments)
    return loss.detach(), plain, list(torch.autograd.grad(loss, list(leaves.values())))


def measured(recipe: Recipe, data: Data, models: Models) -> Measured:
    """Test loss and rows classified right with running moments; layer statistics on the probe batch, without dropout.

    On the probe batch a batch norm uses that batch's own moments, as the gradient of training does.
    """
    y_probe = data.y_train[: len(data.x_probe)]
    batch = (_each(data.x_probe, models), _each(y_probe, models), models.keys)
    probe_loss, probe, gradient = _differentiated(partial(_objective, recipe, None), models, *batch)
    by_path = dict(zip(models.params, gradient, strict=True))
    gradients = tuple(by_path[f"{i}/weight"] for i in range(recipe.arch.depth))
    activations = (*probe.activations, probe.logits)
    statistics = _over_models(layer_statistics, models)
    per_layer = [
        statistics(models.params[f"{i}/weight"], activations[i], gradients[i]) for i in range(recipe.arch.depth)
    ]
    outputs = _evaluated(recipe, data.x_test, models)
    y = _each(data.y_test, models)
    test_loss = _over_models(partial(total_loss, recipe), models)(models.params, outputs, y)
    hits = torch.where(torch.isnan(test_loss), torch.nan, _hits(outputs, y, [len(data.y_test)])[..., 0])
    return Measured(
        torch.stack([test_loss, hits], -1), probe_loss, torch.stack(per_layer, -1), outputs, activations, gradients
    )


def _evaluated(recipe: Recipe, x: Tensor, models: Models) -> Tensor:
    """The logits of every row, in blocks of rows where a chunk's activations would not stay in cache."""

    def logits(params: Params, running: Moments, rows: Tensor) -> Tensor:
        return forward(recipe.arch, params, rows, running=running).logits

    block = max(1, _EVALUATION_BYTES // (4 * models.chunk * sum(recipe.arch.widths)))
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
    """The numbers of ``core.outcomes.LAYER_METRICS``, in that order, of one dense layer.

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


def total_loss(recipe: Recipe, params: Params, outputs: Tensor, y: Tensor) -> Tensor:
    """Data loss plus the L1 and L2 penalties of the weights (not the biases), which Keras reports as ``loss``."""
    loss = data_loss(outputs, y, loss=recipe.loss)
    weights = [params[f"{i}/weight"] for i in range(recipe.arch.depth)]
    if recipe.optimizer.l1:
        loss = loss + recipe.optimizer.l1 * torch.stack([w.abs().sum() for w in weights]).sum()
    if recipe.optimizer.l2:
        loss = loss + recipe.optimizer.l2 * torch.stack([w.square().sum() for w in weights]).sum()
    return loss


def data_loss(outputs: Tensor, y: Tensor, *, loss: LossName) -> Tensor:
    """The mean over a batch of softmax cross-entropy, or of the squared error's mean over outputs.

    Args:
        outputs: (rows, outputs), logits.
        y: int64 classes (rows,), one-hot for ``mse``; or float32 (rows, outputs).
        loss: Which of the two.
    """
    if loss == "cross_entropy":
        return functional.cross_entropy(outputs, y)
    classes = not y.is_floating_point()
    target = (y[:, None] == torch.arange(outputs.shape[1])).to(outputs.dtype) if classes else y
    return (outputs - target).square().mean(1).mean()


def _hits(outputs: Tensor, y: Tensor, counts: Sequence[int]) -> Tensor:
    """Rows of each batch whose largest output is their class, (batches,); NaN for regression.

    Args:
        outputs: (rows, outputs), of all batches one after another.
        y: (rows,) classes, or (rows, outputs).
        counts: Rows of each batch.
    """
    if y.is_floating_point():
        return torch.full((*outputs.shape[:-2], len(counts)), torch.nan)
    right = (outputs.argmax(-1) == y).cumsum(-1)[..., torch.tensor(counts).cumsum(0) - 1]
    return right.diff(prepend=torch.zeros_like(right[..., :1])).float()
