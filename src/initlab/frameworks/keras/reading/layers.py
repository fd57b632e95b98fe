"""What each variable of a Keras layer does, and how it is laid out: one function a kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from initlab.core.facts.layers import LayerParam, layer_of
from initlab.core.facts.spec import WEIGHT_ROLES, Axes, LayerKind, Role
from initlab.frameworks.keras.reading.function_names import library_kind
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.reading.registered import stated_layout


@dataclass(frozen=True)
class Slot:
    """The part that one variable plays in its layer.

    Attributes:
        role: What it does.
        layout: How its axes become canonical ones.
        groups: Groups of a convolution.
        stride: Stride of a convolution; empty means 1 everywhere.
        blocks: Sizes along canonical axis 0 of packed gates.
        axes: For an einsum kernel that stays in its own layout.
        layer_shape: For a bias, the canonical shape of its layer's weight; for gates, that of the recurrent one.
        layer_kind: The layer it belongs to, where a framework's own default depends on it.
        takes_input: Whether the layer's input meets this variable first.
        makes_output: Whether nothing of the layer but its activation comes after it.
        feeds_back: Whether the layer's own output is its input.
        kept: Why initlab keeps it, where it has to.
    """

    role: Role
    layout: Layout
    groups: int = 1
    stride: tuple[int, ...] = ()
    blocks: tuple[int, ...] = ()
    axes: Axes | None = None
    layer_shape: tuple[int, ...] | None = None
    layer_kind: LayerKind | None = None
    takes_input: bool = True
    makes_output: bool = True
    feeds_back: bool = False
    kept: str = ""


Slots = dict[str, Slot]
Shapes = Mapping[str, tuple[int, ...]]
_READERS: list[tuple[type, Callable[[Any, Shapes], Slots]]] = []


def slots(layer: Any) -> Slots:
    """The slot of each of the layer's own variables, by the variable's name.

    Args:
        layer: A layer; one that is not built has none.

    Returns:
        A slot for every variable that its kind of layer knows; what it does not know is left out.
    """
    shapes = {v.name: tuple(v.shape) for v in own_variables(layer)}
    if not shapes:
        return {}
    layer_kind = layer_of(type(layer))
    if layer_kind is not None:
        return _stated(layer_kind.facts_of(layer), shapes)
    for kind, reader in _READERS:
        if isinstance(layer, kind):
            return {name: slot for name, slot in reader(layer, shapes).items() if name in shapes}
    return {}


def _stated(params: Mapping[str, LayerParam], shapes: Shapes) -> Slots:
    """What was registered of a layer's variables."""
    laid = {
        name: stated_layout(param, shapes[name], out_first=False) for name, param in params.items() if name in shapes
    }
    return {
        name: Slot(
            params[name].role,
            order,
            groups=params[name].groups,
            stride=params[name].stride,
            blocks=params[name].blocks,
            axes=axes,
            layer_shape=laid[params[name].weight][0].shape if params[name].weight in laid else None,
            takes_input=params[name].f_in is None,
            makes_output=params[name].f_out is None,
            kept=params[name].kept,
        )
        for name, (order, axes) in laid.items()
    }


def unknown(variable: Any) -> Slot:
    """The slot of a variable that no kind of layer knows: its own layout, role ``unknown``."""
    return Slot("unknown", layout.same(tuple(variable.shape)), takes_input=False, makes_output=False)


def slot_by_use(slot: Slot, shape: tuple[int, ...], role: Role, axes: Axes | None) -> Slot:
    """The slot of a variable that is described so: a kernel of no known layer is laid out as that of Keras' own.

    Args:
        slot: What the kind of its layer says.
        shape: Its own shape.
        role: The description's role.
        axes: The description's axes.
    """
    if slot.role != "unknown" or axes is not None or role not in _OF_USES:
        return slot
    return replace(slot, role=role, layout=_OF_USES[role](shape))


_OF_USES = {"dense": layout.dense, "conv": layout.conv, "conv_transpose": layout.conv_transpose}


def own_variables(layer: Any) -> list[Any]:
    """The variables that a layer itself holds, its sublayers' left out."""
    return [*layer._trainable_variables, *layer._non_trainable_variables]


def has_weights(layer: Any) -> bool:
    """Whether the layer multiplies its input by a weight; a recurrent layer does so through its cell."""
    owner = layer.cell if isinstance(layer, keras.layers.RNN) else layer
    if isinstance(owner, keras.layers.StackedRNNCells):
        return True
    return any(slot.role in WEIGHT_ROLES for slot in slots(owner).values())


def is_library_layer(layer: Any) -> bool:
    """Whether a layer is one of Keras' own kinds, or made from one: its variables and its call are known."""
    return library_kind(layer) is not None


def _reads(*names: str) -> Callable[[Callable[[Any, Shapes], Slots]], Callable[[Any, Shapes], Slots]]:
    """Register the reader of some layers of ``keras.layers``; those that this version of Keras lacks are left out."""

    def register(reader: Callable[[Any, Shapes], Slots]) -> Callable[[Any, Shapes], Slots]:
        _READERS.extend((getattr(keras.layers, name), reader) for name in names if hasattr(keras.layers, name))
        return reader

    return register


def _with_bias(weight: Slot, shapes: Shapes, *, name: str = "kernel") -> Slots:
    bias = shapes.get("bias", ())
    kind: LayerKind | None = "conv_transpose" if weight.role == "conv_transpose" else None
    return {name: weight, "bias": Slot("bias", layout.same(bias), layer_shape=weight.layout.shape, layer_kind=kind)}


def _stride(layer: Any) -> tuple[int, ...]:
    return tuple(layer.strides) if any(step != 1 for step in layer.strides) else ()


@_reads("Dense")
def _dense(layer: Any, shapes: Shapes) -> Slots:
    weight = Slot("dense", layout.dense(shapes["kernel"]))
    return {**_with_bias(weight, shapes), **_low_rank(weight, shapes, layout.dense)}


@_reads("Conv1D", "Conv2D", "Conv3D")
def _conv(layer: Any, shapes: Shapes) -> Slots:
    weight = Slot("conv", layout.conv(shapes["kernel"]), groups=layer.groups, stride=_stride(layer))
    found = _with_bias(weight, shapes)
    rank = shapes.get("lora_kernel_a", (0,))[-1]
    if rank % layer.groups == 0:
        found |= _low_rank(weight, shapes, layout.conv)
    return found


@_reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _conv_transpose(layer: Any, shapes: Shapes) -> Slots:
    weight = Slot("conv_transpose", layout.conv_transpose(shapes["kernel"]), stride=_stride(layer))
    return _with_bias(weight, shapes)


@_reads("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(layer: Any, shapes: Shapes) -> Slots:
    return _with_bias(_depthwise_slot(layer, shapes["kernel"]), shapes)


@_reads("SeparableConv1D", "SeparableConv2D")
def _separable(layer: Any, shapes: Shapes) -> Slots:
    depthwise = replace(_depthwise_slot(layer, shapes["depthwise_kernel"]), makes_output=False)
    pointwise = Slot("conv", layout.conv(shapes["pointwise_kernel"]), takes_input=False)
    return {"depthwise_kernel": depthwise, **_with_bias(pointwise, shapes, name="pointwise_kernel")}


def _depthwise_slot(layer: Any, shape: tuple[int, ...]) -> Slot:
    return Slot("conv", layout.depthwise(shape), groups=shape[-2], stride=_stride(layer))


@_reads("EinsumDense")
def _einsum_dense(layer: Any, shapes: Shapes) -> Slots:
    shape = shapes["kernel"]
    axes = layout.einsum_axes(layer.equation, len(shape))
    if axes is None:
        return {"bias": Slot("bias", layout.same(shapes.get("bias", ())))}
    order, kept = layout.einsum(shape, axes)
    weight = Slot("dense", order, axes=kept)
    found = _with_bias(weight, shapes)
    if kept is None and len(shape) - 1 in axes.outputs:
        found |= _low_rank(weight, shapes, lambda a: layout.einsum(a, axes)[0])
    return found


def _low_rank(weight: Slot, shapes: Shapes, order: Callable[[tuple[int, ...]], Layout]) -> Slots:
    """LoRA's two factors: A has the weight's layout with ``rank`` outputs, B is ``(rank, out)``."""
    if "lora_kernel_a" not in shapes:
        return {}
    first = replace(weight, layout=order(shapes["lora_kernel_a"]), makes_output=False)
    second = Slot("dense", layout.dense(shapes["lora_kernel_b"]), takes_input=False)
    return {"lora_kernel_a": first, "lora_kernel_b": second}


@_reads("Embedding")
def _embedding(layer: Any, shapes: Shapes) -> Slots:
    found = {"embeddings": Slot("embedding", layout.same(shapes["embeddings"]))}
    if "lora_embeddings_a" in shapes:
        table = layout.same(shapes["lora_embeddings_a"])
        found["lora_embeddings_a"] = Slot("embedding", table, layer_kind="lora", makes_output=False)
        found["lora_embeddings_b"] = Slot("dense", layout.dense(shapes["lora_embeddings_b"]), takes_input=False)
    if "reverse_embeddings" in shapes:
        found["reverse_embeddings"] = Slot("dense", layout.dense(shapes["reverse_embeddings"]))
    return found


@_reads("LSTMCell", "GRUCell", "SimpleRNNCell")
def _recurrent(layer: Any, shapes: Shapes) -> Slots:
    units = layer.units
    gates = shapes["kernel"][-1] // units
    return _gated(shapes, layout.dense, "dense", units, gates)


def _gated(shapes: Shapes, order: Callable[[tuple[int, ...]], Layout], role: Role, units: int, gates: int) -> Slots:
    blocks = (units,) * gates if gates > 1 else ()
    state = order(shapes["recurrent_kernel"])
    kernel = Slot(role, order(shapes["kernel"]), blocks=blocks, layer_shape=state.shape)
    recurrent = Slot("recurrent", state, blocks=blocks, takes_input=False, feeds_back=True)
    bias = shapes.get("bias", ())
    packed = blocks if len(bias) == 1 else ()
    gate_bias = Slot("bias", layout.same(bias), blocks=packed, layer_shape=state.shape)
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": gate_bias}


def _conv_recurrent(layer: Any, shapes: Shapes) -> Slots:
    return _gated(shapes, layout.conv, "conv", layer.filters, shapes["kernel"][-1] // layer.filters)


@_reads("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
def _norm(layer: Any, shapes: Shapes) -> Slots:
    roles: dict[str, Role] = {"gamma": "norm_scale", "scale": "norm_scale", "beta": "norm_bias"}
    return {name: Slot(roles[name], layout.same(shape)) for name, shape in shapes.items() if name in roles}


@_reads("PReLU")
def _prelu(layer: Any, shapes: Shapes) -> Slots:
    return {name: Slot("scale", layout.same(shape), kept="the slope of a PReLU") for name, shape in shapes.items()}


@_reads("Attention", "AdditiveAttention")
def _scale(layer: Any, shapes: Shapes) -> Slots:
    return {name: Slot("scale", layout.same(shape)) for name, shape in shapes.items()}


@_reads("Layer")
def _other(layer: Any, shapes: Shapes) -> Slots:
    # The cell of ConvLSTM has no public name.
    if type(layer).__name__ == "ConvLSTMCell" and type(layer).__module__.startswith("keras.src."):
        return _conv_recurrent(layer, shapes)
    return {}
