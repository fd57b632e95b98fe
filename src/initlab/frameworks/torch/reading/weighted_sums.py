"""Weighted sums: dense layers, convolutions, look-ups, products, recurrent layers and attention."""

from __future__ import annotations

import inspect

from torch.nn import functional

from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.axes import factor_use, own_axes
from initlab.frameworks.reading.calls import Call, CallRule, nodes_in
from initlab.frameworks.reading.elementwise import take_rows_as_bias
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.operation import params_of
from initlab.frameworks.reading.weighted_sums import einsum_use, matrix_use, product, weigh
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.calls import TORCH


def _linear(graph: Graph, call: Call) -> Node:
    x, weight, bias = call.get(0, "input"), call.get(1, "weight"), call.get(2, "bias")
    graph.use(params_of(nodes_in((bias,))), Use("bias"))
    if not isinstance(weight, Node) or weight.kind != "parameter":
        return TORCH.made(graph, call, "unknown", call.data)
    total = weigh(TORCH.operation(graph, call), nodes_in((x,)), [weight], factor_use(weight, inputs=[-1]))
    for rows in nodes_in((bias,)):
        take_rows_as_bias(graph, total, rows)
    return total


def _bilinear(graph: Graph, call: Call) -> Node:
    weight, bias = call.get(2, "weight"), call.get(3, "bias")
    graph.use(params_of(nodes_in((bias,))), Use("bias"))
    use = Use("dense", Axes((1, 2), (0,)))
    return weigh(TORCH.operation(graph, call), nodes_in(call.args[:2]), nodes_in((weight,)), use)


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
        clear=isinstance(weight, Node) and weight.axes == own_axes(range(kernel + 2)),
    )
    return weigh(TORCH.operation(graph, call), nodes_in((x,)), nodes_in((weight,)), use)


def _embedding(graph: Graph, call: Call) -> Node:
    index, weight = call.get(0, "input"), call.get(1, "weight")
    if isinstance(weight, Node) and weight.kind != "parameter":
        return TORCH.made(graph, call, "pass", [weight])
    return weigh(TORCH.operation(graph, call), nodes_in((index,)), nodes_in((weight,)), Use("embedding"))


def _product(graph: Graph, call: Call) -> Node:
    added, factors = [], list(call.nodes)
    if call.name in ("addmm", "baddbmm", "addbmm"):
        added, factors = factors[:1], factors[1:]
    if call.name in _GROUPED:  # what follows says where each group ends
        factors = factors[:2]

    def use(weight: Node) -> Use:
        if call.name == "einsum":
            equation = call.args[0]
            is_text = isinstance(equation, str)
            return einsum_use(str(equation), factors, weight) if is_text else Use("dense", clear=False)
        return _matmul_use(call, factors, weight)

    return product(TORCH.operation(graph, call), factors, use, added=added) or TORCH.made_of_parameters(call)


_GROUPED = ("grouped_mm",)


def _matmul_use(call: Call, factors: list[Node], weight: Node) -> Use:
    if call.name == "inner":
        return factor_use(weight, inputs=[-1])
    is_right = (factors[-1] is weight) != (call.name == "rmatmul")
    if call.name == "addbmm":  # the products of a batch are added up
        return factor_use(weight, inputs=[0, 1 if is_right else 2])
    if call.name not in ("matmul", "rmatmul", "mm", "bmm", "addmm", "baddbmm", *_GROUPED):
        return Use("dense", clear=False)
    return matrix_use(weight, is_right=is_right)


def _recurrent(graph: Graph, call: Call) -> Node:
    # The roles of these weights come from their module; only what goes in and comes out is new here.
    first = next((n for n in call.nodes if n.kind != "parameter"), None)
    return TORCH.made(graph, call, "weight", [first] if first else [], params_of(call.nodes))


def _attention(graph: Graph, call: Call) -> Node:
    operation = TORCH.operation(graph, call)
    bound = inspect.signature(functional.multi_head_attention_forward).bind(*call.args, **call.kwargs).arguments

    def project(source: str, *weights: str) -> Node:
        return weigh(operation, nodes_in((bound[source],)), nodes_in(map(bound.get, weights)), Use("dense"))

    graph.use(params_of(nodes_in((bound["in_proj_bias"], bound["out_proj_bias"]))), Use("bias"))
    graph.use(params_of(nodes_in((bound["bias_k"], bound["bias_v"]))), Use("embedding"))
    query, key, value = (
        project(source, f"{source[0]}_proj_weight", "in_proj_weight") for source in ("query", "key", "value")
    )
    mixed = graph.add(Node("pass", "attention", (value, query, key)))
    return weigh(operation, [mixed], nodes_in((bound["out_proj_weight"],)), Use("dense"))


def _dot_attention(graph: Graph, call: Call) -> Node:
    query, key, value = list(call.nodes)[:3]
    return TORCH.made(graph, call, "pass", [value, query, key])


RULES: dict[str, CallRule] = {
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
