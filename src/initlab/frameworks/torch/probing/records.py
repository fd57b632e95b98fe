"""The records of measured values, all of a pass together: their few numbers each are reckoned with in stacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.core.signals.readings import BINS, Sums, WeightGradient
from initlab.frameworks.torch.probing.sums import Measured

_NAN = float("nan")

Floats = NDArray[np.float64]
Numbers = Mapping[str, Any]


def fetched(measured: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as numbers, lists or arrays: one transfer for all that are on a device."""
    away = [part for one in measured for part in one.parts.values() if isinstance(part, Tensor)]
    if not away:
        return [one.parts for one in measured]
    dtype = torch.float32 if away[0].device.type == "mps" else torch.float64
    whole = torch.cat([part.reshape(-1).to(away[0].device, dtype) for part in away]).cpu().double().numpy()
    at = 0
    found: list[Numbers] = []
    for one in measured:
        parts: dict[str, Any] = {}
        for name, part in one.parts.items():
            parts[name] = part
            if isinstance(part, Tensor):
                parts[name] = whole[at : at + part.numel()].reshape(part.shape)
                at += part.numel()
        found.append(parts)
    return found


def sums(
    measured: Sequence[Measured], numbers: Sequence[Numbers], saturated: Sequence[float | None] | None = None
) -> list[Sums]:
    """The record of each value.

    Args:
        measured: The values' sums.
        numbers: Their parts, fetched.
        saturated: Of each, entries beyond the range in which the activation that takes the value has a slope.
    """
    broken = [int(parts.get("broken", 0)) for parts in numbers]
    counts = [one.entries - n for one, n in zip(measured, broken, strict=True)]
    squares, errors = _squares(measured, numbers)
    cosines, ranks = _angles(numbers)
    tokens = _token_cosines(numbers)
    beyond = saturated or [None] * len(measured)
    found = []
    for i, (one, parts, count) in enumerate(zip(measured, numbers, counts, strict=True)):
        dead, equal = _dead_and_equal(parts)
        out = beyond[i]
        found.append(
            Sums(
                rows=one.rows,
                entries=one.entries,
                units=one.units,
                mean=float(parts["sum"]) * float(parts.get("scale", 1.0)) / count if count and "sum" in parts else _NAN,
                square=squares[i] / count if count else _NAN,
                square_error=errors[i],
                broken=broken[i],
                dead_units=dead,
                equal_units=equal,
                cosine=cosines[i],
                token_cosine=tokens[i],
                rank=ranks[i],
                saturated=out / count if out is not None and count else _NAN,
                entropy=_entropy(one, parts) if "entropy" in parts else _NAN,
                counts=_histogram(parts, broken[i]),
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


def _dead_and_equal(parts: Numbers) -> tuple[int, int]:
    if "unit_sums" not in parts:
        return int(parts.get("dead", 0)), int(parts.get("equal", 0))
    keys = np.column_stack([parts["unit_low"], parts["unit_high"], parts["unit_sums"]])
    alive = keys[(keys[:, :2] != 0).any(axis=1)]
    return len(keys) - len(alive), len(alive) - len(np.unique(alive, axis=0))


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
