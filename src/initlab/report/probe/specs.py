"""A profile's pictures as Vega-Lite specifications: plain dicts with their data inline.

Names enter as data values only, never as field names or expressions, so no name can change a drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from initlab.report.drawing.palette import COLOURS
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config
from initlab.report.probe.figures import (
    LayerFigure,
    LayerPoint,
    ProbeFigure,
    Quantity,
    SingularFigure,
    ValueFigure,
    ValuePanel,
    Values,
)
from initlab.report.study.layer_specs import NUMBER_LABEL
from initlab.report.theory.specs import layer_axis, phase_spec, value_axis

TITLES: Mapping[Quantity, str] = {
    "signal": "Signal: E[z²] of the weighted sum",
    "gradient": "Gradient: E[(∂L/∂z)²]",
    "cosine": "Cosine of two samples, before the activation",
}
VALUE_TITLES: Mapping[Values, str] = {
    "activation": "Value behind the activation",
    "gradient": "Gradient of the loss by z",
}
LAYERS = "Weighted layer, in order of use"
THEORY, MEASURED, OFF = _KEYS = ("theory", "measured", "measured, off theory")
_THEORY_COLOUR, _MEASURED_COLOUR, _OFF_COLOUR = COLOURS[0], COLOURS[2], COLOURS[3]
# Layers from which on dots are small, or they would hide the line.
_MANY = 40
# Panels of a picture, and pixels of each.
_WIDE, _HIGH, _SMALL, _LOW = 400, 230, 165, 75


def layer_spec(figure: LayerFigure) -> Spec:
    """Theory as a line with the band of nets of this width, measurement as dots with two standard errors."""
    points = figure.points
    x = layer_axis(max(p.layer for p in points), title=LAYERS)
    edges = [v for p in points for v in (p.measured, p.predicted, p.low, p.high, p.error_low, p.error_high)]
    y = value_axis(TITLES[figure.quantity], [v for v in edges if v is not None], log=figure.is_log)
    return {"layer": [*_theory(points, x, y), *_measured_layers(points, x, y)]}


def _theory(points: Sequence[LayerPoint], x: Spec, y: Spec) -> list[Spec]:
    """A layer that theory does not tell breaks line and band; between two such there is a dot."""
    rows = [{**_row(p), "what": THEORY} for p in points]
    if all(p.predicted is None for p in points):
        return []
    breaks = {"clip": True, "invalid": "break-paths-filter-domains"}
    band: Spec = {
        "data": {"values": rows},
        "mark": {"type": "area", "opacity": 0.2, "color": _THEORY_COLOUR, **breaks},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    line: Spec = {
        "data": {"values": rows},
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 14}, **breaks},
        "encoding": {"x": x, "y": {**y, "field": "theory"}, "color": _colour()},
    }
    return [band, line]


def _measured_layers(points: Sequence[LayerPoint], x: Spec, y: Spec) -> list[Spec]:
    rows = [{**_row(p), "what": OFF if p.is_off else MEASURED} for p in points if p.measured is not None]
    names = {"path": "layer", "theory": "theory", "measured": "measured"}
    tooltip = [{"field": field, "type": "nominal", "title": title} for field, title in names.items()]
    errors: Spec = {
        "data": {"values": [row for row in rows if row["error_low"] is not None]},
        "mark": {"type": "rule", "strokeWidth": 1.5, "clip": True},
        "encoding": {"x": x, "y": {**y, "field": "error_low"}, "y2": {"field": "error_high"}, "color": _colour()},
    }
    dots: Spec = {
        "data": {"values": rows},
        "mark": {"type": "point", "filled": True, "size": 45 if len(rows) <= _MANY else 14, "opacity": 1},
        "encoding": {
            "x": x,
            "y": {**y, "field": "measured"},
            "color": _colour(),
            "shape": _shape(),
            "tooltip": tooltip,
        },
    }
    return [errors, dots] if rows else []


def _row(p: LayerPoint) -> Spec:
    return {
        "layer": p.layer,
        "path": visible(p.path),
        "theory": p.predicted,
        "low": p.low,
        "high": p.high,
        "measured": p.measured,
        "error_low": p.error_low,
        "error_high": p.error_high,
    }


def _colour(*named: str) -> Spec:
    scale = {"domain": list(_KEYS), "range": [_THEORY_COLOUR, _MEASURED_COLOUR, _OFF_COLOUR]}
    return {"field": "what", "type": "nominal", "scale": scale, "legend": _legend(named or _KEYS)}


def _shape(*named: str) -> Spec:
    scale = {"domain": list(_KEYS), "range": ["stroke", "circle", "triangle-up"]}
    return {"field": "what", "type": "nominal", "scale": scale, "legend": _legend(named or _KEYS)}


def _legend(named: Sequence[str]) -> Spec:
    look = {"orient": "bottom", "symbolSize": 90, "symbolOpacity": 1, "columns": 2}
    return {"title": None, "values": list(named), **look}


def value_spec(figure: ValueFigure, *, width: int = _SMALL, columns: int = 4) -> Spec:
    """A panel a layer: share of the entries by bin, all on one axis.

    Args:
        figure: The numbers.
        width: Of a panel, in pixels.
        columns: Panels side by side.
    """
    rows = [value_row(panel) for panel in figure.panels]
    facet = {"field": "panel", "type": "nominal", "sort": {"field": "layer"}, "title": None}
    return {
        **histograms(rows, None, "Share of entries", width=width, height=_LOW),
        "facet": facet,
        "columns": columns,
        "spacing": 20,
    }


def histograms(rows: Sequence[Spec], title: str | None, shares: str | None, *, width: int, height: int) -> Spec:
    """Panels of one axis; shares are drawn by their root, so that a spike leaves a bell to be seen.

    Args:
        rows: Each of a panel, as ``value_row`` makes them.
        title: Of the axis of values.
        shares: Of the axis of shares.
        width: Of a panel, in pixels.
        height: Of a panel, in pixels.
    """
    reach = -float(rows[0]["low"])
    axis = {"tickCount": 3, "labelExpr": f"datum.value == 0 ? '0' : {NUMBER_LABEL}", "labelFlush": True}
    x: Spec = {"field": "left", "type": "quantitative", "title": title, "axis": axis}
    y: Spec = {"field": "share", "type": "quantitative", "title": shares}
    y["axis"] = {"values": [0, 0.1, 1], "format": "~g"}
    return {
        "data": {"values": list(rows)},
        "transform": [
            {"calculate": "sequence(length(datum.share))", "as": "bin"},
            {"flatten": ["bin", "share"]},
            {"calculate": "datum.low + datum.step * datum.bin", "as": "left"},
        ],
        "spec": {
            "width": width,
            "height": height,
            "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.7, "clip": True,
                     "color": _MEASURED_COLOUR},
            "encoding": {
                "x": {**x, "scale": {"domain": [-reach, reach], "nice": False}},
                "y": {**y, "scale": {"type": "sqrt", "domain": [0, 1]}},
            },
        },
    }  # fmt: skip


def value_row(panel: ValuePanel) -> Spec:
    """The data of a panel."""
    return {
        "panel": f"{panel.layer}: {visible(panel.path)}",
        "layer": panel.layer,
        "low": panel.low,
        "step": panel.step,
        "share": [*panel.shares, panel.shares[-1]],  # a step needs the right edge of the last bin
    }


def singular_spec(figure: SingularFigure) -> Spec:
    """Singular values by rank, the largest first: theory as a line with its band, the model's as dots."""
    count = len(figure.measured)
    x = layer_axis(count, title="Rank of the singular value")
    edges = [v for v in (*figure.measured, *figure.low, *figure.high) if v > 0.0]
    y = value_axis("Singular value of the input-output Jacobian", edges, log=True)
    theory = [
        {"layer": i, "theory": middle, "low": low, "high": high, "what": THEORY}
        for i, (middle, low, high) in enumerate(zip(figure.predicted, figure.low, figure.high, strict=True), start=1)
        if low > 0.0
    ]
    band: Spec = {
        "mark": {"type": "area", "opacity": 0.2, "color": _THEORY_COLOUR},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2},
        "encoding": {"x": x, "y": {**y, "field": "theory"}, "color": _colour(THEORY, MEASURED)},
    }
    values = [{"layer": i, "s": s, "what": MEASURED} for i, s in enumerate(figure.measured, start=1) if s > 0.0]
    dots: Spec = {
        "data": {"values": values},
        "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1},
        "encoding": {
            "x": x,
            "y": {**y, "field": "s"},
            "color": _colour(THEORY, MEASURED),
            "shape": _shape(THEORY, MEASURED),
        },
    }
    return {"layer": [*([{"data": {"values": theory}, "layer": [band, line]}] if theory else []), dots]}


def probe_spec(figure: ProbeFigure) -> Spec:
    """All panels in one drawing, for a file."""
    panels = [layer_spec(lines) for lines in figure.lines]
    panels += [] if figure.phases is None else [phase_spec(figure.phases)]
    panels += [] if figure.singular is None else [singular_spec(figure.singular)]
    size = {"width": _WIDE, "height": _HIGH}
    sized = [{**size, **panel} for panel in panels]
    apart = {"scale": {"color": "independent", "shape": "independent"}}
    pairs = [sized[i : i + 2] for i in range(0, len(sized), 2)]
    rows: list[Spec] = [{"hconcat": pair, "spacing": 32, "resolve": apart} for pair in pairs]
    rows += [{**value_spec(values), "title": VALUE_TITLES[values.quantity]} for values in figure.values]
    caption = [
        "Line: theory, with the band of 95 % of the nets of this width. Dots: measured, with two standard errors over "
        "the samples.",
    ]
    return {
        "$schema": SCHEMA,
        "title": {"text": visible(figure.title), "subtitle": caption, "fontSize": 14, "offset": 12},
        "vconcat": rows,
        "spacing": 28,
        "padding": 14,
        "config": picture_config(),
    }
