"""What is followed backwards: a loss of the model's output and the targets, or the output by random numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Normal
from initlab.frameworks.keras.probing.autodiff import Autodiff, Start
from initlab.frameworks.keras.writing.memory import to_numpy

LossKind = Literal["cross_entropy", "mse", "given", "random"]
OutputKind = Literal["logits", "shares", "chance"]

_LEAST = 1e-30  # below it a share counts as this much: its logarithm stays a number


@dataclass(frozen=True, eq=False)
class Loss:
    """Where a backward pass begins, and what is known of the loss.

    Attributes:
        start: What is followed.
        kind: What the loss is.
        by_sample: The loss of each sample, without gradient; None where only the whole is known.
        target_square: Mean square of the targets of a squared error.
        note: What was done to the output first, in words; empty for nothing.
    """

    start: Start
    kind: LossKind
    by_sample: Any = None
    target_square: float = math.nan
    note: str = ""

    def error(self) -> float:
        """Standard error over the samples; NaN where it is not known."""
        if self.by_sample is None or int(self.by_sample.shape[0]) < 2:
            return math.nan
        each = to_numpy(self.by_sample).astype(np.float64)
        return float(each.std(ddof=1)) / math.sqrt(len(each))


def outputs_of(result: Any) -> list[Any]:
    """The tensors that a model returned, those with samples alone; the main one first: its logits, else the first."""
    main = _main(result)
    every = [x for x in keras.tree.flatten(result) if ops.is_tensor(x) and len(x.shape) > 0]
    return [x for x in every if x is main] + [x for x in every if x is not main]


def _main(result: Any) -> Any:
    if ops.is_tensor(result):
        return result if "float" in keras.backend.standardize_dtype(result.dtype) and len(result.shape) > 0 else None
    if isinstance(result, Mapping):
        logits = result.get("logits")
        return logits if ops.is_tensor(logits) else _first(result.values())
    return _first(result) if isinstance(result, list | tuple) else None


def _first(values: Iterable[Any]) -> Any:
    return next((found for value in values if (found := _main(value)) is not None), None)


def loss_of(
    result: Any, targets: Any, loss: Callable[..., Any] | None, output_kind: OutputKind, engine: Autodiff
) -> Loss:
    """Where the backward pass begins.

    Args:
        result: What the model returned.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: A function of the outputs, and of the targets where there are some, or a ``keras.losses.Loss``.
        output_kind: Whether the main output holds logits, shares of a softmax, or chances of a sigmoid.
        engine: The back end's differentiation.

    Raises:
        OptionError: A loss that is not a scalar, or an output without real numbers.
        ShapeError: Targets that do not fit the output.
    """
    if loss is not None:
        return Loss(Start(_scalar(_called(loss, result, targets))), "given")
    own = result.get("loss") if isinstance(result, Mapping) else None
    if targets is None and own is not None:
        return Loss(Start(_scalar(own)), "given")
    output = _main(result)
    if output is None:
        raise OptionError(f"the model returns {type(result).__name__}, without real numbers", fix="give loss=")
    if targets is None:
        return Loss(Start(output, _noise(output)), "random")
    dtype = keras.backend.standardize_dtype(output.dtype)
    wide = output if dtype in ("float32", "float64") else ops.cast(output, "float32")
    goal = to_numpy(targets) if ops.is_tensor(targets) else np.asarray(targets)
    if goal.dtype.kind == "f":
        return _squared(wide, goal, engine)
    if goal.dtype.kind not in "iub":
        raise OptionError(f"targets of {goal.dtype}", where="targets", fix="give numbers")
    return _entropy(wide, goal.astype(np.int32), output_kind, engine)


def _called(loss: Callable[..., Any], result: Any, targets: Any) -> Any:
    if targets is None:
        return loss(result)
    goal = keras.tree.map_structure(ops.convert_to_tensor, targets)
    return loss(goal, result) if isinstance(loss, keras.losses.Loss) else loss(result, goal)


def _squared(output: Any, goal: np.ndarray[Any, Any], engine: Autodiff) -> Loss:
    shape = tuple(output.shape)
    if goal.size != prod(shape) or goal.shape[:1] != shape[:1]:
        raise _misfit(shape, goal.shape, "as many numbers as the output")
    target = ops.convert_to_tensor(goal.reshape(shape).astype(keras.backend.standardize_dtype(output.dtype)))
    by_sample = ops.mean(ops.reshape(ops.square(output - target), (shape[0], -1)), axis=1)
    square = float(np.mean(np.square(goal.astype(np.float64))))
    return Loss(Start(ops.mean(by_sample)), "mse", engine.plain(by_sample), square)


def _entropy(output: Any, goal: np.ndarray[Any, Any], output_kind: OutputKind, engine: Autodiff) -> Loss:
    shape = tuple(output.shape)
    if shape[-1] == 1 and output_kind == "chance" and goal.size == prod(shape):
        return _binary(output, goal, engine)
    if goal.shape == (*shape[:-1], 1):
        goal = goal[..., 0]
    if len(shape) < 2 or goal.shape != shape[:-1]:
        raise _misfit(shape, goal.shape, "one class a sample, or a token")
    if goal.size and not 0 <= int(goal.min()) <= int(goal.max()) < shape[-1]:
        raise _misfit(shape, goal.shape, f"classes from 0 and below {shape[-1]}")
    note = ""
    if output_kind == "shares":
        logs, note = _log(output), "the output is a softmax: the cross entropy is that of its logarithm"
    else:
        logs = ops.log_softmax(output, axis=-1)
    each = -ops.take_along_axis(logs, ops.convert_to_tensor(goal[..., None]), axis=-1)
    by_sample = ops.mean(ops.reshape(each, (shape[0], -1)), axis=1)
    return Loss(Start(ops.mean(by_sample)), "cross_entropy", engine.plain(by_sample), note=note)


def _binary(output: Any, goal: np.ndarray[Any, Any], engine: Autodiff) -> Loss:
    shape = tuple(output.shape)
    if goal.size and not 0 <= int(goal.min()) <= int(goal.max()) < 2:
        raise _misfit(shape, goal.shape, "classes 0 and 1")
    is_one = ops.convert_to_tensor(goal.reshape(shape).astype(bool))
    each = -_log(ops.where(is_one, output, 1 - output))
    by_sample = ops.mean(ops.reshape(each, (shape[0], -1)), axis=1)
    note = "the output is a sigmoid of one unit: the loss is the cross entropy of two classes"
    return Loss(Start(ops.mean(by_sample)), "given", engine.plain(by_sample), note=note)


def _log(shares: Any) -> Any:
    return ops.log(ops.maximum(shares, _LEAST))


def _misfit(output: tuple[int, ...], targets: tuple[int, ...], wanted: str) -> ShapeError:
    return ShapeError(
        f"targets of shape {targets} do not fit an output of shape {output}",
        where="targets",
        fix=f"give {wanted}, or loss=",
    )


def _scalar(value: Any) -> Any:
    if not ops.is_tensor(value) or prod(value.shape) != 1:
        found = f"of shape {tuple(value.shape)}" if ops.is_tensor(value) else f"a {type(value).__name__}"
        raise OptionError(f"the loss is no scalar, it is {found}", where="loss", fix="return its mean")
    return ops.reshape(value, ())


def _noise(output: Any) -> Any:
    """Standard normal numbers that are always the same for a shape."""
    numbers = Normal(1.0).draw(tuple(int(n) for n in output.shape), stream(0, "output", purpose="probe"))
    return ops.convert_to_tensor(np.asarray(numbers, np.float32), dtype=output.dtype)
