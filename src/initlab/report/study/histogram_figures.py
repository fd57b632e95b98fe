"""The numbers of histograms and of dead units by layer, ready to draw: pooled over seeds, in bins of one width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from initlab.core.training.protocol import Histogram, Quantity
from initlab.report.drawing.text import evenly
from initlab.report.study.facts import measured_layers
from initlab.report.study.summary import Floats, finite_mean, runs_of, shown_layers
from initlab.study.records import RunRecord, StudyDesign

# An odd number, so that a single value lies in the middle of its bin.
BINS = 33
# Histograms between the first and the last epoch that a panel shows.
MOST_BETWEEN = 6


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


def _panel(scheme: str, layer: str, found: Sequence[Histogram], last: int) -> HistogramPanel:
    spans = [_span(h) for h in found]
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    epochs = sorted({0, last, *(h.epoch for h in found)})
    inside = [epochs[1:-1][place] for place in evenly(len(epochs[1:-1]), MOST_BETWEEN)]
    pooled = {epoch: _pool([h for h in found if h.epoch == epoch], edges) for epoch in (0, *inside, last)}
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


def _pool(histograms: Sequence[Histogram], edges: Floats) -> Floats:
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
        rows += [DeadRow(scheme, hidden[i], finite_mean(dead[:, 0, i]), finite_mean(dead[:, -1, i])) for i in shown]
    return DeadFigure(names, tuple(rows))
