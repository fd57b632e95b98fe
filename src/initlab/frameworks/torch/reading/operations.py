"""What each call to torch does to the graph: a weighted sum, a function of each entry, a move, or something unknown."""

from __future__ import annotations

from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.torch.reading import elementwise, function_names, weighted_sums
from initlab.frameworks.torch.reading.calls import Call, Rule, made, made_of_parameters, params_of


def operate(graph: Graph, call: Call) -> Node:
    """The node of what a call returned; uses of parameters are noted in the graph."""
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(graph, call)
    data = [node for node in call.nodes if node.is_data]
    if not data:
        return made_of_parameters(graph, call)
    if call.name in function_names.IDENTITY:
        return data[0]
    if call.name in function_names.ELEMENTWISE:
        return elementwise.pointwise(graph, call, data)
    if call.name in function_names.MOVES:
        _note_split(graph, call, data[0])
        return made(graph, call, "pass", data)
    return made(graph, call, "unknown", data)


def _norm(graph: Graph, call: Call) -> Node:
    params = [node for node in call.nodes if node.kind == "parameter"]
    for node, use in zip(params, (Use("norm_scale"), Use("norm_bias")), strict=False):
        graph.use(node.params, use)
    return made(graph, call, "norm", [n for n in call.nodes if n.is_data][:1], params_of(params))


def _join(graph: Graph, call: Call) -> Node:
    data = [node for node in call.nodes if node.is_data]
    if not data:
        return made_of_parameters(graph, call)
    graph.use(params_of(call.nodes), Use("embedding"))
    return made(graph, call, "concat" if len(data) > 1 else "pass", data, params_of(call.nodes))


def _broadcast(graph: Graph, call: Call) -> Node:
    """Several values, each spread to the shape of all: what is made of one counts for every one of them."""
    data = [node for node in call.nodes if node.is_data]
    return made(graph, call, "concat" if len(data) > 1 else "pass", data) if data else made_of_parameters(graph, call)


def _softmax(graph: Graph, call: Call) -> Node:
    data = [node for node in call.nodes if node.is_data]
    if not data:
        return made_of_parameters(graph, call)
    return graph.add(Node("unknown", "softmax", tuple(data), shape=call.shape, form="softmax"))


def _note_split(graph: Graph, call: Call, x: Node) -> None:
    if call.name in ("chunk", "tensor_split"):
        parts, dim = call.get(1, "chunks"), call.get(2, "dim", 0)
    elif call.name in ("split", "split_with_sizes"):
        parts, dim = call.get(1, "split_size_or_sections", call.kwargs.get("split_size")), call.get(2, "dim", 0)
        parts = (parts,) if isinstance(parts, int) else parts
    else:
        return
    sizes = tuple(parts) if isinstance(parts, list | tuple) else parts
    for source in x.inputs if x.kind == "add" else (x,):
        is_conv = source.name in function_names.CONVOLUTIONS
        rank = len(source.shape or ())
        if source.kind == "weight" and dim in ((1,) if is_conv else (-1, rank - 1)) and isinstance(sizes, int | tuple):
            graph.splits[source] = sizes


_RULES: dict[str, Rule] = {
    **weighted_sums.RULES,
    **elementwise.RULES,
    "broadcast_tensors": _broadcast,
    "softmax": _softmax,
    "log_softmax": _softmax,
    "logsoftmax": _softmax,
    **dict.fromkeys(function_names.NORMS, _norm),
    **dict.fromkeys(function_names.JOINS, _join),
}
