"""A forward and backward pass as one compiled function, kept for models of one structure; the sums of its values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from initlab.core.errors import OptionError
from initlab.frameworks.jax.probing.loss import Start
from initlab.frameworks.jax.probing.sums import summed
from initlab.frameworks.jax.reading.jaxprs import Slot, run
from initlab.frameworks.jax.reading.record import UNTRACEABLE, Traced
from initlab.frameworks.reading.records import Numbers
from initlab.frameworks.reading.value_sums import SIZE, Look

Seen = tuple[int, Slot, Look]

_KEPT = 8  # compiled passes at once


@dataclass(frozen=True)
class Plan:
    """What of a pass is summed.

    Attributes:
        rows: Samples of the batch.
        forward: The place, its slot, and what is looked at in its value.
        backward: The place, its slot, and what is looked at in the gradient by its value.
        heads: The slots of weighted sums that are fetched, where the model returns nothing but losses.
    """

    rows: int
    forward: tuple[Seen, ...]
    backward: tuple[Seen, ...]
    heads: tuple[Slot, ...] = ()


@dataclass(frozen=True, eq=False)
class Passed:
    """What one pass gave, on the host.

    Attributes:
        forward: The parts of a value, by place.
        backward: The parts of the loss's gradient by a value, by place.
        weights: The parts of the loss's gradient by a parameter, by native name.
        loss: The loss.
        by_sample: The loss of each sample, where it is known.
        outputs: Of a loss that is not known by its kind, the arrays that the model returned.
        heads: The weighted sums that were asked for.
    """

    forward: Mapping[int, Numbers]
    backward: Mapping[int, Numbers]
    weights: Mapping[str, Numbers]
    loss: float
    by_sample: Any
    outputs: Any
    heads: Any = ()


def passed(one: Traced, start: Start, plan: Plan) -> Passed:
    """Forwards and backwards, in one compiled function; all sums are made where the values are, and fetched at once.

    The function is kept, and serves the next pass of a model of the same structure on a batch of the same shape. A pass
    for a loss of the caller's own is compiled each time, for what such a function does may change from call to call.

    Raises:
        OptionError: The loss asks for the numbers in an array.
    """
    trained = trained_of(one)
    key = _key(one, start, plan) if start.is_known else None
    both = _PASSES.pop(key, None) if key is not None else None
    both = _compiled(one, start, plan, trained) if both is None else both
    given = [*one.leaves, *one.given]
    try:
        (loss, beside), (by_weight, by_value) = both([given[i] for i in trained], given, start.arrays)
    except UNTRACEABLE as error:
        raise OptionError(
            "the loss asks for the numbers in an array, which JAX does not know while it traces",
            where="loss",
            fix="write it with jax.numpy",
        ) from error
    if key is not None:
        _keep(key, both)
    values, by_sample, outputs = beside
    # Apart from the pass: within it each value's sums would be compiled, in twice the time of the pass.
    forward = {at: summed(values[slot], rows=plan.rows, look=look) for at, slot, look in plan.forward}
    backward = {at: summed(by_value[slot], rows=plan.rows, look=look) for at, slot, look in plan.backward}
    weights = {
        one.names[i]: summed(gradient, rows=0, look=SIZE) for i, gradient in zip(trained, by_weight, strict=True)
    }
    heads = [values[slot] for slot in plan.heads]
    found = Passed(*jax.device_get((forward, backward, weights, loss, by_sample, outputs, heads)))
    return replace(found, loss=float(found.loss))


def _keep(key: Hashable, both: Callable[..., Any]) -> None:
    _PASSES[key] = both  # the latest last
    while len(_PASSES) > _KEPT:
        del _PASSES[next(iter(_PASSES))]


_PASSES: dict[Hashable, Callable[..., Any]] = {}


def trained_of(one: Traced) -> list[int]:
    """Which of the model's arrays are parameters that take a gradient."""
    return [i for i, name in enumerate(one.names) if name and jnp.issubdtype(one.leaves[i].dtype, jnp.floating)]


def _compiled(one: Traced, start: Start, plan: Plan, trained: list[int]) -> Callable[..., Any]:
    # Of the trace, only what holds no array of the model: the function outlives it.
    program, result_of, root_of = one.program, one.result_of, start.root
    is_given = start.goal.kind == "given"
    wanted = {slot for _, slot, _ in plan.forward} | set(plan.heads)
    bent = {slot for _, slot, _ in plan.backward}

    def root(weights: list[Any], added: dict[Slot, Any], rest: list[Any], goals: tuple[Any, ...]) -> Any:
        leaves = list(rest)
        for i, weight in zip(trained, weights, strict=True):
            leaves[i] = weight
        outputs, values = run(program, leaves, added=added, wanted=wanted)
        value, by_sample = root_of(result_of(outputs), *goals)
        return value, (values, by_sample, outputs if is_given else None)

    def both(weights: list[Any], rest: list[Any], goals: tuple[Any, ...]) -> Any:
        added = {slot: jnp.zeros(program.shapes[slot], program.dtypes[slot]) for slot in bent}
        return jax.value_and_grad(root, argnums=(0, 1), has_aux=True)(weights, added, rest, goals)

    return jax.jit(both)


def _key(one: Traced, start: Start, plan: Plan) -> Hashable | None:
    """What decides the compiled function; None for a model whose structure cannot be compared.

    The text of a program says all but the numbers it holds and the derivatives that its functions bring along; those
    are told by the model's structure.
    """
    slots = (frozenset(slot for _, slot, _ in seen) for seen in (plan.forward, plan.backward))
    goal = (start.goal.kind, start.goal.classes_axis)
    key = (one.definition, one.form, str(one.closed), _digest(one.closed), goal, tuple(one.names), *slots)
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _digest(closed: core.ClosedJaxpr) -> bytes:
    """Of the arrays that a program holds."""
    found = blake2b(digest_size=16)
    for held in _held(closed):
        array = np.asarray(held)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.digest()


def _held(closed: core.ClosedJaxpr) -> Iterator[Any]:
    """The arrays that a program and the programs in it hold."""
    yield from closed.consts
    for equation in closed.jaxpr.eqns:
        for told in equation.params.values():
            for part in told if isinstance(told, tuple | list) else (told,):
                if isinstance(part, core.ClosedJaxpr):
                    yield from _held(part)
                elif isinstance(part, core.Jaxpr):
                    yield from _held(core.ClosedJaxpr(part, ()))
