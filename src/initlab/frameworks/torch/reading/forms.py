"""What a call's kind leaves open: the form of the value that it made, and the facts that decide its size."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch

from initlab.core.signals.readings import FactValue
from initlab.frameworks.reading.calls import Call
from initlab.frameworks.reading.forms import Passes, passed_form
from initlab.frameworks.reading.graph import Form, Kind, Node
from initlab.frameworks.torch.reading import function_names

SignalFacts = dict[str, FactValue]

TABLES = frozenset({"embedding", "embedding_bag"})
POOLS = frozenset(name for name in function_names.MOVES if "pool" in name and "unpool" not in name) | {
    "mean", "nanmean", "amax", "max", "amin", "min"
}  # fmt: skip
_REDUCTIONS = frozenset(
    {"sum", "nansum", "median", "var", "std", "norm", "linalg_norm", "linalg_vector_norm", "vector_norm", "matrix_norm"}
    | {"logsumexp", "var_mean", "std_mean"}
)
_MIXES = frozenset({"attention", "scaled_dot_product_attention"})
_PASSES = Passes(*(names.__contains__ for names in (POOLS, function_names.JOINS, _REDUCTIONS, function_names.MOVES)))
_NORMS = {"batch_norm": "batch", "layer_norm": "layer", "group_norm": "group", "instance_norm": "instance",
          "rms_norm": "rms"}  # fmt: skip
_EPS_AT = {"batch_norm": 7, "instance_norm": 7, "layer_norm": 4, "group_norm": 4, "rms_norm": 3}


def form_of(kind: Kind, call: Call, inputs: Sequence[Node], params: Sequence[str]) -> Form:
    """What the kind of a call's value leaves open."""
    if kind == "weight":
        return "table" if call.name in TABLES else "recurrent" if call.name in function_names.RECURRENT else ""
    if kind == "norm":
        return "running" if _is_running(call) else ""
    if kind == "unknown" and call.name == "softmax":
        return "softmax"
    if kind == "pass" and call.name in _MIXES and len(inputs) > 1:
        return "mix"
    return passed_form(call.name, params, _PASSES) if kind == "pass" else ""


def facts_of(kind: Kind, call: Call, inputs: Sequence[Node]) -> SignalFacts:
    """What decides the size of the signal in a call's value."""
    if kind == "weight" and call.name in function_names.CONVOLUTIONS:
        return _convolution(call)
    if kind == "weight" and call.name.startswith("rnn_"):
        return {"f": call.name.split("_")[1]}
    if kind == "norm" and call.name in _NORMS:
        return _norm(call)
    if kind == "pass" and call.name in POOLS:
        return {**_pool(call, inputs), **_over(call)}
    return _over(call) if kind == "pass" and call.name in _REDUCTIONS else {}


def _over(call: Call) -> SignalFacts:
    """The axes that a statistic is taken over, where the call names them."""
    given = call.get(2 if "norm" in call.name else 1, "dim") if "pool" not in call.name else None
    axes = _each(given, 1)
    return {"over": axes} if axes else {}


def rate_of(call: Call) -> float:
    """The share of entries that a dropout drops."""
    rate = call.get(1, "p", 0.5)
    return float(rate) if isinstance(rate, int | float) else 0.0


def _is_running(call: Call) -> bool:
    if call.name not in ("batch_norm", "instance_norm"):
        return False
    is_batch = call.name == "batch_norm"
    return not call.get(5, "training" if is_batch else "use_input_stats", not is_batch)


def _convolution(call: Call) -> SignalFacts:
    rank, transposed = int(call.name[-2]), "transpose" in call.name
    at = {"stride": (3, 1), "padding": (4, 0), "dilation": (7 if transposed else 5, 1)}
    facts: SignalFacts = {}
    for name, (place, usual) in at.items():
        given = call.get(place, name, usual)
        facts[name] = given if isinstance(given, str) else _each(given, rank)
    groups = call.get(6, "groups", 1)
    return {**facts, "groups": groups if isinstance(groups, int) else 1}


def _norm(call: Call) -> SignalFacts:
    how, eps = _NORMS[call.name], call.get(_EPS_AT[call.name], "eps")
    usual = torch.finfo(torch.float32).eps if how == "rms" else 1e-5
    facts: SignalFacts = {"norm": how, "eps": float(eps) if isinstance(eps, int | float) else usual}
    if how == "group":
        groups = call.get(1, "num_groups")
        facts["groups"] = groups if isinstance(groups, int) else 1
    return facts


def _pool(call: Call, inputs: Sequence[Node]) -> SignalFacts:
    how = "max" if "max" in call.name or "min" in call.name else "mean"
    before = inputs[0].shape or () if inputs else ()
    size = prod(before) / max(prod(call.shape or ()), 1) if before else 1.0
    if "pool" in call.name and "adaptive" not in call.name:
        window = call.get(1, "kernel_size", 1)
        rank = int(call.name[-2]) if call.name[-2].isdigit() else 2
        each = _each(window, rank)
        size = float(prod(each)) if each else size
    return {"how": how, "size": float(size)}


def _each(value: object, rank: int) -> tuple[int, ...]:
    """One number an axis; none where they are not known."""
    values = value if isinstance(value, list | tuple) else (value,)
    if not all(isinstance(n, int) for n in values):
        return ()
    return tuple(values) * rank if len(values) == 1 else tuple(values)
