"""Present values that somebody meant: zeros in a role that is known for them, gates, LoRA's B, priors."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.spec import WEIGHT_ROLES, ParamSpec
from initlab.frameworks.jax.reading.parameters import Entry
from initlab.frameworks.jax.writing.memory import numbers

SCALE_NAME = re.compile(
    r"(alpha|gate|gamma|lambda|layer_?scale\w*|skip_?gain|res_?(scale|weight))(_?\d+)?$", re.IGNORECASE
)
_SMALL_SCALE = 0.5  # CaiT's LayerScale starts at 0.1 and below
_PRIOR = -0.85  # a constant of this or less, p = 0.3, is drawn by no usual initializer


def intents(
    found: Sequence[Entry], specs: Sequence[ParamSpec], *, outputs: Collection[str], own: Mapping[str, int]
) -> list[str]:
    """Why each parameter's present value is meant to stay; empty where nothing says so.

    Args:
        found: The parameters.
        specs: Their descriptions, in the same order.
        outputs: Native names of the weights that make the model's outputs.
        own: What initlab itself wrote, which is never intent.
    """
    zero = [_is_zero(entry, p) for entry, p in zip(found, specs, strict=True)]
    weights = [is_zero for is_zero, p in zip(zero, specs, strict=True) if p.role in WEIGHT_ROLES]
    is_blank = sum(weights) * 2 > len(weights)
    heads = {name.rpartition(".")[0] for name in outputs}
    return [
        "" if entry.native in own else _intent(entry, p, is_zero and not is_blank, heads)
        for entry, p, is_zero in zip(found, specs, zero, strict=True)
    ]


def _is_zero(entry: Entry, p: ParamSpec) -> bool:
    return p.role not in ("bias", "norm_bias") and p.size > 0 and not numbers(entry.variable).any()


def _intent(entry: Entry, p: ParamSpec, is_zero: bool, heads: Collection[str]) -> str:
    if is_zero and entry.leaf == "lora_b":
        return "LoRA's B starts at zero"
    if is_zero and p.role == "norm_scale":
        return "the norm's scale starts at zero, so its residual branch starts closed"
    if is_zero and p.role in WEIGHT_ROLES and p.branch is not None and p.branch.is_last:
        return "the last layer of its residual branch starts at zero, so the block starts as the identity"
    if p.role in ("scale", "unknown") and sum(n > 1 for n in p.shape) <= 1:
        named = SCALE_NAME.search(entry.leaf) or SCALE_NAME.search(type(entry.owner).__name__)
        return _gate(numbers(entry.variable)) if p.role == "scale" or named else ""
    return _prior(numbers(entry.variable)) if p.role == "bias" and entry.module in heads else ""


def _gate(values: NDArray[np.generic]) -> str:
    value = _constant(values)
    if value == 0.0:
        return "a gate starts at zero, so its branch starts closed"
    return f"a branch's scale starts at {value:.4g}" if value is not None and abs(value) <= _SMALL_SCALE else ""


def _prior(values: NDArray[np.generic]) -> str:
    """Lin et al. 2017, arXiv:1708.02002, section 4.1: b = -log((1 - p) / p), so that rare classes start rare."""
    value = _constant(values)
    if value is None or value > _PRIOR:
        return ""
    return f"the output starts at the prior probability {1.0 / (1.0 + np.exp(-value)):.3g}"


def _constant(values: NDArray[np.generic]) -> float | None:
    """The value that all entries share, or None."""
    flat = values.reshape(-1).astype(np.float64)
    return float(flat[0]) if flat.size and bool((flat == flat[0]).all()) else None
