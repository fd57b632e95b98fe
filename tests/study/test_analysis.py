"""From records to rows: who is counted, what diverged runs are worth, when the target is reached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.core.errors import StoreError
from initlab.core.facts.arch import Mlp
from initlab.core.training.protocol import Budget, Optimizer
from initlab.study.analysis import analyse
from initlab.study.records import Analysis, RunRecord, RunSpec, SchemeRow, Status, StudyDesign

# A run by its final test score, or by how it ended.
Ending = float | Status
CURVE = np.array([np.nan, 1.0])


def design(schemes: Sequence[str], seeds: int) -> StudyDesign:
    return StudyDesign("iris", "iris", (8,), tuple(schemes), Optimizer(), Budget(50, 32), seeds=seeds)


def record(scheme: str, seed: int, ending: Ending, *, loss: bool = False, start: float = 0.3) -> RunRecord:
    spec = RunSpec(scheme, "iris", "00", Mlp((4, 8, 3)), Optimizer(), Budget(50, 32), seed)
    if isinstance(ending, str):
        reached = {"test_accuracy": np.array([start, np.nan])} if ending == "diverged" else {}
        return RunRecord(spec.run_id, spec, ending, "why", curves={} if loss else reached)
    curves = {"train_loss": CURVE / 4, "test_loss": CURVE, "train_accuracy": CURVE}
    curves |= {"test_loss" if loss else "test_accuracy": np.array([start, ending])}
    return RunRecord(spec.run_id, spec, "ok", curves=curves, predictions=np.zeros(30, dtype=np.int32))


def study(endings: Mapping[str, Sequence[Ending]], *, loss: bool = False) -> Analysis:
    seeds = len(next(iter(endings.values())))
    runs = [record(s, i, e, loss=loss) for s, row in endings.items() for i, e in enumerate(row)]
    return analyse(design(list(endings), seeds), runs)


def row(analysis: Analysis, scheme: str) -> SchemeRow:
    return next(r for r in analysis.rows if r.scheme == scheme)


def test_rows_follow_the_studys_order_and_hold_every_seed_in_order() -> None:
    runs = [record(s, seed, 0.1 * seed + (s == "b") / 100) for seed in (2, 0, 1) for s in ("b", "a")]
    got = analyse(design(["a", "b"], 3), runs)
    assert [r.scheme for r in got.rows] == ["a", "b"]
    assert got.rows[0].test_accuracy.per_seed == pytest.approx((0.0, 0.1, 0.2))


def test_the_best_scheme_has_the_highest_mean_and_no_p() -> None:
    got = study({"low": [0.3] * 8, "high": [0.9] * 8, "middle": [0.6] * 8})
    assert got.best == "high"
    assert row(got, "high").p_vs_best is None
    assert row(got, "high").losses_to_best == 0


def test_zeros_at_thirty_per_cent_on_every_seed_lose_with_the_smallest_p() -> None:
    got = study({"zeros": [0.30] * 20, "he_normal": [0.97, 1.0] * 10})
    assert row(got, "zeros").p_vs_best == 1 / 2**15
    assert row(got, "zeros").losses_to_best == 20
    assert row(got, "zeros").test_accuracy.low == row(got, "zeros").test_accuracy.high == 0.30


def test_three_seeds_give_no_p() -> None:
    got = study({"zeros": [0.30] * 3, "he_normal": [0.97] * 3})
    assert row(got, "zeros").p_vs_best is None
    assert row(got, "zeros").losses_to_best == 3


def test_gap_and_train_loss_are_those_of_the_last_epoch() -> None:
    got = row(study({"a": [0.75] * 4}), "a")
    assert (got.gap.mean, got.train_loss.mean) == (0.25, 0.25)


def test_the_interval_of_an_accuracy_ends_at_one() -> None:
    assert row(study({"a": [0.9, 1.0, 1.0]}), "a").test_accuracy.high == 1.0


# Target


def test_the_target_is_nine_tenths_of_the_best_schemes_mean() -> None:
    assert study({"a": [0.8, 1.0], "b": [0.5, 0.5]}).target == pytest.approx(0.81)


def curve_record(scheme: str, curve: Sequence[float]) -> RunRecord:
    return replace(record(scheme, 0, 0.0), curves={"test_accuracy": np.array(curve)})


@pytest.mark.parametrize(
    ("curve", "epoch"),
    [
        ([0.95, 0.2, 0.2], 0),  # before training
        ([0.3, 0.899, 0.9], 2),
        ([0.3, 0.95, 0.2], 1),  # the first time counts
        ([0.3, float(np.float32(27 / 30)), 0.1], 1),  # 27 of 30, counted in float32, is nine tenths
        ([0.3, 0.4, 0.899], None),
    ],
)
def test_epochs_to_target_are_counted_from_the_state_before_training(curve: list[float], epoch: int | None) -> None:
    got = analyse(design(["best", "other"], 1), [curve_record("best", [0.3, 1.0]), curve_record("other", curve)])
    assert row(got, "other").epochs_to_target == (epoch,)


# Runs that did not finish


def test_a_diverged_run_is_behind_and_no_number_stands_in_for_it() -> None:
    got = study({"a": [0.9] * 8, "b": [0.8] * 7 + ["diverged"]})
    pair = got.pairs[0]
    assert pair.difference == pytest.approx(0.1)
    assert (pair.wins, pair.seeds, pair.diverged, pair.ahead, pair.low, pair.high) == (8, 8, 1, 1, None, None)
    assert row(got, "b").test_accuracy.per_seed[-1] is None
    assert (row(got, "b").diverged, row(got, "b").failed, row(got, "b").losses_to_best) == (1, 0, 8)


def test_a_scheme_that_wins_one_seed_and_diverges_on_the_others_is_not_the_best() -> None:
    got = study({"lucky": [1.0] + ["diverged"] * 7, "steady": [0.8] * 8})
    assert got.best == "steady"
    assert row(got, "lucky").test_accuracy.mean == 1.0


def test_a_diverged_run_loses_to_one_that_finished_below_chance() -> None:
    got = study({"zeros": [0.30] * 8, "wild": ["diverged"] * 8})
    assert (got.pairs[0].wins, got.pairs[0].losses) == (8, 0)
    assert math.isnan(got.pairs[0].difference)


def test_two_runs_that_diverged_are_equal() -> None:
    got = study({"a": [0.9] * 6 + ["diverged"] * 3, "b": [0.8] * 5 + ["diverged"] * 4})
    assert (got.pairs[0].wins, got.pairs[0].losses, got.pairs[0].ties, got.pairs[0].diverged) == (6, 0, 3, 4)
    assert got.pairs[0].p == 2 / 2**6  # the three equal seeds change no statistic


@pytest.mark.parametrize("lost", ["diverged", "failed", "timeout", "skipped"])
def test_a_scheme_that_lost_fourteen_of_twenty_runs_is_not_the_best(lost: Status) -> None:
    got = study({"steady": [0.5, 0.52] * 10, "lucky": [lost] * 14 + [0.381] * 6}, loss=True)
    assert got.best == "steady"
    compared = 20 if lost == "diverged" else 6
    assert (row(got, "lucky").losses_to_best, row(got, "lucky").seeds_vs_best) == (compared - 6, compared)


def test_exactly_half_of_the_runs_may_be_lost() -> None:
    got = study({"a": [0.9] * 3 + ["failed"] * 3, "b": [0.8] * 6})
    assert got.best == "a"


def test_a_scheme_with_a_higher_mean_that_diverges_in_two_of_five_seeds_is_not_the_best() -> None:
    got = study({"steady": [0.96] * 5, "risky": [0.98] * 3 + ["diverged"] * 2})
    assert got.best == "steady"


def test_one_divergence_among_nineteen_wins_is_still_the_best() -> None:
    got = study({"steady": [0.90] * 20, "risky": [0.98] * 19 + ["diverged"]})
    assert got.best == "risky"


def test_where_every_scheme_lost_most_of_its_runs_none_is_best() -> None:
    got = study({"a": [0.9] + ["diverged"] * 5, "b": [0.8] * 2 + ["failed"] * 4})
    assert got.best is None
    assert math.isnan(got.target)
    assert {r.seeds_vs_best for r in got.rows} == {None}


def test_an_infinite_test_loss_counts_as_divergence() -> None:
    got = study({"a": [0.5] * 8, "b": [0.2] * 7 + [math.inf]}, loss=True)
    assert (row(got, "b").diverged, got.pairs[0].diverged, row(got, "b").test_accuracy.mean) == (1, 1, -0.2)


def test_divergence_on_every_seed_is_a_difference_that_is_called() -> None:
    got = study({"he_normal": [0.9, 1.0] * 4, "wild": ["diverged"] * 8})
    assert row(got, "wild").p_vs_best == 2 / 2**8
    assert row(got, "wild").test_accuracy.mean is None


@pytest.mark.parametrize("status", ["failed", "timeout", "skipped"])
def test_a_run_that_failed_is_left_out_of_its_pairs(status: Status) -> None:
    got = study({"a": [0.9] * 8, "b": [0.8] * 7 + [status]})
    assert got.pairs[0].wins + got.pairs[0].losses + got.pairs[0].ties == 7
    assert got.pairs[0].difference == pytest.approx(0.1)
    assert (row(got, "b").failed, row(got, "b").diverged, row(got, "b").runs) == (1, 0, 8)


def test_a_run_that_did_not_finish_reached_no_target() -> None:
    runs = [record("a", 0, 0.9), record("b", 0, "diverged", start=0.99)]
    assert row(analyse(design(["a", "b"], 1), runs), "b").epochs_to_target == (None,)


def test_where_every_run_diverged_there_is_no_target_and_nothing_reached_it() -> None:
    got = study({"a": ["diverged"] * 6, "b": ["diverged"] * 6})
    assert math.isnan(got.target)
    assert {epoch for r in got.rows for epoch in r.epochs_to_target} == {None}


# Regression


def test_a_task_without_accuracy_is_scored_by_minus_its_test_loss() -> None:
    got = study({"a": [0.5, 0.6] * 4, "b": [0.2, 0.3] * 4}, loss=True)
    assert got.best == "b"
    assert row(got, "a").test_accuracy.mean == pytest.approx(-0.55)
    assert got.target == pytest.approx(-0.25 / 0.9)
    assert row(got, "b").epochs_to_target[:2] == (1, None)
    assert row(got, "b").gap.mean == pytest.approx(0.25 - 0.25)


def test_a_diverged_regression_leaves_the_effect_of_the_seeds_that_finished() -> None:
    got = study({"a": [0.5] * 8, "b": [0.2] * 7 + ["diverged"]}, loss=True)
    assert got.pairs[0].difference == pytest.approx(-0.3)
    assert got.best == "b"


# The books balance


def test_a_missing_run_is_an_error_that_names_it() -> None:
    runs = [record("a", 0, 0.9), record("a", 1, 0.9), record("b", 1, 0.9)]
    with pytest.raises(StoreError, match=r"3 of 4 planned runs have a record; b, seed 0 has none \(study 'iris'\)"):
        analyse(design(["a", "b"], 2), runs)


def test_a_run_with_two_records_is_an_error() -> None:
    with pytest.raises(StoreError, match="2 records for 1 runs"):
        analyse(design(["a"], 1), [record("a", 0, 0.9), record("a", 0, 0.8)])


def test_a_run_that_was_not_planned_is_an_error() -> None:
    with pytest.raises(StoreError, match="a record of c, seed 0, which was not planned"):
        analyse(design(["a"], 1), [record("a", 0, 0.9), record("c", 0, 0.8)])


def test_a_status_that_does_not_exist_is_an_error() -> None:
    lost = replace(record("a", 0, 0.9), status="lost")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match="unknown status 'lost'"):
        analyse(design(["a"], 1), [lost])


def test_a_scheme_listed_twice_is_an_error() -> None:
    with pytest.raises(StoreError, match="listed twice"):
        analyse(design(["a", "a"], 1), [record("a", 0, 0.9)])


endings = st.one_of(
    st.integers(0, 30).map(lambda right: right / 30), st.sampled_from(["diverged", "failed", "timeout", "skipped"])
)


@given(st.integers(1, 4).flatmap(lambda k: st.lists(st.lists(endings, min_size=7, max_size=7), min_size=k, max_size=k)))
@settings(max_examples=60, deadline=None)
def test_every_planned_run_is_counted_once_however_it_ended(table: list[list[Ending]]) -> None:
    got = study({f"s{i}": row for i, row in enumerate(table)})
    for r in got.rows:
        finished = sum(value is not None for value in r.test_accuracy.per_seed)
        assert finished + r.diverged + r.failed == r.runs == 7
    assert len(got.pairs) == len(table) * (len(table) - 1) // 2
    assert "\n" not in got.conclusion
    assert "nan" not in got.conclusion
    assert "None" not in got.conclusion


@given(st.permutations(range(12)))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_records_changes_nothing(order: list[int]) -> None:
    runs = [record(s, seed, (7 * seed + i) % 11 / 10) for i, s in enumerate("ab") for seed in range(6)]
    assert analyse(design("ab", 6), [runs[i] for i in order]) == analyse(design("ab", 6), runs)
