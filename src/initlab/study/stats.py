"""How sure a difference between schemes is: intervals for means, and one paired test over all pairs of schemes.

Why these, and what others would cost, is told in ``docs/design/statistics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from initlab.study.records import Estimate, Pair
from initlab.study.signflips import ROUNDING, flip_test


def interval(
    values: Sequence[float], *, level: float = 0.95, bounds: tuple[float, float] | None = None
) -> tuple[float, float] | None:
    """Student's interval for the mean: ``mean ± t * s / sqrt(n)`` with n - 1 degrees of freedom.

    The plain t-interval is kept for accuracies too: Wilson's would sample test rows where seeds are sampled, and a
    logit breaks on 0 and 1. Close to 1 it may reach past the range a mean can have; with ``bounds`` it is cut there,
    which changes no coverage, as what is cut off cannot be the mean.

    Args:
        values: One finite number a seed.
        level: Coverage, in (0, 1).
        bounds: The range that a mean can have, e.g. ``(0.0, 1.0)`` for accuracies.

    Returns:
        Lower and upper end; of zero width where all values are equal; None for fewer than two values.

    Example:
        >>> interval([1.0, 2.0, 3.0])         # 2 ± 4.3027 * 1 / sqrt(3)
        (-0.484..., 4.484...)
        >>> interval([0.9, 1.0, 1.0], bounds=(0.0, 1.0))
        (0.823..., 1.0)
        >>> interval([0.3]) is None
        True
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return float(values[0]), float(values[0])
    sample = np.asarray(values, dtype=np.float64)
    half = float(stdtrit(sample.size - 1, (1 + level) / 2)) * float(sample.std(ddof=1)) / math.sqrt(sample.size)
    low, high = mean_of(values) - half, mean_of(values) + half
    return (low, high) if bounds is None else (max(low, bounds[0]), min(high, bounds[1]))


def mean_of(values: Sequence[float]) -> float:
    """The mean, the same for any order of the values, and never outside them.

    Example:
        >>> mean_of([0.1] * 3), mean_of([0.7, 0.1, 0.7]) == mean_of([0.7, 0.7, 0.1])
        (0.1, True)
    """
    return min(max(math.fsum(values) / len(values), min(values)), max(values))


def estimate(per_seed: Sequence[float | None], *, bounds: tuple[float, float] | None = None) -> Estimate:
    """The mean over the seeds that have a finite value, with its 95 % t-interval.

    Args:
        per_seed: A value a seed; None or a number that is not finite where a seed has none.
        bounds: As in ``interval``.

    Example:
        >>> estimate([1.0, None, 3.0]).mean
        2.0
    """
    kept = tuple(value if value is not None and math.isfinite(value) else None for value in per_seed)
    finite = [value for value in kept if value is not None]
    if not finite:
        return Estimate(None, None, None, kept)
    low, high = interval(finite, bounds=bounds) or (None, None)
    return Estimate(mean_of(finite), low, high, kept)


def smallest_p(seeds: int) -> float:
    """The smallest p that a two-sided paired test can give: the same winner in every seed, ``2 / 2^seeds``.

    Example:
        >>> smallest_p(3), smallest_p(5), smallest_p(6)
        (0.25, 0.0625, 0.03125)
    """
    return min(1.0, 2.0 ** (1 - seeds))


def fewest_seeds(level: float = 0.95) -> int:
    """The smallest number of seeds whose ``smallest_p`` is at most ``1 - level``.

    Example:
        >>> fewest_seeds()
        6
    """
    seeds = 1
    while smallest_p(seeds) > 1 - level:
        seeds += 1
    return seeds


def compare_pairs(
    scores: NDArray[np.float64], *, names: Sequence[str], level: float = 0.95, resolution: float = 0.0
) -> tuple[Pair, ...]:
    """All pairs of schemes, with p values and intervals that hold for all pairs at once.

    The p values are those of the max-T sign-flip test of ``study.signflips``, exact up to 16 seeds, from 32,768 fixed
    sign patterns beyond; the intervals hold every shift of a pair's differences that this test does not reject. So p is
    at most 5 % just where the interval leaves out 0, with one exception: scores on a grid of ``resolution`` hide a
    spread of up to ``resolution / sqrt(6)`` in a difference (two rounding errors, each uniform on a step), and no
    interval is shorter than Student's with that spread and Bonferroni's correction. Equal differences on every seed so
    have a small p, and an interval whose width is not zero.

    A pair with a run that diverged has no differences to take a mean of on those seeds. Its test is that of the signed
    ranks of its differences: to diverge where the other finished is the largest of them, two runs that diverged differ
    by 0. Its ``difference`` is that of the seeds where both finished, and it has no interval.

    Args:
        scores: (schemes, seeds); more is better; NaN where a run is missing, which leaves that seed out of its pairs;
            ``-inf`` where a run diverged.
        names: A name a scheme, in the order of the rows.
        level: Simultaneous coverage of the intervals; ``1 - level`` is the family-wise error of the test.
        resolution: The step between two neighbouring scores, e.g. 1/30 for an accuracy on 30 rows; 0 where there is
            none.

    Returns:
        The pairs (0, 1), (0, 2), ... (1, 2), ...; p and interval are None where the seeds are fewer than
        ``fewest_seeds(level)``; the interval is None too where it would be endless, or of zero width.

    Example:
        >>> same_winner = np.array([[0.9, 0.8, 0.9, 0.9, 0.8, 0.9], [0.3] * 6])
        >>> (pair,) = compare_pairs(same_winner, names=("a", "b"))
        >>> pair.p, pair.wins                 # the pattern seen and its mirror image, of 2^6
        (0.03125, 6)
    """
    sides = list(combinations(range(len(names)), 2))
    first, second = [i for i, _ in sides], [j for _, j in sides]
    named = [(names[i], names[j]) for i, j in sides]
    return compare_rows(scores[first], scores[second], names=named, level=level, resolution=resolution)


def compare_rows(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    names: Sequence[tuple[str, str]],
    level: float = 0.95,
    resolution: float = 0.0,
) -> tuple[Pair, ...]:
    """Row against row, seed by seed, with p values and intervals that hold for all rows at once.

    Args:
        first: (rows, seeds); more is better; NaN where a run is missing, ``-inf`` where it diverged.
        second: The same.
        names: What stands in a row on either side.
        level: As in ``compare_pairs``.
        resolution: As in ``compare_pairs``.

    Example:
        >>> (pair,) = compare_rows(np.full((1, 6), 0.9), np.full((1, 6), 0.3), names=[("he", "zeros")])
        >>> pair.p, pair.wins
        (0.03125, 6)
    """
    differences = np.array([_difference(a, b) for a, b in zip(first, second, strict=True)]).reshape(first.shape)
    ended = np.array([np.isneginf(first), np.isneginf(second)]).any(axis=0)
    diverged: NDArray[np.bool_] = np.logical_and(ended, ~np.isnan(differences))
    tests = np.where(np.any(diverged, axis=1, keepdims=True), signed_ranks(differences), differences)
    enough = np.isfinite(tests).sum(axis=1) >= fewest_seeds(level)
    shown = np.isfinite(tests[enough]).any(axis=0)  # a seed that no row has is no seed: fewer are flipped exactly
    tested = iter(flip_test(tests[enough][:, shown], level=level))
    pairs = []
    for (one, other), d, lost, test, testable in zip(names, differences, diverged, tests, enough, strict=True):
        p, ends = None, None
        if testable:
            p, *found = next(tested)
            share = (1 - level) / len(names)
            ends = None if lost.any() else _widen(found, d[np.isfinite(d)], share=share, resolution=resolution)
        pairs.append(pair_of(one, other, d[~np.isnan(d)], lost[~np.isnan(d)], p=p, ends=ends, lead=_lead(test)))
    return tuple(pairs)


def _lead(tested: NDArray[np.float64]) -> float:
    """The sum of a row, 0 where that is rounding alone."""
    total = float(np.nansum(tested))
    return 0.0 if abs(total) <= ROUNDING * float(np.nansum(np.abs(tested))) else total


def signed_ranks(differences: NDArray[np.float64]) -> NDArray[np.float64]:
    """Row by row each difference's sign times the rank of its size; equal sizes share their mean rank.

    Zeros keep 0 and have no rank (Wilcoxon 1945, doi:10.2307/3001968), NaN stays; infinite ones are the largest.

    Example:
        >>> signed_ranks(np.array([[0.2, -0.1, 0.0, np.inf, np.nan, -np.inf]])).tolist()
        [[2.0, -1.0, 0.0, 3.5, nan, -3.5]]
    """
    return np.array([_signed_ranks(row) for row in differences], dtype=np.float64).reshape(differences.shape)


def _signed_ranks(row: NDArray[np.float64]) -> NDArray[np.float64]:
    ranked = np.where(np.isnan(row), np.nan, 0.0)
    counted = ~np.isnan(row) & (row != 0)
    sizes, order = np.unique(np.abs(row[counted]), return_inverse=True)
    if sizes.size:
        # Sizes that differ by rounding only are one.
        apart = np.append(True, ~np.isclose(sizes[1:], sizes[:-1], rtol=ROUNDING, atol=0.0))
        groups = (np.cumsum(apart) - 1)[order]
        counts = np.bincount(groups)
        ranked[counted] = np.sign(row[counted]) * (np.cumsum(counts) - (counts - 1) / 2)[groups]
    return ranked


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """First minus second; scores that differ by rounding only are equal, or their sign would be counted as a win."""
    with np.errstate(invalid="ignore"):
        difference: NDArray[np.float64] = first - second
    difference[np.isclose(first, second, rtol=ROUNDING, atol=0.0)] = 0.0
    return difference


def _widen(
    found: Sequence[float], values: NDArray[np.float64], *, share: float, resolution: float
) -> tuple[float, float] | None:
    """The interval, no shorter than what the resolution of the scores hides; None if endless, or of no width at all."""
    mean = mean_of(values.tolist())
    half = float(stdtrit(values.size - 1, 1 - share / 2)) * resolution / math.sqrt(6 * values.size)
    low, high = min(found[0], mean - half), max(found[1], mean + half)
    finite = math.isfinite(low) and math.isfinite(high)
    return (low, high) if finite and high - low > ROUNDING * abs(mean) else None


def pair_of(
    first: str,
    second: str,
    values: NDArray[np.float64],
    diverged: NDArray[np.bool_],
    *,
    p: float | None,
    ends: tuple[float, float] | None,
    lead: float,
) -> Pair:
    """Two schemes by the seeds that both have.

    Args:
        first: A scheme.
        second: Another.
        values: Differences, infinite where one diverged.
        diverged: Where one did, or both.
        p: Of the pair.
        ends: Its interval.
        lead: What was tested, summed: 0 where it is rounding alone.
    """
    low, high = (None, None) if ends is None else ends
    finished = values[~diverged]
    return Pair(
        first=first,
        second=second,
        difference=mean_of(finished.tolist()) if finished.size else math.nan,
        low=low,
        high=high,
        p=p,
        wins=int(np.sum(values > 0)),
        losses=int(np.sum(values < 0)),
        ties=int(np.sum(values == 0)),
        diverged=int(diverged.sum()),
        ahead=1 if lead > 0 else -1 if lead < 0 else 0,
    )
