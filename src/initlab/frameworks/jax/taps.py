"""One forward and backward pass of a batch, summed at every place; a copy of the model runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.core.errors import DataError, InitlabError, OptionError
from initlab.core.sums import sums_of
from initlab.core.taps import Reading, Sums
from initlab.frameworks.graphs.graph import Node
from initlab.frameworks.graphs.recognition import Recognised
from initlab.frameworks.jax.functional import UNTRACEABLE, Traced, traced
from initlab.frameworks.jax.inputs import Arguments, arguments, arrays_in
from initlab.frameworks.jax.jaxprs import Slot, differentiable, run
from initlab.frameworks.jax.losses import Followed, followed
from initlab.frameworks.jax.operations import walk
from initlab.frameworks.jax.paths import entries
from initlab.frameworks.jax.places import Placed, batched, places
from initlab.frameworks.jax.pointwise import recognise
from initlab.frameworks.jax.tap_sums import arranged, sizes_of, standard_error, weight_gradient
from initlab.frameworks.jax.trace import arguments_as_nodes, refused
from initlab.frameworks.jax.walking import Walk
from initlab.theory.slopes import open_range

_WHOLE = frozenset({"input", "weighted", "sum", "activation"})  # the others are looked at for their size alone
_FOLLOWED = frozenset({"weighted", "sum"})  # whose gradient is summed


@dataclass(frozen=True, eq=False)
class _Pass:
    """What one pass gave.

    Attributes:
        values: By slot.
        gradients: Of the loss, by slot.
        weights: Of the loss, by native name of the parameter.
        loss: The loss.
        by_sample: The loss of each sample, where it is known.
    """

    values: Mapping[Slot, Any]
    gradients: Mapping[Slot, Any]
    weights: Mapping[str, Any]
    loss: float
    by_sample: NDArray[np.float64] | None


def taps(
    model: nnx.Module, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False,
) -> Reading:  # fmt: skip
    """What one pass of the batch shows in a model, in training mode; see ``JaxAdapter.taps``."""
    found = entries(model)
    given = arguments(batch)
    _check_finite(given)
    try:
        one = traced(model, found, given, training=True)
    except InitlabError:
        raise
    except Exception as error:  # the model's own code, on an input that does not fit it
        raise refused(error, given, "batch") from error
    made = Walk(one.calls.made, one.calls.inside, opens_loops=False)
    results = walk(one.program, arguments_as_nodes(one, made), made)
    made.graph.outputs = tuple(dict.fromkeys(node for node in results if node.is_data))
    recognised = lru_cache(maxsize=None)(_recognised)
    placed = places(made, recognised, {entry.first: entry.module for entry in found})
    goal = followed(one.result_of(one.shapes), targets, loss)
    _check_followed(one, goal)
    rows = next((int(array.shape[0]) for array in arrays_in(given) if array.ndim), 0)
    return _reading(made, placed, _passed(one, goal, made, placed), goal, recognised, rows, histograms=histograms)


def _recognised(node: Node) -> Recognised:
    assert node.function is not None
    return recognise(node.function)


def _check_finite(given: Arguments) -> None:
    broken = sum(
        int(np.count_nonzero(~np.isfinite(np.asarray(array, np.float64))))
        for array in arrays_in(given)
        if jnp.issubdtype(array.dtype, jnp.floating)
    )
    if broken:
        what = f"the batch holds {broken} numbers that are NaN or infinite"
        raise DataError(what, where="batch", fix="leave them out")


def _check_followed(one: Traced, goal: Followed) -> None:
    if not differentiable(one.program, [one.program.inputs[i] for i in _trained(one)]):
        what = "output" if goal.kind == "random" else "loss"
        raise OptionError(f"no gradient passes the model's {what}", fix="remove stop_gradient from its call")


def _trained(one: Traced) -> list[int]:
    """Which of the model's arrays are parameters that take a gradient."""
    return [i for i, name in enumerate(one.names) if name and jnp.issubdtype(one.leaves[i].dtype, jnp.floating)]


def _passed(one: Traced, goal: Followed, made: Walk, placed: Placed) -> _Pass:
    """Forwards and backwards, in one compiled function."""
    trained, program = _trained(one), one.program
    slots = {node: made.slots[node] for node in placed.whole if node in made.slots}
    wanted = {slot for slot in slots.values() if _is_real(program.dtypes[slot]) and program.shapes[slot]}
    bent = [slot for node, slot in slots.items() if slot in wanted and _is_followed(node, placed)]

    def root(weights: list[Any], added: dict[Slot, Any], rest: list[Any]) -> Any:
        leaves = list(rest)
        for i, weight in zip(trained, weights, strict=True):
            leaves[i] = weight
        outputs, values = run(program, leaves, added=added, wanted=wanted)
        value, by_sample = goal.root(one.result_of(outputs))
        return value, (values, by_sample)

    @jax.jit
    def both(weights: list[Any], rest: list[Any]) -> Any:
        added = {slot: jnp.zeros(program.shapes[slot], program.dtypes[slot]) for slot in bent}
        return jax.value_and_grad(root, argnums=(0, 1), has_aux=True)(weights, added, rest)

    given = [*one.leaves, *one.given]
    try:
        (value, (values, by_sample)), (weights, gradients) = both([given[i] for i in trained], given)
    except UNTRACEABLE as error:
        raise OptionError(
            "the loss asks for the numbers in an array, which JAX does not know while it traces",
            where="loss",
            fix="write it with jax.numpy",
        ) from error
    each = None if by_sample is None else np.asarray(by_sample, np.float64)
    named = {one.names[i]: gradient for i, gradient in zip(trained, weights, strict=True)}
    inputs = zip(program.inputs[len(one.leaves) :], one.given, strict=True)
    return _Pass({**values, **dict(inputs)}, gradients, named, float(value), each)


def _is_real(dtype: Any) -> bool:
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.floating))


def _is_followed(node: Node, placed: Placed) -> bool:
    return placed.places[placed.whole[node]].kind in _FOLLOWED


def _reading(
    made: Walk,
    placed: Placed,
    passed: _Pass,
    goal: Followed,
    recognised: Callable[[Node], Recognised],
    rows: int,
    *,
    histograms: bool,
) -> Reading:
    values = {at: arranged(passed.values[slot], rows) for at, slot in _measured(made, placed, passed).items()}
    ranges = _ranges(placed, recognised)
    named = [batched(place, values[at].shape) if at in values else place for at, place in enumerate(placed.places)]
    slots = _measured(made, placed, passed)
    bent = {at: passed.gradients[slot] for at, slot in slots.items() if slot in passed.gradients}
    return Reading(
        places=tuple(named),
        outputs=tuple(dict.fromkeys(placed.of[node] for node in made.graph.outputs if node in placed.of)),
        forward={
            at: _summed(value, named[at].kind, takes=ranges.get(at), histogram=histograms)
            for at, value in values.items()
        },
        backward={at: sizes_of(arranged(value, rows), histogram=histograms) for at, value in bent.items()},
        gradients={name: weight_gradient(gradient) for name, gradient in passed.weights.items()},
        loss=math.nan if goal.kind == "random" else passed.loss,
        loss_error=standard_error(passed.by_sample),
        loss_kind=goal.kind,
        target_square=goal.target_square,
    )


def _measured(made: Walk, placed: Placed, passed: _Pass) -> dict[int, Slot]:
    """The slots that hold real numbers, by place."""
    slots = {at: _slot(made, node) for node, at in placed.whole.items()}
    found = {at: slot for at, slot in slots.items() if slot is not None and slot in passed.values}
    return {at: slot for at, slot in found.items() if _is_real(passed.values[slot].dtype) and passed.values[slot].size}


def _slot(made: Walk, node: Node) -> Slot | None:
    return made.slots.get(node)


def _ranges(placed: Placed, recognised: Callable[[Node], Recognised]) -> dict[int, tuple[float, float]]:
    """For each place that a bounded activation takes, where that activation has a slope."""
    found: dict[int, tuple[float, float]] = {}
    for node in placed.whole:
        if node.kind == "elementwise" and node.root in placed.of:
            f = recognised(node).f
            reach = None if f is None else open_range(f)
            if reach is not None and node.root is not None:
                found[placed.of[node.root]] = reach
    return found


def _summed(value: NDArray[np.generic], kind: str, *, takes: tuple[float, float] | None, histogram: bool) -> Sums:
    if kind in _WHOLE and value.ndim > 1:
        return sums_of(value, takes=takes, histogram=histogram)
    found = sizes_of(value, is_softmax=kind == "softmax", histogram=histogram)
    if takes is None:
        return found
    wide = value.astype(np.float64)
    return replace(found, saturated=float(np.mean((wide < takes[0]) | (wide > takes[1]))))
