"""Which present values are meant to stay: zeros and constants in a role that gives them a meaning, and no others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import prod

import torch

from initlab.core.facts.spec import WEIGHT_ROLES, ParamSpec
from initlab.frameworks.torch.reading.layers import SCALE_NAME
from initlab.frameworks.torch.reading.parameters import Entry

_LARGEST_PRIOR = 0.3  # a bias of -0.85 and below: no usual initializer draws such a constant
_SMALL_SCALE = 0.5  # CaiT's LayerScale starts at 0.1 and below


def intents(
    found: Sequence[Entry], specs: Sequence[ParamSpec], *, outputs: frozenset[str], own: Mapping[str, int]
) -> list[str]:
    """Why each parameter's value is meant to stay; empty where nothing says so.

    Args:
        found: The parameters.
        specs: Their descriptions, in the same order.
        outputs: Native names of the weights that make the model's outputs.
        own: What initlab itself wrote, which is never intent.
    """
    zero = [_is_zero(entry, spec) for entry, spec in zip(found, specs, strict=True)]
    weights = [is_zero for is_zero, spec in zip(zero, specs, strict=True) if spec.role in WEIGHT_ROLES]
    all_zero = sum(weights) * 2 > len(weights)
    return [
        "" if entry.native in own else _intent(entry, spec, is_zero and not all_zero, outputs)
        for entry, spec, is_zero in zip(found, specs, zero, strict=True)
    ]


def _intent(entry: Entry, spec: ParamSpec, is_zero: bool, outputs: frozenset[str]) -> str:
    if is_zero and "lora" in entry.native.lower() and spec.role in WEIGHT_ROLES | {"unknown"}:
        return "a LoRA factor starts at zero, so the adapted layer starts as it was"
    if is_zero and spec.role == "norm_scale":
        return "the norm's scale starts at zero, so its residual branch starts closed"
    if is_zero and spec.role in WEIGHT_ROLES and spec.branch is not None and spec.branch.is_last:
        return "the last layer of its residual branch starts at zero, so the block starts as the identity"
    if spec.role in ("scale", "unknown") and _is_gate(entry, spec):
        return _gate(entry)
    if spec.role == "bias":
        return _prior(entry, spec, outputs)
    return ""


def _is_zero(entry: Entry, spec: ParamSpec) -> bool:
    if spec.size == 0 or spec.role in ("bias", "norm_bias"):
        return False
    values = entry.tensor.detach()
    first = values[(0,) * values.dim()]  # one entry tells for nearly every weight; all of them take as long as a draw
    return not (bool(first) or bool(values.any()))


def _is_gate(entry: Entry, spec: ParamSpec) -> bool:
    if sum(n > 1 for n in spec.shape) > 1:
        return False
    names = (entry.leaf, type(entry.owner).__name__)
    return spec.role == "scale" or any(SCALE_NAME.search(name) for name in names)


def _gate(entry: Entry) -> str:
    value = _constant(entry.tensor)
    if value == 0.0:
        return "a gate starts at zero, so its branch starts closed"
    if value is not None and abs(value) <= _SMALL_SCALE:
        return f"a branch's scale starts at {value:.4g}"
    return ""


def _prior(entry: Entry, spec: ParamSpec, outputs: frozenset[str]) -> str:
    """Lin et al. 2017, arXiv:1708.02002, section 4.1: b = -log((1 - p) / p), so that rare classes start rare."""
    value = _constant(entry.tensor)
    if value is None or value >= 0 or entry.module not in {name.rpartition(".")[0] for name in outputs}:
        return ""
    usual = 1.0 / math.sqrt(prod(spec.layer_shape[1:])) if spec.layer_shape else 0.0  # torch draws biases within it
    p = 1.0 / (1.0 + math.exp(-value))
    if p > _LARGEST_PRIOR or -value <= usual:
        return ""
    return f"the output starts at the prior probability {p:.3g}"


def _constant(tensor: torch.Tensor) -> float | None:
    """The value that all entries share, or None."""
    flat = tensor.detach().reshape(-1)
    if flat.numel() == 0 or not bool((flat == flat[0]).all()):
        return None
    return float(flat[0])
