"""What each call to torch does to the graph: a weighted sum, a function of each entry, a move, or something unknown."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn import functional

from initlab.core.facts.layers import Layer
from initlab.frameworks.reading.axes import Pick, index_picks
from initlab.frameworks.reading.calls import Call, CallRule
from initlab.frameworks.reading.elementwise import composed, pointwise
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.registered import whole_node
from initlab.frameworks.reading.weighted_sums import note_split
from initlab.frameworks.torch.reading import function_names, weighted_sums
from initlab.frameworks.torch.reading.calls import TORCH, is_one_of_several


def operate(graph: Graph, call: Call) -> Node:
    """The node of what a call returned; uses of parameters are noted in the graph."""
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(graph, call)
    data = call.data
    if not data:
        return TORCH.made_of_parameters(call)
    if call.name in function_names.IDENTITY:
        return data[0]
    if call.name in function_names.ELEMENTWISE:
        return pointwise(TORCH.operation(graph, call))
    if call.name in function_names.MOVES:
        _note_split(graph, call, data[0])
        return TORCH.made(graph, call, "pass", data)
    return TORCH.made(graph, call, "unknown", data)


def whole(graph: Graph, layer: Layer, module: nn.Module, call: Call, parameters: Mapping[int, Node]) -> Node:
    """The node of what a layer returned whose call is one value."""
    named = {leaf: parameters[id(p)].params[0] for leaf, p in module.named_parameters() if id(p) in parameters}
    return whole_node(graph, layer, module, named, call.nodes, call.shape)


def _broadcast(graph: Graph, call: Call) -> Node:
    """Several values, each spread to the shape of all: what is made of one counts for every one of them."""
    return TORCH.made(graph, call, "concat", call.data) if len(call.data) > 1 else TORCH.passed(graph, call)


def _entries(graph: Graph, call: Call) -> Node:
    table = call.get(0, "input")
    if not isinstance(table, Node):
        return TORCH.passed(graph, call)
    if table.kind == "parameter" and call.name == "getitem" and is_one_of_several(table):
        return table
    return TORCH.entries(graph, call, _picks(table, call))


def _put(graph: Graph, call: Call) -> Node:
    """Values put or added at some places of others: parts beside each other; the places are no signal."""
    target, source = call.get(0, "input"), call.get(3, "source", call.get(3, "src", call.get(2, "values")))
    data = [node for node in (target, source) if isinstance(node, Node) and node.is_data]
    if not data:
        return TORCH.made_of_parameters(call)
    return TORCH.made(graph, call, "concat" if len(data) > 1 else "pass", data)


def _picks(table: Node, call: Call) -> list[Pick]:
    """What an index takes of each axis."""
    rank = len(table.shape or table.axes or ())
    if call.name in ("select", "index_select"):
        dim = call.get(1, "dim", 0)
        last: Pick = "one" if call.name == "select" else "many"
        whole: list[Pick] = ["whole"] * (dim % rank if isinstance(dim, int) and rank else 0)
        return [*whole, last]
    index = call.get(1, "index")
    if isinstance(index, tuple) and index and all(type(n) is int for n in index):
        is_list = call.shape is not None and len(call.shape) > rank - len(index)  # w[[0, 2]], and not w[0, 2]
        return ["many"] if is_list else ["one"] * len(index)
    return index_picks(index, rank)


def _prelu(graph: Graph, call: Call) -> Node:
    x, slope = list(call.nodes)[:2]
    if not x.is_data or slope.tensor is None:
        return TORCH.made(graph, call, "unknown", [x])
    graph.use(slope.params, Use("scale"))
    a = float(slope.tensor.detach().double().mean())
    return composed(TORCH.operation(graph, call), x, lambda z: functional.leaky_relu(z, a), slope.params)


def _note_split(graph: Graph, call: Call, x: Node) -> None:
    if call.name in ("chunk", "tensor_split"):
        parts, dim = call.get(1, "chunks"), call.get(2, "dim", 0)
    elif call.name in ("split", "split_with_sizes"):
        parts, dim = call.get(1, "split_size_or_sections", call.kwargs.get("split_size")), call.get(2, "dim", 0)
        parts = (parts,) if isinstance(parts, int) else parts
    else:
        return
    sizes = tuple(parts) if isinstance(parts, list | tuple) else parts
    if isinstance(sizes, int | tuple) and isinstance(dim, int):
        note_split(graph, x, sizes, dim, _units)


def _units(source: Node) -> tuple[int, ...]:
    return (1,) if source.name in function_names.CONVOLUTIONS else (-1, len(source.shape or ()) - 1)


_RULES: dict[str, CallRule] = {
    **weighted_sums.RULES,
    "prelu": _prelu,
    "glu": TORCH.gated,
    **dict.fromkeys(("getitem", "index_select", "select"), _entries),
    **dict.fromkeys(("index_add", "scatter_add", "index_put", "index_copy", "scatter"), _put),
    "broadcast_tensors": _broadcast,
    "softmax": TORCH.softmax,
    "log_softmax": TORCH.softmax,
    "logsoftmax": TORCH.softmax,
    **dict.fromkeys(function_names.NORMS, TORCH.norm),
    **dict.fromkeys(function_names.JOINS, TORCH.joined),
}
