"""Figures of the layers as Vega-Lite specifications: histograms and dead units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from initlab.core.training.protocol import Quantity
from initlab.report.drawing.palette import END_COLOUR, START_COLOUR
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import FOLDED_LABEL, SCHEMA, Spec
from initlab.report.study.histogram_figures import BINS, DeadFigure, HistogramFigure, HistogramPanel

AXIS_LABELS: Mapping[Quantity, str] = {
    "weight": "Weight",
    "activation": "Activation",
    "gradient": "Gradient",
}
# Vega's own labels, but for numbers that would take too many zeros.
SHORT_NUMBER = "datum.value != 0 && (abs(datum.value) < 1e-3 || abs(datum.value) >= 1e4)"
NUMBER_LABEL = f"{SHORT_NUMBER} ? format(datum.value, '.3~e') : datum.label"
FOLDED_HEADER = "split(datum.label, '\\n')"


def histogram_spec(figure: HistogramFigure) -> Spec:
    """A panel a scheme and layer: share of values by bin, at the start as a grey area, after training as a line.

    Epochs in between are thin lines.
    """
    between = [_field(epoch) for epoch in figure.between]
    return {
        "$schema": SCHEMA,
        # Tells the page that a last value only closes the last bin.
        "usermeta": {"closed": True},
        "data": {"values": [_histogram_row(panel, place, figure.between) for place, panel in enumerate(figure.panels)]},
        "transform": [{"flatten": ["left", "start", *between, "end"]}],
        "facet": {
            "field": "panel",
            "type": "nominal",
            "sort": {"field": "place"},
            "title": None,
            "header": {"labelExpr": FOLDED_HEADER, "labelLineHeight": 15},
        },
        "columns": max(1, len(figure.layers)),
        "align": "all",
        "bounds": "flush",
        "spacing": {"row": 92, "column": 62},
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
        "spec": {"width": 200, "height": 80, "layer": _histogram_layers(AXIS_LABELS[figure.quantity], between)},
    }


def _field(epoch: int) -> str:
    return f"epoch {epoch}"


def _histogram_layers(label: str, between: Sequence[str]) -> list[Spec]:
    x: Spec = {
        "field": "left",
        "type": "quantitative",
        "title": label,
        "axis": {"tickCount": 4, "labelExpr": NUMBER_LABEL, "labelFlush": True},
        "scale": {"nice": False, "zero": False},
    }
    y: Spec = {"type": "quantitative", "title": "Share", "axis": {"tickCount": 3, "format": "~g"}}
    return [
        {
            "mark": {"type": "area", "interpolate": "step-after", "color": START_COLOUR, "opacity": 0.45},
            "encoding": {"x": x, "y": {**y, "field": "start"}},
        },
        *(
            {
                "mark": {
                    "type": "line",
                    "interpolate": "step-after",
                    "color": END_COLOUR,
                    "strokeWidth": 0.8,
                    "opacity": round(0.3 + 0.5 * (i + 1) / (len(between) + 1), 2),
                },
                "encoding": {"x": x, "y": {**y, "field": field}},
            }
            for i, field in enumerate(between)
        ),
        {
            "mark": {"type": "line", "interpolate": "step-after", "color": END_COLOUR, "strokeWidth": 1.5},
            "encoding": {"x": x, "y": {**y, "field": "end"}},
        },
    ]


def _histogram_row(panel: HistogramPanel, place: int, between: Sequence[int]) -> Spec:
    def closed(shares: tuple[float, ...]) -> list[float]:
        # A step needs the right edge of the last bin.
        return [*shares, shares[-1]] if shares else []

    scheme, layer = visible(panel.scheme), visible(panel.layer)
    step = (panel.high - panel.low) / BINS
    edges = [float(f"{panel.low + step * i:.5g}") for i in range(BINS + 1)]
    shares = dict(panel.between)
    return {
        "panel": f"{scheme}\n{layer}",
        "scheme": scheme,
        "layer": layer,
        "place": place,
        "left": edges,
        "start": closed(panel.start),
        **{_field(epoch): closed(shares.get(epoch, ())) for epoch in between},
        "end": closed(panel.end),
    }


def dead_spec(figure: DeadFigure) -> Spec:
    """A row a scheme, a panel a hidden layer: share of dead units at the start (hollow) and after training (full)."""
    names = list(dict.fromkeys(visible(row.scheme) for row in figure.rows))
    rows = [
        {"scheme": visible(row.scheme), "layer": row.layer, "start": row.start, "end": row.end} for row in figure.rows
    ]
    y: Spec = {"field": "scheme", "type": "nominal", "sort": names, "title": None, "axis": {"labelExpr": FOLDED_LABEL}}
    x: Spec = {"type": "quantitative", "title": "Share of dead units", "scale": {"domain": [0, 1]}}
    tooltip = [{"field": name, "type": "nominal"} for name in ("scheme", "layer", "start", "end")]

    def point(field: str, **mark: object) -> Spec:
        return {
            "mark": {"type": "point", "size": 70, "opacity": 1, "clip": False, "strokeWidth": 2, **mark},
            "encoding": {"y": y, "x": {**x, "field": field}, "tooltip": tooltip},
        }

    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "facet": {"field": "layer", "type": "nominal", "sort": list(figure.layers), "title": None},
        "columns": max(1, len(figure.layers)),
        "spacing": 24,
        "spec": {
            "width": 260,
            "height": {"step": 30},
            "layer": [
                {
                    "transform": [{"filter": "isValid(datum.start) && isValid(datum.end)"}],
                    "mark": {"type": "rule", "color": START_COLOUR, "strokeWidth": 2},
                    "encoding": {"y": y, "x": {**x, "field": "start"}, "x2": {"field": "end"}},
                },
                point("start", filled=False, color=START_COLOUR),
                point("end", filled=True, color=END_COLOUR),
            ],
        },
    }
