"""What a call's kind leaves open: the form of the value that it made, and the facts that decide its size."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan, prod
from typing import Any

import keras

from initlab.core.signals.readings import FactValue
from initlab.frameworks.keras.reading import function_names
from initlab.frameworks.keras.reading.recognition import recognise
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.forms import Passes, passed_form
from initlab.frameworks.reading.graph import Form, Kind, Node

Facts = dict[str, FactValue]

_NORMS = {
    "batchnormalization": "batch",
    "layernormalization": "layer",
    "layernorm": "layer",
    "groupnormalization": "group",
    "rmsnormalization": "rms",
    "rmsnorm": "rms",
}
_EPSILON = {"layernormalization": 1e-3, "rmsnormalization": 1e-6}
_DROPOUTS = ("dropout", "gaussiandropout", "spatialdropout")  # alpha dropout keeps mean and variance by a shift
_PASSES = Passes(
    function_names.is_pool,
    function_names.JOINS.__contains__,
    function_names.REDUCTIONS.__contains__,
    lambda name: function_names.is_move(name) and name not in function_names.NOISE,
)
_MIXES = frozenset({"attention", "dotproductattention"})


def form_of(kind: Kind, call: Call, inputs: Sequence[Node], params: Sequence[str]) -> Form:
    """What the kind of a call's value leaves open."""
    if kind == "weight":
        return "recurrent" if isinstance(call.layer, keras.layers.RNN) else "table" if call.name == "embedding" else ""
    if kind == "norm":
        return "running" if call.name == "batchnormalization" and call.layer and not call.layer.trainable else ""
    if kind == "unknown":
        return "softmax" if call.name == "softmax" else ""
    return _passed(call, inputs, params) if kind == "pass" else ""


def _passed(call: Call, inputs: Sequence[Node], params: Sequence[str]) -> Form:
    name = call.name
    if name.startswith(_DROPOUTS):
        return "dropout"
    if call.layer is None and name in _MIXES and len(inputs) > 1:
        return "mix"
    if call.layer is not None and name in function_names.ATTENTIONS:
        return "reduced"
    return passed_form(name, params, _PASSES)


def facts_of(kind: Kind, call: Call, inputs: Sequence[Node]) -> Facts:
    """What decides the size of the signal in a call's value."""
    if kind == "weight":
        return _recurrence(call.layer) if isinstance(call.layer, keras.layers.RNN) else _convolution(call.layer)
    if kind == "norm":
        return _norm(call)
    if kind == "pass" and function_names.is_pool(call.name):
        return _pool(call, inputs)
    return {"rate": rate_of(call)} if kind == "pass" and call.name.startswith(_DROPOUTS) else {}


def rate_of(call: Call) -> float:
    """The share of entries that a dropout drops, or the size of the noise that is added."""
    if call.layer is None:
        return float(call.get(1, "rate", 0.0))
    return float(getattr(call.layer, "rate", getattr(call.layer, "stddev", 0.0)))


def units_of(call: Call, rank: int) -> int | None:
    """The axis of units of what a layer makes, where the layer decides it."""
    axis = getattr(call.layer, "axis", None) if call.name in _NORMS else None
    if isinstance(axis, int):
        return axis % rank
    layout = getattr(call.layer, "data_format", None)
    return None if layout is None else 1 if layout == "channels_first" and rank > 2 else rank - 1


def _recurrence(layer: Any) -> Facts:
    cell = layer.cell.cells[-1] if isinstance(layer.cell, keras.layers.StackedRNNCells) else layer.cell
    f = recognise(cell.activation).f if isinstance(cell, keras.layers.SimpleRNNCell) else None
    return {} if f is None else {"f": f}


def _convolution(layer: Any) -> Facts:
    if not hasattr(layer, "kernel_size") or not hasattr(layer, "dilation_rate"):
        return {}
    sizes, stride, dilation = tuple(layer.kernel_size), tuple(layer.strides), tuple(layer.dilation_rate)
    padding: FactValue = str(layer.padding)
    reach = [d * (k - 1) + 1 for k, d in zip(sizes, dilation, strict=True)]
    if padding == "causal":
        padding = tuple(n - 1 for n in reach)
    elif padding == "same" and isinstance(layer, _TRANSPOSED):
        padding = tuple(max(n - s, 0) // 2 for n, s in zip(reach, stride, strict=True))
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": int(getattr(layer, "groups", 1))}


_TRANSPOSED = (keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose)


def _norm(call: Call) -> Facts:
    how = _NORMS.get(call.name)
    if how is None or (how == "batch" and call.layer is None):
        return {}
    layer = call.layer
    eps = call.kwargs.get("epsilon", _EPSILON.get(call.name)) if layer is None else layer.epsilon
    facts: Facts = {"norm": "rms" if getattr(layer, "rms_scaling", False) else how,
                    "eps": float(keras.config.epsilon() if eps is None else eps)}  # fmt: skip
    return facts | {"groups": int(layer.groups)} if how == "group" else facts


def _pool(call: Call, inputs: Sequence[Node]) -> Facts:
    how = "max" if "max" in call.name or "min" in call.name else "mean"
    window = getattr(call.layer, "pool_size", None)
    before = inputs[0].shape if inputs else ()
    whole = nan if before is None else prod(before) / max(prod(call.shape or ()), 1)
    size = whole if window is None else prod(window)
    return {"how": how, "size": float(size)}
