"""What a chunk of the user's modules computes, each part recorded once: a step, an evaluation, a probe, a test loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import UserTrainingSetup
from initlab.frameworks.torch.user_training.compiled import RefusedError, recorded
from initlab.frameworks.torch.user_training.dropout import Dropping, Mask, drawn
from initlab.frameworks.torch.user_training.measure import (
    Layer,
    Seen,
    Sought,
    as_it_was,
    layer_numbers,
    layers_of,
    sought,
)
from initlab.frameworks.torch.user_training.objective import OwnData, hits, total_loss
from initlab.frameworks.torch.user_training.stacking import MODELS, Names, Stack

EVALUATED_ROWS = 128
"""Test rows at a time: what a chunk computes of them stays in cache, and blocks begin at a line of it."""


@dataclass(frozen=True, eq=False)
class Pass:
    """A recorded pass of a batch, and the masks that its dropout takes."""

    graph: fx.GraphModule
    masks: tuple[Mask, ...] = ()

    def __call__(self, *inputs: Tensor, generators: Sequence[torch.Generator] = ()) -> list[Tensor]:
        """Run it; masks are drawn from the generators, one a model."""
        with torch.no_grad():
            given = [drawn(mask, generators) for mask in self.masks]
            return list(self.graph(*inputs, *given))


@dataclass(frozen=True, eq=False)
class Net:
    """A module whose operations are recorded, with the names of its tensors and its layers."""

    setup: UserTrainingSetup
    model: nn.Module
    names: Names
    layers: tuple[Layer, ...]

    @property
    def weights(self) -> list[str]:
        """The parameters that are the layers' weights."""
        return [p.native for p in self.setup.arch.weights]

    def outputs(self, params: dict[str, Tensor], buffers: dict[str, Tensor], x: Tensor, masks: list[Tensor]) -> Tensor:
        """The pass of one model; attention is that of the textbook, whose products can be told apart."""
        with Dropping(masks), sdpa_kernel(SDPBackend.MATH):
            result: Tensor = torch.func.functional_call(self.model, (params, buffers), (x,))
        return result

    def loss(self, params: dict[str, Tensor], outputs: Tensor, y: Tensor) -> Tensor:
        """The total loss of one model."""
        return total_loss(self.setup, [params[name] for name in self.weights], outputs, y)


def net_of(setup: UserTrainingSetup, model: nn.Module, names: Names) -> Net:
    """The module as what is recorded."""
    return Net(setup, model, names, layers_of(model, setup.arch.weights))


def masks_of(net: Net, x: Tensor) -> tuple[Mask, ...]:
    """The masks that a pass takes, in the module's mode; found by one that drops nothing."""
    with torch.no_grad(), Dropping() as dropping:
        net.model(x)
    return tuple(dropping.needed)


def step_pass(net: Net, stack: Stack, x: Tensor, y: Tensor) -> Pass:
    """A step's (losses, rows classified right, gradients...), of own rows (models, rows, ...) for each model."""
    net.model.train()
    masks = masks_of(net, x[0])

    def one(params: Any, buffers: Any, x: Tensor, y: Tensor, masks: list[Tensor]) -> tuple[Tensor, Tensor]:
        outputs = net.outputs(params, buffers, x, masks)
        return net.loss(params, outputs, y), hits(outputs, y)

    def step(*inputs: Tensor) -> list[Tensor]:
        leaves, params, buffers, (x, y, *given) = _taken(net.names, inputs)
        loss, right = torch.func.vmap(one)(params, buffers, x, y, given)
        return [loss.detach(), right, *_gradients(loss, leaves)]

    return _recorded_pass(step, stack, masks, x, y)


def probe_pass(net: Net, stack: Stack, data: OwnData) -> Pass:
    """The probe's (losses, statistics, activations..., gradients...), as ``measure.Probe`` gives them of one."""
    x, y = data.x_train[:PROBE_ROWS], data.y_train[:PROBE_ROWS]

    def one(params: Any, buffers: Any, x: Tensor, y: Tensor, masks: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        with Seen(where) as seen:
            outputs = net.outputs(params, buffers, x, masks)
        if not seen.is_as_sought:
            raise RefusedError("its pass calls other functions than the module alone")
        return net.loss(params, outputs, y), [torch.full((1, 1), torch.nan) if a is None else a for a in seen.outputs()]

    def probe(*inputs: Tensor) -> list[Tensor]:
        leaves, params, buffers, (x, y, *given) = _taken(net.names, inputs)
        loss, activations = torch.func.vmap(one)(params, buffers, _each(x), _each(y), given)
        slopes = dict(zip(net.names.trained, _gradients(loss, leaves), strict=True))
        weights = [params[name].detach() for name in net.weights]
        gradients = [slopes.get(n, torch.zeros_like(w)) for n, w in zip(net.weights, weights, strict=True)]
        arrays = zip(net.layers, where.at, weights, activations, gradients, strict=True)
        numbers = [_numbers(layer, w, a, g, ran=at > 0) for layer, at, w, a, g in arrays]
        return [loss.detach(), torch.stack(numbers, -1), *activations, *gradients]

    with as_it_was(net.model):
        masks = masks_of(net, x)
        where = _sought(net, x, masks)
        return _recorded_pass(probe, stack, masks, x, y)


def _sought(net: Net, x: Tensor, masks: Sequence[Mask]) -> Sought:
    """Where the activations are made in a pass of one model."""
    params: dict[str, Tensor] = dict(net.model.named_parameters())
    buffers = dict(net.model.named_buffers())
    kept = [torch.ones(mask.shape) for mask in masks]
    with torch.no_grad():
        return sought(net.model, net.layers, x, lambda rows: net.outputs(params, buffers, rows, kept))


def _numbers(layer: Layer, weights: Tensor, activations: Tensor, gradients: Tensor, *, ran: bool) -> Tensor:
    """The statistics of one layer, (models, metrics)."""

    def one(weight: Tensor, activation: Tensor, gradient: Tensor) -> Tensor:
        return layer_numbers(layer.param, weight, activation if ran else None, gradient)

    result: Tensor = torch.func.vmap(one)(weights, activations, gradients)
    return result


def evaluation_pass(net: Net, stack: Stack, x: Tensor) -> Pass:
    """The outputs (models, rows, outputs) for rows that all models see, in evaluation mode."""
    net.model.eval()

    def evaluate(*inputs: Tensor) -> list[Tensor]:
        _, params, buffers, (x, *given) = _taken(net.names, inputs)
        return [torch.func.vmap(net.outputs)(params, buffers, _each(x), given).detach()]

    return _recorded_pass(evaluate, stack, masks_of(net, x), x)


def score_pass(net: Net, stack: Stack, outputs: Tensor, y: Tensor) -> Pass:
    """The test's (losses, rows classified right); NaN where the loss is."""

    def one(params: Any, outputs: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss = net.loss(params, outputs, y)
        return loss, hits(outputs, y).masked_fill(torch.isnan(loss), torch.nan)

    def score(*inputs: Tensor) -> list[Tensor]:
        _, params, _, (outputs, y) = _taken(net.names, inputs)
        loss, right = torch.func.vmap(one)(params, outputs, _each(y))
        return [loss.detach(), right.detach()]

    return _recorded_pass(score, stack, (), outputs, y)


def _recorded_pass(function: Any, stack: Stack, masks: tuple[Mask, ...], *rows: Tensor) -> Pass:
    generators = [torch.Generator().manual_seed(0) for _ in range(MODELS)]
    # Copies of the buffers: a pass in training mode changes them.
    count = len(stack.trained) + len(stack.kept)
    given = [*stack.tensors()[:count], *(b.clone() for b in stack.buffers.values())]
    return Pass(recorded(function, [*given, *rows, *(drawn(mask, generators) for mask in masks)]), masks)


def _taken(
    names: Names, inputs: Sequence[Tensor]
) -> tuple[list[Tensor], dict[str, Tensor], dict[str, Tensor], list[Tensor]]:
    """The leaves of the gradient, every parameter and buffer by name, and what else was given."""
    rest: Iterator[Tensor] = iter(inputs)
    leaves = [next(rest).detach().requires_grad_() for _ in names.trained]
    params = dict(zip(names.trained, leaves, strict=True)) | {name: next(rest) for name in names.kept}
    buffers = {name: next(rest) for name in names.buffers}
    return leaves, params, buffers, list(rest)


def _gradients(loss: Tensor, leaves: list[Tensor]) -> list[Tensor]:
    """Of each model's loss by its own parameters: no other model's loss depends on them."""
    if not leaves or not loss.requires_grad:
        return [torch.zeros_like(leaf) for leaf in leaves]
    return list(torch.autograd.grad(loss.sum(), leaves, allow_unused=True, materialize_grads=True))


def _each(x: Tensor) -> Tensor:
    """``x`` as seen by each model."""
    return x.expand(MODELS, *x.shape)
