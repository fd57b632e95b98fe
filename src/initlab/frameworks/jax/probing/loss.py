"""The loss that a probe follows backwards, in JAX; ``reading.loss`` says what it is and whether targets fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import Guess
from initlab.frameworks.jax.reading.inputs import prepared
from initlab.frameworks.reading.guess import Outputs, Values
from initlab.frameworks.reading.loss import Goal, check_scalar, goal_of, guess_of, main_output, own_losses

Root = Callable[..., tuple[jax.Array, jax.Array | None]]


class JaxArrays:
    """Arrays of JAX, and their shapes in a trace."""

    def is_array(self, value: object) -> bool:
        """Whether a value has the shape and type of an array."""
        return hasattr(value, "dtype") and hasattr(value, "shape")

    def is_real(self, array: Any) -> bool:
        """Whether an array holds real numbers."""
        return bool(jnp.issubdtype(array.dtype, jnp.floating))


ARRAYS = JaxArrays()


@dataclass(frozen=True, eq=False)
class Start:
    """Where a backward pass begins.

    Attributes:
        goal: What is followed.
        root: Of what the model returned, and of ``arrays``, the scalar that is followed, and the loss of each sample
            where it is known.
        arrays: What the output is held against.
        is_known: Whether the output's shape and the goal's kind say all about ``root``: it is not the caller's own.
    """

    goal: Goal
    root: Root
    arrays: tuple[NDArray[Any], ...] = ()
    is_known: bool = True


def start_of(result: Any, targets: Any, loss: Callable[..., Any] | None) -> Start:
    """Where the backward pass begins.

    Args:
        result: What the model returns, its shapes at least.
        targets: Whole numbers for cross entropy, real ones for the mean square error; None for none.
        loss: A function of the outputs, and of the targets where there are some.

    Raises:
        OptionError: An output without real numbers.
        ShapeError: Targets that do not fit the output.
    """
    given = None if targets is None or loss is not None else np.asarray(targets)
    goal = goal_of(result, given, None if loss is None else _bound(loss, targets), ARRAYS)
    if goal.scalar is not None:
        return Start(goal, lambda made: (_scalar(goal, made), None), is_known=loss is None)
    against = np.asarray(goal.against)
    if goal.kind == "cross_entropy":
        return Start(goal, lambda made, classes: _entropy(goal, made, classes), (against.astype(np.int32),))
    root = _squared if goal.kind == "mse" else _followed
    return Start(goal, root, (against,))


def guess_at(
    start: Start, loss: float, result_of: Callable[[Sequence[Any]], Any], outputs: Sequence[Any], used: Sequence[int],
    values: Callable[[], Outputs], given: Sequence[NDArray[Any]],
) -> Guess | None:  # fmt: skip
    """What a guess costs; None where no loss is followed.

    Args:
        start: Where the backward pass begins.
        loss: The loss.
        result_of: What the model returns, of its arrays.
        outputs: These arrays.
        used: Those with real numbers and samples, the main one first.
        values: The same as arrays.
        given: The targets; of a loss inside the model, what it was given.
    """

    @jax.jit
    def both(leaves: list[Any]) -> tuple[Any, list[Any]]:
        def root(leaves: list[Any]) -> Any:
            arrays = list(outputs)
            for at, leaf in zip(used, leaves, strict=True):
                arrays[at] = leaf
            return start.root(result_of(arrays))[0]

        return jax.value_and_grad(root)(leaves)

    def tried(values: Values) -> tuple[float, Values]:
        loss, slopes = both([jnp.asarray(one, outputs[at].dtype) for one, at in zip(values, used, strict=True)])
        return float(loss), [np.asarray(slope, np.float32) for slope in slopes]

    parts = () if used else [float(one) for one in own_losses(result_of(outputs), ARRAYS)]
    return guess_of(start.goal, loss, values, tried, given, parts=parts)


def _bound(loss: Callable[..., Any], targets: Any) -> Callable[[Any], Any]:
    if targets is None:
        return loss
    against = prepared(targets)
    return lambda made: loss(made, against)


def _scalar(goal: Goal, made: Any) -> jax.Array:
    assert goal.scalar is not None
    value = goal.scalar(made)
    check_scalar(value, ARRAYS)
    return jnp.reshape(value, ())


def _followed(made: Any, noise: jax.Array) -> tuple[jax.Array, None]:
    return jnp.sum(main_output(made, ARRAYS) * noise), None


def _squared(made: Any, target: jax.Array) -> tuple[jax.Array, jax.Array]:
    by_sample = jnp.mean(jnp.square(_output(made) - target).reshape(target.shape[0], -1), axis=1)
    return jnp.mean(by_sample), by_sample


def _entropy(goal: Goal, made: Any, classes: jax.Array) -> tuple[jax.Array, jax.Array]:
    logs = jax.nn.log_softmax(jnp.moveaxis(_output(made), goal.classes_axis, -1), axis=-1)
    each = -jnp.take_along_axis(logs, classes[..., None], axis=-1)
    by_sample = jnp.mean(each.reshape(classes.shape[0], -1), axis=1)
    return jnp.mean(by_sample), by_sample


def _output(made: Any) -> jax.Array:
    output: jax.Array = main_output(made, ARRAYS)
    return output.astype(jnp.float32) if output.dtype.itemsize < 4 else output
