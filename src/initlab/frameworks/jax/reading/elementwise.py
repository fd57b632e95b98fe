"""Functions of each entry, sums and products of two values, norms and softmaxes that are written out."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from initlab.frameworks.jax.reading.calls import Walk
from initlab.frameworks.jax.reading.jaxprs import Step
from initlab.frameworks.jax.reading.recognition import evaluate
from initlab.frameworks.reading.graph import Function, Kind, Node, Use
from initlab.frameworks.reading.norms import spread_of

_LONGEST = 64  # steps in a function of each entry; a longer one is a loop, not an activation
_SPREADS = frozenset({"sqrt", "rsqrt", "square", "integer_pow", "pow"})
_REDUCTIONS = frozenset({"reduce_sum", "reduce_max", "mean"})
_SUMS = frozenset({"add", "add_any", "sub"})


def pointwise(made: Walk, step: Step, given: list[Node], data: list[Node]) -> Node:
    """The node of a function of each entry: of one value, or of several, or with a parameter or a constant in it."""
    params = [node for node in given if node.kind == "parameter"]
    if params:
        return _with_parameter(made, step, data, params)
    mean = _mean(made, step, given)
    if mean is not None:
        return mean
    roots = {node.root or node for node in data}
    is_known = all(node.tensor is not None for node in given if node.kind == "constant")
    cost = 1 + sum(node.cost for node in data)
    if len(roots) == 1 and is_known and cost <= _LONGEST:
        (root,) = roots
        function = _replay(step, given, root)
        return made.made(step, "elementwise", data, root=root, function=function, cost=cost)
    if len(roots) == 1:
        return made.made(step, "pass", data)
    return _of_two(made, step, data)


def _replay(step: Step, given: list[Node], root: Node) -> Function:
    """The step as a function of the root's entries."""

    def value(node: Node, z: Any) -> Any:
        return z if node is root else node.tensor if node.function is None else node.function(z)

    return lambda z: evaluate(step.equation, [value(node, z) for node in given])


def _with_parameter(made: Walk, step: Step, data: list[Node], params: list[Node]) -> Node:
    names = tuple(dict.fromkeys(name for node in params for name in node.params))
    if step.name in _SUMS:
        if len(data) == 1 and _is_bias(made, step, data[0], params[0]):
            made.graph.use(names, Use("bias"))
            made.graph.biases[data[0]] = (*made.graph.biases.get(data[0], ()), *names)
            made.slots[data[0]] = step.outputs[0]
            return data[0]
        for node in params:
            wide = sum(n > 1 for n in node.shape or ())
            made.graph.use(node.params, Use("embedding" if wide > 1 else "scale" if wide < 1 else "bias"))
    else:
        for node in params:  # a factor kept as its distance from 1 is plain at 0
            made.graph.use(node.params, Use("norm_bias" if node.name in _SUMS else "scale"))
    if len({node.root or node for node in data}) > 1:
        return _of_two(made, step, data)
    return made.made(step, "pass", data, names)


def _is_bias(made: Walk, step: Step, x: Node, param: Node) -> bool:
    """Whether a parameter is the bias of a weighted sum: it is added at once, in the sum's own layer or along units."""
    if x.kind != "weight" or x in made.taken or step.name == "sub":
        return False
    wide = sum(n > 1 for n in param.shape or ())
    return wide <= 1 or (bool(step.inside) and made.steps[x].inside == step.inside)


def _mean(made: Walk, step: Step, given: list[Node]) -> Node | None:
    """A sum of places divided by their number."""
    if step.name not in ("div", "mul") or len(given) != 2 or given[1].tensor is None:
        return None
    total = given[0]
    if total.name not in ("reduce_sum", "reduce_window_sum") or total.kind != "pass" or not total.inputs:
        return None
    window = made.steps[total].equation.params.get("window_dimensions")
    whole = prod(total.inputs[0].shape or ()) / max(prod(total.shape or ()), 1)
    count = float(prod(window)) if window is not None else whole
    divisor = float(given[1].tensor) if step.name == "div" else 1.0 / float(given[1].tensor or np.inf)
    if not np.isclose(divisor, count, rtol=1e-5):
        return None
    name = "mean" if window is None else "avg_pool"
    return made.made(step, "pass", total.inputs[:1], name=name, origin=made.steps[total])


def _of_two(made: Walk, step: Step, data: list[Node]) -> Node:
    if step.name in ("mul", "div", "sub") and len(data) == 2:
        for x, other in (data, data[::-1]):
            if step.name == "div" and x.name == "exp" and _is_total(other, x):
                logits = x.inputs[0]
                source = logits.inputs[0] if logits.name == "sub" and logits.inputs else logits
                return made.made(step, "unknown", [source], name="softmax")
            spread = spread_of(x, other, spreads=_SPREADS, reductions=_REDUCTIONS)
            if spread is not None:
                is_norm = spread and step.name in ("mul", "div")
                return made.made(step, "norm" if is_norm else "pass", [x, other])
    kind: Kind = "add" if step.name in _SUMS else "mul" if step.name == "mul" else "unknown"
    return made.made(step, kind, data)


def _is_total(node: Node, part: Node) -> bool:
    """Whether a value is the sum of another along an axis."""
    while node.kind == "pass" and node.inputs and node.name != "reduce_sum":
        node = node.inputs[0]
    return node.name == "reduce_sum" and node.inputs[:1] == (part,)
