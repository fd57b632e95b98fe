"""Which value of a pass is a layer's activation: what the function that takes its output makes, told by the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.recognition import Recognised

_CARRIED = frozenset({"elementwise", "pass", "norm", "add"})


def activations(
    graph: Graph, params: Mapping[str, ParamSpec], recognise: Callable[[Node], Recognised]
) -> dict[str, Node]:
    """The value of each layer after its nonlinearity, by the native name of its weight; those that did not run are out.

    A formula counts as a whole, as ``h * sigmoid(h)`` does. Where no function of the output's shape comes before
    another weighted sum, it is the output itself. Of a layer that runs several times, the last one counts.

    Args:
        graph: Of the pass.
        params: The weights, by the native name that the graph calls them by.
        recognise: The activation that an element-wise value is of its root.
    """
    # A condition, as in ``if h.abs().max() > 1``, only looks at a value.
    useful = graph.useful()
    values = [node for node in graph.nodes if node in useful]
    consumers = {node: [one for one in takers if one in useful] for node, takers in graph.consumers().items()}
    found: dict[str, Node] = {}
    for at, node in enumerate(values):
        if node.kind != "weight":
            continue
        mine = [name for name in node.params if name in params and _is_its_own(params[name], node)]
        if mine:
            found |= dict.fromkeys(mine, _behind(graph, values[at:], consumers, recognise))
    return found


def _is_its_own(param: ParamSpec, node: Node) -> bool:
    """Whether a weighted sum is the layer's own: a table that a head multiplies by is no layer there."""
    return (param.role == "embedding") == (node.form == "table")


def _behind(
    graph: Graph,
    values: Sequence[Node],
    consumers: Mapping[Node, Sequence[Node]],
    recognise: Callable[[Node], Recognised],
) -> Node:
    """The function of the first value, a weighted sum, before another one takes it; else that value."""
    node = values[0]
    made_of, carried, beyond = {node}, {node}, set[Node]()
    for one in values[1:]:
        sources = {*one.inputs, one.root}
        if sources & beyond or (one.kind == "weight" and sources & made_of):
            beyond.add(one)
        elif sources & made_of:
            made_of.add(one)
            if one.kind in _CARRIED and one.shape == node.shape and sources & carried:
                if one.kind == "elementwise" and _is_whole(graph, one, consumers) and recognise(one).slope is None:
                    return one
                carried.add(one)
    return node


def _is_whole(graph: Graph, node: Node, consumers: Mapping[Node, Sequence[Node]]) -> bool:
    """Whether a function of each entry ends here."""
    takers = consumers.get(node, ())
    return not takers or node in graph.outputs or any(taker.root is not node.root for taker in takers)
