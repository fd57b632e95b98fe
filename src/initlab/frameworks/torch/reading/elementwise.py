"""Functions of each entry, sums and products of two values, and norms that are written out."""

from __future__ import annotations

import torch
from torch.nn import functional

from initlab.frameworks.reading.graph import Function, Graph, Kind, Node, Use
from initlab.frameworks.reading.norms import spread_of
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.calls import Call, Rule, made, params_of

_LONGEST = 64  # calls in an element-wise function; a longer one is a loop, not an activation
_REDUCTIONS = frozenset({"mean", "sum", "var", "std", "norm", "linalg_vector_norm", "linalg_norm", "amax", "max",
                         "logsumexp"})  # fmt: skip


def pointwise(graph: Graph, call: Call, data: list[Node]) -> Node:
    """The node of a function of each entry: of one value, or of several, or with a parameter or a constant in it."""
    params = [node for node in call.nodes if node.kind == "parameter"]
    if params:
        return _with_parameter(graph, call, data, params)
    roots = {node.root or node for node in data}
    constant = all(node.tensor is not None for node in call.nodes if node.kind == "constant")
    cost = 1 + sum(node.cost for node in data)
    if len(roots) == 1 and constant and cost <= _LONGEST:
        (root,) = roots
        return graph.add(
            Node("elementwise", call.name, tuple(data), (), call.shape, root, _replay(call, root), cost=cost)
        )
    if len({id(node) for node in data}) == 1 or (len(roots) == 1 and not constant):
        return made(graph, call, "pass", data)
    return _of_two(graph, call, data)


def _with_parameter(graph: Graph, call: Call, data: list[Node], params: list[Node]) -> Node:
    if call.name in ("add", "sub", "rsub"):
        for node in params:
            rank = len(node.shape or ())
            wide = sum(n > 1 for n in node.shape or ())
            graph.use(node.params, Use("bias" if rank == 1 else "embedding" if wide > 1 else "scale"))
    else:
        for node in params:  # a factor kept as its distance from 1 is plain at 0
            graph.use(node.params, Use("norm_bias" if node.name in ("add", "sub") else "scale"))
    if len({node.root or node for node in data}) > 1:
        return _of_two(graph, call, data)
    return made(graph, call, "pass", data, params_of(params))


def _of_two(graph: Graph, call: Call, data: list[Node]) -> Node:
    if call.name in ("mul", "div", "sub", "rsub") and len(data) == 2:
        for x, other in (data, data[::-1]):
            spread = spread_of(x, other, spreads=function_names.SPREADS, reductions=_REDUCTIONS)
            if spread is not None:
                return made(graph, call, "norm" if spread and call.name in ("mul", "div") else "pass", [x, other])
    kind: Kind = "add" if call.name in ("add", "sub", "rsub") else "mul" if call.name == "mul" else "unknown"
    return made(graph, call, kind, data)


def _replay(call: Call, root: Node) -> Function:
    """The call as a function of the root's entries."""

    def value(argument: object, z: torch.Tensor) -> object:
        if not isinstance(argument, Node):
            return argument
        if argument is root:
            return z.clone()
        return argument.tensor if argument.function is None else argument.function(z)

    kwargs = {key: item for key, item in call.kwargs.items() if key not in ("inplace", "out")}

    def function(z: torch.Tensor) -> torch.Tensor:
        result = call.function(*(value(a, z) for a in call.args), **{k: value(a, z) for k, a in kwargs.items()})
        assert isinstance(result, torch.Tensor)
        return result

    return function


def _prelu(graph: Graph, call: Call) -> Node:
    x, slope = list(call.nodes)[:2]
    if not x.is_data or slope.tensor is None:
        return made(graph, call, "unknown", [x])
    graph.use(slope.params, Use("scale"))
    a = float(slope.tensor.detach().double().mean())
    inner = x.function

    def function(z: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(z if inner is None else inner(z), a)

    return graph.add(Node("elementwise", "prelu", (x,), slope.params, call.shape, x.root or x, function, x.cost + 1))


def _gated(graph: Graph, call: Call) -> Node:
    (x,) = list(call.nodes)[:1]
    graph.splits[x] = 2
    value, gate = (graph.add(Node("pass", f"glu_{half}", (x,))) for half in ("value", "gate"))
    opened = graph.add(Node("elementwise", "sigmoid", (gate,), root=gate, function=torch.sigmoid, cost=1))
    return made(graph, call, "mul", [value, opened])


RULES: dict[str, Rule] = {"prelu": _prelu, "glu": _gated}
