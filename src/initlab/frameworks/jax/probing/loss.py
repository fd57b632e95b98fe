"""What is followed backwards: a loss of the model's output and the targets, or the output by random numbers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Normal
from initlab.frameworks.jax.reading.inputs import prepared

LossKind = Literal["cross_entropy", "mse", "given", "random"]
Root = Callable[..., tuple[jax.Array, jax.Array | None]]


@dataclass(frozen=True, eq=False)
class Followed:
    """Where a backward pass begins.

    Attributes:
        root: Of what the model returned, and of ``arrays``, the scalar that is followed, and the loss of each sample
            where it is known.
        kind: What the loss is.
        arrays: Targets, or what stands in for them.
        is_known: Whether the output's shape and ``kind`` say all about ``root``: it is not the caller's own.
        target_square: Mean square of the targets of a squared error.
    """

    root: Root
    kind: LossKind
    arrays: tuple[NDArray[Any], ...] = ()
    is_known: bool = True
    target_square: float = math.nan


def main_output(result: Any) -> Any:
    """The array that a model's result is about: its logits, else the first one with real numbers and samples."""
    if hasattr(result, "dtype"):
        return result if jnp.issubdtype(result.dtype, jnp.floating) and len(result.shape) > 0 else None
    if isinstance(result, Mapping):
        return result["logits"] if "logits" in result else _first(result.values())
    return _first(result) if isinstance(result, list | tuple) else None


def _first(values: Iterable[Any]) -> Any:
    return next((found for value in values if (found := main_output(value)) is not None), None)


def followed(result: Any, targets: Any, loss: Callable[..., Any] | None) -> Followed:
    """Where the backward pass begins.

    Args:
        result: What the model returns, its shapes at least.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: A function of the outputs, and of the targets where there are some.

    Raises:
        OptionError: An output without real numbers.
        ShapeError: Targets that do not fit the output.
    """
    if loss is not None:
        goal = () if targets is None else (prepared(targets),)
        return Followed(lambda made: (_scalar(loss(made, *goal)), None), "given", is_known=False)
    if targets is None and isinstance(result, Mapping) and "loss" in result:
        return Followed(lambda made: (_scalar(made["loss"]), None), "given")
    output = main_output(result)
    if output is None:
        raise OptionError(f"the model returns {type(result).__name__}, without real numbers", fix="give loss=")
    shape = tuple(int(n) for n in output.shape)
    if targets is None:
        return Followed(lambda made, noise: (jnp.sum(main_output(made) * noise), None), "random", (_noise(shape),))
    array = np.asarray(targets)
    if array.dtype.kind == "f":
        return _squared(array, shape)
    if array.dtype.kind not in "iub":
        raise OptionError(f"targets of {array.dtype}", where="targets", fix="give numbers")
    return _entropy(array.astype(np.int32), shape)


def _squared(goal: NDArray[Any], shape: tuple[int, ...]) -> Followed:
    if goal.size != prod(shape) or goal.shape[:1] != shape[:1]:
        raise _misfit(shape, goal.shape, "as many numbers as the output")

    def root(made: Any, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        by_sample = jnp.mean(jnp.square(_wide(main_output(made)) - target).reshape(shape[0], -1), axis=1)
        return jnp.mean(by_sample), by_sample

    square = float(np.mean(np.square(goal.astype(np.float64))))
    return Followed(root, "mse", (goal.reshape(shape),), target_square=square)


def _entropy(goal: NDArray[np.int32], shape: tuple[int, ...]) -> Followed:
    goal = goal[..., 0] if goal.shape == (*shape[:-1], 1) else goal
    if len(shape) < 2 or goal.shape != shape[:-1]:
        raise _misfit(shape, goal.shape, "one class a sample, or a token")
    if goal.size and not 0 <= int(goal.min()) <= int(goal.max()) < shape[-1]:
        raise _misfit(shape, goal.shape, f"classes from 0 and below {shape[-1]}")

    def root(made: Any, classes: jax.Array) -> tuple[jax.Array, jax.Array]:
        logs = jax.nn.log_softmax(_wide(main_output(made)), axis=-1)
        each = -jnp.take_along_axis(logs, classes[..., None], axis=-1)
        by_sample = jnp.mean(each.reshape(shape[0], -1), axis=1)
        return jnp.mean(by_sample), by_sample

    return Followed(root, "cross_entropy", (goal,))


def _wide(output: jax.Array) -> jax.Array:
    return output.astype(jnp.float32) if output.dtype.itemsize < 4 else output


def _misfit(output: tuple[int, ...], targets: tuple[int, ...], wanted: str) -> ShapeError:
    what = f"targets of shape {targets} do not fit an output of shape {output}"
    return ShapeError(what, where="targets", fix=f"give {wanted}, or loss=")


def _scalar(value: Any) -> jax.Array:
    if not hasattr(value, "shape") or prod(value.shape) != 1:
        found = f"of shape {tuple(value.shape)}" if hasattr(value, "shape") else f"a {type(value).__name__}"
        raise OptionError(f"the loss is no scalar, it is {found}", where="loss", fix="return its mean")
    return jnp.reshape(value, ())


def _noise(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Standard normal numbers that are always the same for a shape."""
    return np.asarray(Normal(1.0).draw(shape, stream(0, "output", purpose="probe")), np.float32)
