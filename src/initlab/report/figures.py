"""The numbers of every figure, ready to draw: rounded, thinned, None where there is no finite value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.training import Histogram
from initlab.report.facts import measured_layers
from initlab.report.text import rounded
from initlab.study.records import Analysis, Estimate, RunRecord, StudyDesign

Numbers: TypeAlias = tuple[float | None, ...]
Floats: TypeAlias = NDArray[np.float64]
Quantity = Literal["weight", "activation", "gradient"]

# An odd number, so that a single value lies in the middle of its bin.
BINS = 33
MOST_POINTS = 120
MOST_LAYERS = 8
# Histograms between the first and the last epoch that a panel shows.
MOST_BETWEEN = 6
# The band of a learning curve: from the 10th to the 90th percentile of the seeds.
BAND = (10.0, 90.0)


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


@dataclass(frozen=True)
class HistogramPanel:
    """One layer's values under one scheme at the epochs that were asked for, pooled over seeds.

    Attributes:
        scheme: The call.
        layer: As in ``layer_names``.
        low: Lower edge of the first bin.
        high: Upper edge of the last.
        start: Share of the values in each of ``BINS`` equal bins at initialization; empty where not recorded.
        end: The same after training.
        between: The same at epochs in between, by epoch; at most ``MOST_BETWEEN``, evenly spread.
    """

    scheme: str
    layer: str
    low: float
    high: float
    start: tuple[float, ...]
    end: tuple[float, ...]
    between: tuple[tuple[int, tuple[float, ...]], ...] = ()


@dataclass(frozen=True)
class HistogramFigure:
    """The histograms of one quantity, a panel a scheme and layer."""

    quantity: Quantity
    layers: tuple[str, ...]
    panels: tuple[HistogramPanel, ...]

    @property
    def between(self) -> tuple[int, ...]:
        """Every epoch in between that any panel has."""
        return tuple(sorted({epoch for panel in self.panels for epoch, _ in panel.between}))

    def pages(self, schemes: int) -> tuple[HistogramFigure, ...]:
        """The figure in parts of so many schemes, so that none is longer than a printed page."""
        names = list(dict.fromkeys(panel.scheme for panel in self.panels))
        parts = [names[i : i + schemes] for i in range(0, len(names), schemes)]
        return tuple(replace(self, panels=tuple(p for p in self.panels if p.scheme in part)) for part in parts)


@dataclass(frozen=True)
class DeadRow:
    """The share of one hidden layer's units that are zero on the whole probe batch, as a mean over seeds."""

    scheme: str
    layer: str
    start: float | None
    end: float | None


@dataclass(frozen=True)
class DeadFigure:
    """Dead units, a row a scheme and hidden layer."""

    layers: tuple[str, ...]
    rows: tuple[DeadRow, ...]


def runs_of(records: Iterable[RunRecord], scheme: str) -> tuple[RunRecord, ...]:
    """The runs of one scheme, by seed."""
    return tuple(sorted((r for r in records if r.spec.scheme == scheme), key=lambda r: r.spec.seed))


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
    epochs = _thinned(stack.shape[1])
    columns = [column[np.isfinite(column)] for column in stack.T[epochs]]
    return Curve(
        scheme,
        tuple(int(e) for e in epochs),
        tuple(rounded(float(c.mean())) if len(c) else None for c in columns),
        tuple(rounded(float(np.percentile(c, BAND[0]))) if len(c) else None for c in columns),
        tuple(rounded(float(np.percentile(c, BAND[1]))) if len(c) else None for c in columns),
    )


def _thinned(points: int, most: int = MOST_POINTS) -> NDArray[np.intp]:
    """Indices of at most so many evenly spread points, first and last among them."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).round().astype(np.intp))


def final_figure(analysis: Analysis, records: Sequence[RunRecord]) -> FinalFigure:
    """The score after training of every seed, with mean and interval."""
    label = "minus test loss" if is_regression(records) else "test accuracy"
    rows = tuple(_final_row(row.scheme, row.test_accuracy) for row in analysis.rows)
    return FinalFigure(f"Final {label} (share of rows)" if label == "test accuracy" else f"Final {label}", rows)


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
        rows.append(FinalRow(row.scheme, rounded(median), None, None, per_seed))
    return FinalFigure("Epochs to the target", tuple(rows))


def _final_row(scheme: str, estimate: Estimate) -> FinalRow:
    mean, low, high = rounded(estimate.mean), rounded(estimate.low), rounded(estimate.high)
    return FinalRow(scheme, mean, low, high, tuple(rounded(value) for value in estimate.per_seed))


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
    floor = max(means) - 0.1 * (max(means) - min(means))
    rows = tuple(row for row in figure.rows if row.mean is not None and row.mean >= floor)
    return FinalFigure(figure.label, rows) if 2 <= len(rows) < len(figure.rows) else None


def histogram_figure(design: StudyDesign, records: Sequence[RunRecord], quantity: Quantity) -> HistogramFigure:
    """The values of one quantity in every layer at the first and the last recorded epoch, by scheme."""
    panels = []
    names: tuple[str, ...] = ()
    for scheme in design.schemes:
        found = [h for r in runs_of(records, scheme) for h in r.histograms if h.quantity == quantity]
        every = list(dict.fromkeys(h.layer for h in found))
        named = measured_layers(design, len(every)) if every else ()
        shown = shown_layers(len(every))
        layers, named = [every[i] for i in shown], tuple(named[i] for i in shown)
        names = max(names, named, key=len)
        last = max((h.epoch for h in found), default=0)
        for layer, name in zip(layers, named, strict=False):
            here = [h for h in found if h.layer == layer and h.counts.sum() > 0]
            panels += [_panel(scheme, name, here, last)] if here else []
    return HistogramFigure(quantity, names, tuple(panels))


def shown_layers(count: int) -> tuple[int, ...]:
    """The layers that have panels: all, or ``MOST_LAYERS`` evenly spread ones, first and last among them.

    Example:
        >>> shown_layers(3), shown_layers(15)
        ((0, 1, 2), (0, 2, 4, 6, 8, 10, 12, 14))
    """
    return tuple(int(i) for i in np.linspace(0, count - 1, min(count, MOST_LAYERS)).round())


def _panel(scheme: str, layer: str, found: Sequence[Histogram], last: int) -> HistogramPanel:
    spans = [_span(h) for h in found]
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    epochs = sorted({0, last, *(h.epoch for h in found)})
    inside = [epochs[1:-1][place] for place in _thinned(len(epochs[1:-1]), MOST_BETWEEN)]
    pooled = {epoch: _pooled([h for h in found if h.epoch == epoch], edges) for epoch in (0, *inside, last)}
    shares = {epoch: tuple(float(f"{s:.3g}") for s in values) for epoch, values in pooled.items()}
    between = tuple((epoch, shares[epoch]) for epoch in inside)
    end = shares[last] if last else ()
    return HistogramPanel(scheme, layer, float(f"{low:.5g}"), float(f"{high:.5g}"), shares[0], end, between)


def _span(h: Histogram) -> tuple[float, float]:
    """Lowest and highest value: one bin holds all where every value is the same, which is then the middle."""
    if np.count_nonzero(h.counts) == 1:
        middle = 0.5 * (h.low + h.high)
        return middle, middle
    return h.low, h.high


def _pooled(histograms: Sequence[Histogram], edges: Floats) -> Floats:
    """Mean over the histograms of the share of values in each new bin; empty for no histogram.

    A count is spread evenly over its old bin, so the new share is a difference of the interpolated cumulative count.
    """
    if not histograms:
        return np.empty(0)
    total = np.zeros(len(edges) - 1)
    for h in histograms:
        low, high = _span(h)
        if low == high:
            total[min(int(np.searchsorted(edges, low, side="right")) - 1, len(total) - 1)] += 1.0
            continue
        old = np.linspace(low, high, len(h.counts) + 1)
        below = np.concatenate([[0.0], np.cumsum(h.counts, dtype=np.float64)]) / h.counts.sum()
        total += np.diff(np.interp(edges, old, below))
    return total / len(histograms)


def dead_figure(design: StudyDesign, records: Sequence[RunRecord]) -> DeadFigure:
    """The share of dead units of every hidden layer before and after training, by scheme."""
    rows = []
    names: tuple[str, ...] = ()
    for scheme in design.schemes:
        runs = [r.layers["dead"] for r in runs_of(records, scheme) if "dead" in r.layers]
        if not runs:
            continue
        dead = np.array(runs, dtype=np.float64)
        hidden = measured_layers(design, dead.shape[2])[:-1]
        shown = shown_layers(len(hidden))
        names = tuple(hidden[i] for i in shown)
        rows += [DeadRow(scheme, hidden[i], _mean(dead[:, 0, i]), _mean(dead[:, -1, i])) for i in shown]
    return DeadFigure(names, tuple(rows))


def _mean(values: Floats) -> float | None:
    finite = values[np.isfinite(values)]
    return rounded(float(finite.mean())) if len(finite) else None
