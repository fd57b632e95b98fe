"""The record of a pass: its values' sums, all together, for their few numbers each are reckoned with in stacks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from initlab.core.signals.readings import BINS, Reading, Sums, WeightGradient
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.loss import Goal, standard_error
from initlab.frameworks.reading.places import Placed

_NAN = float("nan")

Floats = NDArray[np.float64]
_NEAR = 1e-5  # of a root mean square: float32 sums of the same numbers, in whatever order

Numbers = Mapping[str, Any]


class Measured(NamedTuple):
    """The sums of one value, as a framework makes them where the value is.

    Attributes:
        rows: Samples.
        entries: Numbers in all.
        units: Channels or features.
        shape: Samples first.
        axis: The axis of units.
        parts: Small arrays or numbers. ``scale``: what the value was divided by, 1 where there is none. ``broken``:
            entries that are not finite, put to 0. ``norms``: the length of each row. ``sum``: of the entries.
            ``gram``: of rows. ``resultants`` and ``alive``: of each row the length of the sum of its unit tokens, and
            tokens that are not 0. ``dead`` and ``equal``: units; or, where they are not compared entry by entry,
            ``unit_low``, ``unit_high`` and ``unit_along``, their ends and (sums, units) of them. ``entropy``: sum of
            ``-x log x``. ``counts``: a histogram. ``outside``: entries beyond the range of what takes the value.
    """

    rows: int
    entries: int
    units: int
    shape: tuple[int, ...]
    axis: int
    parts: Mapping[str, Any]


def measured(shape: tuple[int, ...], units: int, parts: Mapping[str, Any]) -> Measured:
    """The sums of a value of this shape, samples first."""
    rank = len(shape)
    return Measured(shape[0], math.prod(shape), 1 if rank == 1 else shape[units], shape, units % rank, parts)


def sums(measured: Sequence[Measured], numbers: Sequence[Numbers]) -> list[Sums]:
    """The record of each value.

    Args:
        measured: The values' sums.
        numbers: Their parts on the host.
    """
    squares, errors = _squares(measured, numbers)
    cosines, ranks = _angles(numbers)
    tokens = _token_cosines(numbers)
    found = []
    for i, (one, parts) in enumerate(zip(measured, numbers, strict=True)):
        broken = int(parts.get("broken", 0))
        count = one.entries - broken
        dead, equal = _dead_and_equal(one, parts)
        found.append(
            Sums(
                rows=one.rows,
                entries=one.entries,
                units=one.units,
                mean=float(parts["sum"]) * float(parts.get("scale", 1.0)) / count if count and "sum" in parts else _NAN,
                square=squares[i] / count if count else _NAN,
                square_error=errors[i],
                broken=broken,
                dead_units=dead,
                equal_units=equal,
                cosine=cosines[i],
                token_cosine=tokens[i],
                rank=ranks[i],
                saturated=float(parts["outside"]) / count if "outside" in parts and count else _NAN,
                entropy=_entropy(one, parts) if "entropy" in parts else _NAN,
                counts=_histogram(parts, broken),
            )
        )
    return found


def weight_gradient(one: Measured, parts: Numbers) -> WeightGradient:
    """The record of a parameter's gradient."""
    if "norms" not in parts:
        return WeightGradient(0.0, 0)
    broken = int(parts.get("broken", 0))
    count = one.entries - broken
    scale = float(parts.get("scale", 1.0))
    square = sum((float(norm) * scale) ** 2 for norm in parts["norms"])
    return WeightGradient(square / count if count else _NAN, broken)


def _stacks(numbers: Sequence[Numbers], name: str) -> Iterator[tuple[list[int], Floats]]:
    """A part of all values that have it, those of one length together, and which values these are."""
    alike: dict[int, list[int]] = {}
    for i, parts in enumerate(numbers):
        if name in parts:
            alike.setdefault(len(parts[name]), []).append(i)
    for which in alike.values():
        yield which, np.array([numbers[i][name] for i in which], np.float64)


def _squares(measured: Sequence[Measured], numbers: Sequence[Numbers]) -> tuple[list[float], list[float]]:
    """Of each value the sum of squares, and the standard error of the mean square from the spread of the rows."""
    found, errors = np.full(len(numbers), _NAN), np.full(len(numbers), _NAN)
    for which, norms in _stacks(numbers, "norms"):
        scales = np.array([float(numbers[i].get("scale", 1.0)) for i in which])
        by_row = (norms * scales[:, None]) ** 2
        found[which] = by_row.sum(1)
        n = norms.shape[1]
        if n > 1:
            entries = np.array([measured[i].entries for i in which])
            apart = by_row - by_row.mean(1, keepdims=True)
            errors[which] = np.sqrt((apart**2).sum(1) / (n * (n - 1))) * n / entries
    return found.tolist(), errors.tolist()


def _angles(numbers: Sequence[Numbers]) -> tuple[list[float], list[float]]:
    """Of each value the mean cosine of two samples, and the number of directions that they take."""
    cosines, ranks = np.full(len(numbers), _NAN), np.full(len(numbers), _NAN)
    for which, grams in _stacks(numbers, "gram"):
        squares = np.diagonal(grams, axis1=1, axis2=2)
        alive = squares > 0
        n = alive.sum(1)
        shares = alive / np.sqrt(np.where(alive, squares, 1.0))
        together = np.einsum("vi,vij,vj->v", shares, grams, shares)
        whole = (grams**2).sum((1, 2))
        cosines[which] = np.where(n > 1, (together - n) / np.maximum(n * (n - 1), 1), _NAN)
        ranks[which] = np.where(whole > 0, squares.sum(1) ** 2 / np.where(whole > 0, whole, 1.0), _NAN)
    return cosines.tolist(), ranks.tolist()


def _token_cosines(numbers: Sequence[Numbers]) -> list[float]:
    """Of each value the mean cosine of two tokens, over the samples that have two that are not zero."""
    found = np.full(len(numbers), _NAN)
    lengths = {which[0]: many for which, many in _stacks(numbers, "resultants")}
    for which, n in _stacks(numbers, "alive"):
        known = n > 1
        cosines = np.where(known, (lengths[which[0]] ** 2 - n) / np.maximum(n * (n - 1), 1), 0.0)
        found[which] = np.where(known.any(1), cosines.sum(1) / np.maximum(known.sum(1), 1), _NAN)
    return found.tolist()


def _dead_and_equal(one: Measured, parts: Numbers) -> tuple[int, int]:
    """Zero units; and units with the ends of another whose sums lie as close as two sums of the same numbers."""
    if "unit_along" not in parts:
        return int(parts.get("dead", 0)), int(parts.get("equal", 0))
    low, high, along = (np.asarray(parts[name], np.float64) for name in ("unit_low", "unit_high", "unit_along"))
    is_dead = (low == 0) & (high == 0)
    order = np.lexsort((along[0], high, low))
    order = order[~is_dead[order]]
    same = (np.diff(low[order]) == 0) & (np.diff(high[order]) == 0)
    width = np.maximum(np.abs(low[order]), np.abs(high[order]))[1:] * math.sqrt(one.entries / len(low))
    near = (np.abs(np.diff(along[:, order])) <= _NEAR * width).all(axis=0)
    return int(is_dead.sum()), int((same & near).sum())


def _entropy(one: Measured, parts: Numbers) -> float:
    places = one.shape[-1] if one.shape else 0
    if places < 2:
        return _NAN
    scale = float(parts.get("scale", 1.0))
    # entr(p / s) = (entr(p) + p log s) / s
    whole = float(parts["entropy"]) * scale - float(parts["sum"]) * scale * math.log(scale)
    return whole / (one.entries / places) / math.log(places)


def _histogram(parts: Numbers, broken: int) -> NDArray[np.int64]:
    if "counts" not in parts:
        return np.empty(0, np.int64)
    counts: NDArray[np.int64] = np.rint(parts["counts"]).astype(np.int64)
    counts[BINS // 2] -= broken  # they were put to 0
    return counts


class Heard(Protocol):
    """What a recorder summed, by value.

    Attributes:
        forward: The values.
        backward: The loss's gradient by them.
        saturated: Of a value that a bounded activation takes, the entries out of its range, as the part ``outside``.
        shares: The weights of an attention that is one call, by its value.
    """

    forward: dict[Node, Measured]
    backward: dict[Node, Measured]
    saturated: dict[Node, Measured]
    shares: dict[Node, Measured]


def by_place(heard: Heard, placed: Placed) -> tuple[dict[int, Measured], dict[int, Measured]]:
    """The sums of the values that are places, forwards and backwards, by the place's index."""
    out = {node: one.parts for node, one in heard.saturated.items()}
    forward = {
        placed.whole[node]: one._replace(parts={**one.parts, **out.get(node, {})})
        for node, one in heard.forward.items()
        if node in placed.whole
    }
    forward |= {placed.shares[node]: one for node, one in heard.shares.items() if node in placed.shares}
    return forward, {placed.whole[node]: one for node, one in heard.backward.items() if node in placed.whole}


def reading_of(
    placed: Placed,
    outputs: Iterable[Node],
    heard: tuple[Mapping[int, Measured], Mapping[int, Measured]],
    gradients: Mapping[str, Measured],
    fetched: Callable[[Sequence[Measured]], Sequence[Numbers]],
    *,
    goal: Goal,
    loss: float = _NAN,
    by_sample: Any = None,
    notes: Sequence[str] = (),
) -> Reading:
    """The record of a pass, after its sums are fetched.

    Args:
        placed: Its places.
        outputs: What the model returned that has samples.
        heard: The sums by place, forwards and backwards.
        gradients: Those of the gradient by each parameter, by native name.
        fetched: Brings the parts of all sums to the host.
        goal: What was followed backwards.
        loss: Its value, where one was given.
        by_sample: The loss of each sample, where it is known.
        notes: What could not be seen, in words.
    """
    forward, backward = heard
    values = [*forward.values(), *backward.values()]
    numbers = fetched([*values, *gradients.values()])
    summed = sums(values, numbers[: len(values)])
    of_weights = map(weight_gradient, gradients.values(), numbers[len(values) :])
    return Reading(
        places=placed.places,
        outputs=tuple(dict.fromkeys(placed.of[node] for node in outputs if node in placed.of)),
        forward=dict(zip(forward, summed, strict=False)),
        backward=dict(zip(backward, summed[len(forward) :], strict=True)),
        gradients=dict(zip(gradients, of_weights, strict=True)),
        loss=_NAN if goal.kind == "random" else loss,
        loss_error=standard_error(by_sample),
        loss_kind=goal.kind,
        notes=(*notes, *goal.notes),
        target_square=goal.target_square,
    )
