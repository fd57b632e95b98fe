"""What each variable of a Keras layer does, and how it is laid out: one function a kind of layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras

from initlab.core.facts.layers import layer_of
from initlab.core.facts.spec import WEIGHT_ROLES, LayerKind, Role
from initlab.frameworks.keras.reading.function_names import library_kind
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.facts import Facts
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.reading.registered import stated_facts

Slots = dict[str, Facts]
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
    if layer_of(type(layer)) is not None:
        told = {name: stated_facts(layer, name, shape, shapes.get, out_first=False) for name, shape in shapes.items()}
        return {name: facts for name, facts in told.items() if facts is not None}
    for kind, reader in _READERS:
        if isinstance(layer, kind):
            return {name: slot for name, slot in reader(layer, shapes).items() if name in shapes}
    return {}


def unknown(variable: Any) -> Facts:
    """The slot of a variable that no kind of layer knows: its own layout, role ``unknown``."""
    return Facts("unknown", layout.same(tuple(variable.shape)), takes_input=False, makes_output=False)


def stored(role: Role, shape: tuple[int, ...], groups: int = 1) -> Layout | None:
    """The layout in which Keras' own layers store a weight of this role; None for other roles and ranks."""
    if role == "dense":
        return layout.dense(shape) if len(shape) == 2 else None
    return layout.conv(shape) if role == "conv" else layout.conv_transpose(shape) if role == "conv_transpose" else None


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


def _with_bias(weight: Facts, shapes: Shapes, *, name: str = "kernel") -> Slots:
    bias = shapes.get("bias", ())
    kind: LayerKind | None = "conv_transpose" if weight.role == "conv_transpose" else None
    return {name: weight, "bias": Facts("bias", layout.same(bias), layer_shape=weight.layout.shape, layer_kind=kind)}


def _stride(layer: Any) -> tuple[int, ...]:
    return tuple(layer.strides) if any(step != 1 for step in layer.strides) else ()


@_reads("Dense")
def _dense(layer: Any, shapes: Shapes) -> Slots:
    weight = Facts("dense", layout.dense(shapes["kernel"]))
    return {**_with_bias(weight, shapes), **_low_rank(weight, shapes, layout.dense)}


@_reads("Conv1D", "Conv2D", "Conv3D")
def _conv(layer: Any, shapes: Shapes) -> Slots:
    weight = Facts("conv", layout.conv(shapes["kernel"]), groups=layer.groups, stride=_stride(layer))
    found = _with_bias(weight, shapes)
    rank = shapes.get("lora_kernel_a", (0,))[-1]
    if rank % layer.groups == 0:
        found |= _low_rank(weight, shapes, layout.conv)
    return found


@_reads("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def _conv_transpose(layer: Any, shapes: Shapes) -> Slots:
    weight = Facts("conv_transpose", layout.conv_transpose(shapes["kernel"]), stride=_stride(layer))
    return _with_bias(weight, shapes)


@_reads("DepthwiseConv1D", "DepthwiseConv2D")
def _depthwise(layer: Any, shapes: Shapes) -> Slots:
    return _with_bias(_depthwise_slot(layer, shapes["kernel"]), shapes)


@_reads("SeparableConv1D", "SeparableConv2D")
def _separable(layer: Any, shapes: Shapes) -> Slots:
    depthwise = replace(_depthwise_slot(layer, shapes["depthwise_kernel"]), makes_output=False)
    pointwise = Facts("conv", layout.conv(shapes["pointwise_kernel"]), takes_input=False)
    return {"depthwise_kernel": depthwise, **_with_bias(pointwise, shapes, name="pointwise_kernel")}


def _depthwise_slot(layer: Any, shape: tuple[int, ...]) -> Facts:
    return Facts("conv", layout.depthwise(shape), groups=shape[-2], stride=_stride(layer))


@_reads("EinsumDense")
def _einsum_dense(layer: Any, shapes: Shapes) -> Slots:
    shape = shapes["kernel"]
    axes = layout.einsum_axes(layer.equation, len(shape))
    if axes is None:
        return {"bias": Facts("bias", layout.same(shapes.get("bias", ())))}
    order, kept = layout.einsum(shape, axes)
    weight = Facts("dense", order, axes=kept)
    found = _with_bias(weight, shapes)
    if kept is None and len(shape) - 1 in axes.outputs:
        found |= _low_rank(weight, shapes, lambda a: layout.einsum(a, axes)[0])
    return found


def _low_rank(weight: Facts, shapes: Shapes, order: Callable[[tuple[int, ...]], Layout]) -> Slots:
    """LoRA's two factors: A has the weight's layout with ``rank`` outputs, B is ``(rank, out)``."""
    if "lora_kernel_a" not in shapes:
        return {}
    first = replace(weight, layout=order(shapes["lora_kernel_a"]), makes_output=False)
    second = Facts("dense", layout.dense(shapes["lora_kernel_b"]), takes_input=False)
    return {"lora_kernel_a": first, "lora_kernel_b": second}


@_reads("Embedding")
def _embedding(layer: Any, shapes: Shapes) -> Slots:
    found = {"embeddings": Facts("embedding", layout.same(shapes["embeddings"]))}
    if "lora_embeddings_a" in shapes:
        table = layout.same(shapes["lora_embeddings_a"])
        found["lora_embeddings_a"] = Facts("embedding", table, layer_kind="lora", makes_output=False)
        found["lora_embeddings_b"] = Facts("dense", layout.dense(shapes["lora_embeddings_b"]), takes_input=False)
    if "reverse_embeddings" in shapes:
        found["reverse_embeddings"] = Facts("dense", layout.dense(shapes["reverse_embeddings"]))
    return found


@_reads("LSTMCell", "GRUCell", "SimpleRNNCell")
def _recurrent(layer: Any, shapes: Shapes) -> Slots:
    return _gated(shapes, layout.dense, "dense", layer.units)


def _gated(shapes: Shapes, order: Callable[[tuple[int, ...]], Layout], role: Role, units: int) -> Slots:
    gates = shapes["kernel"][-1] // units
    blocks = (units,) * gates if gates > 1 else ()
    state = order(shapes["recurrent_kernel"])
    is_gated = gates > 1
    kernel = Facts(
        role,
        order(shapes["kernel"]),
        blocks=blocks,
        layer_shape=state.shape,
        makes_output=not is_gated,
        is_gated=is_gated,
    )
    recurrent = Facts("recurrent", state, blocks=blocks, takes_input=False, makes_output=False, is_gated=is_gated)
    bias = shapes.get("bias", ())
    packed = blocks if len(bias) == 1 else ()
    forget = 1 if gates == 4 and packed else None  # gates i, f, c, o
    gate_bias = Facts("bias", layout.same(bias), blocks=packed, layer_shape=state.shape, forget_block=forget)
    return {"kernel": kernel, "recurrent_kernel": recurrent, "bias": gate_bias}


def _conv_recurrent(layer: Any, shapes: Shapes) -> Slots:
    return _gated(shapes, layout.conv, "conv", layer.filters)


@_reads("BatchNormalization", "LayerNormalization", "GroupNormalization", "RMSNormalization")
def _norm(layer: Any, shapes: Shapes) -> Slots:
    roles: dict[str, Role] = {"gamma": "norm_scale", "scale": "norm_scale", "beta": "norm_bias"}
    return {name: Facts(roles[name], layout.same(shape)) for name, shape in shapes.items() if name in roles}


@_reads("PReLU")
def _prelu(layer: Any, shapes: Shapes) -> Slots:
    return {name: Facts("scale", layout.same(shape), kept="the slope of a PReLU") for name, shape in shapes.items()}


@_reads("Attention", "AdditiveAttention")
def _scale(layer: Any, shapes: Shapes) -> Slots:
    return {name: Facts("scale", layout.same(shape)) for name, shape in shapes.items()}


@_reads("Layer")
def _other(layer: Any, shapes: Shapes) -> Slots:
    # The cell of ConvLSTM has no public name.
    if type(layer).__name__ == "ConvLSTMCell" and type(layer).__module__.startswith("keras.src."):
        return _conv_recurrent(layer, shapes)
    return {}
