"""The max-T sign-flip test of paired differences, and its inversion into simultaneous intervals.

A row of differences is one pair of schemes, a column one seed, NaN where one of the two runs is missing. The statistic
of a row of n numbers is ``T = |sum d| / sqrt(sum d^2)``: a monotone function of Student's ``|t|`` that stays finite
where all differences are equal, and whose denominator no flip of signs can change. A sign pattern flips whole seeds,
all pairs alike, so what the pairs have in common is kept. A row's adjusted p is the share of patterns whose largest
statistic over all rows reaches the row's own (single-step max-T: Westfall & Young 1993, Resampling-based multiple
testing; with sign flips: Romano & Wolf 2005, doi:10.1198/016214504000000539).

The same p for a shifted row, ``d - shift``, needs no search. Let m be the row's mean and v its mean squared deviation.

- A pattern's own statistic reaches that of the shifted row just where the shift lies between two means: that of the
  seeds it flips and that of the seeds it leaves, from ``|sum s (d - shift)| >= |sum (d - shift)|``.
- The largest of the other rows, M, reaches it where ``|m - shift| <= sqrt(v M^2 / (n - M^2))``, from solving
  ``T(d - shift) = M``.

So each pattern has a *reach* to either side of m, and p is the share of patterns that reach the shift.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

# Up to this many seeds all sign patterns are taken (half of them: a pattern and its mirror image give the same).
EXACT_SEEDS = 16
PATTERNS = 2 ** (EXACT_SEEDS - 1)
# Any fixed key does: the patterns are the same in every study, so a result never changes from run to run.
PHILOX_KEY = 0x1A17_1AB0
# Sums over the same numbers in another order differ in the last bits; such values count as tied.
ROUNDING = 1e-9
# Rows whose statistics are held at a time.
BLOCK = 256


class FlipResult(NamedTuple):
    """One row's answer.

    Attributes:
        p: Adjusted over all rows, in (0, 1]; 1 where all differences are zero.
        low: Lower end of the simultaneous interval of the mean; -inf where no shift is ever rejected.
        high: Upper end; equal to ``low`` where all differences are equal.
    """

    p: float
    low: float
    high: float


def flip_test(differences: NDArray[np.float64], *, level: float = 0.95) -> list[FlipResult]:
    """Each row's p value and the shifts that are not rejected; 0 is one of them just if ``p > 1 - level``.

    Args:
        differences: (pairs, seeds), NaN where missing; at least one number a row.
        level: Simultaneous coverage, in (0, 1).

    Example:
        >>> flip_test(np.full((1, 6), 0.67))          # the pattern seen and its mirror image, of 2^6
        [FlipResult(p=0.03125, low=0.67, high=0.67)]
        >>> flip_test(np.arange(1.0, 7.0)[None])      # one seed flipped alone reaches furthest: the first, the last
        [FlipResult(p=0.03125, low=1.0, high=6.0)]
    """
    present = np.isfinite(differences)
    known, signs = np.where(present, differences, 0.0), sign_patterns(differences.shape[1]).astype(np.float64)
    leaders = _leaders(known, signs)
    # So many patterns may reach a shift that is rejected all the same.
    last = len(signs) - 1 - math.floor((1 - level) * len(signs) + ROUNDING)
    rows = []
    for block in _blocks(len(known)):
        sums, balances = known[block] @ signs.T, present[block].astype(np.float64) @ signs.T
        for place, row in enumerate(range(len(known))[block]):
            values = known[row, present[row]]
            centre, tie = math.fsum(values) / values.size, ROUNDING * float(np.abs(values).max())
            below, above = _reaches(values, sums[place], balances[place], leaders.but(row))
            p = float(np.mean((below if centre > 0 else above) >= abs(centre) - tie))
            reach = [float(np.partition(side, last)[last]) for side in (below, above)]
            low, high = (
                centre + sign * (size if size > tie else 0.0) for sign, size in zip((-1, 1), reach, strict=True)
            )
            rows.append(FlipResult(p, *(0.0 if abs(end) <= tie else end for end in (low, high))))
    return rows


def _blocks(rows: int) -> list[slice]:
    """Rows in blocks whose statistics under all patterns fit into memory: 64 MB an array."""
    return [slice(start, start + BLOCK) for start in range(0, rows, BLOCK)]


class _Leaders(NamedTuple):
    """By pattern, the row with the largest statistic, that statistic, and the second largest."""

    row: NDArray[np.intp]
    largest: NDArray[np.float64]
    second: NDArray[np.float64]

    def but(self, row: int) -> NDArray[np.float64]:
        """The largest statistic of the other rows under each pattern; 0 where there is no other."""
        return np.where(self.row == row, self.second, self.largest)


def _leaders(known: NDArray[np.float64], signs: NDArray[np.float64]) -> _Leaders:
    """The leaders over all rows, (rows, seeds), a block at a time."""
    norms, patterns = np.linalg.norm(known, axis=1), np.arange(len(signs))
    row, largest, second = np.full(len(signs), -1), np.zeros(len(signs)), np.zeros(len(signs))
    for block in _blocks(len(known)):
        statistics = np.abs(known[block] @ signs.T)
        statistics /= np.where(norms[block] > 0, norms[block], 1.0)[:, None]
        top, best = statistics.argmax(axis=0), statistics.max(axis=0)
        statistics[top, patterns] = 0.0
        second = np.maximum(np.minimum(largest, best), np.maximum(second, statistics.max(axis=0)))
        row, largest = np.where(best > largest, top + block.start, row), np.maximum(largest, best)
    return _Leaders(row, largest, second)


def _reaches(
    values: NDArray[np.float64],
    sums: NDArray[np.float64],
    balances: NDArray[np.float64],
    others: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far below and above the mean each pattern's largest statistic reaches that of the shifted row.

    Args:
        values: The row's differences, (seeds,).
        sums: Their sum under each pattern.
        balances: Seeds that a pattern keeps, less those that it flips.
        others: The largest statistic of the other rows under each pattern.
    """
    n, total = values.size, values.sum()
    # A pattern that flips all seeds or none gives the shifted row's own statistic, whatever the shift.
    endless = (np.abs(balances) == n) | (others**2 >= n * (1 - ROUNDING))
    kept = (total + sums) / np.where(endless, 1.0, n + balances)
    flipped = (total - sums) / np.where(endless, 1.0, n - balances)
    by_others = np.sqrt(values.var() * others**2 / np.where(endless, 1.0, n - others**2))
    below = np.maximum(values.mean() - np.minimum(kept, flipped), by_others)
    above = np.maximum(np.maximum(kept, flipped) - values.mean(), by_others)
    return np.where(endless, np.inf, below), np.where(endless, np.inf, above)


def sign_patterns(seeds: int) -> NDArray[np.int8]:
    """Rows of ±1, (patterns, seeds), the first all +1: all with a leading +1 up to 16 seeds, else 32,768 random ones.

    The random ones are the bits of NumPy's Philox under a fixed key, which are the same on every machine.

    Example:
        >>> sign_patterns(3).tolist()
        [[1, 1, 1], [1, -1, 1], [1, 1, -1], [1, -1, -1]]
    """
    if seeds <= EXACT_SEEDS:
        codes = 2 * np.arange(2 ** max(seeds - 1, 0))
        bits = ((codes[:, None] >> np.arange(seeds)) & 1).astype(np.int8)
    else:
        words = -(-seeds // 64)
        raw = np.random.Philox(key=PHILOX_KEY).random_raw(PATTERNS * words).astype("<u8").view(np.uint8)
        bits = np.unpackbits(raw.reshape(PATTERNS, 8 * words), axis=1)[:, :seeds].astype(np.int8)
        bits[0] = 0
    return np.int8(1) - np.int8(2) * bits
