"""What runs made elsewhere say: pairs by seed or of two samples, the noise floor, what a winner of many is worth."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, roots_hermitenorm
from scipy.stats import PermutationMethod, chi2, rankdata, ttest_ind

from initlab.core.errors import OptionError
from initlab.study.records import Estimate, Pair
from initlab.study.stats import compare_rows, estimate, mean_of

MOST_TESTED = 100
"""Configurations with repeats of which all pairs are tested; of more, only those with the baseline."""
RESAMPLES = 9_999
_KEY = 0x0E15E
_NODES, _SPREADS = 96, 1024


@dataclass(frozen=True)
class Trial:
    """A configuration and its runs.

    Attributes:
        name: What tells it from the others.
        scores: By run, the last value of the metric, its sign turned where less is better; ``-inf``: diverged.
        seeds: By run, as the source has it; empty where it says none.
    """

    name: str
    scores: tuple[float, ...]
    seeds: tuple[str, ...]

    @property
    def finite(self) -> list[float]:
        """The scores of the runs that did not diverge."""
        return [score for score in self.scores if math.isfinite(score)]

    @property
    def estimate(self) -> Estimate:
        """The mean over the runs that finished, with Student's interval."""
        return estimate(self.scores)


@dataclass(frozen=True)
class Floor:
    """The noise floor: how far repeats of one configuration lie apart.

    Attributes:
        std: Of one run, pooled over the configurations with repeats.
        freedom: Degrees of freedom: repeats beyond the first of each.
        repeats: Runs that it is made from.
        configurations: That have repeats.
    """

    std: float
    freedom: int
    repeats: int
    configurations: int


@dataclass(frozen=True)
class Worth:
    """What the best of many is worth.

    Attributes:
        best: The configuration with the highest mean.
        over: What it is held against: the baseline.
        lead: Its mean less the baseline's.
        trials: Configurations that could have been best, without the baseline.
        share: How often repeats alone give the best of so many a lead as large.
        claimed: By the test of this pair, the best is ahead; False where it was run once.
    """

    best: str
    over: str
    lead: float
    trials: int
    share: float
    claimed: bool


def is_paired(trials: Sequence[Trial]) -> bool:
    """Whether all runs name a seed, each once a configuration, and two configurations share one."""
    named = all(seed for trial in trials for seed in trial.seeds)
    counts = Counter(seed for trial in trials for seed in trial.seeds)
    return named and any(count > 1 for count in counts.values())


def noise_floor(trials: Sequence[Trial]) -> Floor | None:
    """The spread of repeats; None where no configuration has two runs that finished.

    Example:
        >>> noise_floor([Trial("a", (1.0, 2.0, 3.0), ("1", "2", "3")), Trial("b", (9.0,), ("1",))])
        Floor(std=1.0, freedom=2, repeats=3, configurations=1)
    """
    groups = [trial.finite for trial in trials if len(trial.finite) > 1]
    freedom = sum(len(group) - 1 for group in groups)
    if not groups:
        return None
    squares = math.fsum((value - mean_of(group)) ** 2 for group in groups for value in group)
    return Floor(math.sqrt(squares / freedom), freedom, sum(map(len, groups)), len(groups))


def luck(lead: float, floor: Floor, *, runs: Sequence[int], baseline: int) -> float:
    """How often the best of so many equal configurations leads the baseline by this much: repeats alone.

    Dunnett's distribution (1955, doi:10.1080/01621459.1955.10501294) of normal repeats whose spread is the floor's,
    by Gauss-Hermite over the baseline's mean and the quantiles of the spread.

    Args:
        lead: Of the best over the baseline, both means of their runs.
        floor: The spread of one run.
        runs: Of each configuration that could have been best.
        baseline: Runs of the baseline.

    Example:
        >>> floor = Floor(std=1.0, freedom=10_000, repeats=10_001, configurations=1)
        >>> round(luck(0.0, floor, runs=[5], baseline=5), 3)              # one of two equals is ahead
        0.5
        >>> round(luck(0.0, floor, runs=[1] * 11, baseline=1), 3)         # the first of twelve is not the best
        0.917
    """
    if floor.std == 0:
        return 1.0 if lead <= 0 else 0.0
    z, weights = roots_hermitenorm(_NODES)
    middles = (np.arange(_SPREADS) + 0.5) / _SPREADS
    spreads = np.sqrt(chi2.ppf(middles, floor.freedom) / floor.freedom)
    ends = (lead / floor.std) * spreads[:, None] + z / math.sqrt(baseline)
    logs = np.zeros_like(ends)
    for count, times in Counter(runs).items():
        logs += times * log_ndtr(ends * math.sqrt(count))
    below = float(np.mean(np.exp(logs) @ weights) / weights.sum())
    return min(1.0, max(0.0, 1.0 - below))


def compare_trials(trials: Sequence[Trial], *, baseline: str | None, paired: bool) -> tuple[Pair, ...]:
    """All pairs of the configurations that have repeats; those with the baseline alone where there are very many.

    Args:
        trials: The configurations.
        baseline: One of them.
        paired: By sign flips of the seeds that both have; else by a studentised permutation test of two samples
            (Welch's t under exchanged labels; Janssen 1997, doi:10.1016/S0167-7152(97)00043-6) with Holm's correction.
    """
    able = [trial for trial in trials if len(trial.scores) > 1]
    if len(able) > MOST_TESTED:
        if baseline is None:
            raise OptionError(
                f"{len(able)} configurations have repeats: too many for all pairs", where="--baseline", fix="name one"
            )
        able = [trial for trial in able if trial.name == baseline] + [t for t in able if t.name != baseline]
    if len(able) < 2:
        return ()
    sides = list(combinations(able, 2)) if len(able) <= MOST_TESTED else [(able[0], other) for other in able[1:]]
    if paired:
        seeds = sorted({seed for trial in able for seed in trial.seeds})
        place, row = {seed: k for k, seed in enumerate(seeds)}, {trial.name: k for k, trial in enumerate(able)}
        scores = np.full((len(able), len(seeds)), np.nan)
        for trial in able:
            scores[row[trial.name], [place[seed] for seed in trial.seeds]] = trial.scores
        first, second = ([row[side[k].name] for side in sides] for k in (0, 1))
        return compare_rows(scores[first], scores[second], names=[(a.name, b.name) for a, b in sides])
    found = [_two_samples(a, b, level=1 - 0.05 / len(sides)) for a, b in sides]
    adjusted = holm([pair.p for pair in found])
    return tuple(replace(pair, p=p) for pair, p in zip(found, adjusted, strict=True))


def _two_samples(first: Trial, second: Trial, *, level: float) -> Pair:
    """Two samples that share no seed: Welch's t, its p by permutation; of ranks where a run diverged, without ends."""
    a, b = np.array(first.scores), np.array(second.scores)
    lost = bool(np.isneginf(np.concatenate([a, b])).any())
    difference = np.nan if not (first.finite and second.finite) else mean_of(first.finite) - mean_of(second.finite)
    tested = (a, b)
    if lost:
        ranks = rankdata(np.concatenate([a, b]))
        tested = ranks[: a.size], ranks[a.size :]
    lead = float(tested[0].mean() - tested[1].mean())
    p, ends = studentised(*tested, level=level)
    low, high = (None, None) if ends is None or lost else ends
    wins, losses = int(np.sum(a[:, None] > b)), int(np.sum(a[:, None] < b))
    return Pair(
        first=first.name,
        second=second.name,
        difference=float(difference),
        low=low,
        high=high,
        p=p,
        wins=wins,
        losses=losses,
        ties=a.size * b.size - wins - losses,
        diverged=int(np.isneginf(a).sum() + np.isneginf(b).sum()),
        ahead=1 if lead > 0 else -1 if lead < 0 else 0,
    )


def studentised(
    first: NDArray[np.float64], second: NDArray[np.float64], *, level: float = 0.95
) -> tuple[float | None, tuple[float, float] | None]:
    """The p of Welch's t under all exchanges of labels, or 9,999 of them, and Welch's interval.

    Returns:
        p, None where so few runs cannot reach 5 %; the interval, None where neither sample has a spread.

    Example:
        >>> studentised(np.array([4.0, 5.0, 6.0, 7.0]), np.array([0.0, 1.0, 2.0, 2.5]))[0]   # 2 of 70
        0.0285...
    """
    ways = math.comb(first.size + second.size, first.size)
    if min(first.size, second.size) < 2 or 2 / ways > 0.05:
        return None, None
    if np.ptp(first) == 0 and np.ptp(second) == 0:
        # t is infinite only where the labels are as they stand, or mirrored.
        return (1.0, None) if first[0] == second[0] else (min(1.0, 2 / min(ways, RESAMPLES + 1)), None)
    method = PermutationMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(_KEY))
    with np.errstate(all="ignore"):
        p = float(ttest_ind(first, second, equal_var=False, method=method).pvalue)
        ends = ttest_ind(first, second, equal_var=False).confidence_interval(level)
    return p, (float(ends.low), float(ends.high))


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down p values (1979, https://www.jstor.org/stable/4615733); None stays, and counts for no test.

    Example:
        >>> holm([0.01, None, 0.04, 0.03])
        [0.03, None, 0.06, 0.06]
    """
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted


def choose_baseline(trials: Sequence[Trial]) -> str | None:
    """The configuration with the most runs; None where two share that, since then nothing says which it is.

    Example:
        >>> once, thrice = Trial("a", (1.0,), ("",)), Trial("b", (1.0, 2.0, 3.0), ("", "", ""))
        >>> choose_baseline([once, thrice]), choose_baseline([once])
        ('b', None)
    """
    most = max(len(trial.finite) for trial in trials)
    found = [trial.name for trial in trials if len(trial.finite) == most]
    return found[0] if len(found) == 1 and most > 1 else None


def worth_of(
    trials: Sequence[Trial], floor: Floor | None, pairs: Sequence[Pair], *, baseline: str | None
) -> Worth | None:
    """What the best is worth over the baseline; None without a noise floor, or where nothing finished to compare."""
    means: Mapping[str, float] = {t.name: mean_of(t.finite) for t in trials if t.finite and _half(t)}
    others = [trial for trial in trials if trial.name != baseline and trial.finite]
    rivals = {name: mean for name, mean in means.items() if name != baseline}
    if floor is None or baseline is None or baseline not in means or not rivals:
        return None
    best = max(rivals, key=lambda name: rivals[name])
    lead = rivals[best] - means[baseline]
    held = next(trial for trial in trials if trial.name == baseline)
    share = luck(lead, floor, runs=[len(trial.finite) for trial in others], baseline=len(held.finite))
    pair = next((pair for pair in pairs if {pair.first, pair.second} == {best, baseline}), None)
    ahead = 0 if pair is None else pair.ahead if pair.first == best else -pair.ahead
    claimed = pair is not None and pair.p is not None and pair.p <= 0.05 and ahead > 0
    return Worth(best, baseline, lead, len(others), share, claimed)


def _half(trial: Trial) -> bool:
    """Whether at least half of a trial's runs finished: one that lost more is never best."""
    return 2 * len(trial.finite) >= len(trial.scores)
