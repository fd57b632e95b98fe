"""The gradient of one network by back-propagation, written out for its dense layers.

Autograd differentiates each hidden layer's norm and activation, and only where they have no closed form here: on a
network of few layers, the graph of a whole step costs as much time as one of its two large matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from initlab.core.facts.arch import Mlp
from initlab.core.training import forward as passes
from initlab.core.training.checks import chain_of
from initlab.core.training.protocol import TrainingSetup
from initlab.frameworks.torch.activations import activation
from initlab.frameworks.torch.training.model import Forward, Mask, Moments, Params, normed
from initlab.frameworks.torch.training.objective import data_loss_and_slope, penalised, weights_of
from initlab.frameworks.torch.training.products import linear

_Back: TypeAlias = Callable[[Tensor], tuple[Tensor, ...]]

# From the gradient by a function's value and that value to the gradient by its argument: what autograd calls.
_CLOSED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda above, a: torch.ops.aten.threshold_backward(above, a, 0),
    "sigmoid": torch.ops.aten.sigmoid_backward,
    "tanh": torch.ops.aten.tanh_backward,
}


class _Tape(NamedTuple):
    """What the backward pass needs of the forward pass.

    Attributes:
        inputs: Of each dense layer, (rows, inputs).
        backs: For each hidden layer, from the gradient by ``a = f(norm(z))`` to those by z, the norm's scale and bias.
        masks: For each hidden layer what dropout multiplied by, or None.
    """

    inputs: list[Tensor]
    backs: list[_Back]
    masks: list[Tensor | None]


def differentiated(
    setup: TrainingSetup, params: Params, x: Tensor, y: Tensor, *, mask: Mask | None = None
) -> tuple[Tensor, Forward, list[Tensor]]:
    """The loss of a batch, its forward pass, and the loss's gradient by every parameter, in the order of ``params``.

    Args:
        setup: What is trained.
        params: By canonical path, of one model.
        x: (rows, features).
        y: The rows' targets.
        mask: As in ``model.forward``.
    """
    with torch.no_grad():
        out, tape = _forward(chain_of(setup), params, x, mask)
        loss, slope = data_loss_and_slope(out.logits, y, loss=setup.loss)
        gradients = _backward(chain_of(setup), params, tape, slope)
        _add_penalties(setup, params, gradients)
        return penalised(setup.optimizer, weights_of(setup, params), loss), out, [gradients[path] for path in params]


def _forward(arch: Mlp, params: Params, x: Tensor, mask: Mask | None) -> tuple[Forward, _Tape]:
    """The pass of ``model.forward`` with what its gradient needs."""
    tape = _Tape([], [], [])

    def dense(h: Tensor, i: int) -> Tensor:
        tape.inputs.append(h)
        return linear(h, params[f"{i}/weight"], params.get(f"{i}/bias"))

    def activated(z: Tensor, i: int) -> tuple[Tensor, Moments]:
        a, moments, back = _activated(arch, params, i, z)
        tape.backs.append(back)
        return a, moments

    def drop(h: Tensor, i: int) -> Tensor:
        tape.masks.append(None if mask is None else mask(h.shape, i))
        factor = tape.masks[-1]
        return h if factor is None else h * factor

    return passes.forward(arch, x, dense=dense, activated=activated, drop=drop), tape


def _activated(arch: Mlp, params: Params, i: int, z: Tensor) -> tuple[Tensor, Moments, _Back]:
    """The activation of a hidden layer, its batch norm's moments, and the way back."""
    f, closed = activation(arch.activation), _CLOSED.get(arch.activation)
    if arch.norm == "none" and closed is not None:
        a = f(z)
        return a, {}, lambda above: (closed(above, a),)
    leaves = {path: params[path].detach() for path in _norm_paths(arch, i)}
    for leaf in (z, *leaves.values()):
        leaf.requires_grad_()
    with torch.enable_grad():
        scaled, batch = normed(arch, leaves, z, i)
        value = f(scaled)
    moments = {name: (mean.detach(), var.detach()) for name, (mean, var) in batch.items()}
    return value.detach(), moments, lambda above: torch.autograd.grad(value, (z, *leaves.values()), above)


def _norm_paths(arch: Mlp, i: int) -> tuple[str, ...]:
    return () if arch.norm == "none" else (f"norm_{i}/scale", f"norm_{i}/bias")


def _backward(arch: Mlp, params: Params, tape: _Tape, slope: Tensor) -> dict[str, Tensor]:
    """The data loss's gradients by path, from its gradient by the outputs."""
    gradients: dict[str, Tensor] = {}
    by_z, skipped = slope, None
    for i in reversed(range(arch.depth)):
        gradients[f"{i}/weight"] = linear(by_z.t(), tape.inputs[i].t())
        if arch.bias:
            gradients[f"{i}/bias"] = by_z.sum(0)
        if i == 0:  # by the data no gradient is asked for: it would be a product as large as the layer's own
            break
        by_h = linear(by_z, params[f"{i}/weight"].t())
        if skipped is not None:
            by_h = by_h + skipped
        mask = tape.masks[i - 1]
        by_a = by_h if mask is None else by_h * mask
        by_z, *by_norm = tape.backs[i - 1](by_a)
        gradients |= zip(_norm_paths(arch, i - 1), by_norm, strict=True)
        skipped = by_a if arch.has_skip(i - 1) else None
    return gradients


def _add_penalties(setup: TrainingSetup, params: Params, gradients: dict[str, Tensor]) -> None:
    l1, l2 = setup.optimizer.l1, setup.optimizer.l2
    for i in range(setup.arch.depth if l1 or l2 else 0):
        weight = params[f"{i}/weight"]
        gradients[f"{i}/weight"] += l1 * weight.sign() + 2.0 * l2 * weight
