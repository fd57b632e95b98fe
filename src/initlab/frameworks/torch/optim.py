"""``torch.optim`` optimisers from ``core.training.Optimizer``, in Keras' algebra, for one model or a chunk of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt

import torch
from torch import Tensor

from initlab.core.training import Optimizer


def torch_optimizer(optimizer: Optimizer, params: Iterable[Tensor]) -> torch.optim.Optimizer:
    """The optimiser of these tensors; every rule works number by number, so stacked models do not meet in it."""
    o, tensors = optimizer, list(params)
    if o.name in ("sgd", "momentum"):
        momentum = o.momentum if o.name == "momentum" else 0.0
        return torch.optim.SGD(tensors, o.learning_rate, momentum=momentum, foreach=True)
    betas = (o.beta_1, o.beta_2)
    if o.name == "adam":
        return torch.optim.Adam(tensors, o.learning_rate, betas=betas, foreach=True)
    return torch.optim.AdamW(tensors, o.learning_rate, betas=betas, weight_decay=o.weight_decay, foreach=True)


def take_step(rule: torch.optim.Optimizer, gradients: Iterable[Tensor], *, optimizer: Optimizer, step: int) -> None:
    """Move the tensors of a rule.

    Keras adds Adam's epsilon to sqrt(v), not to the bias-corrected sqrt(v / (1 - beta_2^t)) (Kingma and Ba,
    arXiv:1412.6980, end of section 2): in torch's form that is an epsilon of ``epsilon / sqrt(1 - beta_2^t)``.

    Args:
        rule: What ``torch_optimizer`` gave.
        gradients: One for each of its tensors.
        optimizer: The optimiser's numbers.
        step: The optimiser step, counted from 1.
    """
    (group,) = rule.param_groups
    if "eps" in group:
        group["eps"] = optimizer.epsilon / sqrt(1.0 - optimizer.beta_2**step)
    for tensor, gradient in zip(group["params"], gradients, strict=True):
        tensor.grad = gradient
    rule.step()


def clipped(gradients: Sequence[Tensor], *, norm: float, stacked: bool) -> list[Tensor]:
    """Each model's gradients, shortened together to a global norm of at most ``norm``.

    Args:
        gradients: One for each parameter.
        norm: The largest norm.
        stacked: Whether their first axis is the model.
    """
    squares = [g.square().flatten(1).sum(1) if stacked else g.square().sum() for g in gradients]
    length = torch.stack(squares).sum(0).sqrt()
    factor = torch.where(length < norm, 1.0, norm / length)
    return [g * factor.reshape(-1, *[1] * (g.dim() - 1)) if stacked else g * factor for g in gradients]
