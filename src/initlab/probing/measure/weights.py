"""What the parameters of a model hold, each read once and let go again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws.singular import largest_singular
from initlab.core.signals.readings import WeightGradient
from initlab.probing.records import WeightFacts

# Entries that are widened to float64 at a time: they stay in the first-level cache, and a BLAS adds up so few in one
# thread.
_CHUNK = 1 << 13
# float32's, which is bfloat16's as well.
_USUAL_SMALLEST = 2.0**-126
_NEAR = 1e-3  # of a row's length: far below what any draw leaves between two rows, far above rounding
_NEIGHBOURS = 3
_LOOKED_AT = 64
_MEDIAN_OF = 1024
_FEW = 7  # more numbers than these are in order by chance in 1 of 20,000 draws
_SMALLEST_NORMAL = {"float16": 2.0**-14, "float64": 2.0**-1022}


def weight_facts(
    model: object, adapter: Adapter, spec: ModelSpec, gradients: Mapping[str, WeightGradient] | None = None
) -> dict[str, WeightFacts]:
    """What every parameter holds, by native name; one copy of one parameter is in memory at a time.

    Args:
        model: The framework's model.
        adapter: Its framework's side.
        spec: Its parameters. A shared one has the facts of its first name under all its names.
        gradients: The loss's gradients, by native name.

    Returns:
        A record a native name; none for numbers that initlab does not read. Complex ones have the std of ``|w|^2``.
    """
    types = {name: str(array.dtype) for name, array in adapter.state(model).items()}
    found: dict[str, WeightFacts] = {}
    first: dict[str, WeightFacts] = {}
    for param in (p for p in spec.params if p.is_drawable):
        known = first.get(param.tied_to or "")
        if known is None:
            smallest = _SMALLEST_NORMAL.get(types.get(param.native, ""), _USUAL_SMALLEST)
            values = adapter.read(model, param)
            if param.is_divided and np.isfinite(values).all():
                size = largest_singular(values.reshape(len(values), -1)).value
                values = (np.asarray(values, np.float64) / (size or 1.0)).astype(values.dtype)
            known = facts_of(values, native=param.native, smallest_normal=smallest)
            if param.role == "embedding" and values.ndim == 2:
                known = replace(known, equal_units=max(known.equal_units, near_rows(values)))
            if stacked := stacked_axes(param):
                known = _with_slices(known, values, stacked)
            first[param.path] = known
        gradient = (gradients or {}).get(param.native)
        found[param.native] = replace(known, native=param.native, update_ratio=_update_ratio(known, gradient))
    return found


def facts_of(values: NDArray[np.generic], *, native: str, smallest_normal: float = _USUAL_SMALLEST) -> WeightFacts:
    """What one parameter holds.

    Args:
        values: In the canonical layout, ``(out, in / groups, *kernel)``.
        native: The framework's own name.
        smallest_normal: The smallest normal number of its own dtype.

    Returns:
        The facts; moments are over the finite entries and NaN where there are none.

    Example:
        >>> facts = facts_of(np.array([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]]), native="fc.weight")
        >>> facts.largest, facts.equal_units, round(facts.zeros, 3)      # the zero row is no unit's clone
        (4.0, 1, 0.333)
    """
    is_complex = np.iscomplexobj(values)
    x = np.stack([values.real, values.imag], axis=-1) if is_complex else np.ascontiguousarray(values)
    digest = _digest(x)
    flat = x.reshape(-1)
    total, square, largest = _totals(flat)
    broken = 0
    if not math.isfinite(square):
        finite = np.isfinite(flat)
        broken = flat.size - int(finite.sum())
        total, square, largest = _totals(flat[finite])
    count = flat.size - broken
    mean = total / count if count else math.nan
    centre = float(abs(values[np.isfinite(values)].mean())) if is_complex and count else mean
    square *= 2.0 if is_complex else 1.0  # of |w|, over half as many
    return WeightFacts(
        native=native,
        std=math.sqrt(max(square / count - centre * centre, 0.0)) if count else math.nan,
        mean=centre,
        largest=largest,
        zeros=(flat.size - int(np.count_nonzero(flat))) / count if count else math.nan,
        broken=broken,
        smallest_normal=smallest_normal,
        equal_units=equal_rows(x),
        digest=digest,
        is_varied=_is_varied(flat),
        typical=_typical(flat),
    )


def mean_square(facts: WeightFacts) -> float:
    """E[w^2] of a parameter's finite entries, 0 where there are none.

    Example:
        >>> mean_square(facts_of(np.array([3.0, -4.0]), native="bias"))
        12.5
    """
    return 0.0 if math.isnan(facts.std) else facts.std**2 + facts.mean**2


def _is_varied(flat: NDArray[np.generic]) -> bool:
    """Whether at least half of some entries differ; in bfloat16 2 of 64 random ones are equal to another.

    Numbers in order, as those of decays and mixtures over time, are no random ones.
    """
    some = flat[:: max(flat.size // _LOOKED_AT, 1)][:_LOOKED_AT]
    steps = np.diff(some.astype(np.float64))
    is_ordered = len(some) > _FEW and bool((steps >= 0).all() or (steps <= 0).all())
    return 2 * len(np.unique(some)) >= len(some) and not is_ordered


def _typical(flat: NDArray[np.generic]) -> float:
    """The median magnitude of some entries, those left out that are 0 or not finite."""
    some = np.abs(flat[:: max(flat.size // _MEDIAN_OF, 1)][:_MEDIAN_OF].astype(np.float64))
    some = some[(some > 0.0) & np.isfinite(some)]
    return float(np.median(some)) if some.size else math.nan


def _totals(flat: NDArray[np.generic]) -> tuple[float, float, float]:
    """The sum, the sum of squares and the largest magnitude, in float64; infinite or NaN where an entry is."""
    total = square = 0.0
    if not flat.size:
        return total, square, math.nan
    wide = np.empty(min(_CHUNK, flat.size))
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, flat.size, _CHUNK):
            part = wide[: min(_CHUNK, flat.size - start)]
            part[...] = flat[start : start + _CHUNK]
            total += float(part.sum())
            square += float(part @ part)
        largest = max(float(flat.max()), -float(flat.min()))
    return total, square, largest


def equal_rows(x: NDArray[np.generic]) -> int:
    """Rows equal to an earlier one, zero rows left out; rows are compared in full only where their ends agree.

    Example:
        >>> equal_rows(np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.0], [0.0, 0.0]]))
        1
    """
    if x.ndim < 2 or len(x) < 2 or not x.size:
        return 0
    rows = x.reshape(len(x), -1)
    _, inverse, counts = np.unique(rows[:, [0, -1]], axis=0, return_inverse=True, return_counts=True)
    alike = rows[counts[inverse.reshape(-1)] > 1]
    alike = alike[(alike != 0).any(axis=1)] if len(alike) else alike
    return len(alike) - len({row.tobytes() for row in alike})


def near_rows(x: NDArray[Any]) -> int:
    """Rows of a table as good as equal to another: no further from it than 1e-3 of a row's usual length.

    Rows are sorted by one projection, in which near rows are neighbours, and compared with the few before them there.
    Zero rows are left out.

    Example:
        >>> near_rows(np.array([[1.0, 2.0], [5.0, 0.0], [1.0, 2.0001], [0.0, 0.0], [0.0, 0.0]]))
        1
    """
    limit = _NEAR * math.sqrt(_totals(x.reshape(-1))[1] / max(len(x), 1))
    along = x @ (np.cos(np.arange(x.shape[1]) + 1.0) / math.sqrt(max(x.shape[1], 1))).astype(x.dtype)
    at_zero = np.flatnonzero(along == 0.0)
    along[at_zero[~x[at_zero].any(axis=1)]] = np.nan
    order = np.argsort(along, kind="stable")
    order = order[np.isfinite(along[order])]
    is_near = np.zeros(len(order), dtype=bool)
    for back in range(1, min(_NEIGHBOURS, len(order) - 1) + 1):
        later = np.flatnonzero((along[order[back:]] - along[order[:-back]] <= limit) & ~is_near[back:])
        for columns in (slice(0, 1), slice(0, 8), slice(None)):  # a few columns tell most pairs apart
            apart = x[order[later + back], columns] - x[order[later], columns]
            later = later[np.linalg.norm(apart, axis=1) <= limit]
        is_near[later + back] = True
    return int(is_near.sum())


def stacked_axes(param: ParamSpec) -> tuple[int, ...]:
    """The axes whose slices are weights of their own: stacked layers, experts or heads; the first of what is not known.

    Example:
        >>> from initlab.core.facts.spec import Axes
        >>> stacked_axes(ParamSpec("a", (4, 32, 64), role="dense", axes=Axes(inputs=(1,), outputs=(0, 2))))
        (0,)
    """
    if param.axes is None:
        return (0,) if param.role == "unknown" and len(param.shape) > 2 else ()
    return param.axes.batch or param.axes.outputs[:-1]


def _with_slices(facts: WeightFacts, values: NDArray[np.generic], stacked: Sequence[int]) -> WeightFacts:
    """The facts with the number of slices that are equal to an earlier one; they are varied where a slice is."""
    slices = np.moveaxis(values, stacked, range(len(stacked)))
    slices = slices.reshape(math.prod(slices.shape[: len(stacked)]), -1)
    equal = equal_rows(slices)
    return replace(facts, equal_slices=equal, is_varied=_is_varied(slices[0]) if equal else facts.is_varied)


def _digest(x: NDArray[np.generic]) -> str:
    found = blake2b(repr((x.shape, x.dtype.str)).encode(), digest_size=8)
    found.update(x.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def _update_ratio(facts: WeightFacts, gradient: WeightGradient | None) -> float:
    size = mean_square(facts)
    return math.sqrt(gradient.square / size) if gradient is not None and size > 0.0 else math.nan
