"""Signal and gradient before the first step, and the layers over the epochs, as Vega-Lite: a panel a scheme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil, floor, log10

from initlab.report.drawing.palette import END_COLOUR, START_COLOUR, depth_colours
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import FOLDED_LABEL, SCHEMA, Spec
from initlab.report.study.layer_figures import CourseFigure, StartFigure

COLUMNS = 4
# Powers of ten that a small panel has room for.
MOST_POWERS = 5
POWER_LABEL = "replace(replace(format(datum.value, '~e'), 'e+0', ''), 'e+', 'e')"


def power_axis(values: Iterable[float | None]) -> Spec:
    """An axis whose lines are powers of ten, as far as the values hold two of them or more.

    Example:
        >>> power_axis([0.02, None, 30.0])["values"]
        [0.1, 1.0, 10.0]
    """
    logs = [log10(value) for value in values if value is not None and value > 0]
    powers = range(ceil(min(logs)), floor(max(logs)) + 1) if logs else range(0)
    if len(powers) < 2:
        return {"tickCount": 3, "format": "~g", "grid": True}
    step = -(-len(powers) // MOST_POWERS)
    return {"values": [10.0**power for power in powers[::step]], "labelExpr": POWER_LABEL, "grid": True}


def scheme_facet() -> Spec:
    """Panels by the field ``scheme``, in the study's order; a long call is folded above its panel."""
    header = {"labelExpr": FOLDED_LABEL, "labelLineHeight": 14}
    return {"field": "scheme", "type": "nominal", "sort": {"field": "place"}, "title": None, "header": header}


def start_spec(figure: StartFigure) -> Spec:
    """A panel a scheme: a dot a layer with the seeds' range, theory as a line; what is exactly 0 is written as 0."""
    rows = [
        {
            "scheme": visible(curve.scheme),
            "place": place,
            "layer": list(range(1, len(curve.mean) + 1)),
            "name": [visible(name) for name in figure.layers],
            "mean": list(curve.mean),
            "low": list(curve.low),
            "high": list(curve.high),
            "theory": list(curve.theory),
        }
        for place, curve in enumerate(figure.curves)
    ]
    count = max(1, len(figure.layers))
    x: Spec = {
        "field": "layer",
        "type": "quantitative",
        "title": "Layer, the last is the output",
        "scale": {"domain": [0.6, count + 0.4], "nice": False},
        "axis": _layer_axis(count),
    }
    y: Spec = {"type": "quantitative", "title": figure.axis, "scale": {"type": "log", "nice": False, "padding": 8}}
    y["axis"] = power_axis(v for curve in figure.curves for v in (*curve.low, *curve.high, *curve.theory))
    names = ("scheme", "layer", "name", "mean", "low", "high", "theory")
    tooltip = [{"field": name, "type": "nominal"} for name in names]
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "transform": [{"flatten": ["layer", "name", "mean", "low", "high", "theory"]}],
        "facet": scheme_facet(),
        "columns": COLUMNS,
        "spec": {"width": 180, "height": 120, "layer": _start_layers(x, y, tooltip, with_theory=figure.has_theory)},
    }


def _start_layers(x: Spec, y: Spec, tooltip: Sequence[Spec], *, with_theory: bool) -> list[Spec]:
    theory: Spec = {
        "transform": [{"filter": "datum.theory > 0"}],
        "mark": {"type": "line", "color": START_COLOUR, "strokeWidth": 2, "strokeDash": [5, 3], "point": False},
        "encoding": {"x": x, "y": {**y, "field": "theory"}},
    }
    spread: Spec = {
        "transform": [{"filter": "datum.low > 0 && datum.high > 0"}],
        "mark": {"type": "rule", "color": END_COLOUR, "strokeWidth": 1.5},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    dots: Spec = {
        "transform": [{"filter": "datum.mean > 0"}],
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 45, "color": END_COLOUR},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "tooltip": list(tooltip)},
    }
    style = {"baseline": "bottom", "dy": -2, "color": END_COLOUR, "fontWeight": "bold"}
    zeros: Spec = {
        "transform": [{"filter": "isValid(datum.mean) && datum.mean == 0"}],
        "mark": {"type": "text", "text": "0", **style},
        "encoding": {"x": x, "y": {"value": "height"}},
    }
    # Vega warns of an axis with an empty layer.
    return [*([theory] if with_theory else []), spread, dots, zeros]


def _layer_axis(count: int) -> Spec:
    step = max(1, -(-count // 8))
    return {"values": list(range(1, count + 1, step)), "format": "d", "grid": False}


def course_spec(figure: CourseFigure) -> Spec:
    """A panel a scheme: a line a layer over the epochs, from the first layer (violet) to the output (ochre)."""
    schemes = list(dict.fromkeys(line.scheme for line in figure.lines))
    means = [_positive(line.mean) for line in figure.lines]
    rows = [
        {
            "scheme": visible(line.scheme),
            "place": schemes.index(line.scheme),
            "layer": visible(line.layer),
            "epoch": list(line.epochs),
            "mean": mean,
        }
        for line, mean in zip(figure.lines, means, strict=True)
    ]
    # A line needs two points; a value between two zeros, such as that before a step that kills a net, gets a dot.
    lonely = [_alone(mean) for mean in means]
    dotted = any(value is not None for alone in lonely for value in alone)
    if dotted:
        rows = [{**row, "alone": alone} for row, alone in zip(rows, lonely, strict=True)]
    last = max((line.epochs[-1] for line in figure.lines), default=1)
    layers: list[Spec] = [{"mark": {"type": "line", "strokeWidth": 2, "clip": True}}]
    layers += [_dots_alone(figure)] if dotted else []
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "transform": [{"flatten": ["epoch", "mean", *(["alone"] if dotted else [])]}],
        "facet": scheme_facet(),
        "columns": COLUMNS,
        "spec": {"width": 180, "height": 110, "encoding": _course_encoding(figure, last), "layer": layers},
    }


def _positive(values: Iterable[float | None]) -> list[float | None]:
    """The values, None for each that a logarithmic axis has no place for."""
    return [value if value is not None and value > 0 else None for value in values]


def _alone(values: Sequence[float | None]) -> list[float | None]:
    """The values without a neighbour; None for all others.

    Example:
        >>> _alone([7.0, None, 1.0, 2.0])
        [7.0, None, None, None]
    """
    around = [None, *values, None]
    return [v if around[i] is None and around[i + 2] is None else None for i, v in enumerate(values)]


def _dots_alone(figure: CourseFigure) -> Spec:
    field = {"field": "alone", "type": "quantitative", "title": figure.axis}
    return {
        "transform": [{"filter": "isValid(datum.alone)"}],
        "mark": {"type": "point", "filled": True, "opacity": 1, "size": 30},
        "encoding": {"y": field},
    }


def _course_encoding(figure: CourseFigure, last: int) -> Spec:
    names = [visible(name) for name in figure.layers]
    axis = {"tickCount": max(1, min(4, last)), "tickMinStep": 1, "format": "d", "grid": False, "labelFlush": False}
    return {
        "x": {"field": "epoch", "type": "quantitative", "title": "Epoch", "axis": axis, "scale": {"nice": False}},
        "y": {
            "field": "mean",
            "type": "quantitative",
            "title": figure.axis,
            "scale": {"type": "log", "nice": False, "padding": 6},
            "axis": power_axis(value for line in figure.lines for value in line.mean),
        },
        "color": {
            "field": "layer",
            "type": "nominal",
            "sort": names,
            "scale": {"domain": names, "range": list(depth_colours(len(names)))},
            "legend": None,
        },
        "tooltip": [{"field": field, "type": "nominal"} for field in ("scheme", "layer", "epoch", "mean")],
    }
