"""Which present values are meant to stay: what the author marked, zeros where they close a way, and exact structure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.garbage import garbage
from initlab.core.facts.provenance import Provenance
from initlab.core.facts.spec import WEIGHT_ROLES, ParamSpec

_SCALE_NAME = re.compile(
    r"(alpha|gate|gamma|lambda|layer_?scale\w*|skip_?gain|res_?(scale|weight))(_?\d+)?$", re.IGNORECASE
)
_PLAIN = {"bias": 0.0, "norm_bias": 0.0, "norm_scale": 1.0}  # where every scheme starts these
_VECTORS = frozenset({*_PLAIN, "scale", "unknown"})
_MAY_BE_ZERO = WEIGHT_ROLES | {"norm_scale", "scale", "unknown"}
_SUMS = WEIGHT_ROLES - {"embedding"}
_SHIFTS = frozenset({"bias", "norm_bias"})
_DIGITS = 2  # of a number that a person writes
_LARGE = 0.5  # no step of an optimiser is as large, and its first steps may be round numbers
_SCALE = "a branch's scale starts"
_STARTS = {"bias": "the biases start", "norm_bias": "the norm's shift starts", "norm_scale": "the norm's scale starts"}


class Numbers(Protocol):
    """A parameter's present numbers, in any order."""

    def __call__(self, *, first: bool = False) -> NDArray[np.generic]:
        """All of them, or the first alone: one number tells of nearly every weight that it is not zero."""
        ...


@dataclass(frozen=True)
class Present:
    """The present value of a parameter.

    Attributes:
        numbers: The numbers; None where there are none, and nothing says what they are to be.
        owner: The class of what holds it.
        layer: The name of what holds it.
        is_head: Whether it belongs to a layer whose output the model returns.
        is_own: Whether initlab wrote the value, which then is nobody's intent.
        wrote: Who wrote it, where the model's construction was watched.
        is_pinned: Whether its author marked it as one that is not to be initialised again.
        may_be_zero: Whether zeros in its place would cut the signal off nowhere.
    """

    numbers: Numbers | None
    owner: str = ""
    layer: str = ""
    is_head: bool = False
    is_own: bool = False
    wrote: Provenance | None = None
    is_pinned: bool = False
    may_be_zero: bool = False


def is_pinned(parameter: object) -> bool:
    """Whether an author marked a parameter by ``_no_reinit``, as state-space models do."""
    return getattr(parameter, "_no_reinit", False) is True


def intents(params: Sequence[ParamSpec], present: Sequence[Present]) -> list[str]:
    """Why each parameter's value is meant to stay; empty where nothing says so.

    A description that says why already keeps its reason. Nothing is told from a value's size, or from its being
    another than a framework's own: a trained value is that as well.

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
    is_blank = bool(weights) and all(weights)
    found = [
        p.intent or _told(p, value, is_zero=is_zero, is_blank=is_blank)
        for p, value, is_zero in zip(params, present, zero, strict=True)
    ]
    # Zero weights leave the layer to its bias: where that is designed, so are they.
    built = {value.layer for p, value, why in zip(params, present, found, strict=True) if why and p.role == "bias"}
    return [
        "zero weights leave the layer's start to its designed bias"
        if not why and is_zero and not (is_blank or value.is_own) and p.role in _SUMS and value.layer in built
        else why
        for p, value, why, is_zero in zip(params, present, found, zero, strict=True)
    ]


def _told(p: ParamSpec, value: Present, *, is_zero: bool, is_blank: bool) -> str:
    if value.is_pinned:
        return "its author marked it as not to be initialised again"
    if value.is_own or not p.size:
        return ""
    closes = _closed(p, value) if is_zero and not is_blank else ""
    known = closes or _chosen(p, value, is_blank)
    return known or (_structure(p, value) if p.role in _VECTORS and not is_zero else "")


def _is_zero(p: ParamSpec, value: Present) -> bool:
    if p.size == 0 or p.intent or p.role not in _MAY_BE_ZERO or value.numbers is None:
        return False
    return not (value.numbers(first=True).any() or value.numbers().any())


def _closed(p: ParamSpec, value: Present) -> str:
    """What zeros close: a branch, a gate, the output; in the way of the signal they are a mistake."""
    if "lora" in p.native.lower() and p.role in WEIGHT_ROLES | {"unknown"}:
        return "a LoRA factor starts at zero, so the adapted layer starts as it was"
    if p.branch is not None and p.branch.is_last:
        if p.role == "norm_scale":
            return "the norm's scale starts at zero, so its residual branch starts closed"
        if p.role in WEIGHT_ROLES:
            return "the last layer of its residual branch starts at zero, so the block starts as the identity"
    if p.role in _SUMS and value.is_head and value.may_be_zero:
        return "the output starts at zero"
    if p.role in _SUMS and value.may_be_zero:
        return "zero weights close a branch or a gate, and the signal goes on beside it"
    if p.role in ("scale", "unknown") and _is_gate(p, value):
        return "a gate starts at zero, so its branch starts closed"
    return ""


def _chosen(p: ParamSpec, value: Present, is_blank: bool) -> str:
    """Whose call chose each number, which is design whatever its shape; what the roles' schemes write anyway is not."""
    wrote = value.wrote
    if wrote is None or wrote.last is None or p.size == 0 or value.numbers is None:
        return ""
    is_part = wrote.last.is_part and p.role in _VECTORS and wrote.is_partly_chosen
    if not (wrote.is_chosen or is_part):
        return ""
    constant = _constant(_reals(p, value.numbers))
    is_alike = p.is_weight and len(p.shape) > 1 and min(p.shape) > 1  # units that are all the same learn the same
    if constant is not None and (constant == _PLAIN.get(p.role) or (is_alike and (constant or is_blank))):
        return ""
    return f"its author chose {wrote.last}"


def _is_gate(p: ParamSpec, value: Present) -> bool:
    return _is_vector(p) and (p.role == "scale" or is_scale_name(p.native) or is_scale_name(value.owner))


def _is_vector(p: ParamSpec) -> bool:
    return sum(n > 1 for n in p.shape) <= 1


def is_scale_name(name: str) -> bool:
    """Whether a parameter or class of this name scales a branch or opens a gate.

    Example:
        >>> is_scale_name("blocks.0.gamma_1"), is_scale_name("LayerScale"), is_scale_name("blocks.0.weight")
        (True, True, False)
    """
    return _SCALE_NAME.search(name) is not None


def _structure(p: ParamSpec, value: Present) -> str:
    """What a person wrote and neither chance nor training makes: one number everywhere, or an exact pattern."""
    if value.numbers is None:
        return ""
    if not _is_vector(p):
        return _decay(p, value.numbers)
    flat = _reals(p, value.numbers).reshape(-1).astype(np.float64)
    if garbage(flat) is not None:
        return ""
    constant = _constant(flat)
    if constant is not None:
        return _of_one_number(p, value, constant)
    if p.role != "bias":
        return _decay(p, value.numbers)
    return _gates(p, flat) or _affine(flat) or _grid(flat)


def _reals(p: ParamSpec, numbers: Numbers) -> NDArray[np.generic]:
    """The numbers; of complex ones without imaginary parts the real parts alone."""
    held = numbers()
    pairs = held.reshape(-1, 2) if p.is_complex else held
    return pairs[:, 0] if p.is_complex and not pairs[:, 1].any() else held


def _of_one_number(p: ParamSpec, value: Present, constant: float) -> str:
    """One number in all entries; of a single entry it must be one that a person writes."""
    is_open = p.forget_block is not None and not p.blocks
    if constant in (0.0, _PLAIN.get(p.role), 1.0 if _is_skip(p) or is_open else 0.0):
        return ""
    if p.size == 1 and not (p.role in _SHIFTS and _is_written(constant)):
        return ""
    if p.role == "bias" and value.is_head:
        chance = 1.0 / (1.0 + math.exp(min(-constant, 700.0)))
        # Lin et al. 2017, arXiv:1708.02002, section 4.1: b = -log((1 - p) / p), so that rare classes start rare.
        return f"the output starts at the prior probability {chance:.3g}"
    return f"{_STARTS.get(p.role, _SCALE)} at {constant:.4g}"


def _is_skip(p: ParamSpec) -> bool:
    return p.dynamics is not None and p.dynamics.part == "skip"


def _is_written(number: float) -> bool:
    """Whether a float32 is the nearest to a short decimal number, or to the logit of one.

    Of the float32 numbers around 1 one in 100,000 is, so chance and training hardly make one.

    Example:
        >>> _is_written(float(np.float32(-4.6))), _is_written(float(np.float32(np.log(0.01 / 0.99))))
        (True, True)
        >>> _is_written(float(np.float32(-0.8512637)))
        False
    """
    if abs(number) < _LARGE:
        return False
    chance = 1.0 / (1.0 + math.exp(min(-number, 700.0)))
    near = [float(f"{number:.{_DIGITS}g}")]
    for one in (float(f"{chance:.2g}"), 1.0 - float(f"{1.0 - chance:.2g}")):
        near += [math.log(one / (1.0 - one))] if 0.0 < one < 1.0 else []
    step = float(np.spacing(np.float32(abs(number))))
    return any(abs(number - one) <= step for one in near)


def _gates(p: ParamSpec, flat: NDArray[np.float64]) -> str:
    """One number in each gate, but for the open forget gate of an LSTM's plain start; attention's parts are none."""
    if len(p.blocks) < 2 or p.layer_kind == "attention" or flat.size != sum(p.blocks) or min(p.blocks) < 2:
        return ""
    parts = [_constant(part) for part in np.split(flat, np.cumsum(p.blocks)[:-1])]
    if not any(parts) or parts == [float(n == p.forget_block) for n in range(len(parts))]:
        return ""
    told = ", ".join("..." if part is None else f"{part:.4g}" for part in parts)
    return f"the gates' biases start at {told}"


def _affine(flat: NDArray[np.float64]) -> str:
    """Jaderberg et al. 2015, arXiv:1506.02025: a spatial transformer starts as the identity, (I 0)."""
    n = math.isqrt(flat.size)
    for rows, columns in ((n, n + 1), (n, n)):
        if rows > 1 and rows * columns == flat.size and bool((flat == np.eye(rows, columns).reshape(-1)).all()):
            return "an affine map starts as the identity"
    return ""


def _decay(p: ParamSpec, numbers: Numbers) -> str:
    """Gu and Dao 2023, arXiv:2312.00752, section 3.6: a state-space model's decays start at log(1..N)."""
    if p.dynamics is not None or p.is_complex or p.role not in ("scale", "unknown") or not p.shape or p.shape[-1] < 2:
        return ""
    rates = np.log(np.arange(1, p.shape[-1] + 1, dtype=np.float64))
    near = np.abs(numbers().reshape(p.shape) - rates) <= 2 * np.spacing(np.float32(rates[-1]))
    return "the decays of a recurrence start at log(1..N)" if bool(near.all()) else ""


def _grid(flat: NDArray[np.float64]) -> str:
    """Zhu et al. 2020, arXiv:2010.04159, appendix A.4: the k-th point of a head is k steps away, in its direction."""
    for points in range(2, flat.size // 4 + 1):
        if flat.size % (2 * points):
            continue
        heads = flat.reshape(-1, points, 2)
        steps = heads[:, :1] * np.arange(1, points + 1).reshape(1, points, 1)
        reach = np.abs(heads[:, 0]).max(axis=1)
        if bool((reach == 1.0).all()) and bool((np.abs(heads - steps) <= np.spacing(np.float32(points))).all()):
            return "sampling points start on a grid"
    return ""


def _constant(values: NDArray[np.generic]) -> float | None:
    """The value that all entries share, or None."""
    flat = values.reshape(-1).astype(np.float64)
    return float(flat[0]) if flat.size and bool((flat == flat[0]).all()) else None
