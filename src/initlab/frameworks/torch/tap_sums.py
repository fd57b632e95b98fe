"""The sums of a value over a batch, by torch, on the value's own device: what ``core.sums`` says, in few passes.

Measuring leaves small tensors where the value is; ``finished`` fetches those of all values at once, so that a report
waits for the device once. On the CPU looking costs nothing, and rare cases (numbers that are not finite, squares that
would overflow, units that may be equal) are looked at only where they occur; elsewhere they are always reckoned with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from initlab.core.sums import HISTOGRAM_REACH
from initlab.core.taps import BINS, GRAM_ROWS, Sums, WeightGradient

_NARROW = (torch.float16, torch.bfloat16)
_SMALL, _LARGE = 1e-12, 1e15  # between them the squares of a million float32 numbers neither vanish nor overflow
_LONGEST = 1 << 14  # entries of a sample that enter its cosines
_BLOCK = 64
_LOOKED_AT = 64  # rows in which units are first compared
_NAN = float("nan")

Numbers = Mapping[str, NDArray[np.float64]]
Part = Tensor | float | list[Any]


class Measured(NamedTuple):
    """The sums of one value before they are fetched.

    Attributes:
        rows: Samples.
        entries: Numbers in all.
        units: Channels or features.
        shape: Samples first.
        axis: The axis of units.
        parts: Small tensors by what they hold; on the CPU their numbers, for small blocks of memory between the large
            ones of a pass would keep the large ones from being joined when they are free (peak memory 1.3 times as
            high in a transformer).
    """

    rows: int
    entries: int
    units: int
    shape: tuple[int, ...]
    axis: int
    parts: Mapping[str, Part]


def measure(
    value: Tensor, *, units: int = -1, whole: bool = True, is_softmax: bool = False, histogram: bool = False
) -> Measured:
    """The sums of a value, still on its device.

    Args:
        value: Real numbers, samples along axis 0, rank 1 or more and not empty; it is not changed.
        units: The axis of channels or features.
        whole: Whether to look at samples, tokens and units as well, and for zeros; else at the size alone.
        is_softmax: Whether the last axis holds shares that add up to 1.
        histogram: Whether to count entries.
    """
    shape = tuple(value.shape)
    flat, parts = _tamed(_wide(value).reshape(shape[0], -1))
    norms = torch.linalg.vector_norm(flat, dim=1)
    parts["norms"], parts["sum"] = norms, flat.sum()
    if whole:
        x = flat.view(shape)
        parts["nonzero"] = _nonzero(flat)
        parts |= _units(x, units)
        parts |= _directions(x, flat)
    if is_softmax:
        parts["entropy"] = torch.special.entr(flat).sum()
    if histogram:
        parts["counts"] = _counts(flat, norms, parts.get("broken"))
    rank = len(shape)
    return Measured(shape[0], flat.numel(), 1 if rank == 1 else shape[units], shape, units % rank, _settled(parts))


def measure_squares(value: Tensor, *, units: int = -1, histogram: bool = False) -> Measured:
    """The mean square of a value and its spread over the samples, and nothing else: one look at each entry.

    Args:
        value: As in ``measure``.
        units: The axis of channels or features.
        histogram: Whether to count entries.
    """
    shape = tuple(value.shape)
    flat = _wide(value).reshape(shape[0], -1)
    norms = torch.linalg.vector_norm(flat, dim=1)
    parts: dict[str, Part] = {}
    if not _is_tame(norms, flat.shape[1]):
        flat, parts = _tamed(flat)
        norms = torch.linalg.vector_norm(flat, dim=1)
    parts["norms"] = norms
    if histogram:
        parts["counts"] = _counts(flat, norms, parts.get("broken"))
    rank = len(shape)
    return Measured(shape[0], flat.numel(), 1 if rank == 1 else shape[units], shape, units % rank, _settled(parts))


def _is_tame(norms: Tensor, columns: int) -> bool:
    """Whether the squares behind these lengths of rows neither overflowed nor vanished; elsewhere it is not looked."""
    if norms.device.type != "cpu":
        return False
    lengths: list[float] = norms.tolist()
    least = _SMALL * math.sqrt(columns)
    return all(length == 0.0 or least < length < _LARGE for length in lengths) and any(lengths)


def measure_weight(gradient: Tensor) -> Measured:
    """The sums of the gradient by a parameter; one kept as rows of a table counts with its zeros."""
    entries = gradient.numel()
    x = _wide(gradient.coalesce().values() if gradient.is_sparse else gradient)
    if x.is_complex():
        x = torch.view_as_real(x)
    if x.numel() == 0:
        return Measured(1, entries, 1, (), 0, {})
    x, parts = _tamed(x)
    parts["norms"] = torch.linalg.vector_norm(x).unsqueeze(0)
    return Measured(1, entries, 1, (), 0, _settled(parts))


def measure_outside(value: Tensor, low: float, high: float) -> Measured:
    """How many entries are below ``low`` or above ``high``, as the part ``count``."""
    x = _wide(value)
    return Measured(1, x.numel(), 1, (), 0, _settled({"count": (x < low).sum() + (x > high).sum()}))


def _settled(parts: dict[str, Part]) -> Mapping[str, Part]:
    return {name: _numbers(part) if isinstance(part, Tensor) else part for name, part in parts.items()}


def _numbers(part: Tensor) -> Part:
    found: Part = part.tolist() if part.device.type == "cpu" else part
    return found


def _nonzero(flat: Tensor) -> Part:
    # torch's count_nonzero branches at each entry, 20 times as slow on half zeros, and its sum of Booleans widens each.
    is_other = flat.bool()
    return float(np.count_nonzero(is_other.numpy())) if flat.device.type == "cpu" else is_other.sum()


def _wide(value: Tensor) -> Tensor:
    x = value.detach()
    return x.float() if x.dtype in _NARROW else x


def _tamed(x: Tensor) -> tuple[Tensor, dict[str, Part]]:
    """The value with zeros where it is not finite, of a size whose squares are numbers, and the parts that say so."""
    if x.device.type == "cpu":
        least, most = x.amin().item(), x.amax().item()  # 2/3 of the time of aminmax
        largest = max(-least, most)  # NaN in both fails every comparison below
        if largest == 0 or _SMALL < largest < _LARGE or (x.dtype == torch.float64 and largest < 1e100):
            return x, {"low": least, "high": most}
    finite = torch.isfinite(x)
    x = torch.where(finite, x, 0)
    low, high = torch.aminmax(x)
    top = torch.maximum(low.abs(), high.abs())
    scale = torch.where(top > 0, top, 1)
    return x / scale, {"low": low, "high": high, "scale": scale, "broken": x.numel() - finite.sum()}


def _units(x: Tensor, units: int) -> dict[str, Part]:
    """How many units are dead, and how many the same as an earlier one.

    Equal units have equal ends everywhere; on the CPU those that have in a part of the batch are compared entry by
    entry. Elsewhere the ends and the sum of each unit in the whole batch decide, when they are fetched.
    """
    rank = x.dim()
    if rank == 1:
        return {"dead": (x == 0).all()}
    by_unit = x.movedim(units, 0)
    if x.device.type != "cpu":
        rows = by_unit.flatten(1)
        return {"unit_low": rows.amin(1), "unit_high": rows.amax(1), "unit_sums": rows.sum(1)}
    is_last = units % rank == rank - 1
    part = x.reshape(-1, x.shape[-1])[:_LOOKED_AT] if is_last else by_unit[:, 0].flatten(1)
    axis = 0 if is_last else 1
    ends = part.amax(axis)
    highest = np.sort(ends.numpy())
    if highest.all() and (highest[1:] != highest[:-1]).all():
        return {}
    low, high = part.amin(axis).numpy(), ends.numpy()
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


def _directions(x: Tensor, flat: Tensor) -> dict[str, Part]:
    """What cosines need: the Gram matrix of the samples, and the length of the sum of each sample's unit tokens.

    The mean cosine of n different unit vectors is ``(|sum|^2 - n) / (n (n - 1))``, so no pair is looked at.
    """
    if torch.is_autocast_enabled(x.device.type):
        with torch.autocast(x.device.type, enabled=False):
            return _directions(x, flat)
    rows = _spread(flat[:GRAM_ROWS])
    parts: dict[str, Part] = {"gram": rows @ rows.T}
    if x.dim() == 3:
        tokens = x[: min(GRAM_ROWS, max(_LONGEST // max(x[0].numel(), 1), 2))]
        lengths = torch.linalg.vector_norm(tokens, dim=2)
        alive = lengths > 0
        shares = torch.where(alive, lengths, 1).reciprocal() * alive
        parts["resultants"] = torch.linalg.vector_norm(torch.bmm(shares.unsqueeze(1), tokens), dim=(1, 2))
        parts["alive"] = alive.sum(1)
    return parts


def _spread(rows: Tensor) -> Tensor:
    """Of long rows, blocks of neighbours that are evenly spaced."""
    step = rows.shape[1] // _LONGEST
    if step < 2:
        return rows
    blocks = rows.shape[1] // (_BLOCK * step)
    picked = rows[:, : blocks * step * _BLOCK].unflatten(1, (blocks, step, _BLOCK))[:, :, 0]  # type: ignore[no-untyped-call]
    return picked.reshape(len(rows), -1)  # type: ignore[no-any-return]


def _counts(x: Tensor, norms: Tensor, broken: Part | None) -> Tensor:
    size = (x.numel() - broken).clamp(min=1) if isinstance(broken, Tensor) else x.numel()
    reach = HISTOGRAM_REACH * torch.sqrt(norms.square().sum() / size)
    inside = (x / torch.where(reach > 0, reach, 1)).clamp(-1.0, 1.0)
    return torch.histc(inside, BINS, -1.0, 1.0)


# Fetched


def fetched(measured: Sequence[Measured]) -> list[Numbers]:
    """The parts of each value as float64 arrays: one transfer for all that are on a device."""
    away = [part for one in measured for part in one.parts.values() if isinstance(part, Tensor)]
    at, whole = 0, np.empty(0)
    if away:
        dtype = torch.float32 if away[0].device.type == "mps" else torch.float64
        whole = torch.cat([part.reshape(-1).to(away[0].device, dtype) for part in away]).cpu().double().numpy()
    found: list[Numbers] = []
    for one in measured:
        parts = {}
        for name, part in one.parts.items():
            if isinstance(part, Tensor):
                parts[name] = whole[at : at + part.numel()].reshape(part.shape)
                at += part.numel()
            else:
                parts[name] = np.array(part, np.float64)
        found.append(parts)
    return found


def sums(one: Measured, numbers: Numbers, *, saturated: float | None = None) -> Sums:
    """The record of one value.

    Args:
        one: The value's sums.
        numbers: Their parts, fetched.
        saturated: Entries beyond the range in which the activation that takes the value has a slope.
    """
    broken = int(numbers.get("broken", _ZERO))
    count = one.entries - broken
    scale = float(numbers.get("scale", _ONE))
    by_row = (numbers["norms"] * scale) ** 2
    gram = numbers.get("gram")
    dead, equal = _dead_and_equal(numbers)
    return Sums(
        rows=one.rows,
        entries=one.entries,
        units=one.units,
        mean=float(numbers["sum"]) * scale / count if count and "sum" in numbers else _NAN,
        square=float(by_row.sum()) / count if count else _NAN,
        square_error=_error(by_row, one),
        largest=_largest(numbers),
        broken=broken,
        zeros=(count - float(numbers["nonzero"])) / count if count and "nonzero" in numbers else _NAN,
        dead_units=dead,
        equal_units=equal,
        cosine=_NAN if gram is None else _cosine(gram),
        token_cosine=_token_cosine(numbers),
        rank=_NAN if gram is None else _rank(gram),
        saturated=saturated / count if saturated is not None and count else _NAN,
        entropy=_entropy(one, numbers),
        counts=_histogram(numbers, broken),
    )


def weight_gradient(one: Measured, numbers: Numbers) -> WeightGradient:
    """The record of a parameter's gradient."""
    if "norms" not in numbers:
        return WeightGradient(0.0, 0.0, 0)
    broken = int(numbers.get("broken", _ZERO))
    count = one.entries - broken
    square = float((numbers["norms"][0] * float(numbers.get("scale", _ONE))) ** 2)
    return WeightGradient(square / count if count else _NAN, _largest(numbers), broken)


_ZERO, _ONE = np.zeros(()), np.ones(())


def _largest(numbers: Numbers) -> float:
    return max(-float(numbers["low"]), float(numbers["high"]), 0.0) if "low" in numbers else _NAN


def _dead_and_equal(numbers: Numbers) -> tuple[int, int]:
    if "unit_sums" not in numbers:
        return int(numbers.get("dead", _ZERO)), int(numbers.get("equal", _ZERO))
    keys = np.column_stack([numbers["unit_low"], numbers["unit_high"], numbers["unit_sums"]])
    alive = keys[(keys[:, :2] != 0).any(axis=1)]
    return len(keys) - len(alive), len(alive) - len(np.unique(alive, axis=0))


def _error(by_row: NDArray[np.float64], one: Measured) -> float:
    n = one.rows
    if n < 2:
        return _NAN
    apart = by_row - by_row.sum() / n
    return math.sqrt(float(apart @ apart) / (n * (n - 1))) * n / one.entries


def _cosine(gram: NDArray[np.float64]) -> float:
    squares = np.diagonal(gram)
    alive = squares > 0
    n = int(alive.sum())
    if n < 2:
        return _NAN
    shares = alive / np.sqrt(np.where(alive, squares, 1.0))
    return (float(shares @ gram @ shares) - n) / (n * (n - 1))


def _rank(gram: NDArray[np.float64]) -> float:
    whole = float(np.vdot(gram, gram))
    return float(np.trace(gram)) ** 2 / whole if whole > 0 else _NAN


def _token_cosine(numbers: Numbers) -> float:
    if "alive" not in numbers:
        return _NAN
    n, length = numbers["alive"], numbers["resultants"]
    known = n > 1
    return float(((length**2 - n)[known] / (n * (n - 1))[known]).mean()) if known.any() else _NAN


def _entropy(one: Measured, numbers: Numbers) -> float:
    places = one.shape[-1] if one.shape else 0
    if "entropy" not in numbers or places < 2:
        return _NAN
    scale = float(numbers.get("scale", _ONE))
    # entr(p / s) = (entr(p) + p log s) / s
    whole = float(numbers["entropy"]) * scale - float(numbers["sum"]) * scale * math.log(scale)
    return whole / (one.entries / places) / math.log(places)


def _histogram(numbers: Numbers, broken: int) -> NDArray[np.int64]:
    if "counts" not in numbers:
        return np.empty(0, np.int64)
    counts = np.rint(numbers["counts"]).astype(np.int64)
    counts[BINS // 2] -= broken  # they were put to 0
    return counts
