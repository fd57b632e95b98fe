"""How many seeds would tell a difference, as a range, and which pair holds the p of another up."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import chi2, nct, t

from initlab.study.records import Pair
from initlab.study.signflips import EXACT_SEEDS, ROUNDING, flip_test, sign_patterns
from initlab.study.stats import fewest_seeds

POWER, LEVEL, MOST_SEEDS = 0.8, 0.05, 10_000
# Of the noncentral t, whose distribution cannot be computed much further: there the power is 1 long since.
_CERTAIN = 30.0


def spread_interval(std: float, *, freedom: int, share: float = 0.8) -> tuple[float, float]:
    """The interval of a normal spread: ``s * sqrt(f / chi2)`` at both ends.

    Args:
        std: Of so many numbers.
        freedom: Their number less 1.
        share: Coverage.

    Example:
        >>> low, high = spread_interval(1.0, freedom=9)          # chi2 of 9: 14.684 and 4.168
        >>> round(low, 3), round(high, 3)
        (0.783, 1.469)
    """
    low, high = chi2.ppf([(1 + share) / 2, (1 - share) / 2], freedom)
    return std * math.sqrt(freedom / low), std * math.sqrt(freedom / high)


def power_of(seeds: int, *, effect: float, pairs: int = 1) -> float:
    """In which share of studies a paired t test tells an effect of so many stds of a difference, by Bonferroni's level.

    Example:
        >>> round(power_of(10, effect=1.0), 3)
        0.803
    """
    edge = t.ppf(1 - LEVEL / (2 * pairs), seeds - 1)
    shift = min(effect * math.sqrt(seeds), _CERTAIN)
    return float(nct.sf(edge, seeds - 1, shift) + nct.cdf(-edge, seeds - 1, shift))


def seeds_for(effect: float, *, pairs: int = 1) -> int | None:
    """The fewest seeds that tell an effect in 80 % of studies, no fewer than can tell any; None beyond 10,000.

    Example:
        >>> seeds_for(1.0), seeds_for(5.0)
        (10, 6)
    """
    # Student's t needs more than the normal distribution, and a few more at most.
    normal = ((ndtri(1 - LEVEL / (2 * pairs)) + ndtri(POWER)) / effect) ** 2
    if normal >= MOST_SEEDS:
        return None
    seeds = max(fewest_seeds(), math.floor(normal))
    while power_of(seeds, effect=effect, pairs=pairs) < POWER:
        seeds += 1
    return seeds if seeds <= MOST_SEEDS else None


def power_text(differences: NDArray[np.float64], *, difference: float, said: str, pairs: int) -> str:
    """How many seeds would tell a difference, for both ends of the 80 % interval of what the spread may be.

    Args:
        differences: Of a pair, by seed, those where both finished.
        difference: To be told.
        said: The same in words.
        pairs: That are tested at once.

    Returns:
        A sentence led by a space; nothing where the seeds show no spread.

    Example:
        >>> power_text(np.array([0.01, -0.02, 0.03, 0.0, -0.01, 0.02]), difference=0.02, said="2 points", pairs=1)
        ' 6 to 24 seeds would tell 2 points in 80 % of studies.'
    """
    spread = float(differences.std(ddof=1)) if differences.size > 1 else 0.0
    if spread <= ROUNDING:
        return ""
    few, many = (
        seeds_for(difference / end, pairs=pairs) for end in spread_interval(spread, freedom=differences.size - 1)
    )
    if few is None:
        return f" More than {MOST_SEEDS:,} seeds would be needed to tell {said}."
    upper = f"more than {MOST_SEEDS:,}" if many is None else f"{many:,}"
    seeds = f"{few:,}" if few == many else f"{few:,} to {upper}"
    return f" {seeds} seeds would tell {said} in 80 % of studies."


def held_up(differences: NDArray[np.float64], names: Sequence[tuple[str, str]], pairs: Sequence[Pair]) -> str:
    """Where one scheme wins on every seed and p is above 5 %: which other pair holds p up, how many seeds settle it.

    Args:
        differences: (pairs, seeds), finite.
        names: Of the pairs.
        pairs: Their answers, in the same order.

    Returns:
        A sentence led by a space, about the clearest such pair; nothing where there is none.

    Example:
        >>> rows = np.array([[0.7, 0.75, 0.8, 0.7, 0.75, 0.8], [0.1, -0.1, 0.1, -0.1, 0.1, -0.1]])
        >>> p = flip_test(rows)[0].p
        >>> pair = Pair("he", "zeros", 0.75, None, None, p, wins=6, losses=0, ties=0, ahead=1)
        >>> print(held_up(rows, [("he", "zeros"), ("a", "b")], [pair]))
         he is ahead of zeros on all 6 seeds; a against b holds its p up (0.062), 7 seeds like these settle it.
    """
    seeds = differences.shape[1]
    swept = [
        row
        for row, pair in enumerate(pairs)
        if pair.p is not None and pair.p > LEVEL and pair.seeds == seeds and seeds in (pair.wins, pair.losses)
    ]
    if not swept or seeds < fewest_seeds():
        return ""
    row = min(swept, key=lambda place: (pairs[place].p or 0.0, -abs(pairs[place].difference)))
    signs = sign_patterns(seeds).astype(np.float64)
    norms = np.linalg.norm(differences, axis=1)
    statistics = np.abs(differences @ signs.T) / np.where(norms > 0, norms, 1.0)[:, None]
    reached = np.sum(statistics >= statistics[row, 0] * (1 - ROUNDING), axis=1)
    reached[row] = 0
    other = names[int(np.argmax(reached))]
    pair = pairs[row]
    winner, loser = (pair.first, pair.second) if pair.wins else (pair.second, pair.first)
    more = _settling(differences, row)
    settled = f"{more} seeds like these settle it" if more else "more seeds like these do not settle it soon"
    text = f" {winner} is ahead of {loser} on all {seeds} seeds; {other[0]} against {other[1]} holds its p up"
    return f"{text} ({pair.p:.3f}), {settled}."


def _settling(differences: NDArray[np.float64], row: int) -> int | None:
    """The fewest seeds at which the row's p is 5 %, were those that were seen to come again in turn."""
    seeds = differences.shape[1]
    for more in range(seeds + 1, EXACT_SEEDS + 1):
        again = differences[:, np.arange(more) % seeds]
        if flip_test(again)[row].p <= LEVEL:
            return more
    return None
