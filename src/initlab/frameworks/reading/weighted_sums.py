"""Weighted sums and look-ups: which axis of a weight is contracted, what mixes values, and how an output is cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import prod

from initlab.frameworks.reading.axes import Pick, factor_use, is_stack, picked, units_of, viewed
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.operation import SUMS, Operation, comes_from, params_of


def weigh(operation: Operation, inputs: Iterable[Node], weights: Iterable[Node], use: Use) -> Node:
    """A weighted sum of values by parameters that are used so."""
    factors = list(weights)
    names, sizes = params_of(factors), units_of(factors[0], use) if len(factors) == 1 else ()
    operation.graph.use(names, use)
    node = operation.add("weight", inputs, names)
    operation.graph.units[node] = sizes
    return node


def product(
    operation: Operation, factors: Sequence[Node], use: Callable[[Node], Use], *, added: Sequence[Node] = ()
) -> Node | None:
    """A product of matrices: with a parameter a weighted sum, of two values a mixture where one of them is shares.

    Args:
        operation: The operation.
        factors: What is multiplied, in order.
        use: How the one parameter among the factors is used.
        added: What is added to the product; a parameter there is a bias.

    Returns:
        The value; None where nothing but parameters and constants was given.
    """
    weights = [node for node in factors if node.kind == "parameter"]
    others = [node for node in factors if node.kind != "parameter"]
    if len(weights) == 1 and others:
        operation.graph.use(params_of(added), Use("bias"))
        return weigh(operation, [*others, *(n for n in added if n.is_data)], weights, use(weights[0]))
    data = [node for node in others if node.is_data]
    if not data:
        return None
    mixing = [node for node in data if comes_from(node, "softmax")]
    if len(mixing) == 1 and len(data) == 2:  # attention: a weighted mean of the other factor
        return operation.add("pass", [*(n for n in data if n is not mixing[0]), mixing[0]], name="attention")
    return operation.add("unknown", data)


def matrix_use(weight: Node, *, is_right: bool) -> Use:
    """The use of a weight in a product of matrices, whose axes before the last two are shared with the other factor."""
    rank = len(weight.axes or ())
    return factor_use(weight, inputs=[rank - 2 if is_right else rank - 1], stacked=range(max(rank - 2, 0)))


def einsum_use(equation: str, operands: Sequence[Node], weight: Node) -> Use:
    """The use of one operand of an einsum."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = dict(zip(operands, left.split(","), strict=False))
    mine = terms.pop(weight, "")
    theirs = "".join(terms.values())
    if not arrow or weight.axes is None or len(mine) != len(weight.axes) or len(set(mine)) != len(mine) or "." in mine:
        return Use("dense", clear=False)
    inputs = [place for place, a in enumerate(mine) if a in theirs and a not in out]
    stacked = [place for place, a in enumerate(mine) if a in theirs and a in out]
    return factor_use(weight, inputs=inputs, stacked=stacked)


def look_up(operation: Operation, table: Node, places: Sequence[Node], picks: Sequence[Pick] = ()) -> Node | None:
    """What an index takes of a parameter: rows of a table, or matrices of a stack, each a weight of its own.

    Args:
        operation: The operation.
        table: What is picked from.
        places: What it is picked by.
        picks: What is taken of each of its axes; rows along the first where this is left out.

    Returns:
        The value; None where it is no parameter, or one number picks a row of it.
    """
    if table.kind != "parameter":
        return None
    is_row = any(_are_places(node) for node in places) and not is_stack(table, picks or ["many"])
    if not is_row:
        shape = operation.shape
        return viewed(table, picked(table, picks, shape), shape, operation.name) if picks else None
    operation.graph.use(table.params, Use("embedding"))
    rows = operation.add("weight", [node for node in places if node.is_data], table.params, name="embedding")
    operation.graph.units[rows] = table.shape or ()
    return rows


def _are_places(node: Node) -> bool:
    return node.is_data or (node.kind == "constant" and (node.shape is None or prod(node.shape) > 1))


def join(operation: Operation) -> Node:
    """Values put beside each other; a parameter among them is a learned token."""
    data, params = operation.data, params_of(operation.given)
    operation.graph.use(params, Use("embedding"))
    return operation.add("concat" if len(data) > 1 else "pass", data, params)


def normalise(operation: Operation) -> Node:
    """A norm of the first value, with its scale and its shift in this order."""
    for node, use in zip(operation.parameters, (Use("norm_scale"), Use("norm_bias")), strict=False):
        operation.graph.use(node.params, Use("norm_bias") if _is_distance(node) else use)
    return operation.add("norm", operation.data[:1], params_of(operation.parameters))


def _is_distance(node: Node) -> bool:
    """Whether a scale is kept as its distance from 1, and is plain at 0."""
    return node.name in SUMS or (len(node.inputs) == 1 and _is_distance(node.inputs[0]))


def note_split(
    graph: Graph, x: Node, sizes: int | tuple[int, ...], axis: int, units: Callable[[Node], Collection[int]]
) -> None:
    """Note how a weighted sum, or a sum of some, is cut along its units.

    Args:
        graph: The graph.
        x: What is cut.
        sizes: See ``Graph.splits``.
        axis: The axis that is cut.
        units: The numbers by which the axis of a weighted sum's units goes.
    """
    for source in x.inputs if x.kind == "add" else (x,):
        sums = _before_moves(source)
        if sums.kind == "weight" and axis in units(sums):
            graph.splits[sums] = sizes


def _before_moves(node: Node) -> Node:
    """The weighted sum of which a value is the entries, axes of one entry put in or left out; else the value itself."""
    at = node
    while at.form == "moved" and at.inputs and _wide(at) == _wide(at.inputs[0]) and at.shape is not None:
        at = at.inputs[0]
    return at if at.kind == "weight" else node


def _wide(node: Node) -> tuple[int, ...]:
    return tuple(n for n in node.shape or () if n > 1)
