"""Whether numbers are a draw from a law: each test says by how much they miss it, in standard errors.

All tests hold their level for every size. The Kolmogorov-Smirnov distance is judged by the inequality of Dvoretzky,
Kiefer and Wolfowitz with Massart's constant (1990), ``P(D > d) <= 2 exp(-2 n d^2)``, which is exact in no case and
true in all of them, rounded numbers included. The deviation is taken around the law's own mean, and its square is
read as a chi-square, cube-rooted after Wilson and Hilferty (1931).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from initlab.auditing.grids import Grid, Values
from initlab.auditing.measures import (
    MOST,
    Moments,
    Sample,
    broken_entries,
    excess_kurtosis,
    moments,
    orthogonal_tolerance,
    orthogonality,
    std_errors,
)
from initlab.core.draws.streams import stream
from initlab.core.laws import Arranged, Blocks, DeltaOrthogonal, Law, Orthogonal, Shape, Sparse
from initlab.core.laws import Normal as NormalLaw
from initlab.probing.measure.weights import equal_rows

Kind = Literal["not finite", "value", "bounds", "mean", "std", "family", "zeros", "orthogonality", "unknown law"]

# Families that make no number twice, and entries of a row that are never equal by chance, in bfloat16 either.
_CONTINUOUS = frozenset({"normal", "uniform", "truncated_normal"})
_LONG = 8

TESTS = 3  # mean, std and family: what chance can fail


@dataclass(frozen=True)
class Miss:
    """One way in which numbers are not what was declared.

    Attributes:
        kind: Which test failed.
        words: What is there, and what should be.
        errors: By how many standard errors; infinite where chance cannot do it.
    """

    kind: Kind
    words: str
    errors: float = math.inf


@dataclass(frozen=True)
class Level:
    """How far off chance may put a draw.

    Attributes:
        errors: Standard errors that are allowed.
        share: Share of the entries that count as evidence, in (0, 1]; below 1 where the law itself was estimated.
        excess: Excess kurtosis of numbers whose family is not known, and is not tested; None where the law tells it.
    """

    errors: float = 4.0
    share: float = 1.0
    excess: float | None = None

    @property
    def distance(self) -> float:
        """The least ``sqrt(n) D`` of the family test as improbable as that many standard errors."""
        return math.sqrt(-0.5 * math.log(0.5 * math.erfc(self.errors / math.sqrt(2.0))))


def family_wise(errors: float, tests: int, *, chance: float) -> float:
    """Standard errors at which ``tests`` tests of healthy numbers all pass but with probability ``chance``.

    Never fewer than ``errors``; Bonferroni's bound, so the tests may depend on each other.

    Example:
        >>> family_wise(4.0, 1, chance=1e-3), round(family_wise(4.0, 1000, chance=1e-3), 3)
        (4.0, 4.892)
    """
    return max(errors, -NormalDist().inv_cdf(0.5 * chance / max(tests, 1)))


def parts_of(law: Law, values: Values) -> Iterator[tuple[Law, Values]]:
    """The parts of a tensor that have a law of their own: blocks, and slices of stacked kernels."""
    if isinstance(law, Blocks):
        starts = np.cumsum((0, *law.sizes))
        for part, start, size in zip(law.parts, starts, law.sizes, strict=False):
            region = (slice(None),) * law.axis + (slice(int(start), int(start) + size),)
            yield from parts_of(part, values[region])
    elif isinstance(law, Arranged) and not law.elementwise:
        named = (*law.axes.batch, *law.axes.outputs, *law.axes.inputs)
        order = (*named, *(axis for axis in range(values.ndim) if axis not in named))
        slices = values.transpose(order).reshape(-1, *law.matrix(values.shape))
        for one in slices:
            yield from parts_of(law.law, one)
    elif isinstance(law, Arranged):
        yield law.law, values
    else:
        yield law, values


def is_random(law: Law, shape: Shape) -> bool:
    """Whether two draws differ."""
    if isinstance(law, Blocks):
        return any(is_random(part, shape) for part in law.parts)
    if isinstance(law, Arranged):
        return is_random(law.law, shape)
    low, high = law.bounds(shape)
    return law.family not in ("along", "constant", "identity", "dirac") and low != high


def random_parts(law: Law, shape: Shape) -> int:
    """How many parts of a tensor chance decides: each of them costs ``TESTS`` tests."""
    whole = np.broadcast_to(np.float32(0.0), shape)
    return sum(is_random(part, values.shape) for part, values in parts_of(law, whole))


def misses(values: Values, law: Law, *, grid: Grid, level: Level) -> list[Miss]:
    """Every way in which the numbers are not a draw from the law, the worst first; none where they may be.

    Args:
        values: In the canonical layout.
        law: What was declared.
        grid: The type they are stored in.
        level: How far off chance may put them.

    Example:
        >>> from initlab.core.laws.draw import draw
        >>> from initlab.auditing.grids import grid_of
        >>> x = draw(NormalLaw(0.02), (64, 64), seed=0)
        >>> misses(x, NormalLaw(0.02), grid=grid_of(x), level=Level())
        []
        >>> misses(x, NormalLaw(0.03), grid=grid_of(x), level=Level())[0].words
        'std 0.02, declared 0.03'
    """
    broken = broken_entries(values)
    if broken:
        return [Miss("not finite", f"{broken} of {values.size} entries are NaN or infinite")]
    found: list[Miss] = []
    parts = [(part, x) for part, x in parts_of(law, values) if x.size]
    for number, (part, x) in enumerate(parts):
        where = f"block {number}: " if len(parts) > 1 else ""
        found += [replace(miss, words=where + miss.words) for miss in _part_misses(x, part, grid, level)]
    return sorted(found, key=lambda miss: -miss.errors)


def _part_misses(x: Values, law: Law, grid: Grid, level: Level) -> list[Miss]:
    if not is_random(law, x.shape):
        return _entry_misses(x, law, grid)
    if isinstance(law, Orthogonal):
        return _orthogonal(x, law, grid, level)
    if isinstance(law, DeltaOrthogonal):
        return _delta_orthogonal(x, law, grid, level)
    if isinstance(law, Sparse):
        return _sparse(x, law, grid, level)
    if not law.elementwise:
        return [Miss("unknown law", f"there is no test for the family '{law.family}'", 0.0)]
    return [*_repeats(x, law, level), *_independent(x.reshape(-1), law, x.shape, grid, level)]


# Laws without chance


def _entry_misses(x: Values, law: Law, grid: Grid) -> list[Miss]:
    """Entry by entry: such a law has one draw."""
    wanted = grid.rounded(np.asarray(law.draw(x.shape, stream(0, "")), np.float64))
    # A constant may have been rounded on its way through a type in between.
    off = np.abs(x - wanted) > 4.0 * max(grid.eps, 2.0**-24) * np.abs(wanted)
    wrong = int(np.count_nonzero(off))
    if not wrong:
        return []
    example = float(x[off].flat[0]), float(wanted[off].flat[0])
    share = "no entry is" if wrong == x.size else f"{wrong} of {x.size} entries are not"
    return [Miss("value", f"{share} {law}, e.g. {example[0]:.4g} for {example[1]:.4g}")]


# Laws of independent entries


def _independent(x: Values, law: Law, shape: Shape, grid: Grid, level: Level) -> list[Miss]:
    found = moments(x, law.mean(shape))
    return [
        *_bounds(found, law, shape, grid, level),
        *_std(found, law, shape, grid, level),
        *_mean(found, law, shape, grid, level),
        *_family(x, law, shape, grid, level),
    ]


def _repeats(x: Values, law: Law, level: Level) -> list[Miss]:
    """Rows that no draw makes: all of one number, such as zero, or equal to another, such as those of a copied head.

    What was locked may hold such rows: its law was read off the numbers.
    """
    long_enough = x.ndim > 1 and x.size >= _LONG * len(x)
    if law.family not in _CONTINUOUS or level.share < 1.0 or not long_enough:
        return []
    rows = x.reshape(len(x), -1)
    is_flat = (rows == rows[:, :1]).all(axis=1)
    flat = int(is_flat.sum())
    if flat == len(x):
        return []  # which the test of the std tells
    if flat:
        return [Miss("zeros", f"{flat} of {len(x)} rows hold one number, e.g. {float(rows[is_flat][0, 0]):.4g}")]
    same = equal_rows(x)
    return [Miss("value", f"{same} of {len(x)} rows are equal to another one")] if same else []


def _bounds(found: Moments, law: Law, shape: Shape, grid: Grid, level: Level) -> list[Miss]:
    low, high = law.bounds(shape)
    reach = max((abs(end) for end in (low, high) if math.isfinite(end)), default=0.0)
    slack = 4.0 * grid.eps * reach  # rounding, and a scale that was computed in the narrow type
    if level.share < 1.0:  # the ends were made from an estimated std
        slack += level.errors * reach / math.sqrt(2.0 * found.n * level.share)
    if low - slack <= found.low and found.high <= high + slack:
        return []
    beyond = found.low if found.low < low - slack else found.high
    return [Miss("bounds", f"{beyond:.4g} is outside {low:.4g} to {high:.4g}")]


def _std(found: Moments, law: Law, shape: Shape, grid: Grid, level: Level) -> list[Miss]:
    std = law.std(shape)
    excess = excess_kurtosis(law) if level.excess is None else level.excess
    errors = std_errors(found, std, excess=excess, share=level.share)
    ratio = math.sqrt(found.square) / std
    if abs(errors) <= level.errors or abs(ratio - 1.0) <= grid.slack:
        return []
    return [Miss("std", f"std {math.sqrt(found.square):.4g}, declared {std:.4g}", abs(errors))]


def _mean(found: Moments, law: Law, shape: Shape, grid: Grid, level: Level) -> list[Miss]:
    mean, std = law.mean(shape), law.std(shape)
    off = max(abs(found.mean - mean) - 2.0 * grid.slack * std, 0.0)
    errors = off / std * math.sqrt(found.n * level.share)
    return [Miss("mean", f"mean {found.mean:.4g}, declared {mean:.4g}", errors)] if errors > level.errors else []


def _family(x: Values, law: Law, shape: Shape, grid: Grid, level: Level, *, degrees: int | None = None) -> list[Miss]:
    n = min(x.size, MOST) if degrees is None else min(degrees, MOST)
    limit = level.distance
    if level.excess is not None or math.sqrt(n * level.share) <= limit:  # no distance is above 1
        return []
    distance = max(Sample(x, grid).distance(law, shape) - grid.slack, 0.0)
    # By the inequality sqrt(n) D passes 4 standard errors' improbability at 2.28, so the two scales are matched there.
    errors = math.sqrt(n * level.share) * distance / limit * level.errors
    if errors <= level.errors:
        return []
    return [Miss("family", f"not {law}: the distribution is off by {distance:.3g}", errors)]


# Laws of whole matrices


def _sparse(x: Values, law: Sparse, grid: Grid, level: Level) -> list[Miss]:
    matrix = x.reshape(x.shape[0], -1)
    axis = 1 if law.per == "unit" else 0
    wanted = round(law.share(x.shape) * matrix.shape[axis])
    zeros = np.count_nonzero(matrix == 0, axis=axis)
    if bool((zeros != wanted).any()):
        found = f"{int(zeros.min())} to {int(zeros.max())}" if zeros.min() != zeros.max() else f"{int(zeros[0])}"
        return [Miss("zeros", f"{found} zeros a {law.per}, declared {wanted} of {matrix.shape[axis]}")]
    rest = matrix[matrix != 0]
    return _independent(rest, NormalLaw(law.sigma), rest.shape, grid, level) if rest.size else []


def _orthogonal(x: Values, law: Orthogonal, grid: Grid, level: Level) -> list[Miss]:
    scale = law.scale(x.shape)
    off = orthogonality(x) if scale == 0 else orthogonality(x / scale)
    if off > orthogonal_tolerance(grid):
        side = "rows" if x.shape[0] <= prod(x.shape[1:]) else "columns"
        size = math.sqrt(moments(x).square * x.size / max(min(x.shape[0], x.size // x.shape[0]), 1))
        words = f"{side} are not orthogonal with norm {scale:.4g}: off by {off:.2g}, their norm is {size:.4g}"
        return [Miss("orthogonality", words)]
    small, large = sorted((x.shape[0], x.size // x.shape[0]))
    # Numbers that are free to choose: the constraints take the others.
    return _family(x, law, x.shape, grid, level, degrees=small * large - small * (small + 1) // 2)


def _delta_orthogonal(x: Values, law: DeltaOrthogonal, grid: Grid, level: Level) -> list[Miss]:
    centre = (slice(None), slice(None), *(k // 2 for k in x.shape[2:]))
    tap: NDArray[np.floating] = x[centre]
    outside = int(np.count_nonzero(x)) - int(np.count_nonzero(tap))
    if outside:
        return [Miss("zeros", f"{outside} entries outside the centre tap are not zero")]
    return _orthogonal(tap, Orthogonal(law.gain), grid, level)
