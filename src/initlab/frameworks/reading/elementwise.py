"""Functions of each entry, sums and products of two values, biases, scales, and norms that are written out."""

from __future__ import annotations

from collections.abc import Callable
from math import isclose, prod
from typing import Any

from initlab.frameworks.reading.graph import Function, Graph, Kind, Node, Use
from initlab.frameworks.reading.norms import spread_of
from initlab.frameworks.reading.operation import SUMS, Operation, params_of, part_of

_LONGEST = 64  # operations in a function of each entry; a longer one is a loop, not an activation
_TOTALS = frozenset({"sum", "nansum", "reduce_sum", "reduce_window_sum"})
_ARITHMETIC = SUMS | {"mul", "div"}

IsBias = Callable[[Node, Node], bool]


def pointwise(operation: Operation, *, is_bias: IsBias | None = None, window: float | None = None) -> Node:
    """The value of a function of each entry: of one value, or of several, or with a parameter or a constant in it.

    Args:
        operation: The operation, which is given some data.
        is_bias: Whether a parameter that is added is the bias of a weighted sum and no value of its own: asked where a
            framework adds biases by themselves.
        window: How many entries the first value sums, where that is not a whole axis.
    """
    if operation.parameters:
        return _with_parameter(operation, is_bias)
    if operation.name in SUMS and len(operation.data) == 2:
        for total, rows in (operation.data, operation.data[::-1]):
            taken = take_rows_as_bias(operation.graph, total, rows)
            if taken:
                return operation.add("pass", [total], taken)
    data, constants = operation.data, [node for node in operation.given if node.kind == "constant"]
    mean = _mean(operation, window)
    if mean is not None:
        return mean
    roots = {node.root or node for node in data}
    is_known = all(node.tensor is not None for node in constants)
    cost = 1 + sum(node.cost for node in data)
    if len(roots) == 1 and is_known and cost <= _LONGEST:
        (root,) = roots
        function = _replay(operation, root)
        return operation.add("elementwise", data, root=root, function=function, cost=cost, **operation.replay)
    return operation.add("pass", data) if len(roots) == 1 else _of_two(operation)


def take_rows_as_bias(graph: Graph, total: Node, rows: Node) -> tuple[str, ...]:
    """The parameters whose rows are the bias of a sum by a stack of matrices, which each have one; none where not so.

    Args:
        graph: The graph; the parameter is no table in it any more.
        total: The sum.
        rows: What is added to it.
    """
    summed, table = _unmoved(total), _unmoved(rows)
    units = graph.units.get(summed, ())
    if table.form != "table" or len(units) < 2 or sorted(graph.units.get(table, ())) != sorted(units):
        return ()
    for name in table.params:
        graph.uses[name] = [Use("bias") if use.role == "embedding" else use for use in graph.uses[name]]
    if table in graph.nodes:
        graph.nodes.remove(table)
    return table.params


def _unmoved(node: Node) -> Node:
    while node.form == "moved" and node.inputs:
        node = node.inputs[0]
    return node


def composed(operation: Operation, x: Node, function: Function, params: tuple[str, ...] = ()) -> Node:
    """The value of a function of each entry of ``x`` that is given in the framework's arrays, as one with a parameter.

    Args:
        operation: The operation.
        x: What the function takes.
        function: The function.
        params: The parameters in it.
    """
    inner = x.function
    whole = function if inner is None else lambda z: function(inner(z))
    return operation.add(
        "elementwise",
        [x],
        params,
        root=x.root or x,
        function=whole,
        cost=x.cost + 1,
        again=lambda value: function(value(x)),
        given=(x,),
    )


def gated(operation: Operation, x: Node, opened: Function) -> Node:
    """The product of one half of a value with the ``opened`` other half, a sigmoid most often."""
    graph = operation.graph
    graph.splits[x] = 2
    value, gate = (graph.add(part_of(x, None)) for _ in range(2))
    half = graph.add(function_of(gate, "sigmoid", opened))
    return operation.add("mul", [value, half], again=lambda held: held(value) * held(half), given=(value, half))


def function_of(x: Node, name: str, function: Function) -> Node:
    """A function of each entry of a value that is none of another."""
    return Node(
        "elementwise",
        name,
        (x,),
        root=x,
        function=function,
        cost=1,
        again=lambda held: function(held(x)),
        given=(x,),
    )


def _replay(operation: Operation, root: Node) -> Function:
    """The operation as a function of the root's entries."""

    def function(z: Any) -> Any:
        def value(node: Node) -> Any:
            return z if node is root else node.tensor if node.function is None else node.function(z)

        return operation.again(value)

    return function


def _with_parameter(operation: Operation, is_bias: IsBias | None) -> Node:
    graph, data, params = operation.graph, operation.data, operation.parameters
    names = params_of(params)
    if operation.name in SUMS:
        if is_bias is not None and len(data) == 1 and is_bias(data[0], params[0]):
            graph.use(names, Use("bias"))
            graph.biases[data[0]] = (*graph.biases.get(data[0], ()), *names)
            return data[0]
        units = graph.units.get(_unmoved(data[0]), ())
        for node in params:
            graph.use(node.params, _added(node, units))
    else:
        graph.use(names, Use("scale"))
    if len({node.root or node for node in data}) > 1:
        return _of_two(operation)
    return operation.add("pass", data, names, **operation.replay)


def _added(node: Node, units: tuple[int, ...]) -> Use:
    """A number for each unit is a bias; a table of them marks places; one number for all is a shift."""
    shape = node.shape or ()
    wide = sum(n > 1 for n in shape)
    if wide > 1 and sorted(n for n in shape if n > 1) == sorted(n for n in units if n > 1):
        return Use("bias")
    return Use("embedding" if wide > 1 else "bias" if wide == 1 or len(shape) == 1 else "scale")


def _mean(operation: Operation, window: float | None) -> Node | None:
    """A sum of entries divided by their number."""
    if operation.name not in ("mul", "div") or len(operation.given) != 2:
        return None
    total, number = operation.given if operation.given[0].is_data else operation.given[::-1]
    if total.name not in _TOTALS or total.kind != "pass" or number.kind != "constant" or number.tensor is None:
        return None
    if operation.name == "div" and number is operation.given[0]:
        return None
    before = total.inputs[0].shape if total.inputs else None
    if before is None or total.shape is None or not float(number.tensor):
        return None
    count = prod(before) / max(prod(total.shape), 1) if window is None else window
    divisor = float(number.tensor) if operation.name == "div" else 1.0 / float(number.tensor)
    if not isclose(divisor, count, rel_tol=1e-5):
        return None
    return operation.add("pass", total.inputs[:1], name="mean" if window is None else "avg_pool")


def _of_two(operation: Operation) -> Node:
    name, data = operation.name, operation.data
    if name in _ARITHMETIC - {"add"} and len(data) == 2:
        for x, other in (data, data[::-1]):
            if name == "div" and x.name == "exp" and _is_total(other, x):
                logits = x.inputs[0]
                source = logits.inputs[0] if logits.name == "sub" and logits.inputs else logits
                return operation.add("unknown", [source], name="softmax")
            spread = spread_of(x, other)
            if spread is not None:
                return operation.add("norm" if spread and name not in SUMS else "pass", [x, other])
    kind: Kind = "add" if name in SUMS else "mul" if name == "mul" else "unknown"
    return operation.add(kind, data, **operation.replay)


def _is_total(node: Node, part: Node) -> bool:
    """Whether a value is the sum of another along an axis."""
    while node.kind == "pass" and node.inputs and node.name not in _TOTALS:
        node = node.inputs[0]
    return node.name in _TOTALS and node.inputs[:1] == (part,)
