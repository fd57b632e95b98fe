"""What each call of a pass makes of its inputs, in the words of a probe: the kind of a place, and its facts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import keras

from initlab.core.signals.readings import FactValue, PlaceKind
from initlab.frameworks.keras.reading.layers import has_weights

Facts = dict[str, FactValue]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NORMS = {
    "batchnormalization": "batch",
    "layernormalization": "layer",
    "groupnormalization": "group",
    "rmsnormalization": "rms",
}
_EPSILON = {"layernormalization": 1e-3, "rmsnormalization": 1e-6, "groupnormalization": 1e-3}
_JOINS = frozenset({"concatenate", "stack", "append", "hstack", "vstack"})
_PRODUCTS = frozenset({"matmul", "dot", "tensordot", "einsum", "inner", "rmatmul"})
_CONVOLUTIONS = frozenset({"conv", "depthwiseconv", "separableconv", "convtranspose"})
_LOOKUPS = frozenset({"take", "getitem"})
_MOVES = _words(
    "identity flatten reshape permute repeatvector converttotensor cast stopgradient transpose copy expanddims squeeze"
    " getitem swapaxes moveaxis broadcastto tile repeat take flip roll split unstack slice array ravel masking"
    " activityregularization depthtospace spacetodepth arraysplit atleast2d"
)
_MOVE_BEGINNINGS = ("cropping",)
_FILLS = frozenset({"pad", "resize"})
_FILL_BEGINNINGS = ("zeropadding", "upsampling")
_POOLS = {"mean": "mean", "average": "mean", "max": "max", "amax": "max", "min": "max", "amin": "max"}
_POOL_BEGINNINGS = {
    **dict.fromkeys(("globalaverage", "averagepool", "adaptiveaverage"), "mean"),
    **dict.fromkeys(("globalmax", "maxpool", "adaptivemax"), "max"),
}
_REDUCTIONS = _words("sum prod var std norm logsumexp median quantile argmax argmin any all cumsum")
_DROPOUTS = ("dropout", "gaussiandropout", "spatialdropout")  # alpha dropout keeps mean and variance by a shift
_DEAF = _words("shape equal notequal greater less greaterequal lessequal logicaland logicalor logicalnot")


@dataclass(frozen=True, eq=False)
class Given:
    """One call, as far as its meaning depends on it.

    Attributes:
        kind: The layer's or function's name, as ``Call.kind``.
        layer: The layer; None for a function.
        args: As given.
        kwargs: As given.
        inputs: Shapes of the inputs that come from the batch.
        output: Shape of what was made.
        params: Native names of the parameters in it.
        from_softmax: Of each input, whether it holds shares of a softmax.
    """

    kind: str
    layer: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]
    params: tuple[str, ...]
    from_softmax: tuple[bool, ...] = ()


@dataclass(frozen=True, eq=False)
class Meaning:
    """What a call makes.

    Attributes:
        kind: The kind of place; ``alias`` for the same entries in another order, ``maybe`` for what may be a function
            of each entry, and is unknown else.
        name: A word for it.
        facts: As in ``Place``.
        takes: The inputs that are the place's, by number.
        units: The axis of units, where the call decides it.
    """

    kind: PlaceKind | str
    name: str
    facts: Facts = field(default_factory=dict)
    takes: tuple[int, ...] | None = None
    units: int | None = None


def meaning(call: Given) -> Meaning:
    """What a call makes of its inputs."""
    found = _weighted(call) or _normed(call) or _pooled(call) or _moved(call) or _joined(call)
    if found is not None:
        return found
    if "softmax" in call.kind and not call.kind.startswith("log"):
        return Meaning("softmax", "softmax", takes=(0,))
    if call.kind in _REDUCTIONS or call.params:
        return Meaning("unknown", call.kind, {"name": call.kind})
    return Meaning("maybe", call.kind, {"name": call.kind})


def is_deaf(kind: str) -> bool:
    """Whether what a call makes carries no signal: comparisons, shapes."""
    return kind in _DEAF


def _weighted(call: Given) -> Meaning | None:
    layer = _inner(call.layer)
    if isinstance(layer, keras.layers.RNN):
        return Meaning("unknown", call.kind, {"name": call.kind})
    if layer is not None and has_weights(layer):
        if isinstance(layer, keras.layers.Embedding) and not call.kwargs.get("reverse"):
            return Meaning("weighted", call.kind, {"table": 1.0})
        return Meaning("weighted", call.kind, _geometry(layer), units=_channels(layer, call.output))
    if layer is None and call.params and len(call.inputs) == 1:
        if call.kind in _PRODUCTS or call.kind in _CONVOLUTIONS:
            return Meaning("weighted", call.kind)
        if call.kind in _LOOKUPS:
            return Meaning("weighted", call.kind, {"table": 1.0})
    return None


def _inner(layer: Any) -> Any:
    return layer.layer if isinstance(layer, keras.layers.TimeDistributed) else layer


def _geometry(layer: Any) -> Facts:
    if not hasattr(layer, "kernel_size") or not hasattr(layer, "dilation_rate"):
        return {}
    sizes, stride = tuple(layer.kernel_size), tuple(layer.strides)
    dilation = tuple(layer.dilation_rate)
    padding: FactValue = str(layer.padding)
    reach = [d * (k - 1) + 1 for k, d in zip(sizes, dilation, strict=True)]
    if padding == "causal":
        padding = tuple(n - 1 for n in reach)
    elif padding == "same" and "transpose" in type(layer).__name__.lower():
        padding = tuple(max(n - s, 0) // 2 for n, s in zip(reach, stride, strict=True))
    groups = getattr(layer, "groups", 1)
    return {"stride": stride, "padding": padding, "dilation": dilation, "groups": int(groups)}


def _channels(layer: Any, shape: tuple[int, ...]) -> int:
    return 1 if getattr(layer, "data_format", None) == "channels_first" and len(shape) > 2 else len(shape) - 1


def _normed(call: Given) -> Meaning | None:
    how = _NORMS.get(call.kind)
    if how is None:
        return None
    if call.layer is None:
        if how == "batch":
            return Meaning("unknown", call.kind, {"name": call.kind})
        eps = call.kwargs.get("epsilon", _EPSILON[call.kind])
        return Meaning("norm", call.kind, {"norm": how, "eps": float(eps)}, takes=(0,))
    if how == "batch" and not call.layer.trainable:
        return Meaning("unknown", call.kind, {"name": f"{call.kind} with running statistics"}, takes=(0,))
    if getattr(call.layer, "rms_scaling", False):
        how = "rms"
    facts: Facts = {"norm": how, "eps": float(call.layer.epsilon)}
    if how == "group":
        facts["groups"] = int(call.layer.groups)
    axis = call.layer.axis
    units = axis if isinstance(axis, int) else None
    return Meaning("norm", call.kind, facts, takes=(0,), units=None if units is None else units % len(call.output))


def _pooled(call: Given) -> Meaning | None:
    how = _POOLS.get(call.kind) if call.layer is None else None
    how = how or next((h for start, h in _POOL_BEGINNINGS.items() if call.kind.startswith(start)), None)
    if how is None or not call.inputs:
        return None
    size = prod(call.inputs[0]) / max(prod(call.output), 1)
    window = getattr(call.layer, "pool_size", None)
    if window is not None:
        size = float(prod(window))
    units = _channels(call.layer, call.output) if call.layer is not None else None
    return Meaning("pool", call.kind, {"how": how, "size": float(size)}, takes=(0,), units=units)


def _moved(call: Given) -> Meaning | None:
    if not call.inputs:
        return None
    same = prod(call.inputs[0]) == prod(call.output)
    if call.kind.startswith(_DROPOUTS):
        given = call.args[1] if len(call.args) > 1 else call.kwargs.get("rate", 0.0)
        rate = float(call.layer.rate if call.layer is not None else given)
        return Meaning("dropout", call.kind, {"rate": rate}, takes=(0,)) if rate > 0 else Meaning("alias", call.kind)
    if call.kind in _MOVES or call.kind.startswith(_MOVE_BEGINNINGS):
        return Meaning("alias" if same else "pass", call.kind, takes=(0,))
    if call.kind in _FILLS or call.kind.startswith(_FILL_BEGINNINGS):
        is_blurred = call.kind == "resize" or getattr(call.layer, "interpolation", "nearest") != "nearest"
        return Meaning("unknown" if is_blurred else "pass", call.kind, takes=(0,))
    return None


def _joined(call: Given) -> Meaning | None:
    if call.kind in _JOINS:
        return Meaning("concat", "concat")
    if call.kind in ("add", "subtract", "radd", "rsub", "sub"):
        is_sum = len(call.inputs) > 1 or call.params
        return Meaning("sum" if is_sum else "maybe", "add" if call.kind in ("add", "radd") else "subtract")
    if call.kind in ("multiply", "mul", "rmul"):
        return Meaning("product" if len(call.inputs) > 1 or call.params else "maybe", "multiply")
    if call.kind in _PRODUCTS and len(call.inputs) == 2 and sum(call.from_softmax) == 1:
        at = call.from_softmax.index(True)
        return Meaning("mix", "attention", takes=(at, 1 - at))
    if call.kind in _PRODUCTS:
        return Meaning("unknown", call.kind, {"name": call.kind})
    return None
