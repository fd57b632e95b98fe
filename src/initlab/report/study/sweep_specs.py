"""The pictures of a sweep as Vega-Lite specifications: plain dicts with their data inline."""

from __future__ import annotations

from math import isfinite, log10

from initlab.report.drawing.palette import END_COLOUR, START_COLOUR
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config, style_scales
from initlab.study.sweep_table import SweepRow, SweepTable, power

POWER_LABEL = "datum.value == 0 ? '1' : '1e' + datum.value"
POWER_AXIS: Spec = {"labelExpr": POWER_LABEL, "tickMinStep": 1}
RATIO_TITLE = "Gradient ratio at the start"
ACCURACY_TITLE = "Test accuracy after training"


def depth_specs(table: SweepTable, *, width: int = 250) -> tuple[Spec, Spec]:
    """Accuracy by depth and gradient ratio by depth: a panel an activation, a line a scheme.

    Args:
        table: A sweep over depths.
        width: Of a panel, in pixels.
    """
    accuracy = _panels(table, "score", ACCURACY_TITLE, width)
    accuracy["spec"]["encoding"]["y"]["scale"] = {"domain": [0, 1]}
    ratio = _panels(table, "power", RATIO_TITLE, width)
    ratio["spec"]["encoding"]["y"]["axis"] = POWER_AXIS
    return accuracy, ratio


def _panels(table: SweepTable, field: str, title: str, width: int) -> Spec:
    schemes = tuple(dict.fromkeys(row.scheme for row in table.rows))
    colour, dash = style_scales(schemes)
    legend: Spec = {"title": None, "orient": "bottom", "columns": 5, "symbolType": "stroke", "symbolOpacity": 1}
    depths = sorted({row.depth for row in table.rows})
    return {
        "$schema": SCHEMA,
        "data": {"values": [_value(row) for row in table.rows]},
        "transform": [{"filter": f"isValid(datum.{field})"}],
        "facet": {"field": "group", "type": "nominal", "sort": list(map(visible, table.groups)), "title": None},
        "columns": len(table.groups),
        "spec": {
            "width": width,
            "height": 200,
            "mark": {"type": "line", "point": {"size": 40}, "strokeWidth": 2},
            "encoding": {
                "x": {
                    "field": "depth",
                    "type": "quantitative",
                    "title": "Hidden layers",
                    "scale": {"type": "log", "nice": False, "padding": 10},
                    "axis": {"values": depths, "format": "d", "labelOverlap": False},
                },
                "y": {"field": field, "type": "quantitative", "title": title},
                "color": {"field": "scheme", "type": "nominal", "scale": colour, "legend": legend},
                "strokeDash": {"field": "scheme", "type": "nominal", "scale": dash, "legend": legend},
                "tooltip": [
                    {"field": "scheme", "type": "nominal", "title": "scheme"},
                    {"field": "depth", "type": "quantitative", "title": "depth"},
                    {"field": "score", "type": "quantitative", "title": "accuracy", "format": ".3f"},
                    {"field": "ratio", "type": "nominal", "title": "gradient ratio"},
                ],
            },
        },
    }


def _value(row: SweepRow) -> Spec:
    has_power = row.ratio is not None and row.ratio > 0.0 and isfinite(row.ratio)
    return {
        "group": visible(row.group),
        "scheme": visible(row.scheme),
        "name": visible(row.label),
        "depth": row.depth,
        "score": row.score,
        "low": row.accuracy.low,
        "high": row.accuracy.high,
        "power": round(log10(row.ratio), 3) if has_power and row.ratio is not None else None,
        "ratio": power(row.ratio),
        "trains": "trains" if row.trains else "does not train",
    }


def remedies_specs(table: SweepTable, group: str, *, ink: str = "currentColor") -> tuple[Spec, Spec]:
    """A row a remedy: its accuracy as a dot with the 95 % interval, and its gradient ratio as a dot.

    Args:
        table: A sweep of remedies.
        group: The group to be drawn.
        ink: Colour of the line at a ratio of 1.
    """
    rows = table.of(group)
    names = [visible(row.label) for row in rows]
    y: Spec = {"field": "name", "type": "nominal", "sort": names, "title": None}
    marks = _trains_marks()
    accuracy = {"type": "quantitative", "title": ACCURACY_TITLE, "scale": {"domain": [0, 1]}, "axis": {"tickCount": 6}}
    ratio = {"field": "power", "type": "quantitative", "title": RATIO_TITLE, "axis": POWER_AXIS}
    ratio["scale"] = {"padding": 12, "nice": False}
    interval: Spec = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "strokeWidth": 1.5},
        "encoding": {"x": {**accuracy, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": marks["color"]},
    }
    line: Spec = {
        "data": {"values": [{"power": 0}]},
        "mark": {"type": "rule", "strokeDash": [4, 4], "color": ink},
        "encoding": {"x": ratio},
    }
    dot: Spec = {"type": "point", "filled": True, "size": 90, "opacity": 1, "clip": False}
    left = [interval, {"mark": dot, "encoding": {"x": {**accuracy, "field": "score"}, "y": y, **marks}}]
    right = [line, {"mark": dot, "encoding": {"x": ratio, "y": y, **marks}}]
    shared = {"$schema": SCHEMA, "data": {"values": [_value(row) for row in rows]}}
    size: Spec = {"width": "container", "height": 24 * len(names)}
    return {**shared, **size, "layer": left}, {**shared, **size, "layer": right}


def _trains_marks() -> Spec:
    """Colour and shape by whether a network trains."""
    domain = ["trains", "does not train"]
    field: Spec = {"field": "trains", "type": "nominal", "title": None}
    field["legend"] = {"orient": "bottom", "symbolSize": 90}
    return {
        "color": {**field, "scale": {"domain": domain, "range": [END_COLOUR, START_COLOUR]}},
        "shape": {**field, "scale": {"domain": domain, "range": ["circle", "cross"]}},
    }


def sweep_picture_spec(table: SweepTable, *, ink: str = "#222222") -> Spec:
    """All panels of a sweep in one drawing, for a file.

    Args:
        table: A sweep.
        ink: Colour of the line at a ratio of 1.
    """
    parts = [_side_by_side(table, group, ink) for group in table.groups] if table.has_remedies else depth_specs(table)
    return {
        "$schema": SCHEMA,
        "title": {"text": visible(table.title), "fontSize": 14, "anchor": "start", "offset": 12},
        "vconcat": [{key: value for key, value in part.items() if key != "$schema"} for part in parts],
        "spacing": 24,
        "padding": 14,
        "config": picture_config(),
    }


def _side_by_side(table: SweepTable, group: str, ink: str, *, width: int = 330) -> Spec:
    """Both panels of a group with the remedies' names on the left."""
    left, right = remedies_specs(table, group, ink=ink)
    right["layer"][-1]["encoding"]["y"] = {
        **right["layer"][-1]["encoding"]["y"],
        "axis": {"labels": False, "ticks": False},
    }
    data = left["data"]
    panels = [{"width": width, "height": part["height"], "layer": part["layer"]} for part in (left, right)]
    return {"title": visible(group), "data": data, "hconcat": panels}
