"""What each step of a jaxpr does to the graph: a weighted sum, a function of each entry, a move, or something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.extend import core

from initlab.core.facts.spec import Role
from initlab.frameworks.jax.reading import jaxprs
from initlab.frameworks.jax.reading.calls import ProgramGraph, constant
from initlab.frameworks.jax.reading.forms import JOINS, MOVES, POOLS, REDUCTIONS
from initlab.frameworks.jax.reading.jaxprs import Const, Program, Slot, Step
from initlab.frameworks.jax.reading.layers import NORMS, cell_of, feeds_back
from initlab.frameworks.jax.reading.recognition import ELEMENTWISE, SAME, run_equation
from initlab.frameworks.reading.axes import Pick, factor_use, reshaped, viewed
from initlab.frameworks.reading.elementwise import pointwise
from initlab.frameworks.reading.graph import Graph, Node, Use, ViewAxes
from initlab.frameworks.reading.operation import params_of
from initlab.frameworks.reading.registered import whole_layer, whole_node
from initlab.frameworks.reading.weighted_sums import join, look_up, note_split, product

# Modules that are one value each, whatever they are made of.
_UNITS: tuple[type, ...] = (*NORMS, nnx.Dropout)
_MOVES = MOVES | REDUCTIONS | POOLS.keys()


def walk(program: Program, nodes: Mapping[Slot, Node], made: ProgramGraph) -> list[Node]:
    """Read a program into a graph.

    Args:
        program: The steps.
        nodes: What its arguments are.
        made: Takes the graph.

    Returns:
        What the program returns.
    """
    held = dict(nodes)

    def node(one: Slot | Const) -> Node:
        return held[one] if isinstance(one, int) else constant(one.value)

    at = 0
    while at < len(program.steps):
        step = program.steps[at]
        unit = next((n for n in step.inside if _is_unit(made.calls[n].module)), None)
        if unit is None:
            results = operate(made, step, [node(one) for one in step.inputs])
            at += 1
        else:
            group = _group(program.steps, at, unit)
            inside = {slot for one in group for slot in one.outputs}
            met = [node(one) for s in group for one in s.inputs if one not in inside and _is_real(program, one)]
            results = _unit(made, group[-1], made.calls[unit].module, met)
            held.update(dict.fromkeys(inside, results[0]))
            step, at = group[-1], at + len(group)
        held.update(zip(step.outputs, results, strict=True))
    return [node(one) for one in program.outputs]


def _is_unit(module: nnx.Module) -> bool:
    return isinstance(module, _UNITS) or cell_of(module) is not None or whole_layer(module) is not None


def _is_real(program: Program, one: Slot | Const) -> bool:
    """Whether a value holds real numbers: the keys and counters of a generator carry no signal from call to call."""
    return not isinstance(one, int) or bool(jnp.issubdtype(program.dtypes[one], jnp.inexact))


def _group(steps: Sequence[Step], at: int, unit: int) -> list[Step]:
    """The steps from ``at`` on that belong to one call."""
    end = at
    while end < len(steps) and unit in steps[end].inside:
        end += 1
    return list(steps[at:end])


def operate(made: ProgramGraph, step: Step, given: list[Node]) -> list[Node]:
    """The nodes of what a step returned, one for each output; uses of parameters are noted in the graph."""
    data = [node for node in given if node.is_data]
    many = len(step.outputs)
    if step.name == "scan" and (data or params_of(given)) and made.opens_loops:
        return _loop(made, step, given)
    opened = _opened(made, step, given) if made.opens_loops and (data or params_of(given)) else None
    if opened is not None:
        return opened
    rule = _RULES.get(step.name)
    if rule is not None and (data or step.name == "gather"):
        return [rule(made, step, given) or _without_data(made, step, given)] * many
    if not data:
        return [_without_data(made, step, given)] * many
    if _is_index(step):
        return [data[0]] * many
    if step.name in SAME:
        return [data[0]] * many
    if step.name in ELEMENTWISE:
        return [_pointwise(made, step, given)] * many
    if step.name in _MOVES:
        _note_split(made.graph, step, data[0])
        return made.parts(step, made.made(step, "pass", data))
    variables: list[Any] = list(step.equation.invars)
    kinds = [jnp.issubdtype(variable.aval.dtype, jnp.inexact) for variable in variables]
    signal = [node for node, is_real in zip(given, kinds, strict=True) if node.is_data and is_real]
    params = sorted(params_of(given), key=lambda name: name.endswith("bias"))
    return [made.made(step, "unknown", signal or data, params)] * many


def _pointwise(made: ProgramGraph, step: Step, given: list[Node]) -> Node:
    """The node of a function of each entry; a bias is added by itself, in its sum's own layer or along units."""

    def is_bias(x: Node, param: Node) -> bool:
        if x.kind != "weight" or x in made.taken or step.name == "sub":
            return False
        wide = sum(n > 1 for n in param.shape or ())
        return wide <= 1 or (bool(step.inside) and made.steps[x].inside == step.inside)

    total = made.steps.get(given[0])
    window = None if total is None else total.equation.params.get("window_dimensions")
    operation = made.operation(step, given)
    found = pointwise(operation, is_bias=is_bias, window=None if window is None else float(prod(window)))
    if found in operation.data:  # a bias was taken in
        made.slots[found] = step.outputs[0]
    return found


def _is_index(step: Step) -> bool:
    """Whether a step computes whole numbers, or truths about whole numbers: places, not a signal."""
    variables: list[Any] = [*step.equation.invars, *step.equation.outvars]
    return not any(jnp.issubdtype(variable.aval.dtype, jnp.inexact) for variable in variables)


def _without_data(made: ProgramGraph, step: Step, given: Sequence[Node]) -> Node:
    """Made of parameters, or a constant."""
    params = [node for node in given if node.kind == "parameter"]
    if not params:
        return Node("constant", step.name, shape=step.shape, tensor=_number(step, given))
    if step.name in SAME:
        return params[0]
    axes = _moved_axes(step, params[0]) if len(params) == 1 else None
    replay = made.operation(step, given).replay if step.name in ELEMENTWISE else {}
    return Node("parameter", step.name, tuple(params), params_of(params), step.shape, axes=axes, **replay)


def _moved_axes(step: Step, view: Node) -> ViewAxes | None:
    """The native axes behind those of what a step made of one parameter."""
    axes, told = view.axes, step.equation.params
    if axes is None or step.name in ELEMENTWISE | _SLICES:
        return axes
    if step.name == "transpose":
        return tuple(axes[n] for n in told["permutation"])
    if step.name in ("reshape", "squeeze", "expand_dims"):
        return reshaped(view, step.shape)
    if step.name != "broadcast_in_dim":
        return None
    places = {to: n for n, to in enumerate(told["broadcast_dimensions"])}
    kept = {to: axes[n] for to, n in places.items() if (view.shape or ())[n] == step.shape[to]}
    return tuple(kept.get(to, ()) for to in range(len(step.shape)))


_SLICES = frozenset({"slice", "dynamic_slice", "rev", "split"})


def _number(step: Step, given: Sequence[Node]) -> Any:
    """The number in all entries of a constant; None where it is not known, or not one."""
    uniform = step.name in ELEMENTWISE | SAME or step.name == "broadcast_in_dim"
    if not uniform or not given or any(node.tensor is None for node in given):
        return None
    try:
        return np.asarray(run_equation(step.equation, [node.tensor for node in given])).reshape(())
    except NotImplementedError:
        return None


def _unit(made: ProgramGraph, last: Step, module: nnx.Module, met: Sequence[Node]) -> list[Node]:
    """The node of a module that is one value."""
    data = [node for node in met if node.is_data]
    signal = [node for node in data if node.name != _STATE][:1] or data[:1]
    params = params_of(met)
    if not signal:
        return [Node("constant")] * len(last.outputs)
    layer = whole_layer(module)
    if layer is not None:
        held = {native.rpartition(".")[2]: native for native in params}
        whole = whole_node(made.graph, layer, module, held, signal, last.shape)
        return [made.keep(whole, last, last)] * len(last.outputs)
    if isinstance(module, nnx.Dropout):
        found = made.made(last, "pass", signal, name="dropout")
    elif isinstance(module, NORMS):
        for role, leaf in (("norm_scale", "scale"), ("norm_bias", "bias")):
            made.graph.use([n for n in params if n.rpartition(".")[2] == leaf], Use(role))  # type: ignore[arg-type]
        found = made.made(last, "norm", signal, params, name=_NORM_NAMES[_first(module, NORMS)])
    else:
        found = _recurrence(made, last, data, params)
    return [found] * len(last.outputs)


def _recurrence(made: ProgramGraph, last: Step, data: Sequence[Node], params: Sequence[str]) -> Node:
    """The node of a recurrent layer or a cell, its input's weight first: the state that it begins with is no signal."""
    variables: list[Any] = list(last.equation.outvars)
    whole = max(range(len(variables)), key=lambda at: prod(variables[at].aval.shape))
    entering = max((n for n in data if n.name != _STATE), key=lambda n: len(n.shape or ()), default=data[0])
    ordered = sorted(params, key=lambda name: (name.endswith("bias"), feeds_back(name)))
    return made.made(replace(last, whole=whole), "weight", [entering], ordered, name="recurrent")


_STATE = "state"
_NORM_NAMES: Mapping[type, str] = {
    nnx.LayerNorm: "layer_norm",
    nnx.RMSNorm: "rms_norm",
    nnx.BatchNorm: "batch_norm",
    nnx.GroupNorm: "group_norm",
    nnx.InstanceNorm: "instance_norm",
}


def _first(module: nnx.Module, kinds: Sequence[type]) -> type:
    return next(kind for kind in kinds if isinstance(module, kind))


def _opened(made: ProgramGraph, step: Step, given: Sequence[Node]) -> list[Node] | None:
    """What is made inside a function with a derivative of its own, a turn of a loop, or branches; None for all else."""
    inner = jaxprs.custom(step.equation)
    if inner is not None:
        return _inside(made, step, inner, given) if jaxprs.mixes(inner) else None
    turn, told = jaxprs.repeated(step.equation), step.equation.params
    if turn is not None:
        own, states = int(told["cond_nconsts"]), int(told["cond_nconsts"]) + int(told["body_nconsts"])
        return _inside(made, step, turn, [*given[own:states], *(_state(made, node) for node in given[states:])])
    ways = [_inside(made, step, one, given[1:]) for one in jaxprs.branches(step.equation)]
    return [_either(made, step, n, parts) for n, parts in enumerate(zip(*ways, strict=True))] if ways else None


def _inside(made: ProgramGraph, step: Step, closed: core.ClosedJaxpr, given: Sequence[Node]) -> list[Node]:
    """What a function inside a step returns."""
    program = jaxprs.flat(closed, made.inside_of)
    program.steps = [replace(one, inside=(*step.inside, *one.inside)) for one in program.steps]
    return walk(program, dict(zip(program.inputs, given, strict=True)), made)


def _either(made: ProgramGraph, step: Step, place: int, parts: Sequence[Node]) -> Node:
    """One of several values: what is true of the one is so far as true as of the others."""
    several = list(dict.fromkeys(node for node in parts if node.is_data))
    if len(several) < 2:
        return several[0] if several else parts[0]
    return made.made(replace(step, whole=place), "concat", several)


def _loop(made: ProgramGraph, step: Step, given: Sequence[Node]) -> list[Node]:
    """A scan's body, read once: its parameters' stacks stand for one of their slices."""
    closed = jaxprs.body(step.equation)
    assert closed is not None
    consts, carries = step.equation.params["num_consts"], step.equation.params["num_carry"]
    inside = [
        _state(made, node) if consts <= i < consts + carries else _slice(node) if i >= consts + carries else node
        for i, node in enumerate(given)
    ]
    around, made.times = made.times, made.times * int(step.equation.params["length"])
    results = _inside(made, step, closed, inside)
    made.times = around
    return results


def _state(made: ProgramGraph, node: Node) -> Node:
    """What a loop carries: data even where it begins as a constant."""
    return made.graph.add(Node("input", _STATE, shape=node.shape)) if node.kind == "constant" else node


def _slice(node: Node) -> Node:
    if node.kind == "parameter":
        return viewed(node, None if node.axes is None else node.axes[1:], (node.shape or ())[1:], "scan")
    return node


# Weighted sums


def _product(made: ProgramGraph, step: Step, given: list[Node]) -> Node | None:
    def use(weight: Node) -> Use:
        contracted, batch = step.equation.params["dimension_numbers"]
        side = given.index(weight)
        return factor_use(weight, inputs=contracted[side], stacked=batch[side])

    return product(made.operation(step, given), given, use)


def _convolution(made: ProgramGraph, step: Step, given: list[Node]) -> Node:
    x, kernel = given[:2]
    if kernel.kind != "parameter" or not x.is_data:
        return made.made(step, "unknown", [n for n in given if n.is_data], params_of(given))
    told = step.equation.params
    is_transposed = any(n != 1 for n in told["lhs_dilation"])
    stride = tuple(int(n) for n in told["lhs_dilation" if is_transposed else "window_strides"])
    role: Role = "conv_transpose" if is_transposed else "conv"
    use = Use(role, groups=int(told["feature_group_count"]), stride=stride, clear=kernel.axes is not None)
    made.graph.use(kernel.params, use)
    return made.made(step, "weight", [x], kernel.params, name="convolution")


def _gather(made: ProgramGraph, step: Step, given: list[Node]) -> Node | None:
    data = [node for node in given if node.is_data]
    found = look_up(made.operation(step, given), given[0], given[1:2], _picks(step, given[0]))
    return found or (made.made(step, "pass", data) if data else None)


def _picks(step: Step, table: Node) -> list[Pick]:
    """What a gather takes of each axis."""
    told = step.equation.params
    numbers, sizes = told["dimension_numbers"], told["slice_sizes"]
    gone: Pick = "many" if len(step.shape) > len(numbers.offset_dims) else "one"
    lost = {*numbers.collapsed_slice_dims, *numbers.operand_batching_dims}
    whole = enumerate(zip(sizes, table.shape or (), strict=False))
    return [gone if n in lost else "whole" if size == length else "part" for n, (size, length) in whole]


def _slice_of(made: ProgramGraph, step: Step, given: list[Node]) -> Node | None:
    """A slice where the data says: of a parameter a view, which is a layer of its own where it has one entry."""
    if given[0].kind == "parameter":
        return viewed(given[0], given[0].axes, step.shape, step.name)
    return made.made(step, "pass", [node for node in given if node.is_data])


def _ragged(made: ProgramGraph, step: Step, given: list[Node]) -> Node | None:
    """A product of rows, group by group, with a matrix for each group."""

    def use(weight: Node) -> Use:
        told = step.equation.params["ragged_dot_dimension_numbers"]
        contracted, batch = told.dot_dimension_numbers
        groups = told.rhs_group_dimensions
        return factor_use(weight, inputs=contracted[1], stacked=[*batch[1], *groups])

    return product(made.operation(step, given), given[:2], use)


def _join(made: ProgramGraph, step: Step, given: list[Node]) -> Node:
    return join(made.operation(step, given))


def _softmax(made: ProgramGraph, step: Step, given: list[Node]) -> Node:
    return made.made(step, "unknown", given[:1], name=step.name)


def _note_split(graph: Graph, step: Step, x: Node) -> None:
    if step.name == "split":
        sizes, last = tuple(int(n) for n in step.equation.params["sizes"]), len(x.shape or ()) - 1
        note_split(graph, x, sizes, int(step.equation.params["axis"]), lambda source: (last,))


_RULES: dict[str, Callable[[ProgramGraph, Step, list[Node]], Node | None]] = {
    "dot_general": _product,
    "conv_general_dilated": _convolution,
    "ragged_dot_general": _ragged,
    "gather": _gather,
    "dynamic_slice": _slice_of,
    "softmax": _softmax,
    "log_softmax": _softmax,
    **dict.fromkeys(JOINS, _join),
}
