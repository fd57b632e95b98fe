"""What each call to Keras does to the graph: a weighted sum, a function of each entry, a move, or something unknown."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import keras

from initlab.core.facts.spec import WEIGHT_ROLES, Role
from initlab.frameworks.keras.reading import function_names
from initlab.frameworks.keras.reading.calls import KERAS, option
from initlab.frameworks.keras.reading.forms import rate_of
from initlab.frameworks.keras.reading.layers import has_weights
from initlab.frameworks.keras.reading.recognition import is_pointwise
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.axes import Pick, index_picks, own_axes, pick_of
from initlab.frameworks.reading.calls import Call, CallRule
from initlab.frameworks.reading.elementwise import composed, pointwise
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.operation import params_of
from initlab.frameworks.reading.registered import whole_layer, whole_node
from initlab.frameworks.reading.weighted_sums import (
    einsum_use,
    matrix_use,
    note_split,
    product,
    weigh,
)


def operate(graph: Graph, call: Call) -> Node:
    """The node of what a call returned; uses of parameters are noted in the graph."""
    found = None if call.layer is None else _of_layer(graph, call)
    if found is not None:
        return found
    if not call.data and call.name not in ("take", "getitem"):
        return KERAS.made_of_parameters(call)
    rule = _RULES.get(call.name)
    if rule is not None:
        return rule(graph, call)
    if call.name in function_names.IDENTITY or (call.name in function_names.NOISE and rate_of(call) == 0):
        return call.data[0]
    if call.name in function_names.ELEMENTWISE:
        return pointwise(KERAS.operation(graph, call))
    if call.name == "average" and len(call.data) > 1:
        return pointwise(KERAS.operation(graph, replace(call, name="add")))
    if function_names.is_move(call.name):
        _note_split(graph, call)
        return KERAS.made(graph, call, "pass", call.data)
    if len(call.data) == 1 and _is_pointwise(call):
        return pointwise(KERAS.operation(graph, call))
    name = call.name or str(getattr(call.function, "__name__", "a function"))
    return KERAS.operation(graph, call).add("unknown", call.data, name=name)


def _is_pointwise(call: Call) -> bool:
    """Whether a call of one value is a function of each of its entries."""
    if any(node.tensor is None for node in call.nodes if not node.is_data):
        return False
    if isinstance(call.layer, keras.Layer) and (not call.layer.built or call.layer.variables):
        return False
    return is_pointwise(lambda z: call.again(lambda node: z if node.is_data else node.tensor))


def _of_layer(graph: Graph, call: Call) -> Node | None:
    """The node of a layer with parameters of its own; None for one that is but a function of its input."""
    registered = whole_layer(call.layer)
    if registered is not None:
        held = {entry.variable.name: entry.native for entry in call.held}
        return whole_node(graph, registered, call.layer, held, call.data, call.shape)
    for entry in call.held:
        graph.use([entry.native], Use(entry.facts.role))
    names = [entry.native for entry in call.held]
    if isinstance(call.layer, keras.layers.RNN) or has_weights(call.layer):
        weights = [entry.native for entry in call.held if entry.facts.role in WEIGHT_ROLES]
        return KERAS.operation(graph, call).add("weight", call.data, weights, name=_weighted(call))
    if call.name in function_names.NORMS:
        return KERAS.made(graph, call, "norm", call.data[:1], names)
    if call.name == "prelu" and len(call.data) == 1:
        # Its mean slope as it stands, and not in the scope of a pass.
        slope = float(to_numpy(call.layer.alpha._value).astype("float64").mean())
        operation = KERAS.operation(graph, call)
        return composed(operation, call.data[0], lambda z: keras.ops.leaky_relu(z, slope), tuple(names))
    return None


def _weighted(call: Call) -> str:
    """The word for a weighted sum."""
    if isinstance(call.layer, keras.layers.Embedding):
        return "dense" if call.get(1, "reverse") else "embedding"
    return call.name


def _entries(graph: Graph, call: Call) -> Node:
    return KERAS.entries(graph, call, _picks(call.nodes[0], call) if call.nodes else ())


def _picks(table: Node, call: Call) -> list[Pick]:
    """What an index, or a ``take``, takes of each axis."""
    rank = len(table.shape or ())
    if call.name != "take":
        return index_picks(call.get(1, "key"), rank)
    axis = option(call, 2, "axis")
    before: list[Pick] = ["whole"] * (axis % rank if isinstance(axis, int) and rank else 0)
    return [*before, pick_of(option(call, 1, "indices"))]


def _attention(graph: Graph, call: Call) -> Node:
    """Means of the values: the layers take (query, value, key), the function (query, key, value)."""
    query, *others = call.data
    if not others:
        return KERAS.made(graph, call, "unknown", call.data)
    value, key = (others[0], others[-1]) if call.layer is not None else (others[-1], others[0])
    return KERAS.made(graph, call, "pass", [value, query, key])


def _product(graph: Graph, call: Call) -> Node:
    made = product(KERAS.operation(graph, call), call.nodes, lambda weight: _product_use(call, weight))
    return made or KERAS.made_of_parameters(call)


def _product_use(call: Call, weight: Node) -> Use:
    if call.name == "einsum":
        first = call.args[0]
        return einsum_use(first if isinstance(first, str) else option(call, 99, "subscripts", ""), call.nodes, weight)
    if call.name not in ("matmul", "rmatmul", "dot"):
        return Use("dense", clear=False)
    is_right = (call.nodes[-1] is weight) != (call.name == "rmatmul")
    return matrix_use(weight, is_right=is_right)


def _convolution(graph: Graph, call: Call) -> Node:
    kernels = [node for node in call.nodes if node.kind == "parameter"]
    if len(kernels) != 1 or len(call.data) != 1:
        return KERAS.made(graph, call, "unknown", call.data, params_of(kernels))
    return weigh(KERAS.operation(graph, call), call.data, kernels, _convolution_use(call, kernels[0]))


def _convolution_use(call: Call, kernel: Node) -> Use:
    strides, rank = option(call, 2, "strides", 1), len(kernel.shape or ()) - 2
    steps = (strides,) * rank if isinstance(strides, int) else tuple(strides)
    is_first = option(call, 99, "data_format") == "channels_first"
    channels = (call.data[0].shape or (0,))[1 if is_first else -1]
    groups = channels // kernel.shape[-2] if kernel.shape and call.name == "conv" else 1
    clear = call.name in ("conv", "convtranspose") and kernel.axes == own_axes(range(rank + 2))
    role: Role = "conv" if call.name == "conv" else "conv_transpose"
    return Use(role, groups=max(groups, 1), stride=steps if any(n != 1 for n in steps) else (), clear=clear)


def _note_split(graph: Graph, call: Call) -> None:
    shape, parts = call.data[0].shape, option(call, 1, "indices_or_sections")
    if call.name not in ("split", "arraysplit") or parts is None or shape is None:
        return
    if not isinstance(parts, int):
        marks = [0, *(int(n) for n in parts), shape[-1]]
        parts = tuple(high - low for low, high in pairwise(marks))
    note_split(graph, call.data[0], parts, option(call, 2, "axis", 0), lambda one: (-1, len(one.shape or ()) - 1))


_RULES: dict[str, CallRule] = {
    "take": _entries,
    "getitem": _entries,
    "softmax": KERAS.softmax,
    "logsoftmax": KERAS.softmax,
    "glu": KERAS.gated,
    **dict.fromkeys(function_names.ATTENTIONS | {"dotproductattention"}, _attention),
    **dict.fromkeys(function_names.NORMS, KERAS.norm),
    **dict.fromkeys(function_names.JOINS, KERAS.joined),
    **dict.fromkeys(function_names.PRODUCTS, _product),
    **dict.fromkeys(function_names.CONVOLUTIONS, _convolution),
}
