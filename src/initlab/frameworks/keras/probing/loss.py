"""The loss that a probe follows backwards, in Keras; ``reading.loss`` says what it is and whether targets fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any, Literal

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from initlab.frameworks.keras.autodiff import Autodiff, Start
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.guess import Outputs, Values, replaced, uniform_guess
from initlab.frameworks.reading.loss import (
    Goal,
    check_classes,
    check_scalar,
    goal_of,
    guess_of,
    main_output,
    own_losses,
)

OutputKind = Literal["logits", "shares", "chance"]

_LEAST = 1e-30  # below it a share counts as this much: its logarithm stays a number


class KerasArrays:
    """The tensors of Keras' back end."""

    def is_array(self, value: object) -> bool:
        """Whether a value is a tensor."""
        return bool(ops.is_tensor(value))

    def is_real(self, array: Any) -> bool:
        """Whether a tensor holds real numbers."""
        return "float" in keras.backend.standardize_dtype(array.dtype)


ARRAYS = KerasArrays()


@dataclass(frozen=True, eq=False)
class Loss:
    """Where a backward pass begins, and what is known of the loss.

    Attributes:
        start: What is followed.
        goal: What the loss is.
        by_sample: The loss of each sample, without gradient; None where only the whole is known.
        result: What the model returned, where the loss is not known by its kind.
        values: Its tensors with real numbers and samples, the main one first, as arrays.
        parts: The losses that it returned, where it returned nothing else.
    """

    start: Start
    goal: Goal
    by_sample: Any = None
    result: Any = None
    values: tuple[NDArray[Any], ...] = ()
    parts: tuple[float, ...] = ()


def outputs_of(result: Any) -> list[Any]:
    """The tensors that a model returned, those with samples alone; the main one first: its logits, else the first."""
    main = main_output(result, ARRAYS)
    every = [x for x in keras.tree.flatten(result) if ops.is_tensor(x) and len(x.shape) > 0]
    return [x for x in every if x is main] + [x for x in every if x is not main]


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
    given = None if targets is None or loss is not None else _array(targets)
    if output_kind == "chance" and given is not None and given.dtype.kind in "iub":
        output = main_output(result, ARRAYS)
        if output.shape[-1] == 1 and given.size == prod(output.shape):
            return _binary(_wide(output), given, engine)
    bound = None if loss is None else _bound(loss, targets)
    goal = goal_of(result, given, bound, ARRAYS, units=units_of(main_output(result, ARRAYS)))
    if goal.scalar is not None:
        value = goal.scalar(result)
        check_scalar(value, ARRAYS)
        held = _real(result, is_own=goal.is_own)
        plain = tuple(to_numpy(engine.plain(one)) for one in held)
        alone = own_losses(result, ARRAYS) if goal.is_own and not held else []
        parts = tuple(float(to_numpy(engine.plain(one))) for one in alone)
        return Loss(Start(ops.reshape(value, ())), goal, None, result, plain, parts)
    output, against = main_output(result, ARRAYS), np.asarray(goal.against)
    if goal.kind == "random":
        return Loss(Start(output, _like(against, output)), goal)
    if goal.kind == "mse":
        return _meant(ops.square(_wide(output) - _like(against, _wide(output))), goal, engine)
    return _entropy(ops.moveaxis(_wide(output), goal.classes_axis, -1), against, goal, output_kind, engine)


def _real(result: Any, *, is_own: bool) -> list[Any]:
    real = [x for x in outputs_of(result) if ARRAYS.is_real(x)]
    return real[: main_output(result, ARRAYS) is not None] if is_own else real


def units_of(output: Any) -> int:
    """The axis of units: that of channels, for images."""
    is_first = keras.config.image_data_format() == "channels_first"
    return 1 if output is not None and is_first and len(output.shape) > 3 else -1


def guess_at(
    loss: Loss, value: float, engine: Autodiff, given: Sequence[NDArray[Any]], *, is_chance: bool, heads: Outputs
) -> Any:
    """What a guess costs; None where no loss is followed.

    Args:
        loss: What is known of the loss.
        value: The loss.
        engine: The back end's differentiation.
        given: The targets; of a loss inside the model, what it was given.
        is_chance: Whether the main output is a sigmoid.
        heads: The weighted sums of which no other is made.
    """
    found = _real(loss.result, is_own=loss.goal.is_own)

    def tried(values: Values) -> tuple[float, Values]:
        slopes = [np.zeros_like(one) for one in values]

        def kept(at: int, gradient: Any) -> None:
            slopes[at] = to_numpy(gradient).astype(np.float32)

        def forward(leaves: list[Any]) -> Start:
            heard = [engine.listen(leaf, partial(kept, at)) for at, leaf in enumerate(leaves)]
            arrays = {id(tensor): leaf for tensor, leaf in zip(found, heard, strict=True)}
            assert loss.goal.scalar is not None
            with keras.StatelessScope(collect_losses=True):  # it may count what it is asked
                return Start(ops.reshape(loss.goal.scalar(replaced(loss.result, arrays)), ()))

        root = engine.follow([_like(one, tensor) for one, tensor in zip(values, found, strict=True)], forward)
        return float(to_numpy(root)), slopes

    def outputs() -> Outputs:
        if not found:
            return heads
        return Outputs(list(loss.values), tuple(units_of(tensor) for tensor in found), is_chance)

    return guess_of(loss.goal, value, outputs, tried, given, parts=loss.parts)


def _entropy(output: Any, classes: NDArray[Any], goal: Goal, output_kind: OutputKind, engine: Autodiff) -> Loss:
    if output_kind == "shares":
        note = "the output is a softmax: the cross entropy is that of its logarithm"
        logs, goal = _log(output), replace(goal, notes=(*goal.notes, note))
    else:
        logs = ops.log_softmax(output, axis=-1)
    at = ops.convert_to_tensor(classes[..., None].astype(np.int32))
    return _meant(-ops.take_along_axis(logs, at, axis=-1), goal, engine)


def _binary(output: Any, goal: NDArray[Any], engine: Autodiff) -> Loss:
    check_classes(goal, 2)
    is_one = ops.convert_to_tensor(goal.reshape(tuple(output.shape)).astype(bool))
    note = "the output is a sigmoid of one unit: the loss is the cross entropy of two classes"
    known = Goal("given", notes=(note,), guess=uniform_guess(2))
    return _meant(-_log(ops.where(is_one, output, 1 - output)), known, engine)


def _meant(each: Any, goal: Goal, engine: Autodiff) -> Loss:
    """The mean of the losses of a batch's entries, and that of each sample."""
    by_sample = ops.mean(ops.reshape(each, (each.shape[0], -1)), axis=1)
    return Loss(Start(ops.mean(by_sample)), goal, engine.plain(by_sample))


def _log(shares: Any) -> Any:
    return ops.log(ops.maximum(shares, _LEAST))


def _wide(output: Any) -> Any:
    is_wide = keras.backend.standardize_dtype(output.dtype) in ("float32", "float64")
    return output if is_wide else ops.cast(output, "float32")


def _like(array: NDArray[Any], output: Any) -> Any:
    return ops.cast(ops.convert_to_tensor(array), keras.backend.standardize_dtype(output.dtype))


def _bound(loss: Callable[..., Any], targets: Any) -> Callable[[Any], Any]:
    if targets is None:
        return loss
    goal = keras.tree.map_structure(ops.convert_to_tensor, targets)
    return lambda made: loss(goal, made) if isinstance(loss, keras.losses.Loss) else loss(made, goal)


def _array(targets: Any) -> NDArray[Any]:
    return np.asarray(to_numpy(targets) if ops.is_tensor(targets) else targets)
