"""The loss that a probe follows backwards, in torch; ``reading.loss`` says what it is and whether targets fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.signals.readings import Guess
from initlab.frameworks.reading.guess import Outputs, replaced
from initlab.frameworks.reading.loss import Goal, check_scalar, goal_of, guess_of, main_output, own_losses, stopped

_IGNORED = -100  # what torch's own cross entropy leaves out


class TorchArrays:
    """Torch's tensors."""

    def is_array(self, value: object) -> bool:
        """Whether a value is a tensor."""
        return isinstance(value, Tensor)

    def is_real(self, array: Any) -> bool:
        """Whether a tensor holds real numbers."""
        return bool(array.is_floating_point())


ARRAYS = TorchArrays()


@dataclass(frozen=True, eq=False)
class Start:
    """Where a backward pass begins.

    Attributes:
        goal: What is followed.
        root: The value that is followed backwards.
        gradient: What it is multiplied with; None for a scalar.
        by_sample: What each sample makes of the loss, which is its mean; None where only the whole is known.
    """

    goal: Goal
    root: Tensor
    gradient: Tensor | None = None
    by_sample: Tensor | None = None

    def loss(self) -> tuple[float, Any]:
        """The loss, and that of each sample where it is known, on the host."""
        value = math.nan if self.goal.kind == "random" else float(self.root.detach())
        by_sample = self.by_sample
        return value, None if by_sample is None else by_sample.detach().double().cpu().numpy()


def start_of(result: object, targets: object, loss: Callable[..., Any] | None, *, units: int = -1) -> Start:
    """Where the backward pass begins.

    Args:
        result: What the model returned.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: A function of the outputs, and of the targets where there are some; its value is a scalar.
        units: The axis of the main output that holds its units.

    Raises:
        OptionError: A loss that is not a scalar, or an output that no gradient passes.
        ShapeError: Targets that do not fit the output.
    """
    given = None if targets is None or loss is not None else array_of(targets)
    bound = None if loss is None else _bound(loss, targets)
    goal = goal_of(result, given, bound, ARRAYS, ignored=_IGNORED, units=units)
    found = _start(goal, result)
    if not found.root.requires_grad:
        raise stopped(goal.kind, "no_grad and detach")
    return found


def _start(goal: Goal, result: object) -> Start:
    if goal.scalar is not None:
        value = goal.scalar(result)
        check_scalar(value, ARRAYS)
        return Start(goal, value.reshape(()))
    output: Tensor = main_output(result, ARRAYS)
    against = torch.from_numpy(np.asarray(goal.against)).to(output.device)
    if goal.kind == "random":
        return Start(goal, output, against.to(output.dtype))
    wide = output if output.dtype == torch.float64 else output.float()
    if goal.kind == "mse":
        by_sample = (wide - against.to(wide.dtype)).square().flatten(1).mean(1)
        return Start(goal, by_sample.mean(), by_sample=by_sample)
    # Side by side, the logits of a token are normalised at a third of the cost.
    is_last = goal.classes_axis == -1
    logits, wanted = (wide.flatten(0, -2), against.flatten()) if is_last else (wide, against)
    each = functional.cross_entropy(logits, wanted, reduction="none").reshape(len(against), -1)
    known = against.reshape(len(against), -1).ne(_IGNORED).sum(1)
    total = known.sum().clamp(min=1)
    mean = each.sum() / total
    # A sample counts by its share of the known targets, so one that has none says nothing of the mean's error.
    return Start(goal, mean, by_sample=mean + (each.sum(1) - known * mean) * (len(known) / total))


def guess_at(
    start: Start, result: object, found: Sequence[Tensor], outputs: Callable[[], Outputs], given: Sequence[Any]
) -> Guess | None:
    """What a guess costs; None where no loss is followed.

    Args:
        start: Where the backward pass begins.
        result: What the model returned.
        found: The tensors in it with real numbers and samples, the main one first.
        outputs: The same as arrays.
        given: The targets; of a loss inside the model, what it was given.
    """

    def tried(values: list[np.ndarray[Any, Any]]) -> tuple[float, list[np.ndarray[Any, Any]]]:
        leaves = [
            torch.from_numpy(np.array(value)).to(tensor.device, tensor.dtype).requires_grad_()
            for value, tensor in zip(values, found, strict=True)
        ]
        with torch.enable_grad():
            assert start.goal.scalar is not None
            arrays = {id(tensor): leaf for tensor, leaf in zip(found, leaves, strict=True)}
            value = start.goal.scalar(replaced(result, arrays))
            check_scalar(value, ARRAYS)
            slopes = torch.autograd.grad(value.reshape(()), leaves, allow_unused=True)
        return float(value.detach()), [
            np.zeros_like(one) if slope is None else array_of(slope) for one, slope in zip(values, slopes, strict=True)
        ]

    parts = () if found else [float(one.detach()) for one in own_losses(result, ARRAYS)]
    return guess_of(start.goal, start.loss()[0], outputs, tried, [array_of(one) for one in given], parts=parts)


def _bound(loss: Callable[..., Any], targets: object) -> Callable[[object], Any]:
    if targets is None:
        return loss
    goal = targets if isinstance(targets, Tensor | dict | list | tuple) else torch.from_numpy(array_of(targets))
    return lambda result: loss(result, goal)


def array_of(value: object) -> np.ndarray[Any, Any]:
    """A tensor's numbers on the host, in float32 where NumPy does not know their type; a copy of anything else."""
    if not isinstance(value, Tensor):
        return np.array(value)
    plain = value.detach().cpu()
    return (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
