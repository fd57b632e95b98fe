"""What can be said of other data of the same size: differences over several splits, each with seeds of its own.

The mean over splits varies with the splits, and with the one set of rows that all of them come from, which more splits
do not make larger. Where a split's test rows are ``ratio`` times its training rows, S splits have the variance

    V = v * (1 / S + ratio)

with v the variance between the splits' means (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366, equation 9, of the
means of each split's seeds). Student's t with S - 1 degrees of freedom judges it, and Bonferroni's inequality all pairs
at once. The seeds' part of v is in the correction too, which errs to the safe side, and by less the more seeds a split
has; taking it out makes the estimate so uncertain that t no longer covers. ``docs/statistics.md`` shows both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from initlab.study.records import Estimate, Pair
from initlab.study.stats import estimate, pair_of, signed_ranks

FEWEST_SPLITS = 3
FEWEST_SEEDS = 3
"""Of a split: its spread is needed."""


class Spread(NamedTuple):
    """A mean over splits, the standard error of it, and the splits that have a value."""

    mean: float
    error: float
    splits: int


def spread_of(values: NDArray[np.float64], ratio: float, *, resolution: float = 0.0) -> Spread:
    """The mean of a quantity over splits and its standard error, by the formula above.

    Args:
        values: (splits, seeds of a split), NaN where missing; a split without a value is left out.
        ratio: Test rows by training rows of a split.
        resolution: The step between neighbouring scores, which hides a spread of ``resolution / sqrt(6)`` of a
            difference.

    Example:
        Means 1, 2, 3, so v = 1, and V = 1 / 3 + 0.25:

        >>> spread_of(np.array([[0.0, 2.0], [1.0, 3.0], [2.0, 4.0]]), 0.25)
        Spread(mean=2.0, error=0.763..., splits=3)
    """
    rows = [row[np.isfinite(row)] for row in values]
    rows = [row for row in rows if row.size]
    if not rows:
        return Spread(math.nan, math.nan, 0)
    means = np.array([row.mean() for row in rows])
    if len(rows) < 2:
        return Spread(float(means.mean()), math.nan, len(rows))
    hidden = resolution**2 / 6 / (len(values[0]) * len(rows))
    variance = max(float(means.var(ddof=1)) * (1 / len(rows) + ratio), hidden)
    return Spread(float(means.mean()), math.sqrt(variance), len(rows))


def split_estimate(
    scores: Sequence[float], *, splits: int, ratio: float, bounds: tuple[float, float] | None = None
) -> Estimate:
    """The mean over splits of one scheme's scores, with its 95 % interval for other data of this size.

    Args:
        scores: One a run, split by split; infinite or NaN where there is none.
        splits: How many.
        ratio: As in ``spread_of``.
        bounds: The range that a mean can have.
    """
    found = estimate(list(scores), bounds=bounds)
    values = np.array(found.per_seed, dtype=np.float64).reshape(splits, -1)
    mean, error, used = spread_of(values, ratio)
    if used < FEWEST_SPLITS:
        return Estimate(None if math.isnan(mean) else mean, None, None, found.per_seed)
    half = float(stdtrit(used - 1, 0.975)) * error
    low, high = mean - half, mean + half
    if bounds is not None:
        low, high = max(low, bounds[0]), min(high, bounds[1])
    return Estimate(mean, low, high, found.per_seed)


def compare_splits(
    scores: NDArray[np.float64],
    *,
    names: Sequence[str],
    splits: int,
    ratio: float,
    level: float = 0.95,
    resolution: float = 0.0,
) -> tuple[Pair, ...]:
    """All pairs of schemes, with p values and intervals for other data of this size that hold for all pairs at once.

    A pair with a run that diverged is tested on signed ranks, and has no interval, as in ``study.stats``.

    Args:
        scores: (schemes, runs), split by split; more is better; NaN where a run is missing, ``-inf`` where it diverged.
        names: A name a scheme.
        splits: How many.
        ratio: As in ``spread_of``.
        level: Simultaneous coverage.
        resolution: As in ``spread_of``.

    Example:
        >>> a = np.array([[0.9, 0.8, 0.9, 0.7, 0.8, 0.9], [0.3] * 6])
        >>> (pair,) = compare_splits(a, names=("a", "b"), splits=3, ratio=0.25)
        >>> round(pair.difference, 3), pair.wins, pair.p < 0.05
        (0.533, 6, True)
    """
    sides = list(combinations(range(len(names)), 2))
    pairs = []
    for i, j in sides:
        with np.errstate(invalid="ignore"):
            differences = scores[i] - scores[j]
        differences[np.isneginf(scores[i]) & np.isneginf(scores[j])] = 0.0
        known = ~np.isnan(differences)
        diverged = (np.isneginf(scores[i]) | np.isneginf(scores[j])) & known
        tested = signed_ranks(differences[None])[0] if diverged.any() else differences
        spread = spread_of(tested.reshape(splits, -1), ratio, resolution=1.0 if diverged.any() else resolution)
        p, ends = _judged(spread, len(sides), level)
        pairs.append(
            pair_of(
                names[i],
                names[j],
                differences[known],
                diverged[known],
                p=p,
                ends=None if diverged.any() else ends,
                lead=0.0 if math.isnan(spread.mean) else spread.mean,
            )
        )
    return tuple(pairs)


def _judged(spread: Spread, pairs: int, level: float) -> tuple[float | None, tuple[float, float] | None]:
    """The p of a mean against 0, and the shifts that are not rejected, over all pairs; None where splits are few."""
    if spread.splits < FEWEST_SPLITS:
        return None, None
    if spread.error == 0:
        return (1.0, None) if spread.mean == 0 else (None, None)
    p = 2 * float(stdtr(spread.splits - 1, -abs(spread.mean) / spread.error))
    half = float(stdtrit(spread.splits - 1, 1 - (1 - level) / (2 * pairs))) * spread.error
    return min(1.0, pairs * p), (spread.mean - half, spread.mean + half)
