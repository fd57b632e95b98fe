"""Present values that somebody meant: zeros in a role that is known for them, priors, LoRA's B."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.reading.parameters import Entry
from initlab.frameworks.keras.reading.trace import Trace
from initlab.frameworks.keras.writing.memory import numbers


def intents(found: Sequence[Entry], params: Sequence[ParamSpec], seen: Trace, written: Collection[str]) -> list[str]:
    """Why each parameter's present value is meant to stay; empty where nothing says so.

    Args:
        found: The parameters.
        params: Their descriptions, in the same order.
        seen: What the trace showed.
        written: Native names of the parameters whose present values are initlab's own; they are never intent.
    """
    zero = {entry.native for entry, p in zip(found, params, strict=True) if _may_be_zero(p) and _is_zero(entry)}
    sizes = {p.native: p.size for p in params if p.is_weight}
    blank = sum(size for native, size in sizes.items() if native in zero) * 2 > sum(sizes.values())
    reasons = []
    for entry, p in zip(found, params, strict=True):
        if isinstance(entry.layer, keras.layers.PReLU):
            reasons.append("the slope of a PReLU")
        elif entry.native in written:
            reasons.append("")
        elif entry.native in zero:
            reasons.append("" if blank else _zero_reason(entry, p))
        else:
            reasons.append(_bias_reason(entry, p, seen) if p.role == "bias" else "")
    return reasons


def _may_be_zero(p: ParamSpec) -> bool:
    return p.is_weight or p.role == "norm_scale"


def _is_zero(entry: Entry) -> bool:
    values = numbers(entry.variable)
    return not (values.reshape(-1)[:1].any() or values.any())


def _zero_reason(entry: Entry, p: ParamSpec) -> str:
    if entry.variable.name.startswith("lora_") and entry.variable.name.endswith("_b"):
        return "LoRA's B starts at zero"
    if p.branch is None:
        return ""
    if p.role == "norm_scale":
        return "a residual branch's last norm starts at zero"
    if not p.branch.is_last:
        return ""
    return "a residual branch's last layer starts at zero" if entry.slot.makes_output else ""


def _bias_reason(entry: Entry, p: ParamSpec, seen: Trace) -> str:
    values = numbers(entry.variable).astype(np.float64)
    if getattr(entry.layer, "unit_forget_bias", False) and len(p.blocks) == 4:
        forget = np.repeat([0.0, 1.0, 0.0, 0.0], p.blocks)
        return "the forget gate's bias starts at one" if np.array_equal(values, forget) else ""
    if id(entry.layer) not in seen.heads or values.ndim != 1 or not values.any():
        return ""
    return _prior_reason(entry.layer, values)


def _prior_reason(layer: Any, values: np.ndarray[Any, np.dtype[np.float64]]) -> str:
    """An output bias that is one number everywhere, or the logarithms of shares that add up to 1."""
    first = float(values[0])
    # One number alone may as well have been trained; then the layer itself must say where it comes from.
    stated = isinstance(getattr(layer, "bias_initializer", None), keras.initializers.Constant)
    if np.allclose(values, first, rtol=1e-6) and (values.size > 1 or (stated and _is_stated(layer, first))):
        return f"the output bias is a prior: sigmoid({first:.4g}) = {1 / (1 + np.exp(-first)):.3g}"
    if values.size > 1 and abs(np.exp(values).sum() - 1.0) < 1e-4:
        return "the output bias holds the logarithms of class shares"
    return ""


def _is_stated(layer: Any, value: float) -> bool:
    return bool(np.allclose(np.asarray(layer.bias_initializer.value, np.float64), value, rtol=1e-6))
