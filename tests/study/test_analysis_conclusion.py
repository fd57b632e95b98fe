"""The conclusion of every kind of study, word for word; and that its words agree with the pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.analysis import analyse
from initlab.study.records import Analysis, RunRecord, RunSpec, Status, StudyDesign

Ending = float | Status


def study(*, loss: bool = False, rows: int = 30, **endings: Sequence[Ending]) -> Analysis:
    """One run a scheme and seed, told by its final accuracy (or loss), or by how it ended."""
    seeds = len(next(iter(endings.values())))
    design = StudyDesign("iris", "iris", (8,), tuple(endings), Optimizer(), Budget(50, 32), seeds=seeds)
    runs = []
    for scheme, row in endings.items():
        for seed, ending in enumerate(row):
            spec = RunSpec(scheme, "iris", "00", Mlp((4, 8, 3)), Optimizer(), Budget(50, 32), seed)
            if isinstance(ending, str):
                runs.append(RunRecord(spec.run_id, spec, ending))
            else:
                curves = {"test_loss" if loss else "test_accuracy": np.array([0.3, ending])}
                predictions = None if loss else np.zeros(rows, dtype=np.int32)
                runs.append(RunRecord(spec.run_id, spec, "ok", curves=curves, predictions=predictions))
    return _without_rows(analyse(design, runs), 0 if loss else rows)


def _without_rows(found: Analysis, rows: int) -> Analysis:
    """The analysis without the sentence on the test rows, which every conclusion about finished runs ends with."""
    said = f" This is on these {rows:,} test rows: other seeds are covered, other rows are not."
    finished = rows > 0 and any(row.test_accuracy.mean is not None for row in found.rows)
    assert found.conclusion.endswith(said) == finished
    return replace(found, conclusion=found.conclusion.removesuffix(said))


def right(*counts: int) -> list[Ending]:
    """Accuracies from right answers of 30, on 20 seeds."""
    return [count / 30 for count in counts]


HE = right(*[29, 30] * 10)
GLOROT = right(*[29, 29, 30, 30] * 5)
SMALL = right(*[28, 29, 28, 28, 29] * 4)
ZEROS = right(*[9] * 20)


def test_a_clear_winner_over_one() -> None:
    assert study(zeros=ZEROS, he_normal=HE).conclusion == (
        "he_normal is best (98.3 %): 68.3 points above zeros [67.5, 69.2], which is worse in 20 of 20 seeds (p < "
        "0.001)."
    )


def test_a_clear_winner_over_all_others() -> None:
    assert study(zeros=ZEROS, he_normal=HE, small=SMALL).conclusion == (
        "he_normal is best (98.3 %), ahead of each of the 2 others: 3.7 points above small [2.3, 5.0], which is "
        "worse in 16 of 20 seeds (p < 0.001, corrected for all 3 pairs)."
    )


def test_a_group_of_the_best_that_cannot_be_told_apart() -> None:
    assert study(zeros=ZEROS, he_normal=HE, small=SMALL, glorot_normal=GLOROT).conclusion == (
        "he_normal has the best mean (98.3 %): 3.7 points above small [2.2, 5.2], which is worse in 16 of 20 seeds"
        " (p < 0.001, corrected for all 6 pairs). It cannot be told from glorot_normal (p = 1.00)."
    )


def test_a_long_group_is_counted_and_not_listed() -> None:
    rng = np.random.default_rng(0)
    alike = {f"s{i}": right(*rng.integers(28, 31, 20)) for i in range(6)}
    assert study(zeros=ZEROS, **alike).conclusion == (
        "s3 has the best mean (97.7 %): 67.7 points above zeros [65.8, 69.5], which is worse in 20 of 20 seeds (p "
        "< 0.001, corrected for all 21 pairs). It cannot be told from s2, s5, s0 and 2 more (p = 0.73 or more)."
    )


def test_no_clear_winner_of_two() -> None:
    assert study(glorot_normal=GLOROT, he_normal=right(*[29, 30, 30, 29, 30] * 4)).conclusion == (
        "No clear winner: he_normal has the best mean (98.7 %), 0.3 points above glorot_normal [-0.8, 1.5], which "
        "is worse in 6 of 20 seeds (p = 0.76). 10 to 21 seeds would tell 2 points in 80 % of studies."
    )


def test_no_clear_winner_of_three() -> None:
    assert study(a=HE, b=GLOROT, c=right(*[29, 30, 30, 29, 30] * 4)).conclusion == (
        "No clear winner: c has the best mean (98.7 %), 0.3 points above a [-1.2, 1.9], which is worse in 6 of 20 "
        "seeds (p = 0.93, corrected for all 3 pairs). Nor can it be told from b (p = 0.93). 14 to 28 seeds "
        "would tell 2 points in 80 % of studies."
    )


def test_everything_equal() -> None:
    assert study(zeros=ZEROS, ones=ZEROS, constant=ZEROS).conclusion == (
        "All 3 schemes did the same in every seed (30.0 %): the best is 0.0 points above the others [-0.8, 0.8], "
        "which are worse in 0 of 20 seeds (p = 1.00)."
    )


def test_too_few_seeds() -> None:
    assert study(zeros=ZEROS[:3], he_normal=HE[:3]).conclusion == (
        "3 seeds cannot tell a difference from chance: he_normal has the best mean (97.8 %), 67.8 points above "
        "zeros, which is worse in 3 of 3. Even the same winner in every seed would have p = 0.25 and no 95 % "
        "interval; it takes 6 seeds or more."
    )


def test_one_seed() -> None:
    assert study(zeros=ZEROS[:1], he_normal=HE[:1]).conclusion == (
        "1 seed cannot tell a difference from chance: he_normal has the best mean (96.7 %), 66.7 points above "
        "zeros, which is worse in 1 of 1. Even the same winner in every seed would have p = 1.00 and no 95 % "
        "interval; it takes 6 seeds or more."
    )


def test_a_single_scheme() -> None:
    assert (
        study(he_normal=HE).conclusion
        == "Only he_normal was run (98.3 % [97.5, 99.1], 20 seeds): a comparison takes a second scheme."
    )


def test_a_single_scheme_and_seed() -> None:
    assert study(zeros=[0.3]).conclusion == "Only zeros was run (30.0 %, 1 seed): a comparison takes a second scheme."


def test_all_diverged() -> None:
    assert study(a=["diverged"] * 6, b=["diverged"] * 6).conclusion == "Nothing to compare: all 12 runs diverged."


def test_none_finished() -> None:
    assert study(a=["failed"] * 2, b=["timeout"] * 2).conclusion == "Nothing to compare: none of the 4 runs finished."


def test_some_diverged_and_none_finished() -> None:
    assert (
        study(a=["failed"] * 2, b=["diverged"] * 2).conclusion
        == "Nothing to compare: of 4 runs 2 diverged and the others did not finish."
    )


def test_a_scheme_that_always_diverges_has_no_distance_to_the_best() -> None:
    assert study(he_normal=HE, wild=["diverged"] * 20).conclusion == (
        "he_normal is best (98.3 %): ahead of wild, which is worse in 20 of 20 seeds (p < 0.001, by signed ranks, so "
        "there is no interval). wild diverged in 20 of 20."
    )


def test_some_divergence_leaves_an_effect_of_the_seeds_that_finished() -> None:
    assert study(he_normal=HE, wild=[*["diverged"] * 12, *right(*[27, 28] * 4)]).conclusion == (
        "he_normal is best (98.3 %): 6.7 points above wild on the 8 of 20 seeds where both finished, which is worse in "
        "20 of 20 seeds (p < 0.001, by signed ranks, so there is no interval). wild diverged in 12 of 20."
    )


def test_the_mean_of_a_best_scheme_that_lost_runs_says_of_how_many_it_is() -> None:
    assert study(he_normal=[*HE[:18], "diverged", "failed"], zeros=ZEROS).conclusion == (
        "he_normal is best (98.3 %, mean of the 18 of 20 runs that finished): 68.3 points above zeros on the 18 of 19 "
        "seeds where both finished, which is worse in 18 of 19 seeds (p < 0.001, by signed ranks, so there is no "
        "interval). he_normal diverged in 1 of 20. 1 of 40 runs did not finish and is left out."
    )


def test_a_scheme_that_lost_most_of_its_runs_is_not_best_and_is_said_to_be_ahead() -> None:
    gone = [*["failed"] * 14, *right(*[30] * 6)]
    assert study(he_normal=right(*[27, 28] * 10), gone=gone).conclusion == (
        "No clear winner: he_normal has the best standing (91.7 %), 8.3 points below gone [6.7, 10.0], which is worse "
        "in 0 of 6 seeds (p = 0.031). gone finished only 6 of 20 runs, so it cannot be best. 14 of 40 runs did not "
        "finish and are left out."
    )


def test_no_scheme_is_best_where_each_lost_most_of_its_runs() -> None:
    assert study(a=[0.9, *["diverged"] * 5], b=[0.8, 0.8, *["failed"] * 4]).conclusion == (
        "No scheme is best: each lost more than half of its runs. a diverged in 5 of 6. 4 of 12 runs did not finish "
        "and are left out."
    )


def test_failed_runs_are_named_as_left_out() -> None:
    assert study(zeros=ZEROS, he_normal=[*HE[:19], "failed"]).conclusion == (
        "he_normal is best (98.2 %, mean of the 19 of 20 runs that finished): 68.2 points above zeros [67.4, 69.0], "
        "which is worse in 19 of 19 seeds (p < 0.001). 1 of 40 runs did not finish and is left out."
    )


def test_a_scheme_without_finished_runs_is_named_as_untold() -> None:
    assert study(zeros=ZEROS, he_normal=HE, gone=["timeout"] * 20).conclusion == (
        "he_normal has the best mean (98.3 %): 68.3 points above zeros [67.5, 69.2], which is worse in 20 of 20 "
        "seeds (p < 0.001). Too few runs of gone finished to tell. 20 of 60 runs did not finish and are left out."
    )


def test_no_common_seed() -> None:
    assert study(a=[0.9, "failed"], b=["failed", 0.8]).conclusion == (
        "Nothing to compare: no seed finished under both a and another scheme. 2 of 4 runs did not finish and are "
        "left out."
    )


def test_losses_are_said_as_losses() -> None:
    losses = np.random.default_rng(1).normal(0.1, 0.01, 20)
    assert study(loss=True, zeros=[0.25, 0.27] * 10, he_normal=losses.tolist()).conclusion == (
        "he_normal is best (test loss 0.1004): 0.1596 below zeros [0.1545, 0.1648], which is worse in 20 of 20 "
        "seeds (p < 0.001)."
    )


def test_a_single_loss() -> None:
    assert (
        study(loss=True, he_normal=[0.1, 0.11, 0.12]).conclusion
        == "Only he_normal was run (test loss 0.110 [0.085, 0.135], 3 seeds): a comparison takes a second scheme."
    )


def test_small_differences_have_two_decimals() -> None:
    rng = np.random.default_rng(2)
    high, low = 0.98 + rng.normal(0, 0.0002, 20), 0.9792 + rng.normal(0, 0.0002, 20)
    assert (
        study(rows=10000, a=high.tolist(), b=low.tolist()).conclusion
        == "a is best (98.00 %): 0.08 points above b [0.06, 0.09], which is worse in 20 of 20 seeds (p < 0.001)."
    )


scores = st.lists(st.integers(20, 30), min_size=8, max_size=8)


@given(scores, scores, scores)
@settings(max_examples=60, deadline=None)
def test_a_scheme_is_called_best_just_where_every_pair_with_it_is_at_most_five_per_cent(
    a: list[int], b: list[int], c: list[int]
) -> None:
    got = study(a=right(*a), b=right(*b), c=right(*c))
    p = [row.p_vs_best for row in got.rows if row.scheme != got.best]
    assert (" is best (" in got.conclusion) == all(value is not None and value <= 0.05 for value in p)


@pytest.mark.parametrize("seeds", [6, 20])
def test_the_conclusion_always_gives_effect_interval_and_seeds_where_a_test_is_possible(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    for _ in range(20):
        got = study(**{name: (rng.integers(25, 31, seeds) / 30).tolist() for name in "abcd"})
        assert " points above " in got.conclusion
        assert " worse in " in got.conclusion
        assert "[" in got.conclusion
