"""The numbers of learning curves and final scores, ready to draw: rounded, thinned, None where none is finite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from initlab.report.drawing.text import evenly, round_to
from initlab.report.study.summary import Numbers, band, runs_of
from initlab.study.records import Analysis, Estimate, RunRecord, StudyDesign

MOST_POINTS = 120


@dataclass(frozen=True)
class Curve:
    """One scheme's learning curve over its seeds; an epoch where no run has a finite value is None.

    Attributes:
        scheme: The call.
        epochs: Counted from 1; 0 is the state at initialization.
        mean: Over the seeds with a finite value at that epoch.
        low: Their 10th percentile.
        high: Their 90th percentile.
    """

    scheme: str
    epochs: tuple[int, ...]
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class CurveFigure:
    """The learning curves of one quantity, a curve a scheme in the study's order."""

    quantity: str
    label: str
    curves: tuple[Curve, ...]
    log: bool


@dataclass(frozen=True)
class FinalRow:
    """One scheme's score after training: mean, its 95 % interval, and each seed's value."""

    scheme: str
    mean: float | None
    low: float | None
    high: float | None
    per_seed: Numbers


@dataclass(frozen=True)
class FinalFigure:
    """The score after training, a row a scheme in the study's order."""

    label: str
    rows: tuple[FinalRow, ...]
    less_is_better: bool = False


def is_regression(records: Iterable[RunRecord]) -> bool:
    """Whether no run has a test accuracy although it has a test loss."""
    trained = [r for r in records if "test_loss" in r.curves]
    return bool(trained) and not any(np.isfinite(r.curves.get("test_accuracy", np.nan)).any() for r in trained)


def score_figure(design: StudyDesign, records: Sequence[RunRecord]) -> CurveFigure:
    """Test accuracy by epoch; for regression the test loss."""
    if is_regression(records):
        return _curve_figure(design, records, "test_loss", f"Test loss ({_loss_unit(design)})")
    return _curve_figure(design, records, "test_accuracy", "Test accuracy (share of rows)")


def loss_figure(design: StudyDesign, records: Sequence[RunRecord]) -> CurveFigure:
    """Train loss by epoch, running over each epoch's minibatches."""
    return _curve_figure(design, records, "train_loss", f"Train loss ({_loss_unit(design)})")


def _loss_unit(design: StudyDesign) -> str:
    return "cross-entropy, nats" if design.loss == "cross_entropy" else "mean squared error"


def _curve_figure(design: StudyDesign, records: Sequence[RunRecord], quantity: str, label: str) -> CurveFigure:
    curves = tuple(_curve(scheme, runs_of(records, scheme), quantity) for scheme in design.schemes)
    values = [v for curve in curves for v in (*curve.low, *curve.high) if v is not None]
    # A loss that spans more than a factor of 20 is unreadable on a linear axis.
    log = "loss" in quantity and bool(values) and min(values) > 0 and max(values) > 20 * min(values)
    return CurveFigure(quantity, label, curves, log)


def _curve(scheme: str, runs: Sequence[RunRecord], quantity: str) -> Curve:
    rows = [r.curves[quantity] for r in runs if quantity in r.curves]
    stack = np.array(rows, dtype=np.float64) if rows else np.empty((0, 0))
    epochs = evenly(stack.shape[1], MOST_POINTS)
    return Curve(scheme, epochs, *band(stack[:, epochs]))


def final_figure(analysis: Analysis, records: Sequence[RunRecord]) -> FinalFigure:
    """The score after training of every seed, with mean and interval."""
    if is_regression(records):
        losses = tuple(_final_row(row.scheme, row.test_accuracy.negated()) for row in analysis.rows)
        return FinalFigure("Final test loss", losses, less_is_better=True)
    rows = tuple(_final_row(row.scheme, row.test_accuracy) for row in analysis.rows)
    return FinalFigure("Final test accuracy (share of rows)", rows)


def gap_figure(analysis: Analysis, records: Sequence[RunRecord]) -> FinalFigure:
    """How much better every seed does on the rows it was trained on: mean and interval by scheme."""
    label = "Test minus train loss" if is_regression(records) else "Train minus test accuracy"
    return FinalFigure(label, tuple(_final_row(row.scheme, row.gap) for row in analysis.rows))


def time_figure(analysis: Analysis) -> FinalFigure:
    """Epochs to the target by seed, and their median; None where a seed never got there, or the median did not."""
    rows = []
    for row in analysis.rows:
        reached = [np.inf if epoch is None else float(epoch) for epoch in row.epochs_to_target]
        median = float(np.median(reached)) if reached else np.inf
        per_seed = tuple(None if epoch is None else float(epoch) for epoch in row.epochs_to_target)
        rows.append(FinalRow(row.scheme, round_to(median), None, None, per_seed))
    return FinalFigure("Epochs to the target", tuple(rows))


def _final_row(scheme: str, estimate: Estimate) -> FinalRow:
    mean, low, high = round_to(estimate.mean), round_to(estimate.low), round_to(estimate.high)
    return FinalRow(scheme, mean, low, high, tuple(round_to(value) for value in estimate.per_seed))


def close_rows(figure: FinalFigure) -> FinalFigure | None:
    """The schemes within a tenth of the whole range of the best, worth a closer look; None where that is all or one.

    Example:
        >>> rows = [FinalRow(s, m, None, None, (m,)) for s, m in (("zeros", 0.1), ("a", 0.97), ("b", 0.98))]
        >>> close = close_rows(FinalFigure("Final test accuracy", tuple(rows)))
        >>> [row.scheme for row in close.rows]
        ['a', 'b']
    """
    means = [row.mean for row in figure.rows if row.mean is not None]
    if not means:
        return None
    best, reach = (min if figure.less_is_better else max)(means), 0.1 * (max(means) - min(means))
    rows = tuple(row for row in figure.rows if row.mean is not None and abs(row.mean - best) <= reach)
    return replace(figure, rows=rows) if 2 <= len(rows) < len(figure.rows) else None
