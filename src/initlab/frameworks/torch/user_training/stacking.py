"""Modules of one architecture as tensors with a first axis of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from initlab.core.sources import plain_facts
from initlab.core.training.protocol import UserTrainingSetup
from initlab.frameworks.torch.training.optim import Rule, clipped, new_rule, take_step
from initlab.frameworks.torch.user_training.compiled import RefusedError
from initlab.frameworks.torch.user_training.products import padded

MODELS = 32
"""Models that train together. Every array that has a number for each of them ends with a vector register of 16, and
with the pairs of those that torch's loops take at a time: no number is rounded by the instructions for a rest."""


class Names(NamedTuple):
    """What a module holds, by torch's own names: what is trained, what is kept, and the buffers."""

    trained: tuple[str, ...]
    kept: tuple[str, ...]
    buffers: tuple[str, ...]


def names_of(model: nn.Module) -> Names:
    """The names of a module.

    Raises:
        RefusedError: It does not lie on the CPU, or has parameters of another type than float32.
    """
    params = dict(model.named_parameters())
    if any(p.dtype != torch.float32 for p in params.values()):
        raise RefusedError("its parameters are not all float32")
    if any(x.device.type != "cpu" for x in (*params.values(), *model.buffers())):
        raise RefusedError("it is not on the CPU")
    trained = tuple(name for name, p in params.items() if p.requires_grad)
    kept = tuple(name for name, p in params.items() if not p.requires_grad)
    return Names(trained, kept, tuple(name for name, _ in model.named_buffers()))


def facts_of(model: nn.Module) -> list[object]:
    """What else than numbers decides what a module computes: two of equal facts run the same operations."""
    facts: list[object] = []
    for name, module in model.named_modules():
        plain = {key: value for key, value in plain_facts(module).items() if key != "training"}
        plain |= {key: repr(value) for key, value in vars(module).items() if key[0] != "_" and _is_table(value)}
        own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
        facts.append((name, type(module).__qualname__, plain, [(n, x.shape, x.dtype, x.requires_grad) for n, x in own]))
    return facts


def _is_table(value: object) -> bool:
    """Whether it is a list or table of nothing but numbers and texts."""
    if isinstance(value, dict):
        return all(_is_plain(part) for pair in value.items() for part in pair)
    return isinstance(value, list | set) and all(_is_plain(part) for part in value)


def _is_plain(value: object) -> bool:
    if isinstance(value, tuple):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, bool | int | float | str) or _is_table(value)


@dataclass(frozen=True, eq=False)
class Stack:
    """Modules in training.

    What is trained lies in one array, a row a model, so that a step of the optimiser is a few operations; every
    parameter begins at a line of the cache there (see ``own_products``).

    Attributes:
        flat: (models, numbers): every trained parameter, one after another, with zeros between.
        slope: The gradient, likewise.
        trained: Views of ``flat``, (models, *shape), by name.
        slots: Views of ``slope``, likewise.
        kept: Parameters that stay.
        buffers: Changed in place, as the modules do it.
        rule: The optimiser.
    """

    flat: Tensor
    slope: Tensor
    trained: dict[str, Tensor]
    slots: list[Tensor]
    kept: dict[str, Tensor]
    buffers: dict[str, Tensor]
    rule: Rule

    def tensors(self) -> list[Tensor]:
        """What a recorded computation begins with: what is trained, what is kept, the buffers."""
        return [*self.trained.values(), *self.kept.values(), *self.buffers.values()]

    def take_step(self, gradients: Sequence[Tensor], *, step: int) -> None:
        """Move every model by its own gradients, one for each trained parameter."""
        torch._foreach_copy_(self.slots, list(gradients))
        slopes, limit = [self.slope], self.rule.optimizer.clip_norm
        if limit is not None:
            slopes = clipped(slopes, norm=limit, stacked=True)
        take_step(self.rule, [self.flat], slopes, step=step)


def stacked(setup: UserTrainingSetup, names: Names, modules: Sequence[nn.Module]) -> Stack:
    """The modules' numbers, filled up to 32 models with copies of the last."""
    filled = [*modules, *[modules[-1]] * (MODELS - len(modules))]
    params = [dict(module.named_parameters()) for module in filled]
    buffers = [dict(module.named_buffers()) for module in filled]
    shapes = [params[0][name].shape for name in names.trained]
    flat = torch.zeros(MODELS, sum(padded(shape.numel()) for shape in shapes))
    slope = torch.zeros_like(flat)
    views = _views(flat, shapes)
    for name, view in zip(names.trained, views, strict=True):
        view.copy_(torch.stack([p[name].detach() for p in params]))
    return Stack(
        flat=flat,
        slope=slope,
        trained=dict(zip(names.trained, views, strict=True)),
        slots=_views(slope, shapes),
        kept={name: torch.stack([p[name].detach() for p in params]) for name in names.kept},
        buffers={name: torch.stack([b[name] for b in buffers]) for name in names.buffers},
        rule=new_rule(setup.optimizer, [flat]),
    )


def _views(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    parts = torch.split(flat, [padded(shape.numel()) for shape in shapes], dim=1)
    return [part[:, : shape.numel()].view(-1, *shape) for part, shape in zip(parts, shapes, strict=True)]
