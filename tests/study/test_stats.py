"""Intervals and the paired test against closed forms, SciPy and statsmodels, and what must not change them."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from statsmodels.stats.descriptivestats import sign_test
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from initlab.study import signflips
from initlab.study.records import Pair
from initlab.study.signflips import flip_test, sign_patterns
from initlab.study.stats import compare_pairs, estimate, fewest_seeds, interval, smallest_p

Scores = NDArray[np.float64]
# Right answers of 30 test rows: heavy ties, as on iris.
counts = st.integers(0, 30)


def two(differences: Scores) -> Pair:
    (pair,) = compare_pairs(np.stack([differences, np.zeros_like(differences)]), names=("a", "b"))
    return pair


def many(scores: Scores, *, resolution: float = 0.0) -> dict[frozenset[str], Pair]:
    names = [f"s{i}" for i in range(len(scores))]
    return {frozenset((p.first, p.second)): p for p in compare_pairs(scores, names=names, resolution=resolution)}


@st.composite
def studies(draw: st.DrawFn, *, most_seeds: int = 10) -> Scores:
    schemes, seeds = draw(st.integers(2, 5)), draw(st.integers(1, most_seeds))
    cells = draw(st.lists(counts, min_size=schemes * seeds, max_size=schemes * seeds))
    return np.array(cells, dtype=np.float64).reshape(schemes, seeds) / 30


# Intervals of one mean


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30).filter(lambda v: np.std(v) > 1e-6))
def test_the_interval_of_a_mean_is_students(values: list[float]) -> None:
    low, high = DescrStatsW(values).tconfint_mean(alpha=0.05)
    assert interval(values) == pytest.approx((low, high), rel=1e-9, abs=1e-12)


def test_the_interval_of_zero_and_one_is_a_half_plus_minus_the_tangent() -> None:
    # One degree of freedom is Cauchy's law: t = tan(0.475 pi); s / sqrt(2) is a half.
    half = math.tan(0.475 * math.pi) / 2
    assert interval([0.0, 1.0]) == pytest.approx((0.5 - half, 0.5 + half))


def test_bounds_cut_the_interval_and_nothing_else() -> None:
    free, bound = interval([0.9, 1.0, 1.0]), interval([0.9, 1.0, 1.0], bounds=(0.0, 1.0))
    assert free is not None
    assert free[1] > 1.0
    assert bound == (free[0], 1.0)


def test_equal_values_have_an_interval_of_zero_width() -> None:
    assert interval([0.1] * 7) == (0.1, 0.1)


def test_one_value_has_a_mean_and_no_interval() -> None:
    one = estimate([0.5])
    assert (one.mean, one.low, one.high) == (0.5, None, None)


def test_values_that_are_not_finite_are_none_and_outside_the_mean() -> None:
    got = estimate([0.25, math.nan, 0.75, None, math.inf])
    assert (got.mean, got.per_seed) == (0.5, (0.25, None, 0.75, None, None))


def test_an_estimate_without_values_is_all_none() -> None:
    none = estimate([math.nan, None])
    assert (none.mean, none.low, none.high) == (None, None, None)


# One pair


@given(st.lists(st.integers(-15, 15), min_size=6, max_size=10))
@settings(max_examples=40, deadline=None)
def test_one_pair_has_scipys_exact_sign_flip_p(steps: list[int]) -> None:
    # Whole numbers, so that SciPy's sums of equal size are equal.
    d = np.array(steps, dtype=np.float64)
    exact = scipy.stats.permutation_test((d,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert two(d / 30).p == pytest.approx(min(1.0, exact.pvalue))


@given(st.permutations(range(1, 10)), st.lists(st.sampled_from([-1, 1]), min_size=9, max_size=9))
@settings(max_examples=40)
def test_differences_that_are_ranks_have_wilcoxons_exact_p(ranks: list[int], signs: list[int]) -> None:
    d = np.array(ranks, dtype=np.float64) * np.array(signs)
    assert two(d).p == pytest.approx(scipy.stats.wilcoxon(d, method="exact").pvalue)


@pytest.mark.parametrize("wins", [5, 6, 7, 8, 9])
def test_differences_of_one_size_have_the_sign_tests_p(wins: int) -> None:
    d = np.where(np.arange(9) < wins, 0.1, -0.1)
    assert two(d).p == pytest.approx(sign_test(d)[1])


def test_beyond_sixteen_seeds_p_is_exact_to_its_sampling_error() -> None:
    d = np.where(np.arange(20) < 15, 1.0, -1.0)
    exact = scipy.stats.binomtest(15, 20).pvalue
    assert two(d).p == pytest.approx(exact, abs=5 * math.sqrt(exact * (1 - exact) / 2**15))


def test_random_patterns_are_fair_in_every_seed_and_pair_of_seeds() -> None:
    signs = sign_patterns(70).astype(np.float64)
    together = signs.T @ signs / len(signs)
    np.testing.assert_allclose(together, np.eye(70), atol=5 / math.sqrt(len(signs)))


def test_random_patterns_are_the_same_on_every_machine_regression() -> None:
    digest = hashlib.sha256(np.ascontiguousarray(sign_patterns(20)).tobytes()).hexdigest()
    assert digest.startswith("858d80d62cb36cbb")


def test_the_same_winner_by_the_same_amount_has_the_smallest_p_of_all() -> None:
    assert two(np.full(10, 0.97 - 0.30)).p == 2 / 2**10 == smallest_p(10)


def test_the_same_winner_by_the_same_amount_among_others_keeps_that_p() -> None:
    rng = np.random.default_rng(0)
    scores = np.vstack([np.full(10, 0.30), np.full(10, 0.97), rng.normal(0.6, 0.05, (2, 10))])
    assert many(scores)[frozenset(("s0", "s1"))].p == 2 / 2**10


def test_schemes_that_never_differ_have_p_one() -> None:
    pair = two(np.zeros(8))
    assert (pair.p, pair.wins, pair.losses, pair.ties) == (1.0, 0, 0, 8)


@pytest.mark.parametrize("seeds", [1, 2, 3, 4, 5])
def test_fewer_than_six_seeds_have_neither_p_nor_interval(seeds: int) -> None:
    pair = two(np.linspace(0.6, 0.7, seeds))
    assert (pair.p, pair.low, pair.high, pair.wins) == (None, None, None, seeds)


def test_six_is_the_fewest_seeds_whose_smallest_p_is_below_five_per_cent() -> None:
    assert fewest_seeds() == 6
    assert smallest_p(6) <= 0.05 < smallest_p(5)


def test_a_missing_run_leaves_its_seed_out_of_its_pairs_alone() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(3, 9))
    scores[0, 4] = np.nan
    pairs = many(scores)
    short = pairs[frozenset(("s0", "s1"))]
    assert short.wins + short.losses == 8
    assert short.difference == pytest.approx(np.nanmean(scores[0] - scores[1]))
    assert pairs[frozenset(("s1", "s2"))].wins + pairs[frozenset(("s1", "s2"))].losses == 9


def test_a_scheme_without_runs_has_no_p_and_changes_no_other() -> None:
    scores = np.random.default_rng(2).normal(size=(3, 9))
    with_gone = many(np.vstack([scores, np.full((1, 9), np.nan)]))
    assert with_gone[frozenset(("s0", "s3"))].p is None
    assert math.isnan(with_gone[frozenset(("s0", "s3"))].difference)
    for key, pair in many(scores).items():
        assert with_gone[key] == pair


def test_scores_that_differ_by_rounding_only_are_tied() -> None:
    (pair,) = compare_pairs(np.array([[0.1 + 0.2] * 8, [0.3] * 8]), names=("a", "b"))
    assert (pair.ties, pair.p) == (8, 1.0)


# All pairs


@given(studies())
@settings(max_examples=40, deadline=None)
def test_the_adjusted_p_lies_between_the_pairs_own_and_one(scores: Scores) -> None:
    for key, pair in many(scores).items():
        i, j = sorted(int(name[1:]) for name in key)
        alone = two(scores[i] - scores[j]).p
        if pair.p is not None and alone is not None:
            assert alone * (1 - 1e-9) <= pair.p <= 1.0


def test_the_adjusted_p_is_no_larger_than_bonferronis_where_no_pair_stands_out() -> None:
    rng = np.random.default_rng(3)
    scores = rng.normal(size=(4, 16)) + np.array([[0.0], [0.0], [0.0], [1.0]])
    pairs = many(scores)
    alone = [two(scores[i] - scores[j]).p for i in range(4) for j in range(i + 1, 4)]
    bonferroni = multipletests(alone, method="bonferroni")[1]
    ours = [pair.p for pair in pairs.values()]
    assert np.min(np.array(ours, dtype=float)) <= np.min(bonferroni)


@given(studies(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_seeds_changes_nothing(scores: Scores, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(scores.shape[1])
    for key, pair in many(scores).items():
        assert_same(pair, many(scores[:, order])[key])


@given(studies(), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_the_order_of_the_schemes_changes_nothing_but_signs(scores: Scores, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(scores))
    names = [f"s{i}" for i in range(len(scores))]
    moved = compare_pairs(scores[order], names=[names[i] for i in order], resolution=1 / 30)
    original = many(scores, resolution=1 / 30)
    for pair in moved:
        other = original[frozenset((pair.first, pair.second))]
        assert_same(pair if pair.first == other.first else turned(pair), other)


@given(studies(), st.lists(st.integers(-30, 30), min_size=10, max_size=10))
@settings(max_examples=40, deadline=None)
def test_what_a_seed_adds_to_every_scheme_changes_nothing(scores: Scores, shifts: list[int]) -> None:
    moved = scores + np.array(shifts[: scores.shape[1]]) / 30
    for key, pair in many(scores).items():
        assert pair.p == pytest.approx(many(moved)[key].p)


@given(studies())
@settings(max_examples=60, deadline=None)
def test_an_interval_leaves_out_zero_just_where_p_is_at_most_five_per_cent(scores: Scores) -> None:
    for pair in many(scores).values():
        if pair.low is not None and pair.high is not None and pair.p is not None:
            assert (pair.low > 0 or pair.high < 0) == (pair.p <= 0.05)


@given(studies(most_seeds=8), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_just_inside_the_interval_a_shift_is_kept_and_just_outside_it_is_rejected(scores: Scores, row: int) -> None:
    d = np.array([a - b for i, a in enumerate(scores) for b in scores[:i]])
    row %= len(d)
    _, low, high = flip_test(d)[row]
    step = 1e-6 * np.ptp(d[row])
    assume(step > 0 and scores.shape[1] >= 6)

    def p(shift: float) -> float:
        shifted = d.copy()
        shifted[row] -= shift
        return flip_test(shifted)[row].p

    if math.isfinite(low):
        assert p(low - step) <= 0.05 < p(low + step)
    if math.isfinite(high):
        assert p(high + step) <= 0.05 < p(high - step)


def test_the_interval_of_six_seeds_goes_from_the_smallest_to_the_largest_difference() -> None:
    # Lehmann & Romano, Testing Statistical Hypotheses, 5.10: of 64 patterns two are rejected, all seeds above or below.
    pair = two(np.array([0.4, 0.1, 0.9, 0.3, 0.2, 0.5]))
    assert (pair.low, pair.high) == (pytest.approx(0.1), pytest.approx(0.9))


def test_with_many_normal_seeds_the_interval_of_one_pair_is_students() -> None:
    d = np.random.default_rng(4).normal(0.3, 1.0, 200)
    pair, student = two(d), DescrStatsW(d).tconfint_mean()
    assert (pair.low, pair.high) == pytest.approx(student, abs=0.05 * (student[1] - student[0]))


def test_equal_differences_have_an_interval_as_wide_as_the_resolution_hides() -> None:
    scores = np.vstack([np.full(20, 0.30), np.full(20, 0.97), np.random.default_rng(6).normal(0.5, 0.1, (1, 20))])
    pair = many(scores, resolution=1 / 30)[frozenset(("s0", "s1"))]
    # Two rounding errors, each of variance (1 / 30)^2 / 12; Bonferroni's t for three pairs and 20 seeds is 2.625.
    half = scipy.stats.t.ppf(1 - 0.05 / 6, 19) * math.sqrt(2 * (1 / 30) ** 2 / 12 / 20)
    assert pair.low == pytest.approx(-0.67 - half)
    assert pair.high == pytest.approx(-0.67 + half)


def test_equal_differences_of_scores_without_resolution_have_no_interval() -> None:
    pair = two(np.full(20, 0.67))
    assert pair.p is not None
    assert pair.p < 0.001
    assert (pair.low, pair.high) == (None, None)


def test_a_single_scheme_has_no_pairs() -> None:
    assert compare_pairs(np.ones((1, 6)), names=("a",)) == ()


def turned(pair: Pair) -> Pair:
    low, high = (None if end is None else -end for end in (pair.high, pair.low))
    return Pair(pair.second, pair.first, -pair.difference, low, high, pair.p, pair.losses, pair.wins, pair.ties)


def assert_same(left: Pair, right: Pair) -> None:
    assert (left.first, left.second, left.wins, left.losses) == (right.first, right.second, right.wins, right.losses)
    for name in ("difference", "low", "high", "p"):
        a, b = getattr(left, name), getattr(right, name)
        assert (a is None and b is None) or a == pytest.approx(b, abs=1e-12)


def test_rows_in_blocks_are_judged_as_all_at_once(monkeypatch):
    scores = np.random.default_rng(8).normal(size=(7, 9))
    scores[2, 3], scores[5, 1], scores[6] = np.nan, -np.inf, scores[0]
    names = [str(k) for k in range(7)]
    whole = compare_pairs(scores, names=names)
    monkeypatch.setattr(signflips, "BLOCK", 4)
    assert repr(compare_pairs(scores, names=names)) == repr(whole)


@pytest.mark.soak
def test_a_hundred_schemes_on_a_hundred_seeds_stay_under_a_gigabyte():
    code = (
        "import resource, numpy as np; from initlab.study.stats import compare_pairs\n"
        "scores = np.random.default_rng(4).normal(size=(100, 100))\n"
        "assert len(compare_pairs(scores, names=[str(k) for k in range(100)])) == 4950\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 1_000_000  # KiB
