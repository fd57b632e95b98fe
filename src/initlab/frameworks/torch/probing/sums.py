"""The sums of a value over a batch, by torch, on its own device: what ``core.signals.sums`` says, in few passes.

Each entry is read twice: for the length of its row, which tells of numbers that are not finite as well, and for the
sum. Equal units and directions are looked for in a part. Measuring leaves small tensors where the value is;
``fetched`` brings those of all values at once, so that a report waits for the device once. On the CPU looking costs
nothing, and rare cases (numbers that are not finite, squares that would overflow, units that may be equal) are looked
at only where they occur; elsewhere they are always reckoned with.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from initlab.core.signals.readings import BINS, GRAM_ROWS
from initlab.core.signals.sums import HISTOGRAM_REACH
from initlab.frameworks.reading.records import Measured, Numbers, measured

_NARROW = (torch.float16, torch.bfloat16)
_SMALL, _LARGE = 1e-12, 1e15  # between them the squares of a million float32 numbers neither vanish nor overflow
_LONGEST = 1 << 11  # entries of a sample that enter its cosines
_BLOCK = 16  # float32 numbers that the processor fetches at once
_TOKENS = 1 << 14  # entries whose tokens are compared
_PAIRED = 32  # tokens of a sample that are compared at least, where it has so many
_LOOKED_AT = 16  # entries of each unit that are looked at first
_MANY, _LANES = 1 << 16, 8  # so many entries are cut in so many rows: torch sums a single one on one thread

Part = Tensor | float | list[Any]
"""Of what is measured; on the CPU numbers, for small blocks of memory between the large ones of a pass would keep the
large ones from being joined when they are free (peak memory 1.3 times as high in a transformer)."""


def measure(
    value: Tensor, *, units: int = -1, whole: bool = True, is_softmax: bool = False, histogram: bool = False
) -> Measured:
    """The sums of a value, still on its device.

    Args:
        value: Real numbers, samples along axis 0, rank 1 or more and not empty; it is not changed.
        units: The axis of channels or features.
        whole: Whether to look at samples, tokens and units as well; else at the size alone.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether to count entries.
    """
    shape = tuple(value.shape)
    flat, norms, parts = _lengths(_wide(value).reshape(shape[0], -1), 1)
    parts["sum"] = _numbers(flat.sum())
    if whole:
        parts |= _units(flat.view(shape), units % len(shape))
        parts |= _directions(flat, shape)
    if is_softmax:
        parts["entropy"] = _numbers(torch.special.entr(flat).sum())
    if histogram:
        parts["counts"] = _counts(flat, norms, parts.get("broken"))
    return measured(shape, units, parts)


def measure_squares(value: Tensor, *, units: int = -1, histogram: bool = False) -> Measured:
    """The mean square of a value and its spread over the samples, and nothing else: one look at each entry.

    Args:
        value: As in ``measure``.
        units: The axis of channels or features.
        histogram: Whether to count entries.
    """
    shape = tuple(value.shape)
    flat, norms, parts = _lengths(_wide(value).reshape(shape[0], -1), 1)
    if histogram:
        parts["counts"] = _counts(flat, norms, parts.get("broken"))
    return measured(shape, units, parts)


def measure_weight(gradient: Tensor) -> Measured:
    """The mean square of the gradient by a parameter; one kept as rows of a table counts with its zeros."""
    entries = gradient.numel()
    x = _wide(gradient.coalesce().values() if gradient.is_sparse else gradient)
    if x.is_complex():
        x = torch.view_as_real(x)
    if x.numel() >= _MANY and x.numel() % _LANES == 0 and x.is_contiguous():
        return Measured(1, entries, 1, (), 0, _lengths(x.view(_LANES, -1), 1)[2])
    return Measured(1, entries, 1, (), 0, _lengths(x, None)[2] if x.numel() else {})


def measure_outside(value: Tensor, low: float, high: float) -> Measured:
    """How many entries are below ``low`` or above ``high``, as the part ``outside``."""
    x = _wide(value)
    outside = (x < low).logical_or_(x > high)
    # torch widens each Boolean for its sum, at ten times the cost.
    count: Part = float(np.count_nonzero(outside.numpy())) if x.is_cpu else outside.sum()
    return Measured(1, x.numel(), 1, (), 0, {"outside": count})


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


def _numbers(part: Tensor) -> Part:
    found: Part = part.tolist() if part.is_cpu else part
    return found


def _wide(value: Tensor) -> Tensor:
    x = value.detach()
    return x.float() if x.dtype in _NARROW else x


def _lengths(x: Tensor, axis: int | None) -> tuple[Tensor, Tensor, dict[str, Part]]:
    """The value, tamed where that is needed, its length along an axis or as a whole, and the parts that say so."""
    norms = torch.linalg.vector_norm(x, dim=axis)
    if x.is_cpu:
        found = norms.tolist()
        found = [found] if axis is None else found
        if _is_tame(found, x.numel() // len(found)):
            return x, norms, {"norms": found}
    x, parts = _tamed(x)
    norms = torch.linalg.vector_norm(x, dim=axis).reshape(-1)
    return x, norms, {**parts, "norms": _numbers(norms)}


def _is_tame(lengths: list[float], columns: int) -> bool:
    """Whether the squares behind these lengths of rows neither overflowed nor vanished."""
    least = _SMALL * math.sqrt(columns)
    if min(lengths) > least:
        return sum(lengths) < _LARGE  # NaN fails every comparison
    return all(length == 0.0 or least < length < _LARGE for length in lengths) and any(lengths)


def _tamed(x: Tensor) -> tuple[Tensor, dict[str, Part]]:
    """The value with zeros where it is not finite, divided by its largest magnitude, and the parts that say so."""
    finite = torch.isfinite(x)
    x = torch.where(finite, x, 0)
    low, high = torch.aminmax(x)
    top = torch.maximum(low.abs(), high.abs())
    scale = torch.where(top > 0, top, 1)
    return x / scale, {"scale": _numbers(scale), "broken": _numbers(x.numel() - finite.sum())}


def _units(x: Tensor, units: int) -> dict[str, Part]:
    """How many units are dead, and how many the same as an earlier one.

    Equal units have equal ends everywhere; on the CPU those that have in a part of the batch are compared entry by
    entry. Elsewhere the ends and the sum of each unit in the whole batch decide, when they are fetched.
    """
    if x.dim() == 1:
        return {"dead": _numbers((x == 0).all())}
    if not x.is_cpu:
        rows = x.movedim(units, 0).flatten(1)
        return {"unit_low": rows.amin(1), "unit_high": rows.amax(1), "unit_along": rows.sum(1).unsqueeze(0)}
    axes = [axis for axis in range(x.dim()) if axis != units]
    part = x[: -(-_LOOKED_AT * x.shape[0] * x.shape[units] // x.numel())]
    ends = _shrunk(part, torch.amax).amax(axes).numpy()
    highest = np.sort(ends)
    if highest.all() and (highest[1:] != highest[:-1]).all():
        return {}
    return _alike(x.movedim(units, 0), _shrunk(part, torch.amin).amin(axes).numpy(), ends)


def _shrunk(part: Tensor, end: Callable[..., Tensor]) -> Tensor:
    """Its ends over the samples first: then the rest lies side by side, which is 4 times as fast in small maps."""
    return part if len(part) == 1 else end(part, 0, keepdim=True)


def _alike(by_unit: Tensor, low: Any, high: Any) -> dict[str, Part]:
    """Of units with these ends in a part of the batch, how many are dead or equal on the whole of it."""
    order = np.lexsort((low, high))
    low, high = low[order], high[order]
    same = (low[1:] == low[:-1]) & (high[1:] == high[:-1])
    doubtful = (low == 0) & (high == 0)
    doubtful[1:] |= same
    doubtful[:-1] |= same
    if not doubtful.any():
        return {}
    rows = by_unit[torch.from_numpy(order[doubtful])].reshape(int(doubtful.sum()), -1) + 0.0  # -0 is 0
    alive = rows.numpy()[(rows != 0).any(1).numpy()]
    different = len({row.tobytes() for row in alive})
    return {"dead": float(len(rows) - len(alive)), "equal": float(len(alive) - different)}


def _directions(flat: Tensor, shape: tuple[int, ...]) -> dict[str, Part]:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    if torch.is_autocast_enabled(flat.device.type):
        with torch.autocast(flat.device.type, enabled=False):
            return _directions(flat, shape)
    rows = _spread(flat[:GRAM_ROWS])
    parts: dict[str, Part] = {"gram": _numbers(rows @ rows.T)}
    if len(shape) == 3:
        few = min(GRAM_ROWS, max(_TOKENS // max(flat.shape[1], 1), 2))
        step = max(few * shape[1] // max(_TOKENS // shape[2], few * _PAIRED), 1)
        tokens = flat[:few].view(-1, *shape[1:])[:, ::step]
        lengths = torch.linalg.vector_norm(tokens, dim=2)
        alive = lengths > 0
        shares = torch.where(alive, lengths, 1).reciprocal() * alive
        sums = torch.bmm(shares.unsqueeze(1), tokens)
        parts["resultants"] = _numbers(torch.linalg.vector_norm(sums, dim=(1, 2)))
        parts["alive"] = _numbers(alive.sum(1))
    return parts


def _spread(rows: Tensor) -> Tensor:
    """Of long rows, blocks of neighbours that are evenly spaced."""
    count, step = _blocks(rows.shape[1])
    if step < 2:
        return rows
    by_row, by_entry = rows.stride()
    picked = rows.as_strided((len(rows), count, _BLOCK), (by_row, step * _BLOCK * by_entry, by_entry))
    return picked.reshape(len(rows), -1)


@lru_cache(maxsize=1024)
def _blocks(columns: int) -> tuple[int, int]:
    """How many blocks of a row are taken, one in how many; no period of a row's length has a part that is never met.

    Example:
        >>> _blocks(65536)      # one block in 33, since 32 would meet the same 16 features of 256 in every token
        (124, 33)
    """
    whole, step = columns // _BLOCK, columns // _LONGEST
    while step > 1 and math.gcd(step, whole) > 1:
        step += 1
    return whole // max(step, 1), step


def _counts(x: Tensor, norms: Tensor, broken: Part | None) -> Part:
    size = x.numel() - (0 if broken is None or isinstance(broken, list) else broken)
    reach = HISTOGRAM_REACH * torch.sqrt(norms.square().sum() / torch.as_tensor(size, device=x.device).clamp(min=1))
    inside = (x / torch.where(reach > 0, reach, 1)).clamp(-1.0, 1.0)
    return _numbers(torch.histc(inside, BINS, -1.0, 1.0))
