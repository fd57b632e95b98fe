"""The optimisers of ``core.training.protocol.Optimizer`` in Keras' algebra, for one model or for a chunk of them.

Every rule works number by number, so stacked models do not meet in it. ``torch.optim`` computes the same, at a cost of
about 50 us a step beside its arithmetic, a tenth of a step of a small network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from initlab.core.training.protocol import Optimizer


@dataclass(frozen=True, eq=False)
class Rule:
    """An optimiser with what it remembers of each parameter; a step changes that in place.

    Attributes:
        optimizer: Its name and numbers.
        first: The velocities of ``momentum``, or Adam's first moments; empty for ``sgd``.
        second: Adam's second moments; empty for the others.
    """

    optimizer: Optimizer
    first: list[Tensor]
    second: list[Tensor]


def new_rule(optimizer: Optimizer, params: Sequence[Tensor]) -> Rule:
    """The rule before its first step."""
    kept = {"sgd": 0, "momentum": 1}.get(optimizer.name, 2)
    first, second = ([torch.zeros_like(p) for p in params] if kept > i else [] for i in range(2))
    return Rule(optimizer, first, second)


def take_step(rule: Rule, params: list[Tensor], gradients: list[Tensor], *, step: int) -> None:
    """Move the parameters, in place.

    Adam is in the form of Kingma and Ba, arXiv:1412.6980, end of section 2, as in Keras: epsilon is added to sqrt(v),
    not to the bias-corrected sqrt(v / (1 - beta_2^t)).

    Args:
        rule: The optimiser, of these parameters.
        params: The parameters.
        gradients: One for each of them.
        step: The optimiser step, counted from 1.

    Example:
        >>> w = [torch.tensor([1.0])]
        >>> take_step(new_rule(Optimizer("sgd", 0.25), w), w, [torch.tensor([2.0])], step=1)
        >>> w
        [tensor([0.5000])]
    """
    o = rule.optimizer
    if o.name == "sgd":
        torch._foreach_add_(params, gradients, alpha=-o.learning_rate)
        return
    if o.name == "momentum":
        torch._foreach_mul_(rule.first, o.momentum)
        torch._foreach_add_(rule.first, gradients)
        torch._foreach_add_(params, rule.first, alpha=-o.learning_rate)
        return
    if o.name == "adamw":
        torch._foreach_mul_(params, 1.0 - o.learning_rate * o.weight_decay)
    torch._foreach_lerp_(rule.first, gradients, 1.0 - o.beta_1)
    torch._foreach_mul_(rule.second, o.beta_2)
    torch._foreach_addcmul_(rule.second, gradients, gradients, 1.0 - o.beta_2)
    roots = torch._foreach_sqrt(rule.second)
    torch._foreach_add_(roots, o.epsilon)
    size = o.learning_rate * sqrt(1.0 - o.beta_2**step) / (1.0 - o.beta_1**step)
    torch._foreach_addcdiv_(params, rule.first, roots, -size)


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
