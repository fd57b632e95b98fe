"""Weighted sums and look-ups: which axis of a weight is contracted, what mixes values, and how an output is cut."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import prod

from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.operation import Operation, comes_from, params_of


def weigh(operation: Operation, inputs: Iterable[Node], weights: Iterable[Node], use: Use) -> Node:
    """A weighted sum of values by parameters that are used so."""
    names = params_of(weights)
    operation.graph.use(names, use)
    return operation.add("weight", inputs, names)


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


def matrix_use(axes: tuple[int, ...] | None, *, inputs: Sequence[int], stacked: Sequence[int] = ()) -> Use:
    """The use of a weight in a product of matrices.

    Args:
        axes: The native axis behind each of its axes; None where they are not known.
        inputs: Its axes that are contracted.
        stacked: Its axes that both factors share.

    Example:
        >>> matrix_use((0, 1), inputs=[1])      # (out, in)
        Use(role='dense', axes=None, groups=1, stride=(), clear=True)
        >>> matrix_use((0, 1), inputs=[0]).axes
        Axes(inputs=(0,), outputs=(1,), batch=())
    """
    if axes is None or len(axes) < 2:
        return Use("dense", clear=False)
    taken = {n % len(axes) for n in (*inputs, *stacked)}
    outputs = tuple(axis for n, axis in enumerate(axes) if n not in taken)
    return _dense(Axes(tuple(axes[n] for n in inputs), outputs, tuple(axes[n] for n in stacked)), len(axes))


def einsum_use(equation: str, operands: Sequence[Node], weight: Node) -> Use:
    """The use of one operand of an einsum."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = dict(zip(operands, left.split(","), strict=False))
    mine = terms.pop(weight, "")
    theirs = "".join(terms.values())
    if not arrow or weight.axes is None or len(mine) != len(weight.axes) or len(set(mine)) != len(mine) or "." in mine:
        return Use("dense", clear=False)
    native = dict(zip(mine, weight.axes, strict=True))
    inputs = tuple(native[a] for a in mine if a in theirs and a not in out)
    outputs = tuple(native[a] for a in mine if a in out and a not in theirs)
    batch = tuple(native[a] for a in mine if a in out and a in theirs)
    return _dense(Axes(inputs, outputs, batch), len(mine))


def _dense(axes: Axes, rank: int) -> Use:
    if rank == 2 and axes == Axes((1,), (0,)):
        return Use("dense")
    return Use("dense", axes, clear=bool(axes.inputs and axes.outputs))


def look_up(operation: Operation, table: Node, places: Sequence[Node]) -> Node | None:
    """Rows of a parameter, picked by numbers; None where it is none, or one number picks one row."""
    if table.kind != "parameter" or not any(_are_places(node) for node in places):
        return None
    operation.graph.use(table.params, Use("embedding"))
    return operation.add("weight", [node for node in places if node.is_data], table.params, name="embedding")


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
        operation.graph.use(node.params, use)
    return operation.add("norm", operation.data[:1], params_of(operation.parameters))


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
        if source.kind == "weight" and axis in units(source):
            graph.splits[source] = sizes
