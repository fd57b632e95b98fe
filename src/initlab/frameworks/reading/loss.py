"""What a probe follows backwards, and whether the targets fit, before any number is computed.

A framework computes the loss itself, of its own arrays, and its gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Normal
from initlab.core.signals.readings import Guess
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.guess import (
    Outputs,
    Tried,
    constant_guess,
    guess_by_heads,
    guess_by_trying,
    guess_inside,
    uniform_guess,
)
from initlab.frameworks.reading.recognition import Recognised

LossKind = Literal["cross_entropy", "mse", "given", "random"]
Result: TypeAlias = Any
Shape = tuple[int, ...]


class Arrays(Protocol):
    """What is asked of a framework's arrays."""

    def is_array(self, value: object) -> bool:
        """Whether a value is one of the framework's arrays."""
        ...

    def is_real(self, array: Any) -> bool:
        """Whether an array holds real numbers."""
        ...


@dataclass(frozen=True, eq=False)
class Goal:
    """What is followed backwards.

    Attributes:
        kind: What the loss is.
        scalar: Of a given loss: its value, of what the model returned.
        against: What the main output is held against: classes, numbers of its shape, or of random ones its gradient.
        classes_axis: Of cross entropy, the axis of the output that holds the classes.
        ignored: Of cross entropy, the target that is left out of the loss; None where none is.
        target_square: Mean square of the targets of a squared error.
        notes: What is left out, in words.
        guess: What a guess costs, where that is known from the targets alone.
        is_own: Whether the model computes the loss itself.
    """

    kind: LossKind
    scalar: Callable[[Result], Any] | None = None
    against: NDArray[Any] | None = None
    classes_axis: int = -1
    ignored: int | None = None
    target_square: float = math.nan
    notes: tuple[str, ...] = ()
    guess: Guess | None = None
    is_own: bool = False


def goal_of(
    result: Result,
    targets: NDArray[Any] | None,
    loss: Callable[[Result], Any] | None,
    arrays: Arrays,
    *,
    ignored: int | None = None,
    units: int = -1,
) -> Goal:
    """What is followed backwards.

    Args:
        result: What the model returned, its shapes at least.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: The caller's, as a function of what the model returned alone; the targets are its own matter then.
        arrays: The framework's.
        ignored: The target that the framework's own cross entropy leaves out; None where there is none.
        units: The axis of the main output that holds its units.

    Raises:
        OptionError: An output without real numbers, or targets that are no numbers.
        ShapeError: Targets that do not fit the output.
    """
    if loss is not None:
        return Goal("given", scalar=loss)
    own = own_losses(result, arrays)
    if targets is None and own:
        notes = (f"the sum of the model's {len(own)} losses was followed",) if len(own) > 1 else ()
        return Goal("given", scalar=lambda made: sum(own_losses(made, arrays)), notes=notes, is_own=True)
    output = main_output(result, arrays)
    if output is None:
        raise OptionError(f"the model returns {type(result).__name__}, without real numbers", fix="give loss=")
    shape = tuple(int(n) for n in output.shape)
    if targets is None:
        return Goal("random", against=_noise(shape))
    if targets.dtype.kind == "f":
        return _squared(targets, shape, units)
    if targets.dtype.kind not in "iub":
        raise OptionError(f"targets of {targets.dtype}", where="targets", fix="give numbers")
    return _entropy(targets.astype(np.int64), shape, ignored)


def guess_of(
    goal: Goal, loss: float, outputs: Callable[[], Outputs], tried: Tried, given: Sequence[NDArray[Any]],
    *, parts: Sequence[float] = (),
) -> Guess | None:  # fmt: skip
    """What a guess costs; None where no loss is followed.

    Args:
        goal: What is followed.
        loss: Its value.
        outputs: What the model returned; where it returns its losses alone, its heads.
        tried: The loss at other outputs, and its gradients by them.
        given: The targets; of a loss inside the model, the arrays of the batch.
        parts: The losses that the model returned, where it returned nothing else.
    """
    if goal.guess is not None or goal.kind == "random":
        return goal.guess
    found = guess_by_heads(parts, outputs(), given) if parts else guess_inside(loss, outputs(), given)
    if found is not None:
        return found
    if goal.is_own:
        return Guess(why="the model computes it from what is not seen")
    largest = max((float(np.abs(one).max()) for one in given if one.size and one.dtype.kind == "f"), default=0.0)
    return guess_by_trying(loss, outputs(), tried, largest_target=largest)


def main_output(result: Result, arrays: Arrays) -> Any:
    """The array that a model's result is about: its logits, else the first one with real numbers and samples."""
    if arrays.is_array(result):
        return result if arrays.is_real(result) and len(result.shape) > 0 else None
    if isinstance(result, list | tuple):
        return _first(result, arrays)
    held = _held(result)
    return held["logits"] if arrays.is_array(held.get("logits")) else _first(held.values(), arrays)


def own_losses(result: Result, arrays: Arrays) -> list[Any]:
    """The losses that a model returns itself; [] for none.

    The one that is called so, the scalar that a tuple begins with, or the scalars of what holds nothing else.
    """
    if arrays.is_array(result):
        return [result] if _is_scalar(result, arrays) else []
    if isinstance(result, list | tuple):
        return [one for one in result[:1] if _is_scalar(one, arrays)]
    held = _held(result)
    if arrays.is_array(held.get("loss")):
        return [held["loss"]]
    scalars = [one for one in held.values() if _is_scalar(one, arrays)]
    return scalars if len(scalars) == len(held) else []


def _is_scalar(value: Any, arrays: Arrays) -> bool:
    return arrays.is_array(value) and arrays.is_real(value) and len(value.shape) == 0


def _held(result: Result) -> Mapping[str, Any]:
    return result if isinstance(result, Mapping) else getattr(result, "__dict__", {})


def _first(values: Iterable[Any], arrays: Arrays) -> Any:
    return next((found for value in values if (found := main_output(value, arrays)) is not None), None)


def _squared(targets: NDArray[Any], shape: Shape, units: int) -> Goal:
    if targets.size != prod(shape) or targets.shape[:1] != shape[:1]:
        raise misfit(shape, targets.shape, "as many numbers as the output")
    square = float(np.mean(np.square(targets.astype(np.float64))))
    against = targets.reshape(shape)
    return Goal("mse", against=against, target_square=square, guess=constant_guess(against, units))


def _entropy(targets: NDArray[np.int64], shape: Shape, ignored: int | None) -> Goal:
    if targets.shape == (*shape[:-1], 1):
        targets = targets[..., 0]
    if len(shape) < 2 or targets.shape not in (shape[:-1], (*shape[:1], *shape[2:])):
        raise misfit(shape, targets.shape, "one class a sample, or a token")
    axis = -1 if targets.shape == shape[:-1] else 1
    left_out = targets == ignored if ignored is not None else np.zeros(targets.shape, bool)
    check_classes(targets[~left_out], shape[axis])
    count = int(left_out.sum())
    notes = (f"{count} of {targets.size} targets are {ignored} and are left out of the loss",) if count else ()
    guess = uniform_guess(shape[axis])
    return Goal("cross_entropy", against=targets, classes_axis=axis, ignored=ignored, notes=notes, guess=guess)


def check_classes(targets: NDArray[Any], classes: int) -> None:
    """Raises ShapeError for a target that is none of so many classes."""
    wrong = targets[(targets < 0) | (targets >= classes)]
    if wrong.size:
        fix = f"give classes from 0 and below {classes}, or loss="
        raise ShapeError(f"a target is {int(wrong[0])}, and there are {classes} classes", where="targets", fix=fix)


def misfit(output: Shape, targets: Shape, wanted: str) -> ShapeError:
    """The error of targets that do not fit an output; ``wanted`` is what would."""
    what = f"targets of shape {targets} do not fit an output of shape {output}"
    return ShapeError(what, where="targets", fix=f"give {wanted}, or loss=")


def check_scalar(value: Any, arrays: Arrays) -> None:
    """Raises OptionError for a loss that is not one number in an array of the framework's."""
    is_array = arrays.is_array(value)
    if not is_array or prod(value.shape) != 1:
        found = f"of shape {tuple(int(n) for n in value.shape)}" if is_array else f"a {type(value).__name__}"
        raise OptionError(f"the loss is no scalar, it is {found}", where="loss", fix="return its mean")


def is_chance(node: Node | None, recognised: Callable[[Node], Recognised]) -> bool:
    """Whether a value is a sigmoid's, and so the chance of one of two classes."""
    return node is not None and node.kind == "elementwise" and recognised(node).f == "sigmoid"


def stopped(kind: LossKind, fix: str) -> OptionError:
    """The error of a loss that no gradient passes back from; ``fix`` is what stops it."""
    what = "output" if kind == "random" else "loss"
    return OptionError(f"no gradient passes the model's {what}", fix=f"remove {fix} from the model's code")


def standard_error(by_sample: NDArray[Any] | None) -> float:
    """Standard error of the mean over samples; NaN where it is not known.

    Example:
        >>> standard_error(np.array([1.0, 3.0]))      # sqrt(2) / sqrt(2)
        1.0
    """
    if by_sample is None or len(by_sample) < 2:
        return math.nan
    return float(np.std(by_sample, ddof=1, dtype=np.float64)) / math.sqrt(len(by_sample))


def _noise(shape: Shape) -> NDArray[np.float32]:
    """Standard normal numbers that are always the same for a shape."""
    return np.asarray(Normal(1.0).draw(shape, stream(0, "output", purpose="probe")), np.float32)
