"""From records to a table: a row a scheme, all pairs compared, and what to conclude."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import StoreError
from initlab.study.conclusion import SURE, Findings, best_of, conclude
from initlab.study.kept import kept_by_schemes
from initlab.study.power import held_up, power_text
from initlab.study.rates import at_chosen_rates, chosen_rates, is_tuning
from initlab.study.records import Analysis, Estimate, Pair, RunRecord, SchemeRow, Status, StudyDesign
from initlab.study.shares import FEWEST, share_of
from initlab.study.splits import compare_splits, split_estimate
from initlab.study.stats import compare_pairs, estimate
from initlab.study.wording import Metric, row_worth
from initlab.tasks.preprocess import WORDS

# Trainers count in float32: 27 right of 30 is 0.89999998, and has reached 0.9.
FLOAT32_ROUNDING = 1e-6
TARGET_SHARE = 0.9

Grid = Mapping[str, Sequence[RunRecord]]


@dataclass(frozen=True)
class _Measure:
    """What is compared: the metric, its bounds, and the rows that it is measured on (0: not known)."""

    metric: Metric
    bounds: tuple[float, float] | None
    rows: int

    @property
    def resolution(self) -> float:
        """The step between neighbouring values; 0 where there is none."""
        return 1 / self.rows if self.rows and self.metric == "test_accuracy" else 0.0


def analyse(design: StudyDesign, records: Sequence[RunRecord], *, ratio: float = 0.25, notes: str = "") -> Analysis:
    """The table, all pairs and the conclusion of a study that has a record for every planned run.

    The score of a run is its test accuracy at the last epoch; where a study has none (regression), minus its test
    loss. A run that diverged, or ended with an infinite test loss, is worse than every run that finished, and no number
    stands in for it: its pairs are tested by signed ranks (``study.stats.compare_pairs``). A run that failed, timed out
    or was skipped says nothing about its scheme, and its seed is left out of that scheme's pairs. Means are over the
    runs that finished, and a scheme that lost more than half of its runs is never the best.

    Where the study has a grid of learning rates, each scheme is compared at its own (``study.rates``).

    A study of several splits is judged for other data of this size (``study.splits``), one of a single split for these
    test rows.

    Args:
        design: The study; its schemes are canonical calls, as in the records' specs.
        records: One for each scheme and seed, in any order; of a grid, at each rate.
        ratio: Test rows by training rows of a split; of one split no number depends on it.
        notes: What is to be said of the data in the table's caption.

    Returns:
        The analysis. ``target`` is 90 % of the best scheme's mean test accuracy (for losses: its mean test loss / 0.9),
        NaN where no scheme is best; ``epochs_to_target`` counts from 0, the state before training, and is None for
        runs that did not finish.

    Raises:
        StoreError: A planned run has no record, or two, or a record belongs to no planned run or has an unknown status.
    """
    told, rates = _own_rates(design, records), chosen_rates(design, records)
    every, records = records, at_chosen_rates(design, records)
    grid = _grid(design, records)
    measure = _measure(records)
    scores = {scheme: [_score(run, measure.metric) for run in runs] for scheme, runs in grid.items()}
    matrix = np.array(list(scores.values()), dtype=np.float64)
    findings = Findings(
        {scheme: _mean(row, design, measure, ratio) for scheme, row in scores.items()},
        _pairs(matrix, design, measure, ratio),
        measure.metric,
        design.runs,
        _count(scores, math.isinf),
        _count(scores, math.isnan),
        splits=design.splits,
    )
    best = best_of(findings)
    target = _target(None if best is None else findings.scores[best].mean)
    return Analysis(
        study=design.name,
        seeds=design.runs,
        splits=design.splits,
        epochs=design.budget.epochs,
        rows=tuple(
            replace(_row(scheme, runs, findings, best, target, measure), learning_rate=rates.get(scheme))
            for scheme, runs in grid.items()
        ),
        best=best,
        target=target,
        pairs=tuple(findings.pairs),
        conclusion=conclude(findings)
        + _outlook(findings, matrix, best)
        + told
        + _on_rows(design, findings, measure)
        + _shared(design, every, measure),
        data=" ".join(filter(None, (_data(design, measure), notes, kept_by_schemes(run.spec for run in records)))),
    )


def _mean(scores: Sequence[float], design: StudyDesign, measure: _Measure, ratio: float) -> Estimate:
    if design.splits == 1:
        return estimate(list(scores), bounds=measure.bounds)
    return split_estimate(scores, splits=design.splits, ratio=ratio, bounds=measure.bounds)


def _pairs(matrix: NDArray[np.float64], design: StudyDesign, measure: _Measure, ratio: float) -> tuple[Pair, ...]:
    if design.splits == 1:
        return compare_pairs(matrix, names=design.schemes, resolution=measure.resolution)
    return compare_splits(
        matrix, names=design.schemes, splits=design.splits, ratio=ratio, resolution=measure.resolution
    )


def _on_rows(design: StudyDesign, findings: Findings, measure: _Measure) -> str:
    """What the answer is said of: seeds are not data."""
    if not measure.rows or all(score.mean is None for score in findings.scores.values()):
        return ""
    if design.splits > 1:
        each = f"{design.splits} splits, {design.seeds} fresh seeds each"
        held = ", other weights are not" if design.vary == "data" else ""
        return f" This is over {each}: other data of this size are covered{held}."
    others = {"init": "other weights", "data": "other batches and dropout", "both": "other seeds"}[design.vary]
    nots = {"init": "other batches, dropout and rows", "data": "other weights and rows", "both": "other rows"}
    return f" This is on these {measure.rows:,} test rows: {others} are covered, {nots[design.vary]} are not."


def _shared(design: StudyDesign, records: Sequence[RunRecord], measure: _Measure) -> str:
    """Of a study in which a part of the seed is held, the share of the variance that comes from the weights."""
    if design.vary == "both":
        return ""
    parts = [
        {(r.spec.scheme, r.spec.seed): _score(r, measure.metric) for r in records if r.spec.is_held is is_held}
        for is_held in (True, False)
    ]
    held, free = (
        np.array([[part.get((scheme, seed), np.nan) for seed in design.all_seeds] for scheme in design.schemes])
        for part in parts
    )
    share = share_of(held, free, of=design.vary)
    what = {"init": "the weights", "data": "batches, dropout and split"}[design.vary]
    if share is None:
        return f" Which share of the variance comes from {what} is not told: it takes {FEWEST} seeds that differ."
    low, high = (f"{100 * end:.0f}" for end in (share.low, share.high))
    return f" Of the variance over seeds {100 * share.share:.0f} % [{low}, {high}] comes from {what}."


def _outlook(findings: Findings, matrix: NDArray[np.float64], best: str | None) -> str:
    """Of one split, what more seeds would tell, where one winner on all seeds has no small p or none is told."""
    if findings.splits > 1 or best is None or not np.isfinite(matrix).all():
        return ""
    tested = [pair for pair in findings.pairs if pair.p is not None]
    place = {name: row for row, name in enumerate(findings.scores)}
    rows = np.array([matrix[place[pair.first]] - matrix[place[pair.second]] for pair in tested])
    if not tested:
        return ""
    text = held_up(rows, [(pair.first, pair.second) for pair in tested], tested)
    own = [row for row, pair in enumerate(tested) if best in (pair.first, pair.second)]
    if text or any((tested[row].p or 0.0) <= SURE for row in own):
        return text
    nearest = min(own, key=lambda row: abs(tested[row].difference))
    is_share = findings.metric == "test_accuracy"
    size = 0.02 if is_share else 0.05 * abs(findings.scores[best].mean or 0.0)
    said = "2 points" if is_share else "5 % of the loss"
    return power_text(rows[nearest], difference=size, said=said, pairs=len(tested))


def _data(design: StudyDesign, measure: _Measure) -> str:
    """The caption's sentences about the data."""
    said = []
    if measure.rows:
        worth = f", one of which is worth {row_worth(measure.rows)} points" if measure.resolution else ""
        said.append(f"{measure.rows:,} test rows{worth}.")
    if design.preprocess is not None:
        said.append(f"Preprocess: {design.preprocess} ({WORDS[design.preprocess]}).")
    return " ".join(said)


def _own_rates(design: StudyDesign, records: Sequence[RunRecord]) -> str:
    count = len(design.learning_rates)
    if not count:
        return ""
    by = (
        "on other seeds and a validation part of the training rows" if any(map(is_tuning, records)) else "by train loss"
    )
    each = ", on each split anew" if design.splits > 1 else ""
    return f" Each scheme has its own of {count} learning rates, chosen {by}{each}."


def _grid(design: StudyDesign, records: Sequence[RunRecord]) -> Grid:
    """The records by scheme, each scheme's in the order of the seeds; ok + diverged + ... = planned holds after it."""
    planned = {(scheme, seed) for scheme in design.schemes for seed in design.all_seeds}
    found = {(run.spec.scheme, run.spec.seed): run for run in records}
    where = f"study '{design.name}'"
    if len(planned) != len(design.schemes) * design.runs:
        raise StoreError("a scheme is listed twice", where=where, fix="name each scheme once")
    if len(found) != len(records):
        raise StoreError(f"{len(records)} records for {len(found)} runs", where=where, fix="give one record a run")
    if missing := sorted(planned - found.keys()):
        have, (scheme, seed) = len(planned) - len(missing), missing[0]
        what = f"{have} of {len(planned)} planned runs have a record; {scheme}, seed {seed} has none"
        raise StoreError(what, where=where, fix="run the comparison again, finished runs are kept")
    if strange := sorted(found.keys() - planned):
        what = f"a record of {strange[0][0]}, seed {strange[0][1]}, which was not planned"
        raise StoreError(what, where=where, fix="give the records of this study alone")
    if unknown := sorted({run.status for run in records} - set(get_args(Status))):
        raise StoreError(f"unknown status '{unknown[0]}'", where=where, fix=f"one of {', '.join(get_args(Status))}")
    return {scheme: [found[scheme, seed] for seed in design.all_seeds] for scheme in design.schemes}


def _measure(records: Sequence[RunRecord]) -> _Measure:
    accuracies = any(np.isfinite(run.curves.get("test_accuracy", np.nan)).any() for run in records)
    losses = any(np.isfinite(run.curves.get("test_loss", np.nan)).any() for run in records)
    rows = max((len(run.predictions) for run in records if run.predictions is not None), default=0)
    return _Measure("test_loss", None, rows) if losses and not accuracies else _Measure("test_accuracy", (0, 1), rows)


def _final(run: RunRecord, metric: Metric) -> float | None:
    """The score at the last epoch of a run that finished, else None; more is better."""
    if run.status != "ok":
        return None
    value = run.final(metric) if metric == "test_accuracy" else -run.final(metric)
    return value if math.isfinite(value) else None


def _score(run: RunRecord, metric: Metric) -> float:
    """The score of a run; ``-inf`` where it diverged, NaN where it says nothing about its scheme."""
    if run.status in ("ok", "diverged"):
        final = _final(run, metric)
        # A finished run without a finite score (an infinite test loss) is no better than one that diverged.
        return -math.inf if final is None else final
    return math.nan


def _count(scores: Mapping[str, Sequence[float]], found: Callable[[float], bool]) -> dict[str, int]:
    """By scheme, the runs of this kind; schemes without are left out."""
    counts = {scheme: sum(map(found, row)) for scheme, row in scores.items()}
    return {scheme: count for scheme, count in counts.items() if count}


def _target(best: float | None) -> float:
    if best is None:
        return math.nan
    return TARGET_SHARE * best if best >= 0 else best / TARGET_SHARE


def _row(
    scheme: str, runs: Sequence[RunRecord], findings: Findings, best: str | None, target: float, measure: _Measure
) -> SchemeRow:
    versus = next((pair for pair in findings.pairs if {pair.first, pair.second} == {scheme, best}), None)
    losses = 0 if versus is None else versus.losses if versus.first == scheme else versus.wins
    return SchemeRow(
        scheme=scheme,
        test_accuracy=findings.scores[scheme],
        gap=_estimate(runs, lambda run: _gap(run, measure.metric)),
        train_loss=_estimate(runs, lambda run: run.final("train_loss") if run.status == "ok" else None),
        epochs_to_target=tuple(_epochs_to(target, run, measure.metric) for run in runs),
        runs=len(runs),
        diverged=findings.diverged.get(scheme, 0),
        failed=findings.failed.get(scheme, 0),
        losses_to_best=losses,
        p_vs_best=None if versus is None else versus.p,
        seeds_vs_best=None if versus is None else versus.seeds,
        changed=sum(bool(run.changed) for run in runs),
    )


def _estimate(
    runs: Sequence[RunRecord],
    value: Callable[[RunRecord], float | None],
    bounds: tuple[float, float] | None = None,
) -> Estimate:
    return estimate([value(run) for run in runs], bounds=bounds)


def _gap(run: RunRecord, metric: Metric) -> float | None:
    """Train minus test score at the last epoch."""
    if run.status != "ok":
        return None
    if metric == "test_accuracy":
        return run.final("train_accuracy") - run.final("test_accuracy")
    return run.final("test_loss") - run.final("train_loss")


def _epochs_to(target: float, run: RunRecord, metric: Metric) -> int | None:
    """The first epoch whose score reaches the target; None where none does, or the run did not finish."""
    if run.status != "ok" or metric not in run.curves:
        return None
    curve = run.curves[metric] if metric == "test_accuracy" else -run.curves[metric]
    reached = np.flatnonzero(curve >= target - FLOAT32_ROUNDING * abs(target))
    return int(reached[0]) if reached.size else None
