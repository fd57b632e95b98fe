"""What a record says of the signal: which function of which weighted sum every tensor is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Literal

import keras

from initlab.core.facts.spec import NormKind
from initlab.frameworks.keras.reading.calls import Call, Record
from initlab.frameworks.keras.reading.layers import has_weights
from initlab.frameworks.keras.reading.recognition import (
    GRID,
    Values,
    activation_of,
    evaluate,
    is_affine,
    leaky,
    parametric_slope,
    second_moment,
    values_of,
)

Kind = Literal["weight", "norm", "pass", "sum", "concat", "function", "unknown"]
Origin = Literal["input", "weight", "norm", "sum", "product", "concat", "unknown"]

_NORMS = frozenset(
    {"batchnormalization", "layernormalization", "groupnormalization", "rmsnormalization", "unitnormalization"}
    | {"normalization", "layernorm", "rmsnorm", "batchnorm"}
)
_NORM_KINDS: Mapping[str, NormKind] = {
    **dict.fromkeys(("batchnormalization", "batchnorm"), "batch"),
    **dict.fromkeys(("layernormalization", "groupnormalization", "rmsnormalization", "layernorm", "rmsnorm"), "layer"),
}
_SUMS = frozenset({"add", "subtract", "average"})
_JOINS = frozenset({"concatenate", "stack"})
# Entries moved about, averaged or dropped: the function that made them stays.
_PASSES = frozenset(
    {"identity", "dropout", "alphadropout", "gaussiandropout", "gaussiannoise", "activityregularization", "masking"}
    | {"flatten", "reshape", "permute", "repeatvector", "converttotensor", "cast", "stopgradient", "transpose", "copy"}
    | {"expanddims", "squeeze", "getitem", "swapaxes", "moveaxis", "broadcastto", "tile", "repeat", "take", "flip"}
    | {"roll", "split", "unstack", "slice", "array", "ravel", "pad", "mean", "max", "maxpool", "averagepool", "resize"}
    | {"rescaling", "adaptiveaveragepool", "adaptivemaxpool", "depthtospace", "spacetodepth"}
)
_PASS_BEGINNINGS = (
    *("spatialdropout", "maxpooling", "averagepooling", "globalmax", "globalaverage", "adaptive"),
    *("upsampling", "zeropadding", "cropping", "random"),
)


@dataclass(frozen=True, eq=False)
class Signal:
    """A tensor as a function of the entries of its root, the last tensor that was no function of single numbers.

    Attributes:
        root: Number of the root tensor.
        values: The function on ``GRID``.
        origin: What made the root.
        moment: E[x^2] of the root, where it is known not to follow from the weights.
        maker: Name of what made the root.
        tables: Of how many tables of mean square 1 the root is the sum; 0 where of something else.
    """

    root: int
    values: Values = field(default_factory=lambda: GRID, repr=False)
    origin: Origin = "unknown"
    moment: float | None = None
    maker: str = ""
    tables: int = 0

    @property
    def is_plain(self) -> bool:
        """Whether it is the root itself, or a line of it."""
        return self.values is GRID or is_affine(self.values)

    @property
    def is_sized(self) -> bool:
        """Whether its mean square is known."""
        return self.origin != "unknown" or not self.is_plain

    @property
    def activation(self) -> str | None:
        """The registered activation that it is of its root."""
        return None if self.is_plain else activation_of(self.values)

    @property
    def second_moment(self) -> float:
        """E[x^2], the root's entries taken for standard normal where nothing else is known."""
        if self.is_plain:
            return 1.0 if self.moment is None else self.moment
        return second_moment(self.values)


def kind_of_call(call: Call) -> Kind:
    """How a call treats its signal."""
    if isinstance(call.layer, keras.Variable) or (call.layer is not None and has_weights(call.layer)):
        return "weight"
    if call.kind in _NORMS:
        return "norm"
    if call.kind in _SUMS and len(call.inputs) > 1:
        return "sum"
    if call.kind in _JOINS:
        return "concat"
    if call.kind in _PASSES or call.kind.startswith(_PASS_BEGINNINGS):
        return "pass"
    return "function" if len(call.outputs) == 1 else "unknown"


def signals(record: Record) -> dict[int, Signal]:
    """The signal of every tensor of a record."""
    known = {tensor: Signal(tensor, origin="input") for tensor in record.inputs}
    for call in record.calls:
        given = [known.setdefault(x, Signal(x, maker="code outside keras.ops")) for x in call.inputs]
        made = _made(call, given)
        known.update({x: made if made.root != call.outputs[0] else replace(made, root=x) for x in call.outputs})
    return known


def _made(call: Call, given: list[Signal]) -> Signal:
    fresh = Signal(call.outputs[0], maker=call.kind)
    kind = kind_of_call(call)
    if kind == "weight":
        tables = int(isinstance(call.layer, keras.layers.Embedding))
        return replace(fresh, origin="weight", values=_own_activation(call.layer), tables=tables)
    if kind == "norm":
        return replace(fresh, origin="norm", moment=1.0)
    if kind == "pass":
        return given[0]
    if kind == "concat":
        return _joined(fresh, call, given)
    if kind in ("sum", "function"):
        values, roots = _values(call, given), len({signal.root for signal in given})
        if values is not None:
            return replace(given[0], values=values)
        if kind == "sum":
            return _summed(fresh, given)
        if len(given) == 1 and call.kind in ("add", "subtract", "multiply", "divide", "truedivide"):
            return given[0]  # a constant or a parameter for each place: a shift or a scale
        if call.kind == "multiply" and roots == len(given) and all(signal.is_sized for signal in given):
            # Independent factors: the mean square of a product is the product of the mean squares.
            return replace(fresh, origin="product", moment=prod(signal.second_moment for signal in given))
    return fresh


def _summed(fresh: Signal, given: list[Signal]) -> Signal:
    if not all(signal.tables and signal.is_plain for signal in given):
        return replace(fresh, origin="sum")
    tables = sum(signal.tables for signal in given)
    return replace(fresh, origin="sum", moment=float(tables), tables=tables)


def _values(call: Call, given: list[Signal]) -> Values | None:
    """The values of a function whose arguments are all functions of one and the same root."""
    if call.probe is None or len({signal.root for signal in given}) > 1:
        return None
    if isinstance(call.layer, keras.layers.PReLU):
        return leaky(given[0].values, parametric_slope(call.layer))
    return evaluate(call.probe, *(signal.values for signal in given))


def _own_activation(layer: Any) -> Values:
    """The function at the end of a layer; one that is not of single numbers is left out."""
    if type(layer).__name__.endswith("Cell") or hasattr(layer, "cell"):
        return GRID
    values = values_of(getattr(layer, "activation", None))
    return GRID if values is None else values


def _joined(fresh: Signal, call: Call, given: list[Signal]) -> Signal:
    """Parts of one function stay that function; else the second moments are averaged by size."""
    names = {signal.activation for signal in given}
    plain = all(signal.is_plain for signal in given)
    moments = [signal.second_moment for signal in given]
    if len(names) == 1 and (not plain or max(moments) - min(moments) < 1e-6):
        return replace(fresh, origin="concat", values=given[0].values, moment=given[0].moment if plain else None)
    sizes = call.sizes if any(call.sizes) else tuple(1 for _ in given)
    mean = sum(n * m for n, m in zip(sizes, moments, strict=True)) / sum(sizes)
    return replace(fresh, origin="concat", moment=mean)


def without_looks(record: Record) -> Record:
    """The record without the calls that lead to no output and no weight, where the outputs are known.

    A condition, as in ``if float(ops.max(z)) > 1``, and a statistic for a log only look at a tensor.
    """
    if not record.outputs:
        return record
    kept, wanted = list[Call](), set(record.outputs)
    for call in reversed(record.calls):
        if kind_of_call(call) == "weight" or not wanted.isdisjoint(call.outputs):
            kept.append(call)
            wanted.update(call.inputs)
    return replace(record, calls=kept[::-1])


def is_gate(signal: Signal) -> bool:
    """Whether a factor is an activation's: a scale of what the activation takes is not one of the factor."""
    return not signal.is_plain or signal.maker == "softmax"


def takers(record: Record, known: Mapping[int, Signal]) -> dict[int, set[str | None]]:
    """For every root: the activations that take it; None among them where it is also taken plain.

    A norm, a sum, a concatenation or a change of shape hands a plain root on, so what takes their output counts.
    """
    consumers = record.consumers()
    by_root: dict[int, list[int]] = {}
    for tensor, signal in known.items():
        by_root.setdefault(signal.root, []).append(tensor)
    found: dict[int, set[str | None]] = {}
    # A root's takers depend on roots made later only, so the last comes first.
    for root in sorted(by_root, reverse=True):
        found[root] = set().union(*(_taken(t, known, consumers, found) for t in by_root[root]))
    return found


def _taken(
    tensor: int, known: Mapping[int, Signal], consumers: Mapping[int, list[Call]], found: Mapping[int, set[str | None]]
) -> Iterable[str | None]:
    signal = known[tensor]
    for call in consumers.get(tensor, []):
        leaving = [x for x in call.outputs if known[x].root != signal.root]
        if not leaving:
            continue
        if not signal.is_plain:
            yield signal.activation
        elif kind_of_call(call) in ("norm", "sum", "concat"):
            yield from found.get(leaving[0], ())
        else:
            yield None
    if tensor not in consumers and not signal.is_plain:
        yield signal.activation


def norm_behind(tensor: int, known: Mapping[int, Signal], consumers: Mapping[int, list[Call]]) -> NormKind | None:
    """The norm layer that alone takes a weighted sum, before any function or sum of it."""
    if not known[tensor].is_plain:
        return None
    kind: NormKind | None = None
    stack = [tensor]
    while stack:
        for call in consumers.get(stack.pop(), []):
            doing = kind_of_call(call)
            if doing == "norm":
                kind = _NORM_KINDS.get(call.kind, "unknown")
            elif doing == "pass":
                stack.extend(call.outputs)
            else:
                return None
    return kind
