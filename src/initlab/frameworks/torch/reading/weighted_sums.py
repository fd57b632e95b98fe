"""Weighted sums: dense layers, convolutions, look-ups, products, recurrent layers and attention."""

from __future__ import annotations

import inspect
from collections.abc import Iterable

from torch.nn import functional

from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.calls import Call, Rule, comes_from, made, made_of_parameters, nodes_in, params_of


def _weighted(graph: Graph, call: Call, inputs: Iterable[Node], weights: Iterable[Node], use: Use) -> Node:
    params = params_of(weights)
    graph.use(params, use)
    return made(graph, call, "weight", inputs, params)


def _linear(graph: Graph, call: Call) -> Node:
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    graph.use(params_of(nodes_in((bias,))), Use("bias"))
    if not isinstance(weight, Node) or weight.kind != "parameter":
        return made(graph, call, "unknown", [n for n in call.nodes if n.is_data])
    return _weighted(graph, call, nodes_in((x,)), [weight], _dense(weight.axes, inputs=-1, outputs=-2))


def _dense(axes: tuple[int, ...] | None, *, inputs: int, outputs: int) -> Use:
    """The use of a weight that is contracted along ``inputs``, counted from the end of its present axes."""
    if axes is None or len(axes) < 2:
        return Use("dense", clear=False)
    if len(axes) == 2 and (axes[outputs], axes[inputs]) == (0, 1):
        return Use("dense")
    return Use("dense", Axes((axes[inputs],), (axes[outputs],), axes[:-2]))


def _bilinear(graph: Graph, call: Call) -> Node:
    weight, bias = call.get(2, "weight"), call.get(3, "bias")
    graph.use(params_of(nodes_in((bias,))), Use("bias"))
    return _weighted(graph, call, nodes_in(call.args[:2]), nodes_in((weight,)), Use("dense", Axes((1, 2), (0,))))


def _convolution(graph: Graph, call: Call) -> Node:
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    transposed = "transpose" in call.name
    groups = call.get(6, "groups", 1)
    stride = call.get(3, "stride", 1)
    kernel = int(call.name[-2])
    strides = (stride,) * kernel if isinstance(stride, int) else stride
    steps = tuple(int(n) for n in strides) if isinstance(strides, list | tuple) else ()
    graph.use(params_of(nodes_in((bias,))), Use("bias"))
    use = Use(
        "conv_transpose" if transposed else "conv",
        groups=groups if isinstance(groups, int) else 1,
        stride=steps * kernel if len(steps) == 1 else steps,
        clear=isinstance(weight, Node) and weight.axes == tuple(range(kernel + 2)),
    )
    return _weighted(graph, call, nodes_in((x,)), nodes_in((weight,)), use)


def _embedding(graph: Graph, call: Call) -> Node:
    index, weight = call.get(0, "input"), call.get(1, "weight")
    if isinstance(weight, Node) and weight.kind != "parameter":
        return made(graph, call, "pass", [weight])
    return _weighted(graph, call, nodes_in((index,)), nodes_in((weight,)), Use("embedding"))


def _product(graph: Graph, call: Call) -> Node:
    added, factors = [], list(call.nodes)
    if call.name in ("addmm", "baddbmm", "addbmm"):
        added, factors = factors[:1], factors[1:]
    weights = [node for node in factors if node.kind == "parameter"]
    others = [node for node in factors if node.kind != "parameter"]
    if len(weights) == 1 and others:
        graph.use(params_of(added), Use("bias"))
        use = _einsum_use(call, weights[0]) if call.name == "einsum" else _product_use(call, factors, weights[0])
        return _weighted(graph, call, [*others, *(n for n in added if n.is_data)], weights, use)
    data = [node for node in factors if node.is_data]
    if not data:
        return made_of_parameters(graph, call)
    mixing = [node for node in data if comes_from(node, "softmax")]
    if len(mixing) == 1 and len(data) == 2:  # attention: a weighted mean of the other factor
        return made(graph, call, "pass", [*(n for n in data if n is not mixing[0]), mixing[0]])
    return made(graph, call, "unknown", data)


def _product_use(call: Call, factors: list[Node], weight: Node) -> Use:
    if call.name not in ("matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm"):
        return Use("dense", clear=False)
    is_right = (factors[-1] is weight) != (call.name == "rmatmul")
    return _dense(weight.axes, inputs=-2 if is_right else -1, outputs=-1 if is_right else -2)


def _einsum_use(call: Call, weight: Node) -> Use:
    equation = call.args[0]
    if not isinstance(equation, str) or "->" not in equation or weight.axes is None:
        return Use("dense", clear=False)
    left, _, out = equation.replace(" ", "").partition("->")
    terms = dict(zip(nodes_in(call.args[1:]), left.split(","), strict=False))
    mine = terms.pop(weight, "")
    theirs = "".join(terms.values())
    if len(mine) != len(weight.axes) or "." in mine:
        return Use("dense", clear=False)
    native = dict(zip(mine, weight.axes, strict=True))
    inputs = tuple(native[a] for a in mine if a in theirs and a not in out)
    outputs = tuple(native[a] for a in mine if a in out and a not in theirs)
    batch = tuple(native[a] for a in mine if a in out and a in theirs)
    if (inputs, outputs, len(mine)) == ((1,), (0,), 2):
        return Use("dense")
    return Use("dense", Axes(inputs, outputs, batch))


def _recurrent(graph: Graph, call: Call) -> Node:
    # The roles of these weights come from their module; only what goes in and comes out is new here.
    first = next((n for n in call.nodes if n.kind != "parameter"), None)
    return made(graph, call, "weight", [first] if first else [], params_of(call.nodes))


def _attention(graph: Graph, call: Call) -> Node:
    bound = inspect.signature(functional.multi_head_attention_forward).bind(*call.args, **call.kwargs).arguments

    def project(source: str, *weights: str) -> Node:
        return _weighted(graph, call, nodes_in((bound[source],)), nodes_in(map(bound.get, weights)), Use("dense"))

    graph.use(params_of(nodes_in((bound["in_proj_bias"], bound["out_proj_bias"]))), Use("bias"))
    graph.use(params_of(nodes_in((bound["bias_k"], bound["bias_v"]))), Use("embedding"))
    query, key, value = (
        project(source, f"{source[0]}_proj_weight", "in_proj_weight") for source in ("query", "key", "value")
    )
    mixed = graph.add(Node("pass", "attention", (value, query, key)))
    return _weighted(graph, call, [mixed], nodes_in((bound["out_proj_weight"],)), Use("dense"))


def _dot_attention(graph: Graph, call: Call) -> Node:
    query, key, value = list(call.nodes)[:3]
    return made(graph, call, "pass", [value, query, key])


RULES: dict[str, Rule] = {
    "linear": _linear,
    "bilinear": _bilinear,
    "embedding": _embedding,
    "embedding_bag": _embedding,
    "multi_head_attention_forward": _attention,
    "scaled_dot_product_attention": _dot_attention,
    **dict.fromkeys(function_names.CONVOLUTIONS, _convolution),
    **dict.fromkeys(function_names.PRODUCTS, _product),
    **dict.fromkeys(function_names.RECURRENT, _recurrent),
}
