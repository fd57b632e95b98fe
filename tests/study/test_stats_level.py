"""How often the paired test cries wolf, how often it finds what is there, and what other tests do on the same studies.

``pytest --soak -s tests/study/test_stats_level.py`` prints the tables of ``docs/design/statistics.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray

from initlab.study.signflips import flip_test, sign_patterns

Scores = NDArray[np.float64]
Called = NDArray[np.bool_]
# Scores (schemes, seeds), and the true rank of each scheme: equal ranks are a true null hypothesis.
Study = tuple[Scores, list[int]]
Maker = Callable[[np.random.Generator, int, int], Study]
Test = Callable[[Scores], Called]


def pairs(schemes: int) -> list[tuple[int, int]]:
    return list(combinations(range(schemes), 2))


def graded(rng: np.random.Generator, logits: Scores, rows: int = 30) -> Scores:
    """Accuracies on 30 test rows, as on iris: a few values, mostly ties."""
    return rng.binomial(rows, 1 / (1 + np.exp(-logits))) / rows


def noise(rng: np.random.Generator, schemes: int, seeds: int) -> Scores:
    """Half of the variance belongs to the seed, half to the scheme."""
    return (rng.normal(size=seeds) + rng.normal(size=(schemes, seeds))) / math.sqrt(2)


def normal(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    return noise(rng, schemes, seeds), [0] * schemes


def discrete(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    return graded(rng, 3.0 + 0.6 * noise(rng, schemes, seeds)), [0] * schemes


def lottery(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    """Every scheme fails on 4 seeds of 10."""
    return np.where(rng.random((schemes, seeds)) < 0.6, 0.97, 0.30), [0] * schemes


def skewed(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    return -rng.exponential(size=(schemes, seeds)), [0] * schemes


def unequal_spread(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    return noise(rng, schemes, seeds) * np.geomspace(0.05, 1.0, schemes)[:, None], [0] * schemes


def half_differ(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    """One scheme never learns, others are worse by far, and half of all are equal: only these may not be called."""
    scores, ranks = discrete(rng, schemes, seeds)
    for i in range(schemes // 2):
        ranks[i] = i + 1
        scores[i] = 0.3 if i == 0 else graded(rng, rng.normal(1.5 - 0.2 * i, 0.3, seeds))
    return scores, ranks


def two_groups(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    scores, ranks = discrete(rng, schemes, seeds)
    half = schemes // 2
    scores[:half] = graded(rng, 0.4 + 0.6 * noise(rng, half, seeds))
    return scores, [1] * half + ranks[half:]


def rare_failure(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    """Equal means, but scheme 0 is a little better on most seeds and much worse on one in five."""
    scores = 0.95 + 0.005 * rng.normal(size=(schemes, seeds))
    scores[0] = np.where(rng.random(seeds) < 0.8, 0.97, 0.87)
    return scores, [0] * schemes


def one_behind(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    """Scheme 0 is behind by 1.25 standard deviations of a difference."""
    scores, ranks = normal(rng, schemes, seeds)
    scores[0] -= 1.25
    return scores, [1, *ranks[1:]]


def one_behind_discrete(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    logits = 3.0 + 0.6 * noise(rng, schemes, seeds)
    logits[0] -= 1.5
    return graded(rng, logits), [1] + [0] * (schemes - 1)


def ladder(rng: np.random.Generator, schemes: int, seeds: int) -> Study:
    """All schemes differ, by steps of a standard deviation of a difference; the first never learns."""
    scores, _ = normal(rng, schemes, seeds)
    scores += np.arange(schemes)[:, None]
    scores[0] = -5.0
    return scores, list(range(schemes))


NULLS: tuple[Maker, ...] = (normal, discrete, lottery, skewed, unequal_spread, half_differ, two_groups)
PLANTED: tuple[Maker, ...] = (one_behind, one_behind_discrete, ladder)


# The tests: which pairs each calls different, in the order of ``pairs``


def ours(scores: Scores) -> Called:
    return np.array([row.p <= 0.05 for row in flip_test(differences(scores))])


def differences(scores: Scores) -> Scores:
    d = np.array([scores[i] - scores[j] for i, j in pairs(len(scores))])
    d[np.abs(d) < 1e-12] = 0.0
    return d


def flipped(values: Scores) -> Scores:
    """|sum| under all sign patterns, scaled so that pairs can be compared; (patterns, pairs)."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.abs(sign_patterns(values.shape[1]) @ (values / np.where(norms > 0, norms, 1.0)).T) + 1e-9


def holm(p: Scores) -> Called:
    order, called = np.argsort(p), np.zeros(p.size, dtype=bool)
    passed = np.sort(p) * np.arange(p.size, 0, -1) <= 0.05
    called[order[: p.size if passed.all() else int(np.argmin(passed))]] = True
    return called


def step_down(scores: Scores) -> Called:
    """The sharper relative of ours: a pair is compared only with the pairs that are not yet called."""
    sums = flipped(differences(scores))
    order = np.argsort(-sums[0])
    largest = np.maximum.accumulate(sums[:, order[::-1]], axis=1)[:, ::-1]
    passed = np.append(np.mean(largest >= sums[0, order] - 2e-9, axis=0) <= 0.05, False)
    called = np.zeros(order.size, dtype=bool)
    called[order[: int(np.argmin(passed))]] = True
    return called


def holm_sign_flips(scores: Scores) -> Called:
    sums = flipped(differences(scores))
    return holm(np.mean(sums >= sums[0] - 2e-9, axis=0))


def holm_wilcoxon(scores: Scores) -> Called:
    p = []
    for d in differences(scores):
        kept = d[d != 0]
        ranks = np.sign(kept) * scipy.stats.rankdata(np.abs(kept).round(12))
        sums = flipped(ranks[None, :]) if kept.size else np.zeros((1, 1))
        p.append(np.mean(sums >= sums[0] - 2e-9))
    return holm(np.array(p))


def t_test(d: Scores) -> Scores:
    spread, mean = d.std(axis=1, ddof=1), np.abs(d.mean(axis=1))
    endless = np.where(mean > 0, np.inf, 0.0)
    t = np.where(spread > 1e-12, mean / np.where(spread > 1e-12, spread, 1.0) * math.sqrt(d.shape[1]), endless)
    return 2 * scipy.stats.t.sf(t, d.shape[1] - 1)


def holm_t(scores: Scores) -> Called:
    return holm(t_test(differences(scores)))


def best_alone_holm_t(scores: Scores) -> Called:
    best = int(scores.mean(axis=1).argmax())
    with_best = np.array([best in pair for pair in pairs(len(scores))])
    called = np.zeros(with_best.size, dtype=bool)
    called[with_best] = holm(t_test(differences(scores)[with_best]))
    return called


def label_permutation(scores: Scores) -> Called:
    rng = np.random.default_rng(0)
    shuffled = rng.permuted(np.broadcast_to(scores, (500, *scores.shape)), axis=1).mean(axis=2)
    ranges = shuffled.max(axis=1) - shuffled.min(axis=1)
    seen = np.abs(differences(scores).mean(axis=1))
    return np.mean(np.append(ranges, np.inf)[:, None] >= seen - 1e-12, axis=0) <= 0.05


@cache
def range_quantile(schemes: int) -> float:
    return float(scipy.stats.studentized_range.ppf(0.95, schemes, np.inf))


def nemenyi(scores: Scores) -> Called:
    schemes, seeds = scores.shape
    ranks = scipy.stats.rankdata(scores, axis=0).mean(axis=1)
    limit = range_quantile(schemes) * math.sqrt(schemes * (schemes + 1) / (12 * seeds))
    return np.array([abs(ranks[i] - ranks[j]) > limit for i, j in pairs(schemes)])


RIVALS: tuple[Test, ...] = (
    ours,
    step_down,
    holm_sign_flips,
    holm_wilcoxon,
    holm_t,
    label_permutation,
    nemenyi,
    best_alone_holm_t,
)


def alarms(test: Test, make: Maker, *, schemes: int, seeds: int, studies: int) -> float:
    """Share of studies in which at least one pair of equal schemes is called different."""
    rng, false = np.random.default_rng([schemes, seeds, len(make.__name__)]), 0
    for _ in range(studies):
        scores, ranks = make(rng, schemes, seeds)
        equal = np.array([ranks[i] == ranks[j] for i, j in pairs(schemes)])
        false += bool((test(scores) & equal).any())
    return false / studies


def found(test: Test, make: Maker, *, schemes: int, seeds: int, studies: int) -> float:
    """Mean share of the pairs that differ that are called different."""
    rng, share = np.random.default_rng([schemes, seeds, len(make.__name__)]), 0.0
    for _ in range(studies):
        scores, ranks = make(rng, schemes, seeds)
        differ = np.array([ranks[i] != ranks[j] for i, j in pairs(schemes)])
        share += float(test(scores)[differ].mean())
    return share / studies


def covered(tails: float, *, seeds: int, studies: int) -> float:
    """Share of studies whose intervals hold all differences; noise is a power of a normal, spreads are 10 to 1."""
    rng, held = np.random.default_rng([5, seeds]), 0
    truth, spread = np.array([0.0, 0.0, 0.5, 3.0]), np.array([[1.0], [1.0], [0.2], [2.0]])
    true_differences = [truth[i] - truth[j] for i, j in pairs(4)]
    for _ in range(studies):
        z = rng.normal(size=(4, seeds))
        scores = truth[:, None] + rng.normal(size=seeds) + spread * np.sign(z) * np.abs(z) ** tails
        rows = flip_test(differences(scores))
        held += all(row.low <= true <= row.high for row, true in zip(rows, true_differences, strict=True))
    return held / studies


def bound(rate: float, studies: int) -> float:
    return rate + 5 * math.sqrt(rate * (1 - rate) / studies)


@pytest.mark.parametrize("seeds", [6, 10])
@pytest.mark.parametrize("null", NULLS)
def test_of_500_null_studies_at_most_one_in_twenty_is_a_false_alarm(null: Maker, seeds: int) -> None:
    assert alarms(ours, null, schemes=4, seeds=seeds, studies=500) <= bound(0.05, 500)


def test_the_same_holds_with_twenty_seeds_and_random_patterns() -> None:
    assert alarms(ours, discrete, schemes=4, seeds=20, studies=500) <= bound(0.05, 500)


def test_with_fourteen_schemes_the_false_alarms_stay_at_one_in_twenty() -> None:
    assert alarms(ours, discrete, schemes=14, seeds=10, studies=500) <= bound(0.05, 500)


@pytest.mark.parametrize("null", NULLS)
def test_five_seeds_never_give_an_alarm(null: Maker) -> None:
    assert alarms(ours, null, schemes=4, seeds=5, studies=500) == 0.0


def test_the_test_is_not_idle_under_a_continuous_null() -> None:
    # Far below 5 % it would be losing power: exact sign flips of normal differences come close to it.
    assert alarms(ours, normal, schemes=4, seeds=10, studies=500) >= 0.05 - 5 * math.sqrt(0.05 * 0.95 / 500) + 0.01


@pytest.mark.parametrize("seeds", [6, 10])
@pytest.mark.parametrize("tails", [0.5, 1.0, 3.0])
def test_the_intervals_of_all_pairs_hold_their_differences_together(tails: float, seeds: int) -> None:
    # Flat, normal and heavy tails; all symmetric, as the test supposes.
    assert covered(tails, seeds=seeds, studies=300) >= 1 - bound(0.05, 300)


def test_holm_on_t_tests_is_too_lax_with_three_seeds() -> None:
    # Three equal differences are common where scores have few values, and their t is infinite.
    assert alarms(holm_t, discrete, schemes=4, seeds=3, studies=2000) > bound(0.05, 2000)


def test_holm_against_the_empirical_best_alone_is_too_lax() -> None:
    assert alarms(best_alone_holm_t, normal, schemes=14, seeds=20, studies=500) > bound(0.05, 500)


@pytest.mark.parametrize("planted", PLANTED)
def test_a_planted_difference_is_found_in_four_of_five_pairs(planted: Maker) -> None:
    assert found(ours, planted, schemes=4, seeds=20, studies=100) >= 0.8


@pytest.mark.parametrize("planted", [one_behind, one_behind_discrete])
def test_beside_a_planted_difference_the_equal_schemes_stay_silent(planted: Maker) -> None:
    assert alarms(ours, planted, schemes=4, seeds=10, studies=500) <= bound(0.05, 500)


@pytest.mark.soak
def test_the_tables_of_the_design_page(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print_table("False alarms, %", alarms, (*NULLS, rare_failure), schemes=4, seeds=(6, 10, 20), studies=2000)
        print_table("False alarms, %", alarms, (*NULLS, rare_failure), schemes=14, seeds=(6, 10), studies=500)
        print_table("Differing pairs found, %", found, PLANTED, schemes=4, seeds=(6, 10, 20), studies=500)
        print_table("Differing pairs found, %", found, PLANTED, schemes=14, seeds=(6, 10), studies=500)
        print("\nStudies whose intervals hold all differences, %: at 6 / 10 / 20 seeds")
        for tails in (0.5, 1.0, 3.0):
            shares = [covered(tails, seeds=seeds, studies=1000) for seeds in (6, 10, 20)]
            print(f"tails {tails}: {' / '.join(f'{100 * share:.1f}' for share in shares)}")
        small = [alarms(holm_t, make, schemes=4, seeds=n, studies=2000) for n in (2, 3) for make in (discrete, lottery)]
        print(f"False alarms of Holm on t at 2 and 3 seeds, %: {' / '.join(f'{100 * rate:.1f}' for rate in small)}")


def print_table(
    title: str,
    measure: Callable[..., float],
    makers: tuple[Maker, ...],
    *,
    schemes: int,
    seeds: tuple[int, ...],
    studies: int,
) -> None:
    print(f"\n{title}: {schemes} schemes, {studies} studies a cell, at {' / '.join(map(str, seeds))} seeds")
    print(f"{'':18}" + "".join(f"{make.__name__:>21}" for make in makers))
    for test in RIVALS:
        print(f"{test.__name__:18}", end="", flush=True)
        for make in makers:
            rates = [measure(test, make, schemes=schemes, seeds=n, studies=studies) for n in seeds]
            print(f"{' / '.join(f'{100 * rate:.1f}' for rate in rates):>21}", end="", flush=True)
        print()
