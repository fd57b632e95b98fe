"""One forward and backward pass of a batch, summed at every place; a copy of the model runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from numpy.typing import NDArray

from initlab.core.adapter import Capture, Overrides
from initlab.core.errors import InitlabError
from initlab.core.generators import global_generators, own_generators
from initlab.core.signals.readings import Reading
from initlab.frameworks.jax.describe import described
from initlab.frameworks.jax.probing.loss import ARRAYS, Start, guess_at, start_of
from initlab.frameworks.jax.probing.recorder import Passed, Plan, Seen, passed, trained_of
from initlab.frameworks.jax.probing.sums import arranged_shape
from initlab.frameworks.jax.reading.calls import ProgramGraph
from initlab.frameworks.jax.reading.inputs import Arguments, arguments, arrays_in
from initlab.frameworks.jax.reading.jaxprs import Slot, differentiable
from initlab.frameworks.jax.reading.operations import walk
from initlab.frameworks.jax.reading.parameters import Entry, check_model, entries, modules_of
from initlab.frameworks.jax.reading.recognition import recognise
from initlab.frameworks.jax.reading.record import Traced, traced
from initlab.frameworks.jax.reading.trace import arguments_as_nodes, read_program, refused
from initlab.frameworks.reading.batches import batch_facts, check_finite, one_value_a_channel
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.guess import Outputs
from initlab.frameworks.reading.loss import is_chance, main_output, stopped
from initlab.frameworks.reading.places import Placed, places, upstream
from initlab.frameworks.reading.recognition import Recognised
from initlab.frameworks.reading.records import Measured, Numbers, measured, reading_of
from initlab.frameworks.reading.signals import is_followed, is_measured, is_whole, let_go, unmoved
from initlab.frameworks.reading.value_sums import Look
from initlab.theory.slopes import open_range


def capture(
    model: object, batch: object, *, targets: object = None, loss: Callable[..., Any] | None = None,
    histograms: bool = False, overrides: Overrides | None = None,
) -> Capture:  # fmt: skip
    """What one forward and backward pass of a batch shows of a model, in training mode.

    A copy runs: parameters, statistics and generators of the model stay as they are.

    Args:
        model: The module; where some part of it is in training mode the parts keep theirs, else all are put into
            training mode.
        batch: An input, a tuple of inputs, or a mapping of arguments by name; samples first.
        targets: Whole numbers for the mean cross entropy of an output (n, classes) or (n, tokens, classes), real
            ones for the mean square error.
        loss: A function of what the model returns, and of the targets where there are some; its value is a scalar.
            Without it and targets, the output is followed backwards by standard normal numbers that are always
            the same.
        histograms: Whether to count entries.
        overrides: As in ``describe``.

    Raises:
        ShapeError: The model does not take the batch, or the targets do not fit its output.
        DataError: The batch holds numbers that are not finite.
        OptionError: Nothing to follow backwards: an output without gradient, or a loss that is no scalar.
        InitlabError: Parameters without numbers, or a call that JAX cannot trace.

    Example:
        >>> from flax import nnx
        >>> rngs = nnx.Rngs(0)
        >>> net = nnx.Sequential(nnx.Linear(2, 4, rngs=rngs), nnx.tanh, nnx.Linear(4, 1, rngs=rngs))
        >>> reading = capture(net, np.array([[3.0, 4.0]], np.float32)).reading
        >>> [place.kind for place in reading.places], reading.forward[0].square      # (9 + 16) / 2
        (['input', 'weighted', 'activation', 'weighted'], 12.5)
    """
    found = entries(model)
    checked = check_model(model)
    one, summed = one_pass(checked, found, batch, targets=targets, loss=loss, histograms=histograms)
    return Capture(described(checked, found, read_program(one, checked, found), overrides), summed)


def one_pass(
    model: nnx.Module, found: Sequence[Entry], batch: object, *, targets: object = None,
    loss: Callable[..., Any] | None = None, histograms: bool = False,
) -> tuple[Traced, Reading]:  # fmt: skip
    """One traced pass of the batch and what was summed there, in training mode; see ``capture``."""
    given = arguments(batch)
    _check_finite(given)
    held = (value for _, module in modules_of(model) for value in vars(module).values())
    try:
        with global_generators(), own_generators(held):
            one = traced(model, found, given, training=True)
    except InitlabError:
        raise
    except Exception as error:  # the model's own code, on an input that does not fit it
        raise refused(error, given, "batch") from error
    made = ProgramGraph(one.calls.made, one.calls.inside, opens_loops=False)
    results = walk(one.program, arguments_as_nodes(one, made), made)
    made.graph.outputs = tuple(dict.fromkeys(node for node in results if node.is_data))
    _check_rows(made)
    recognised = lru_cache(maxsize=None)(_recognised)
    start = start_of(one.result_of(one.shapes), targets, loss)
    _check_followed(one, start)
    rows = next((int(array.shape[0]) for array in arrays_in(given) if array.ndim), 0)
    owners = {entry.first: entry.module for entry in found}
    outputs = [node for node in made.graph.outputs if node.shape]  # with samples
    placed = places(made.graph, recognise=recognised, owners=owners, laid=_laid(made, one, rows), outputs=outputs)
    plan = _plan(made, placed, one, recognised, rows, histograms=histograms)
    plan = replace(plan, heads=_heads(made, one) if start.goal.is_own and not outputs else ())
    done = passed(one, start, plan)
    reading = _reading(placed, outputs, one, done, start)
    reading = replace(reading, **_held(one, start, done, results, recognised, given, targets))
    return one, reading if start.goal.kind == "given" else _of_first_output(reading)


def _held(
    one: Traced, start: Start, done: Passed, results: Sequence[Node], recognised: Callable[[Node], Recognised],
    given: Arguments, targets: object,
) -> dict[str, Any]:  # fmt: skip
    """What the batch and the targets hold, and what a guess costs."""
    main = main_output(one.result_of(one.shapes), ARRAYS)
    at = [i for i, shape in enumerate(one.shapes) if shape is main]
    rest = [i for i, s in enumerate(one.shapes) if i not in at and ARRAYS.is_real(s) and s.shape]
    used = at if start.goal.is_own else [*at, *rest]

    def outputs() -> Outputs:
        if not used:
            return Outputs([_array(head) for head in done.heads], (-1,) * len(done.heads))
        node = results[at[0]] if at else None
        arrays = [_array(done.outputs[i]) for i in used]
        return Outputs(arrays, (-1,) * len(used), is_chance(node, recognised))

    batch = [_array(array) for array in arrays_in(given)]
    goals = [_array(array) for array in jax.tree_util.tree_leaves(targets) if array is not None]
    against = batch if start.goal.is_own else goals
    guess = guess_at(start, done.loss, one.result_of, done.outputs, used, outputs, against)
    return {"guess": guess, "batch": batch_facts(batch), "targets": next(iter(batch_facts(goals)), None)}


def _array(value: Any) -> NDArray[Any]:
    """An array's numbers, in float32 where NumPy does not know their type."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def _of_first_output(found: Reading) -> Reading:
    """Without the zeros that JAX gives as gradients of what the first output, which alone is followed, has not met."""
    met = upstream(found.places, found.outputs[0]) if found.outputs else frozenset()
    beside = {name for at, place in enumerate(found.places) if at not in met for name in place.params}
    beside -= {name for at in met for name in found.places[at].params}
    return replace(
        found,
        backward={at: one for at, one in found.backward.items() if at in met},
        gradients={name: one for name, one in found.gradients.items() if name not in beside},
    )


def _check_rows(made: ProgramGraph) -> None:
    """Raises ShapeError for a batch norm in training that is given one value a channel."""
    for node in made.graph.nodes:
        if node.facts.get("norm") == "batch" and node.form != "running" and prod((node.shape or ())[:-1]) == 1:
            raise one_value_a_channel()


def _laid(made: ProgramGraph, one: Traced, rows: int) -> Callable[[Node], tuple[tuple[int, ...], int]]:
    def laid(node: Node) -> tuple[tuple[int, ...], int]:
        slot, shape = made.slots.get(node), node.shape or ()
        if slot is not None and _is_summed(one, slot):
            shape = arranged_shape(one.program.shapes[slot], rows)
        return shape, len(shape) - 1

    return laid


def _recognised(node: Node) -> Recognised:
    assert node.function is not None
    return recognise(node.function)


def _check_finite(given: Arguments) -> None:
    broken = (
        int(np.count_nonzero(~np.isfinite(np.asarray(array, np.float64))))
        for array in arrays_in(given)
        if jnp.issubdtype(array.dtype, jnp.floating)
    )
    check_finite(sum(broken))


def _check_followed(one: Traced, start: Start) -> None:
    if not differentiable(one.program, [one.program.inputs[i] for i in trained_of(one)]):
        raise stopped(start.goal.kind, "stop_gradient")


def _is_summed(one: Traced, slot: Slot) -> bool:
    """Whether a value holds real numbers, with samples."""
    dtype, shape = one.program.dtypes[slot], one.program.shapes[slot]
    return dtype is not None and bool(jnp.issubdtype(dtype, jnp.floating)) and len(shape) > 0 and prod(shape) > 0


def _plan(
    made: ProgramGraph,
    placed: Placed,
    one: Traced,
    recognised: Callable[[Node], Recognised],
    rows: int,
    *,
    histograms: bool,
) -> Plan:
    """What is looked at in the places that hold real numbers."""
    ranges, forward, backward = _ranges(placed, recognised), list[Seen](), list[Seen]()
    for node, at in placed.whole.items():
        slot = made.slots.get(node)
        if slot is None or not is_measured(node) or not _is_summed(one, slot):
            continue
        forward.append((at, slot, Look(is_whole(node), node.form == "softmax", histograms, ranges.get(at))))
        if is_followed(node):
            backward.append((at, slot, Look(whole=False, histogram=histograms)))
    return Plan(rows, tuple(forward), tuple(backward))


def _heads(made: ProgramGraph, one: Traced) -> tuple[Slot, ...]:
    """The weighted sums of which no other is made."""
    found: dict[Node, Slot] = {}
    for node in made.graph.nodes:
        slot = made.slots.get(node)
        if node.kind == "weight" and slot is not None and _is_summed(one, slot):
            let_go(found, node)
            found[node] = slot
    return tuple(found.values())


def _ranges(placed: Placed, recognised: Callable[[Node], Recognised]) -> dict[int, tuple[float, float]]:
    """For each place that a bounded activation takes, where that activation has a slope."""
    found: dict[int, tuple[float, float]] = {}
    for node in placed.whole:
        root = None if node.root is None else unmoved(node.root)
        if node.kind == "elementwise" and root in placed.whole:
            f = recognised(node).f
            reach = None if f is None else open_range(f)
            if reach is not None and root is not None:
                found[placed.whole[root]] = reach
    return found


def _reading(placed: Placed, outputs: Sequence[Node], one: Traced, passed: Passed, start: Start) -> Reading:
    def at_places(of: Mapping[int, Numbers]) -> dict[int, Measured]:
        return {at: measured(placed.places[at].shape, -1, parts) for at, parts in of.items()}

    entries_of = {name: leaf.size for name, leaf in zip(one.names, one.leaves, strict=True) if name}
    return reading_of(
        placed,
        outputs,
        (at_places(passed.forward), at_places(passed.backward)),
        {name: measured((1, entries_of[name]), -1, parts) for name, parts in passed.weights.items()},
        lambda values: [value.parts for value in values],
        goal=start.goal,
        loss=passed.loss,
        by_sample=passed.by_sample,
    )
