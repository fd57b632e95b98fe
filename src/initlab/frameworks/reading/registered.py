"""Layers that were registered, in the graph: one value a call, and what they state of their parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from initlab.core.facts.layers import Layer, LayerParam, SignalKind, layer_of
from initlab.core.facts.spec import WEIGHT_ROLES, Axes
from initlab.core.signals.readings import FactValue
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.facts import Facts
from initlab.frameworks.reading.graph import Graph, Kind, Node, Use
from initlab.frameworks.reading.layout import Layout

_KINDS: Mapping[SignalKind, Kind] = {"weighted": "weight", "norm": "norm", "pass": "pass", "unknown": "unknown"}
_NORM = frozenset({"norm_scale", "norm_bias"})
_PARAMS: Mapping[SignalKind, frozenset[str]] = {"weighted": WEIGHT_ROLES, "norm": _NORM}


def whole_layer(module: object) -> Layer | None:
    """The registration of a layer whose call is one value; None for all other layers."""
    layer = layer_of(type(module))
    return layer if layer is not None and layer.signal is not None else None


def stated_param(owner: object, leaf: str) -> LayerParam | None:
    """What was registered of a parameter of a layer.

    Args:
        owner: The layer that holds it.
        leaf: Its name there.
    """
    layer = layer_of(type(owner))
    return None if layer is None else layer.facts_of(owner).get(leaf)


def stated_facts(
    owner: object,
    leaf: str,
    shape: tuple[int, ...],
    shape_of: Callable[[str], tuple[int, ...] | None],
    *,
    out_first: bool,
) -> Facts | None:
    """What was registered of a parameter of a layer; None where nothing was.

    Args:
        owner: The layer that holds it.
        leaf: Its name there.
        shape: Its own shape.
        shape_of: The own shape of another parameter of the layer, by its name there.
        out_first: Whether the framework's own layers store ``(out, in, *kernel)``, rather than ``(*kernel, in, out)``.
    """
    param = stated_param(owner, leaf)
    if param is None:
        return None
    order, axes = stated_layout(param, shape, out_first=out_first)
    weight = stated_param(owner, param.weight)
    around = None if weight is None else shape_of(param.weight)
    of_weight = None
    if weight is not None and around is not None:
        of_weight = stated_layout(weight, around, out_first=out_first)[0].shape
    return Facts(
        param.role,
        order,
        groups=param.groups,
        stride=param.stride,
        blocks=param.blocks,
        axes=axes,
        layer_shape=of_weight,
        takes_input=param.f_in is None,
        makes_output=param.f_out is None,
        f_in=param.f_in,
        f_out=param.f_out,
        kept=param.kept,
    )


def stated_layout(param: LayerParam, shape: tuple[int, ...], *, out_first: bool) -> tuple[Layout, Axes | None]:
    """How the axes of a parameter become canonical ones, and those of a kernel that keeps its own."""
    if param.axes is not None:
        return layout.einsum(shape, param.axes)
    if out_first:
        is_turned = param.role == "conv_transpose" and len(shape) > 2
        return (layout.grouped_transpose(shape, param.groups) if is_turned else layout.same(shape)), None
    if param.role in ("dense", "recurrent") and len(shape) == 2:
        return layout.dense(shape), None
    if param.role == "conv" and len(shape) > 2:
        return layout.conv(shape), None
    if param.role == "conv_transpose" and len(shape) > 2:
        return layout.conv_transpose(shape), None
    return layout.same(shape), None


def whole_node(
    graph: Graph,
    layer: Layer,
    module: object,
    held: Mapping[str, str],
    inputs: Iterable[Node],
    shape: tuple[int, ...] | None,
) -> Node:
    """The node of a call that is one value; the uses of its parameters are noted in the graph.

    Args:
        graph: Takes the node.
        layer: The registration.
        module: The layer.
        held: The native name of each parameter of the layer, by its name there.
        inputs: What the call was given; the first carries the signal.
        shape: The shape of what it made, where known.
    """
    assert layer.signal is not None
    stated = layer.facts_of(module)
    roles = {native: stated[leaf].role if leaf in stated else "unknown" for leaf, native in held.items()}
    for native, role in roles.items():
        graph.use([native], Use(role, clear=False))
    wanted = _PARAMS.get(layer.signal, frozenset())
    params = tuple(native for native, role in roles.items() if role in wanted)
    norm: dict[str, FactValue] = {"norm": "rms", "eps": 0.0} if layer.signal == "norm" else {}
    data = tuple(node for node in inputs if node.is_data)
    node = Node(_KINDS[layer.signal], layer.name, data, params, shape, facts={"layer": layer.name, **norm})
    graph.biases[node] = tuple(native for native in roles if native not in params)
    return graph.add(node)
