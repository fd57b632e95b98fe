"""What is followed backwards: a loss of the model's output and the targets, or the output by random numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Normal

LossKind = Literal["cross_entropy", "mse", "given", "random"]


@dataclass(frozen=True, eq=False)
class Followed:
    """Where a backward pass begins.

    Attributes:
        root: The value that is followed backwards.
        gradient: What it is multiplied with; None for a scalar.
        by_sample: The loss of each sample; None where only the whole is known.
        kind: What the loss is.
    """

    root: Tensor
    gradient: Tensor | None
    by_sample: Tensor | None
    kind: LossKind

    def loss(self) -> tuple[float, float]:
        """The loss and its standard error over the samples; NaN where they are not known."""
        value = math.nan if self.kind == "random" else float(self.root.detach())
        if self.by_sample is None or len(self.by_sample) < 2:
            return value, math.nan
        return value, float(self.by_sample.detach().double().std()) / math.sqrt(len(self.by_sample))


def main_output(result: object) -> Tensor | None:
    """The tensor that a model's result is about: its logits, else the first one with real numbers and samples."""
    if isinstance(result, Tensor):
        return result if result.is_floating_point() and result.dim() > 0 else None
    if isinstance(result, Mapping):
        logits = result.get("logits")
        return logits if isinstance(logits, Tensor) else _first(result.values())
    if isinstance(result, list | tuple):
        return _first(result)
    own = getattr(result, "logits", None)
    return own if isinstance(own, Tensor) else _first(vars(result).values() if hasattr(result, "__dict__") else ())


def _first(values: Any) -> Tensor | None:
    return next((found for value in values if (found := main_output(value)) is not None), None)


def followed(result: object, targets: object, loss: Callable[..., Any] | None) -> Followed:
    """Where the backward pass begins.

    Args:
        result: What the model returned.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: A function of the outputs, and of the targets where there are some; its value is a scalar.

    Raises:
        OptionError: A loss that is not a scalar, or an output that no gradient passes.
        ShapeError: Targets that do not fit the output.
    """
    if loss is not None:
        value = loss(result) if targets is None else loss(result, _tensor(targets, None))
        return _checked(Followed(_scalar(value), None, None, "given"))
    own = result.get("loss") if isinstance(result, Mapping) else getattr(result, "loss", None)
    if targets is None and isinstance(own, Tensor):
        return _checked(Followed(_scalar(own), None, None, "given"))
    output = main_output(result)
    if output is None:
        raise OptionError(f"the model returns {type(result).__name__}, without real numbers", fix="give loss=")
    if targets is None:
        return _checked(Followed(output, _noise(output), None, "random"))
    return _checked(_against(output, _tensor(targets, output)))


def _against(output: Tensor, targets: Tensor) -> Followed:
    wide = output if output.dtype == torch.float64 else output.float()
    if targets.is_floating_point():
        if targets.numel() != output.numel() or targets.shape[:1] != output.shape[:1]:
            raise _misfit(output, targets, "as many numbers as the output")
        by_sample = (wide - targets.reshape(wide.shape).to(wide.dtype)).square().flatten(1).mean(1)
        return Followed(by_sample.mean(), None, by_sample, "mse")
    if output.dim() < 2 or targets.shape not in (output.shape[:-1], (*output.shape[:1], *output.shape[2:])):
        raise _misfit(output, targets, "one class a sample, or a token")
    are_last = targets.shape == output.shape[:-1]
    classes = output.shape[-1 if are_last else 1]
    if int(targets.max()) >= classes:
        raise _misfit(output, targets, f"classes below {classes}")
    # Side by side, the logits of a token are normalised at a third of the cost.
    logits, wanted = (wide.flatten(0, -2), targets.flatten()) if are_last else (wide, targets)
    each = functional.cross_entropy(logits, wanted.long(), reduction="none").reshape(len(targets), -1)
    known = (targets.reshape(len(targets), -1) != -100).sum(1)
    by_sample = each.sum(1) / known.clamp(min=1)
    return Followed(each.sum() / known.sum().clamp(min=1), None, by_sample, "cross_entropy")


def _misfit(output: Tensor, targets: Tensor, wanted: str) -> ShapeError:
    return ShapeError(
        f"targets of shape {tuple(targets.shape)} do not fit an output of shape {tuple(output.shape)}",
        where="targets",
        fix=f"give {wanted}, or loss=",
    )


def _tensor(targets: object, output: Tensor | None) -> Any:
    if isinstance(targets, Mapping | list | tuple) and output is None:
        return targets
    tensor = targets if isinstance(targets, Tensor) else torch.from_numpy(np.array(targets))
    return tensor if output is None else tensor.to(output.device)


def _scalar(value: object) -> Tensor:
    if not isinstance(value, Tensor) or value.numel() != 1:
        found = f"of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise OptionError(f"the loss is no scalar, it is {found}", where="loss", fix="return its mean")
    return value.reshape(())


def _checked(found: Followed) -> Followed:
    if not found.root.requires_grad:
        what = "output" if found.kind == "random" else "loss"
        raise OptionError(f"no gradient passes the model's {what}", fix="remove no_grad and detach from its forward")
    return found


def _noise(output: Tensor) -> Tensor:
    """Standard normal numbers that are always the same for a shape."""
    numbers = Normal(1.0).draw(tuple(output.shape), stream(0, "output", purpose="probe"))
    return torch.from_numpy(np.asarray(numbers)).to(output.device, output.dtype)
