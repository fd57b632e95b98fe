"""Which present values are meant to stay: zeros and constants in a role that gives them a meaning, and no others."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.provenance import Provenance
from initlab.core.facts.spec import WEIGHT_ROLES, ParamSpec

_LARGEST_PRIOR = 0.3  # one number of -0.85 and below: no usual initializer draws it, and training seldom gets there
_SMALL_SCALE = 0.5  # CaiT's LayerScale starts at 0.1 and below
_SCALE_NAME = re.compile(
    r"(alpha|gate|gamma|lambda|layer_?scale\w*|skip_?gain|res_?(scale|weight))(_?\d+)?$", re.IGNORECASE
)
_PLAIN = {"bias": 0.0, "norm_bias": 0.0, "norm_scale": 1.0}  # where every scheme starts these
_VECTORS = frozenset({*_PLAIN, "scale", "unknown"})
_MAY_BE_ZERO = WEIGHT_ROLES | {"norm_scale", "scale", "unknown"}


class Numbers(Protocol):
    """A parameter's present numbers, in any order."""

    def __call__(self, *, first: bool = False) -> NDArray[np.generic]:
        """All of them, or the first alone: one number tells of nearly every weight that it is not zero."""
        ...


@dataclass(frozen=True)
class Present:
    """The present value of a parameter.

    Attributes:
        numbers: The numbers.
        owner: The class of what holds it.
        is_head: Whether it belongs to a layer whose output the model returns.
        is_own: Whether initlab wrote the value, which then is nobody's intent.
        wrote: Who wrote it, where the model's construction was watched.
    """

    numbers: Numbers
    owner: str = ""
    is_head: bool = False
    is_own: bool = False
    wrote: Provenance | None = None


def intents(params: Sequence[ParamSpec], present: Sequence[Present]) -> list[str]:
    """Why each parameter's value is meant to stay; empty where nothing says so.

    A description that says why already keeps its reason.

    Args:
        params: The descriptions of every parameter of a model.
        present: Their values, in the same order.

    Example:
        >>> head = ParamSpec(path="head/bias", shape=(2,), role="bias", layer_shape=(2, 16))
        >>> def of(*values): return [Present(lambda first=False: np.array(values), is_head=True)]
        >>> intents([head], of(-4.6, -4.6)), intents([head], of(3.0, -0.5))
        (['the output starts at the prior probability 0.00995'], [''])
    """
    zero = [_is_zero(p, value) for p, value in zip(params, present, strict=True)]
    weights = [is_zero for is_zero, p in zip(zero, params, strict=True) if p.role in WEIGHT_ROLES]
    is_blank = sum(weights) * 2 > len(weights)
    return [
        p.intent or ("" if value.is_own else _intent(p, value, is_zero and not is_blank) or _chosen(p, value, is_blank))
        for p, value, is_zero in zip(params, present, zero, strict=True)
    ]


def _is_zero(p: ParamSpec, value: Present) -> bool:
    if p.size == 0 or p.intent or p.role not in _MAY_BE_ZERO:
        return False
    return not (value.numbers(first=True).any() or value.numbers().any())


def _intent(p: ParamSpec, value: Present, is_zero: bool) -> str:
    if is_zero and "lora" in p.native.lower() and p.role in WEIGHT_ROLES | {"unknown"}:
        return "a LoRA factor starts at zero, so the adapted layer starts as it was"
    if is_zero and p.branch is not None and p.branch.is_last:
        if p.role == "norm_scale":
            return "the norm's scale starts at zero, so its residual branch starts closed"
        if p.role in WEIGHT_ROLES:
            return "the last layer of its residual branch starts at zero, so the block starts as the identity"
    if p.role in ("scale", "unknown") and _is_gate(p, value):
        return _gate(value)
    if p.role == "bias" and p.size:
        return _gates_bias(p, value) or _prior(p, value)
    return ""


def _chosen(p: ParamSpec, value: Present, is_blank: bool) -> str:
    """Whose call chose each number, which is design whatever its shape; what the roles' schemes write anyway is not."""
    wrote = value.wrote
    if wrote is None or wrote.last is None or p.size == 0:
        return ""
    is_part = wrote.last.is_part and p.role in _VECTORS and wrote.is_partly_chosen
    if not (wrote.is_chosen or is_part):
        return ""
    constant = _constant(value.numbers())
    is_alike = p.is_weight and len(p.shape) > 1 and min(p.shape) > 1  # units that are all the same learn the same
    if constant is not None and (constant == _PLAIN.get(p.role) or (is_alike and (constant or is_blank))):
        return ""
    return f"its author chose {wrote.last}"


def _is_gate(p: ParamSpec, value: Present) -> bool:
    if sum(n > 1 for n in p.shape) > 1:
        return False
    return p.role == "scale" or is_scale_name(p.native) or is_scale_name(value.owner)


def is_scale_name(name: str) -> bool:
    """Whether a parameter or class of this name scales a branch or opens a gate.

    Example:
        >>> is_scale_name("blocks.0.gamma_1"), is_scale_name("LayerScale"), is_scale_name("blocks.0.weight")
        (True, True, False)
    """
    return _SCALE_NAME.search(name) is not None


def _gate(value: Present) -> str:
    constant = _constant(value.numbers())
    if constant == 0.0:
        return "a gate starts at zero, so its branch starts closed"
    if constant is not None and abs(constant) <= _SMALL_SCALE:
        return f"a branch's scale starts at {constant:.4g}"
    return ""


def _gates_bias(p: ParamSpec, value: Present) -> str:
    """Jozefowicz et al. 2015, section 2.2: an LSTM's forget gate starts open, at 1; the parts of attention are none."""
    if len(p.blocks) < 2 or p.layer_kind == "attention":
        return ""
    flat, ends = value.numbers().reshape(-1), np.cumsum(p.blocks)
    if flat.size != ends[-1]:
        return ""
    parts = [_constant(part) for part in np.split(flat, ends[:-1])]
    if None in parts or len(set(parts)) == 1:
        return ""
    return f"the gates' biases start at {', '.join(f'{part:.4g}' for part in parts)}"


def _prior(p: ParamSpec, value: Present) -> str:
    """Lin et al. 2017, arXiv:1708.02002, section 4.1: b = -log((1 - p) / p), so that rare classes start rare.

    Several numbers that are bit for bit one are written, not drawn or trained; of one alone its size must tell.
    """
    constant = _constant(value.numbers()) if value.is_head else None
    if not constant:
        return ""
    usual = 1.0 / math.sqrt(prod(p.layer_shape[1:])) if p.layer_shape else 0.0  # PyTorch draws biases within it
    chance = 1.0 / (1.0 + math.exp(min(-constant, 700.0)))
    if p.size == 1 and (chance > _LARGEST_PRIOR or -constant <= usual):
        return ""
    return f"the output starts at the prior probability {chance:.3g}"


def _constant(values: NDArray[np.generic]) -> float | None:
    """The value that all entries share, or None."""
    flat = values.reshape(-1).astype(np.float64)
    return float(flat[0]) if flat.size and bool((flat == flat[0]).all()) else None
