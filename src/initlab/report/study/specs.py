"""Learning curves and final scores as Vega-Lite specifications: plain dicts with their data inline.

Names enter as data values only, never as field names or expressions, so no name can change a drawing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from initlab.report.drawing.palette import START_COLOUR, line_style
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import FOLDED_LABEL, SCHEMA, Spec, picture_config, style_scales
from initlab.report.study.figures import Curve, CurveFigure, FinalFigure

# Bands of more schemes than this hide each other; each then gets a panel of its own.
MOST_BANDS = 6
# Vega's own labels, but 1e8 for 100,000,000.
SHORT_LABEL = "replace(length(datum.label) > 6 ? format(datum.value, '~e') : datum.label, 'e+', 'e')"


def _encodings(schemes: Sequence[str], *, legend: Spec | None) -> Spec:
    colour, dash = style_scales(schemes)
    return {
        "color": {"field": "scheme", "type": "nominal", "scale": colour, "legend": legend},
        "strokeDash": {"field": "scheme", "type": "nominal", "scale": dash, "legend": legend},
    }


def _curve_rows(curves: Sequence[Curve]) -> list[Spec]:
    """One row a scheme, with arrays; ``FLATTEN`` makes a row an epoch of it."""
    return [
        {
            "scheme": visible(curve.scheme),
            "place": place,
            "epoch": list(curve.epochs),
            "mean": list(curve.mean),
            "low": list(curve.low),
            "high": list(curve.high),
        }
        for place, curve in enumerate(curves)
    ]


FLATTEN: Spec = {"flatten": ["epoch", "mean", "low", "high"]}


def _curve_axes(figure: CurveFigure) -> tuple[Spec, Spec]:
    x = {"field": "epoch", "type": "quantitative", "title": "Epoch", "axis": _epoch_axis(figure, ticks=10)}
    # The padding, in pixels, keeps a flat line off the axis.
    scale = {"type": "log", "nice": False, "padding": 8} if figure.log else {"zero": False, "nice": False, "padding": 8}
    y: Spec = {"type": "quantitative", "title": figure.label, "scale": scale, "axis": {"labelExpr": SHORT_LABEL}}
    return {**x, "scale": {"nice": False}}, y


def _epoch_axis(figure: CurveFigure, *, ticks: int) -> Spec:
    """Whole epochs alone: Vega puts ticks at halves where it is allowed more of them than there are epochs."""
    epochs = max((epoch for curve in figure.curves for epoch in curve.epochs), default=ticks)
    return {"tickCount": max(1, min(ticks, epochs)), "tickMinStep": 1, "format": "d"}


def curve_spec(figure: CurveFigure, *, legend: Spec | None = None) -> Spec:
    """A line a scheme over epochs, with bands where they do not hide each other.

    The parameter ``picked`` is the place of the scheme to stand out; -1 for none.

    Args:
        figure: The numbers.
        legend: Vega-Lite's legend options; None where the page draws its own.
    """
    x, y = _curve_axes(figure)
    encodings = _encodings([curve.scheme for curve in figure.curves], legend=legend)
    band: Spec = {
        "mark": {"type": "area", "clip": True},
        "encoding": {
            "x": x,
            "y": {**y, "field": "low"},
            "y2": {"field": "high"},
            "color": encodings["color"],
            "opacity": _fading(0.16, 0.02),
        },
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "clip": True},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, **encodings, "opacity": _fading(1.0, 0.1)},
    }
    marks = [line, _hover(x, y)]
    return {
        "$schema": SCHEMA,
        "width": "container",
        "height": 300,
        "params": [{"name": "picked", "value": -1}],
        "data": {"values": _curve_rows(figure.curves)},
        "transform": [FLATTEN],
        "layer": [band, *marks] if len(figure.curves) <= MOST_BANDS else marks,
    }


def _fading(strong: float, weak: float) -> Spec:
    """Opacity by whether the scheme, or none, is picked."""
    return {"condition": {"test": "picked < 0 || datum.place == picked", "value": strong}, "value": weak}


def _hover(x: Spec, y: Spec) -> Spec:
    """Wide invisible points that carry the tooltip: a thin line is hard to hit."""
    shown = {"epoch": "epoch", "mean": "mean", "low": "10th percentile", "high": "90th percentile"}
    tooltip: list[Spec] = [{"field": "scheme", "type": "nominal", "title": "scheme"}]
    tooltip += [{"field": f, "type": "quantitative", "title": title, "format": ".4~g"} for f, title in shown.items()]
    return {
        "mark": {"type": "point", "size": 60, "opacity": 0, "filled": True},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "tooltip": tooltip},
    }


def curve_panels_spec(figure: CurveFigure) -> Spec:
    """A panel a scheme: its line and band in colour over all the others in grey."""
    x, y = _curve_axes(figure)
    y["title"] = figure.label.split(" (")[0]
    y["axis"] = {"tickCount": 4, "grid": not figure.log, "labelExpr": SHORT_LABEL}
    x["axis"] = {**_epoch_axis(figure, ticks=4), "labelFlush": False}
    rows = _curve_rows(figure.curves)
    encodings = _encodings([curve.scheme for curve in figure.curves], legend=None)
    others: Spec = {
        "data": {"name": "others", "values": [{**row, "line": row["place"]} for row in rows]},
        "transform": [FLATTEN],
        "mark": {"type": "line", "strokeWidth": 1, "color": START_COLOUR, "opacity": 0.35, "clip": True},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "detail": {"field": "line", "type": "nominal"}},
    }
    band: Spec = {
        "mark": {"type": "area", "opacity": 0.3, "clip": True},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": encodings["color"]},
    }
    line: Spec = {
        "mark": {"type": "line", "strokeWidth": 2, "clip": True},
        "encoding": {"x": x, "y": {**y, "field": "mean"}, "color": encodings["color"]},
    }
    return {
        "$schema": SCHEMA,
        "data": {"values": rows},
        "transform": [FLATTEN],
        "facet": {"field": "scheme", "type": "nominal", "sort": {"field": "place"}, "title": None},
        "columns": 4,
        "spec": {"width": 180, "height": 110, "layer": [others, band, line]},
    }


def final_spec(
    figure: FinalFigure,
    *,
    places: Mapping[str, int],
    ink: str = "currentColor",
    epochs: int | None = None,
    remarks: Mapping[str, str] | None = None,
    mark: float | None = None,
) -> Spec:
    """A row a scheme: a dot a seed, the mean as a bar across and its 95 % interval as a line.

    Args:
        figure: The numbers.
        places: Each scheme's place in the study, which gives its colour.
        ink: Colour of mean and interval.
        epochs: Where the scores are epochs: of a run, the end of the axis. Else the numbers set its ends.
        remarks: By scheme, words to the right of its row.
        mark: A value to draw a thin line at.
    """
    names = [visible(row.scheme) for row in figure.rows]
    y: Spec = {"field": "scheme", "type": "nominal", "sort": names, "title": None, "axis": {"labelExpr": FOLDED_LABEL}}
    x: Spec = {"type": "quantitative", "title": figure.label, "axis": {"tickCount": 8}}
    x["scale"] = {"zero": False, "nice": False, "padding": 10}
    if epochs is not None:
        x |= {"scale": {"domain": [0, epochs]}, "axis": {"tickCount": min(8, epochs), "tickMinStep": 1, "format": "d"}}
    colour = {"domain": names, "range": [line_style(places[row.scheme]).colour for row in figure.rows]}
    dots = _seed_dots(figure, x, y)
    dots["encoding"]["color"] = {"field": "scheme", "type": "nominal", "scale": colour, "legend": None}
    means = [{"scheme": visible(row.scheme), "mean": row.mean, "low": row.low, "high": row.high} for row in figure.rows]
    interval: Spec = {
        "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
        "mark": {"type": "rule", "strokeWidth": 1.5, "color": ink},
        "encoding": {"y": y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
    }
    mean: Spec = {
        "transform": [{"filter": "isValid(datum.mean)"}],
        "mark": {"type": "tick", "thickness": 2, "size": 20, "opacity": 1, "color": ink},
        "encoding": {"y": y, "x": {**x, "field": "mean"}},
    }
    rows: Spec = {"layer": [*_line_at(mark, x), dots, {"data": {"values": means}, "layer": [interval, mean]}]}
    size = {"$schema": SCHEMA, "width": "container", "height": 34 * len(names) + 6}
    return {**size, **(_with_remarks(rows, y, names, remarks) if remarks else rows)}


def _line_at(value: float | None, x: Spec) -> list[Spec]:
    if value is None:
        return []
    style = {"type": "rule", "color": START_COLOUR, "strokeWidth": 1, "strokeDash": [4, 3]}
    return [{"data": {"values": [{"at": value}]}, "mark": style, "encoding": {"x": {**x, "field": "at"}}}]


def _with_remarks(rows: Spec, y: Spec, names: Sequence[str], remarks: Mapping[str, str]) -> Spec:
    """The rows with words beside them, as labels of a second axis: an axis has room of its own, so none hides a dot."""
    words = {visible(scheme): said for scheme, said in remarks.items()}
    beside: Spec = {
        "orient": "right",
        "domain": False,
        "ticks": False,
        "labelLimit": 0,
        "labelExpr": "remarks[indexof(names, datum.value)]",
    }
    told: Spec = {
        "data": {"values": [{"scheme": name} for name in names]},
        "mark": {"type": "point", "opacity": 0},
        "encoding": {"y": {**y, "axis": beside}},
    }
    return {
        # Names stay data, as in every drawing; an expression sees them through these two lists.
        "params": [
            {"name": "names", "value": list(names)},
            {"name": "remarks", "value": [words.get(name, "") for name in names]},
        ],
        "layer": [rows, told],
        "resolve": {"axis": {"y": "independent"}},
    }


def _seed_dots(figure: FinalFigure, x: Spec, y: Spec) -> Spec:
    seeds = [
        {"scheme": visible(row.scheme), "seed": seed, "score": value, "shift": _shift(seed)}
        for row in figure.rows
        for seed, value in enumerate(row.per_seed)
        if value is not None
    ]
    return {
        "data": {"values": seeds},
        "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.75},
        "encoding": {
            "y": y,
            "x": {**x, "field": "score"},
            "yOffset": {"field": "shift", "type": "quantitative", "scale": {"domain": [-1, 1]}},
            "tooltip": [
                {"field": "scheme", "type": "nominal", "title": "scheme"},
                {"field": "seed", "type": "quantitative", "title": "seed"},
                {"field": "score", "type": "quantitative", "title": figure.label, "format": ".4~g"},
            ],
        },
    }


def _shift(seed: int) -> float:
    """A place across the row in (-0.5, 0.5), the same for a seed in every row; neighbours lie apart (golden ratio)."""
    return round((seed * 0.6180339887) % 1.0 - 0.5, 3)


def picture_spec(score: CurveFigure, loss: CurveFigure, *, title: str) -> Spec:
    """Both learning curves side by side with one legend, for a file."""
    names = [visible(curve.scheme) for curve in score.curves]
    widest = max(len(name) for name in names)
    legend: Spec = {
        "title": None,
        "orient": "bottom",
        "columns": max(1, min(len(names), 1000 // (7 * widest + 50))),
        "symbolType": "stroke",
        "symbolOpacity": 1,
    }
    panels = []
    for figure in (score, loss):
        panel = curve_spec(figure, legend=legend)
        panels.append({**panel, "width": 440, "height": 300})
    for panel in panels:
        del panel["$schema"], panel["params"]
    return {
        "$schema": SCHEMA,
        "title": visible(title),
        "params": [{"name": "picked", "value": -1}],
        "hconcat": panels,
        "spacing": 28,
        "padding": 14,
        "config": picture_config(),
    }
