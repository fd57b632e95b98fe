"""A jaxpr as one flat list of steps: compiled functions are opened, activations and loops stay one step each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.extend import core

Slot: TypeAlias = int


@dataclass(frozen=True, eq=False)
class Const:
    """A number or array that stands in the program itself."""

    value: Any


@dataclass(frozen=True, eq=False)
class Step:
    """One equation.

    Attributes:
        equation: As JAX wrote it.
        inputs: Slots, and constants.
        outputs: Slots.
        inside: Numbers of the module calls that it was made in, the outermost first.
        whole: Which of its outputs is its value; of a loop, the sequence rather than the last state.
    """

    equation: core.JaxprEqn
    inputs: tuple[Slot | Const, ...]
    outputs: tuple[Slot, ...]
    inside: tuple[int, ...] = ()
    whole: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its value."""
        made: Any = self.equation.outvars[self.whole]
        return tuple(made.aval.shape)

    @property
    def name(self) -> str:
        """The primitive's name; of a compiled function that stays whole, the function's."""
        own = str(self.equation.primitive.name)
        return str(self.equation.params.get("name", own)) if own in ("jit", "pjit") else own


@dataclass(eq=False)
class Program:
    """A function of arrays.

    Attributes:
        inputs: Slots of its arguments.
        steps: In order.
        outputs: Slots, and constants.
        shapes: The shape of each slot.
        dtypes: The type of each slot.
        held: The slots that hold what a model holds, or is made of that alone.
    """

    inputs: list[Slot] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    outputs: list[Slot | Const] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dtypes: list[Any] = field(default_factory=list)
    held: set[Slot] = field(default_factory=set)

    def slot(self, aval: Any) -> Slot:
        """A fresh slot for a value of this type."""
        self.shapes.append(tuple(getattr(aval, "shape", ())))
        self.dtypes.append(getattr(aval, "dtype", None))
        return len(self.shapes) - 1


# Functions that are known by their name: opened, they are many steps.
WHOLE = frozenset({"softmax", "log_softmax"})
_OPENED = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "remat": "jaxpr",
    "checkpoint": "jaxpr",
}
_CUSTOM = {"custom_jvp_call": ("call_jaxpr",), "custom_vjp_call": ("call_jaxpr", "fun_jaxpr"),
           "custom_vjp_call_jaxpr": ("fun_jaxpr",)}  # fmt: skip


_MOST_STEPS = 20_000  # of the turns of a scan over layers; a longer one stays a loop


def flat(
    closed: core.ClosedJaxpr, inside: Callable[[object], tuple[int, ...]] = lambda stack: (), weights: int = 0
) -> Program:
    """The steps of a jaxpr.

    Args:
        closed: The jaxpr.
        inside: Numbers of module calls in a name stack.
        weights: How many of its first arguments a model holds: a scan over slices of these is written turn by turn,
            for each slice is a layer; a scan over time, which uses the same weights in each turn, stays one step.

    Example:
        >>> import jax
        >>> program = flat(jax.make_jaxpr(lambda x: jax.nn.silu(x) + 1)(jnp.ones(3)))
        >>> [step.name for step in program.steps]
        ['logistic', 'mul', 'add']
    """
    program = Program()
    program.inputs = [program.slot(variable.aval) for variable in closed.jaxpr.invars]
    program.held = set(program.inputs[:weights])
    program.outputs = _written(program, closed, program.inputs, inside, ())
    return program


def _written(
    program: Program,
    closed: core.ClosedJaxpr,
    given: Sequence[Slot | Const],
    inside: Callable[[object], tuple[int, ...]],
    around: tuple[int, ...],
) -> list[Slot | Const]:
    """Append a jaxpr's steps; the slots of what it returns."""
    held: dict[Any, Slot | Const] = dict(zip(closed.jaxpr.invars, given, strict=True))
    held |= {v: Const(value) for v, value in zip(closed.jaxpr.constvars, closed.consts, strict=True)}

    def at(variable: Any) -> Slot | Const:
        return Const(variable.val) if isinstance(variable, core.Literal) else held[variable]

    for equation in closed.jaxpr.eqns:
        inputs = [at(variable) for variable in equation.invars]
        scope = (*around, *inside(equation.source_info.name_stack))
        inner = opened(equation) or _turns(program, equation, inputs)
        if inner is not None:
            made = _written(program, inner, inputs, inside, scope)
        else:
            made = [program.slot(variable.aval) for variable in equation.outvars]
            slots = tuple(slot for slot in made if isinstance(slot, int))
            if any(isinstance(one, int) for one in inputs) and _are_held(program, inputs):
                program.held.update(slots)
            program.steps.append(Step(equation, tuple(inputs), slots, scope))
        held.update(zip(equation.outvars, made, strict=True))
    return [at(variable) for variable in closed.jaxpr.outvars]


def opened(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """The jaxpr of a compiled or rematerialised function; None for all else."""
    key = _OPENED.get(str(equation.primitive.name))
    if key is None or equation.params.get("name") in WHOLE:
        return None
    return _closed(equation.params[key])


def _are_held(program: Program, slots: Sequence[Slot | Const]) -> bool:
    return all(one in program.held for one in slots if isinstance(one, int))


def _turns(program: Program, equation: core.JaxprEqn, given: Sequence[Slot | Const]) -> core.ClosedJaxpr | None:
    """All turns of a scan over slices of a model's own arrays, one after the other; None for all else."""
    closed = body(equation)
    if closed is None:
        return None
    told: dict[str, Any] = dict(equation.params)
    consts, carries, length = told["num_consts"], told["num_carry"], int(told["length"])
    sliced = [one for one in given[consts + carries :] if isinstance(one, int) and one in program.held]
    if not any(len(program.shapes[one]) > 1 for one in sliced) or length * len(closed.jaxpr.eqns) > _MOST_STEPS:
        return None
    turn, order = core.jaxpr_as_fun(closed), range(length)

    def turns(*arrays: Any) -> list[Any]:
        fixed, state, stacks = arrays[:consts], list(arrays[consts : consts + carries]), arrays[consts + carries :]
        made: dict[int, list[Any]] = {}
        for n in reversed(order) if told["reverse"] else order:
            result = turn(*fixed, *state, *(stack[n] for stack in stacks))
            state, made[n] = result[:carries], result[carries:]
        return [*state, *(jnp.stack(parts) for parts in zip(*(made[n] for n in order), strict=True))]

    shaped: Any = jax.ShapeDtypeStruct
    variables: list[Any] = list(equation.invars)
    return jax.make_jaxpr(turns)(*(shaped(v.aval.shape, v.aval.dtype) for v in variables))


def branches(equation: core.JaxprEqn) -> list[core.ClosedJaxpr]:
    """The functions of which a ``cond`` or a ``switch`` takes one; none for all else."""
    return [_closed(one) for one in equation.params["branches"]] if str(equation.primitive.name) == "cond" else []


def repeated(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """One turn of a ``while_loop``; None for all else."""
    return _closed(equation.params["body_jaxpr"]) if str(equation.primitive.name) == "while" else None


def mixes(closed: core.ClosedJaxpr) -> bool:
    """Whether a function sums over entries or picks some, so that it is none of each entry by itself."""
    inner = ((one, opened(one) or custom(one)) for one in closed.jaxpr.eqns)
    return any(str(one.primitive.name) in _MIXING or (part is not None and mixes(part)) for one, part in inner)


_MIXING = frozenset({"dot_general", "conv_general_dilated", "ragged_dot_general", "ragged_dot", "gather",
                     "dynamic_slice", "scan", "while", "cond"})  # fmt: skip


def custom(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """What a function with a derivative of its own computes; None for all else."""
    keys = _CUSTOM.get(str(equation.primitive.name), ())
    return next((_closed(equation.params[key]) for key in keys if key in equation.params), None)


def body(equation: core.JaxprEqn) -> core.ClosedJaxpr | None:
    """One step of a ``scan``; None for all else."""
    return _closed(equation.params["jaxpr"]) if str(equation.primitive.name) == "scan" else None


def _closed(jaxpr: Any) -> core.ClosedJaxpr:
    return jaxpr if isinstance(jaxpr, core.ClosedJaxpr) else core.ClosedJaxpr(jaxpr, ())


def run(
    program: Program, given: Sequence[Any], *, added: Mapping[Slot, Any], wanted: Collection[Slot]
) -> tuple[list[Any], dict[Slot, Any]]:
    """What the program returns, and the values of the slots that are wanted.

    Args:
        program: The program.
        given: Its arguments.
        added: By slot, what is added to the slot's value where it is made: the gradient by it is that by the value.
        wanted: Slots.
    """
    values: dict[Slot, Any] = dict(zip(program.inputs, given, strict=True))
    for step in program.steps:
        for slot, value in zip(step.outputs, _results(step, values), strict=True):
            values[slot] = value + added[slot] if slot in added else value
    return [_value(one, values) for one in program.outputs], {slot: values[slot] for slot in wanted}


def _results(step: Step, values: Mapping[Slot, Any]) -> Iterator[Any]:
    primitive: Any = step.equation.primitive
    # Releases of JAX before 0.10 give the functions apart.
    bound = primitive.get_bind_params(step.equation.params)
    functions, params = bound if isinstance(bound, tuple) else ((), bound)
    made = primitive.bind(*functions, *(_value(one, values) for one in step.inputs), **params)
    yield from made if primitive.multiple_results else (made,)


def _value(one: Slot | Const, values: Mapping[Slot, Any]) -> Any:
    return one.value if isinstance(one, Const) else values[one]


def differentiable(program: Program, sources: Collection[Slot]) -> bool:
    """Whether a derivative may pass from one of these arguments to something that the program returns.

    Example:
        >>> import jax
        >>> stopped = flat(jax.make_jaxpr(lambda x: jax.lax.stop_gradient(x) * 2)(jnp.ones(3)))
        >>> differentiable(stopped, stopped.inputs)
        False
    """
    reached = set(sources)
    for step in program.steps:
        if step.name != "stop_gradient" and any(one in reached for one in step.inputs if isinstance(one, int)):
            reached.update(slot for slot in step.outputs if jnp.issubdtype(program.dtypes[slot], jnp.inexact))
    return any(one in reached for one in program.outputs if isinstance(one, int))
