"""What a step's kind leaves open: the form of the value that it made, and the facts that decide its size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from flax import nnx

from initlab.core.signals.readings import FactValue
from initlab.frameworks.jax.reading.jaxprs import Step
from initlab.frameworks.jax.reading.layers import cell_of, plain_activation
from initlab.frameworks.reading.forms import Passes, passed_form
from initlab.frameworks.reading.graph import Form, Kind, Node

SignalFacts = dict[str, FactValue]

POOLS = {"mean": "mean", "avg_pool": "mean", "reduce_max": "max", "reduce_min": "max", "reduce_window_max": "max",
         "reduce_window_min": "max"}  # fmt: skip
MOVES = frozenset(
    {"reshape", "transpose", "broadcast_in_dim", "squeeze", "expand_dims", "slice", "dynamic_slice", "rev", "pad",
     "split", "gather", "sort", "tile"}
)  # fmt: skip
REDUCTIONS = frozenset({"reduce_sum", "reduce_window_sum", "reduce_window", "reduce_prod", "cumsum"})
JOINS = frozenset({"concatenate", "dynamic_update_slice", "scatter", "scatter-add"})
_NORMS = {"batch_norm": "batch", "layer_norm": "layer", "group_norm": "group", "instance_norm": "instance",
          "rms_norm": "rms"}  # fmt: skip
_NAMED: dict[tuple[Kind, str], Form] = {
    ("weight", "embedding"): "table",
    ("pass", "dropout"): "dropout",
    ("pass", "attention"): "mix",
    ("unknown", "softmax"): "softmax",
}
_PASSES = Passes(*(names.__contains__ for names in (POOLS, JOINS, REDUCTIONS, MOVES)))


def form_of(kind: Kind, name: str, params: Sequence[str], module: nnx.Module | None) -> Form:
    """What the kind of a step's value leaves open.

    Args:
        kind: The kind.
        name: What the value is called.
        params: The parameters in it.
        module: The module in whose call it was made.
    """
    if kind == "norm" and isinstance(module, nnx.BatchNorm) and module.use_running_average:
        return "running"
    if kind == "weight" and cell_of(module) is not None:
        return "recurrent"
    if (kind, name) in _NAMED or kind != "pass":
        return _NAMED.get((kind, name), "")
    return passed_form(name, params, _PASSES)


def facts_of(kind: Kind, name: str, step: Step, inputs: Sequence[Node], module: Any) -> SignalFacts:
    """What decides the size of the signal in a step's value.

    Args:
        kind: The kind.
        name: What the value is called.
        step: The step; of a mean, the sum that it divides.
        inputs: The values that it was made of.
        module: The module in whose call it was made.
    """
    if kind == "weight" and name == "convolution":
        return _convolution(step, getattr(module, "padding", None))
    cell = cell_of(module) if kind == "weight" else None
    if cell is not None:
        f = plain_activation(cell)
        return {} if f is None else {"f": f}
    if kind == "norm" and name in _NORMS:
        facts: SignalFacts = {"norm": _NORMS[name], "eps": float(module.epsilon)}
        return {**facts, "groups": int(module.num_groups)} if name == "group_norm" else facts
    if kind == "pass" and name == "dropout":
        return {"rate": float(getattr(module, "rate", 0.0))}
    return {"how": POOLS[name], "size": _pool_size(step, inputs)} if kind == "pass" and name in POOLS else {}


def _convolution(step: Step, stated: object) -> SignalFacts:
    told = step.equation.params
    is_transposed = any(n != 1 for n in told["lhs_dilation"])
    stride = told["lhs_dilation" if is_transposed else "window_strides"]
    dilation = tuple(int(n) for n in told["rhs_dilation"])
    padding = _cut(step, dilation) if is_transposed else _padding(told["padding"], stated)
    return {"stride": tuple(map(int, stride)), "padding": padding, "dilation": dilation,
            "groups": int(told["feature_group_count"])}  # fmt: skip


def _cut(step: Step, dilation: Sequence[int]) -> FactValue:
    """What a transposed convolution cuts off before an axis: JAX states the zeros that are put there in its place."""
    told = step.equation.params
    kernel: Any = step.equation.invars[1].aval
    sizes = (kernel.shape[axis] for axis in told["dimension_numbers"].rhs_spec[2:])
    return tuple(d * (int(k) - 1) - int(low) for k, d, (low, _) in zip(sizes, dilation, told["padding"], strict=True))


def _padding(given: Any, stated: object) -> FactValue:
    """Zeros before an axis, where there are as many behind it; else the rule by its name."""
    if all(low == high for low, high in given):
        return tuple(int(low) for low, _ in given)
    if isinstance(stated, str) and stated.lower() in ("same", "valid"):
        return stated.lower()
    return tuple(int(max(pair)) for pair in given)


def _pool_size(step: Step, inputs: Sequence[Node]) -> float:
    """Entries that one mean or maximum is over."""
    window = step.equation.params.get("window_dimensions")
    if window is not None:
        return float(prod(window))
    return prod(inputs[0].shape or ()) / max(prod(step.shape), 1) if inputs else 1.0
