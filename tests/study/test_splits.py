"""Several splits: fresh seeds on each, and an answer that covers other data of the same size."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import initlab
from initlab.core.errors import OptionError
from initlab.study.analysis import analyse
from initlab.study.design import data_options, expand, load_study, with_overrides
from initlab.study.run import run_study
from initlab.study.split_runs import at_split
from initlab.study.splits import compare_splits, split_estimate, spread_of
from initlab.tasks import load_task


def scores(rng: np.random.Generator, *, schemes: int, splits: int, seeds: int, effect: float) -> np.ndarray:
    """150 rows, split into 120 and 30 again and again; scheme 0 is better by the effect over such data."""
    rows = 0.11 * rng.normal(size=(schemes, 150))
    tested = np.array([rng.permutation(150)[:30] for _ in range(splits)])
    found = rows[:, tested].mean(-1)[..., None] + 0.02 * rng.normal(size=(schemes, splits, seeds))
    found[0] += effect
    return found.reshape(schemes, -1)


@pytest.mark.parametrize(("schemes", "effect"), [(2, 0.0), (2, 0.04), (4, 0.04)])
def test_the_intervals_hold_the_truth_for_other_data_in_about_95_of_100_studies(schemes: int, effect: float) -> None:
    rng, held, studies = np.random.default_rng([schemes, 11]), 0, 400
    names = [f"s{i}" for i in range(schemes)]
    for _ in range(studies):
        pairs = compare_splits(
            scores(rng, schemes=schemes, splits=5, seeds=3, effect=effect), names=names, splits=5, ratio=0.25
        )
        held += all(p.low <= (effect if p.first == "s0" else 0.0) <= p.high for p in pairs)  # type: ignore[operator]
        assert all((p.p <= 0.05) == (not p.low <= 0 <= p.high) for p in pairs)  # type: ignore[operator]
    assert 0.95 - 4 * math.sqrt(0.05 * 0.95 / studies) <= held / studies <= 0.99


def test_the_spread_is_that_of_the_splits_means_and_counts_the_shared_rows() -> None:
    found = spread_of(np.array([[0.0, 4.0], [4.0, 6.0], [9.0, math.nan]]), 0.5)
    assert found.mean == pytest.approx((2 + 5 + 9) / 3)
    assert found.error == pytest.approx(math.sqrt(np.var([2, 5, 9], ddof=1) * (1 / 3 + 0.5)))


def test_a_scheme_that_diverges_everywhere_is_behind_without_an_interval() -> None:
    pair = compare_splits(
        np.array([[0.9] * 9, [-np.inf] * 9]), names=("a", "b"), splits=3, ratio=0.25, resolution=1 / 30
    )[0]
    assert (pair.ahead, pair.wins, pair.diverged, pair.low) == (1, 9, 9, None)
    assert pair.p is not None
    assert pair.p < 0.05


def test_two_splits_with_a_run_tell_nothing() -> None:
    lost = [np.nan] * 3
    pair = compare_splits(np.array([[0.9] * 9, [0.3] * 6 + lost]), names=("a", "b"), splits=3, ratio=0.25)[0]
    assert (pair.p, pair.low) == (None, None)
    assert split_estimate([0.3] * 6 + lost, splits=3, ratio=0.25).low is None


def test_every_split_has_seeds_and_rows_of_its_own_and_the_first_is_the_studys() -> None:
    design = with_overrides(load_study("iris"), schemes=["zeros"], splits=4, seeds=3, first_seed=10)
    parts = [at_split(design, k) for k in range(4)]
    runs = [run for part in parts for run in expand(part, load_task("iris", **data_options(part)))]
    assert [run.seed for run in runs] == list(range(10, 22)) == list(design.all_seeds)
    assert len({run.run_id for run in runs}) == 12
    tests = {load_task("iris", **data_options(part)).x_test.tobytes() for part in parts}
    assert len(tests) == 4
    alone = expand(replace(design, splits=1), load_task("iris", preprocess="none"))
    assert [run.run_id for run in alone] == [run.run_id for run in runs[:3]]


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"splits": 2, "seeds": 3}, "cannot tell a spread"),
        ({"splits": 5, "seeds": 2}, "cannot tell a spread"),
        ({"splits": 3, "seeds": 3, "task": "recall"}, "recall has a test set of its own"),
        ({"splits": 0}, "splits must be a whole number"),
        ({"first_seed": -1}, "first_seed must be a whole number of 0 or more"),
    ],
)
def test_splits_that_say_nothing_are_refused(asked: dict, why: str) -> None:
    with pytest.raises(OptionError, match=why):
        with_overrides(load_study("iris"), **asked)


def test_a_comparison_over_splits_says_what_it_covers(tmp_path: Path) -> None:
    found = initlab.compare(
        "iris", schemes=["zeros", "glorot_normal"], splits=3, seeds=3, epochs=12, out=tmp_path, jobs=1
    )
    told = found.to_dict()
    assert (told["splits"], told["seeds"], told["design"]["splits"], len(told["runs"])) == (3, 9, 3, 18)
    assert "3 splits of 3 seeds" in found.table()
    assert found.analysis.conclusion.endswith(
        "This is over 3 splits, 3 fresh seeds each: other data of this size are covered."
    )


def test_what_the_readme_concludes_of_iris_holds_on_nine_other_splits(tmp_path: Path) -> None:
    """Zeros never learn; of the others none is ahead of another on every split."""
    ahead: dict[tuple[str, str], set[int]] = {}
    for split in range(43, 52):
        design = with_overrides(load_study("iris"), seeds=3, task_options={"split": split}, preprocess="none")
        data = load_task("iris", **data_options(design))
        found = analyse(design, run_study(design, data, tmp_path / str(split), jobs=1))
        for pair in found.pairs:
            ahead.setdefault((pair.first, pair.second), set()).add(pair.ahead)
    assert {signs == {-1} for names, signs in ahead.items() if names[0] == "zeros"} == {True}
    assert all(len(signs) > 1 for names, signs in ahead.items() if names[0] != "zeros")
