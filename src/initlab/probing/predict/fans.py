"""How many terms a weighted sum really has, and how large its weights are: what a place says of its parameters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from initlab.core.errors import ShapeError
from initlab.core.facts.fans import fans
from initlab.core.facts.layers import Held
from initlab.core.facts.spec import WEIGHT_ROLES, ParamSpec
from initlab.core.signals.readings import FactValue, Place
from initlab.probing.measure.weights import mean_square
from initlab.probing.records import WeightFacts


@dataclass(frozen=True)
class WeightedSum:
    """A weighted sum, or a look-up, of a place.

    Attributes:
        terms: Inputs to one output that are not padding, as a mean over the outputs; 1 for a look-up.
        weight: E[w^2].
        bias: E[b^2]; 0 without one.
        bias_mean: E[b].
        is_table: Whether it is a look-up.
    """

    terms: float
    weight: float
    bias: float = 0.0
    bias_mean: float = 0.0
    is_table: bool = False

    @property
    def sigma_w2(self) -> float:
        """The variance of a weight times its fan-in."""
        return self.terms * self.weight


def weighted_sum(
    place: Place, source: Place | None, params: Mapping[str, ParamSpec], weights: Mapping[str, WeightFacts]
) -> WeightedSum | str:
    """What a weighted place sums up; in words, why that cannot be told.

    Args:
        place: The place.
        source: The place of its input.
        params: By native name.
        weights: By native name.
    """
    known = [params[name] for name in place.params if name in params and name in weights]
    kernels = [p for p in known if p.role in WEIGHT_ROLES and p.role != "recurrent" and len(p.shape) >= 2]
    biases = [p for p in known if p.role == "bias"]
    if any(p.role == "recurrent" for p in known):
        return "a recurrent layer sums over its own past"
    if len(kernels) != 1 or len(kernels) + len(biases) != len(place.params):
        return "its weights are not one parameter that is known"
    kernel, facts = kernels[0], weights[kernels[0].native]
    found = WeightedSum(1.0, mean_square(facts), is_table=bool(place.facts.get("table")))
    if biases:
        parts = [weights[p.native] for p in biases]
        found = replace(found, bias=sum(map(mean_square, parts)), bias_mean=sum(part.mean for part in parts))
    if found.is_table:
        return found
    terms = _terms(kernel, place, source)
    return terms if isinstance(terms, str) else replace(found, terms=terms)


def last_name(native: str) -> str:
    """A parameter's name in its layer.

    Example:
        >>> last_name("blocks.0.mix.u"), last_name("mix/kernel")
        ('u', 'kernel')
    """
    return native[max(native.rfind("."), native.rfind("/")) + 1 :]


def held(param: ParamSpec, facts: WeightFacts) -> Held:
    """How large a parameter is; of one without fans, both factors are its mean square."""
    square = mean_square(facts)
    try:
        both = fans(param.block_specs()[0]) if param.is_weight else None
    except (ShapeError, IndexError):
        both = None
    return Held(square, square, square) if both is None else Held(square, both.fan_in * square, both.fan_out * square)


def _terms(kernel: ParamSpec, place: Place, source: Place | None) -> float | str:
    if kernel.role == "embedding":  # a table that is shared with the output layer
        return float(kernel.shape[1])
    try:
        fan_in = fans(kernel.block_specs()[0]).fan_in
    except (ShapeError, IndexError):
        return "its weight has no fan"
    if kernel.role not in ("conv", "conv_transpose") or source is None:
        return fan_in
    met = _met(kernel, place, source)
    return fan_in if met is None else kernel.shape[1] * met


def _met(kernel: ParamSpec, place: Place, source: Place) -> float | None:
    """Taps of a kernel that meet the input and not its padding, as a mean over outputs; None for unknown geometry."""
    sizes, rank = kernel.shape[2:], len(place.shape)
    axes = [axis for axis in range(1, rank) if axis != place.units % max(rank, 1)]
    if len(axes) != len(sizes) or len(source.shape) != rank:
        return None
    stride = _per_axis(place.facts.get("stride"), len(sizes), 1)
    dilation = _per_axis(place.facts.get("dilation"), len(sizes), 1)
    if stride is None or dilation is None:
        return None
    total = 1.0
    for at, axis in enumerate(axes):
        inner, outer = source.shape[axis], place.shape[axis]
        padding = _padding(place.facts.get("padding"), at, len(sizes), (inner, sizes[at], stride[at], dilation[at]))
        if padding is None or not outer:
            return None
        if kernel.role == "conv_transpose":
            pairs = _pairs(inner, outer, sizes[at], stride[at], dilation[at], padding)
        else:
            pairs = _pairs(outer, inner, sizes[at], stride[at], dilation[at], padding)
        total *= pairs / outer
    return total


def _pairs(steps: int, room: int, size: int, stride: int, dilation: int, padding: int) -> int:
    """The (position, tap) pairs of a kernel that moves by ``stride`` whose tap falls inside of ``room`` entries.

    Example:
        >>> _pairs(4, 4, 3, 1, 1, 1)      # 3 taps at 4 positions, one outside at each end
        10
    """
    reached = np.arange(steps)[:, None] * stride + np.arange(size) * dilation - padding
    return int(((reached >= 0) & (reached < room)).sum())


def _per_axis(given: FactValue | None, rank: int, usual: int) -> tuple[int, ...] | None:
    if given is None:
        return (usual,) * rank
    if isinstance(given, int | float):
        return (int(given),) * rank
    if isinstance(given, str):
        return None
    return given * rank if len(given) == 1 else given if len(given) == rank else None


def _padding(given: FactValue | None, at: int, rank: int, sizes: Sequence[int]) -> int | None:
    """Zeros in front of an axis; ``same`` has the fewest that keep ``ceil(size / stride)`` outputs, half in front."""
    if given == "valid":
        return 0
    if given == "same":
        inner, size, stride, dilation = sizes
        return max((math.ceil(inner / stride) - 1) * stride + dilation * (size - 1) + 1 - inner, 0) // 2
    known = _per_axis(given, rank, 0)
    return None if known is None else known[at]


def entries(place: Place) -> int:
    """Numbers in a place's value, over the whole batch; 0 where its shape is not known."""
    return prod(place.shape) if place.shape else 0
