"""Theory's pictures as Vega-Lite specifications: plain dicts with their data inline."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10, sqrt
from pathlib import Path

from initlab.core.files import write_whole
from initlab.report.drawing.palette import COLOURS, START_COLOUR
from initlab.report.drawing.png import render
from initlab.report.drawing.text import visible
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config
from initlab.report.theory.figures import PhaseCell, PhaseFigure, TheoryFigure, theory_figure
from initlab.theory import TheoryReport

LINE, EDGE, POINT = COLOURS[0], COLOURS[2], COLOURS[3]
# chi_1 by tenfolds: beyond, all is one colour.
_FURTHEST = 1.0
_OVERLAP = 0.004
_EDGE, _FATE = "edge of chaos, chi_1 = 1", "signal dies out or explodes"
# The least of a logarithmic axis, from its lower end to its upper, as a factor.
_LEAST_SPAN = 6.0
# Free on each side, as a share of the axis.
_MARGIN = 0.05
# Powers of ten up to which their multiples are ticks too, and ticks of the longest axis.
_FEW_POWERS, _MOST_TICKS = 3, 8
# Vega would write 0.000001 and 1,000,000.
POWER_LABEL = "abs(log(datum.value) / LN10) < 3.5 ? format(datum.value, '~g') : format(datum.value, '.0e')"


def write_theory_picture(path: Path, report: TheoryReport) -> None:
    """The file shows signal, correlation and gradient by layer, and the phase diagram with the point.

    Args:
        path: Where to; the ending ``.svg`` gives SVG, any other PNG.
        report: What theory says.

    Raises:
        MissingDependencyError: vl-convert is not installed.
    """
    spec = theory_spec(theory_figure(report))
    write_whole(path, render(spec, form="svg" if path.suffix.lower() == ".svg" else "png"))


def theory_spec(figure: TheoryFigure) -> Spec:
    """All panels in one drawing, for a file."""
    panels = [
        line_panel(figure.layers, figure.signal, "Signal, E z²", log=True),
        line_panel(figure.layers, figure.gradient, "Gradient², over that of the last layer", log=True),
        line_panel(figure.layers, figure.correlation, "Correlation of two inputs", log=False),
    ]
    if figure.phases is not None:
        panels.append(phase_spec(figure.phases))
    size = {"width": 400, "height": 240}
    rows = [{"hconcat": [{**size, **panel} for panel in panels[i : i + 2]], "spacing": 32} for i in (0, 2)]
    return {
        "$schema": SCHEMA,
        "title": {"text": visible(figure.title), "fontSize": 14, "offset": 12},
        "vconcat": rows,
        "spacing": 28,
        "padding": 14,
        "config": picture_config(),
    }


def line_panel(layers: Sequence[int], values: Sequence[float | None], title: str, *, log: bool) -> Spec:
    """A line over layers."""
    rows = [{"layer": layer, "value": v} for layer, v in zip(layers, values, strict=True) if v is not None]
    return {
        "data": {"values": rows},
        "mark": {"type": "line", "color": LINE, "strokeWidth": 2, "point": {"size": 14, "color": LINE}},
        "encoding": {
            "x": layer_axis(len(layers)),
            "y": value_axis(title, [row["value"] for row in rows], log=log) | {"field": "value"},
        },
    }


def layer_axis(layers: int, *, title: str = "Layer") -> Spec:
    """The axis of layers, counted from 1."""
    axis = {"values": layer_ticks(layers), "format": "d"}
    scale = {"domain": [1, max(layers, 2)], "nice": False, "padding": 10}
    return {"field": "layer", "type": "quantitative", "title": title, "scale": scale, "axis": axis}


def layer_ticks(layers: int) -> list[int]:
    """The first layer, and round numbers up to the last.

    Example:
        >>> layer_ticks(50), layer_ticks(4)
        ([1, 10, 20, 30, 40, 50], [1, 2, 3, 4])
    """
    step = next(n * 10**power for power in range(9) for n in (1, 2, 5) if layers <= 8 * n * 10**power)
    return sorted({1, *range(step, layers + 1, step)})


def value_axis(title: str, values: Sequence[float], *, log: bool) -> Spec:
    """The axis of a quantity; one that hardly changes keeps a span of a factor of 6, so that rounding is no curve.

    Args:
        title: Its title.
        values: All that is drawn; above 0 where ``log``.
        log: Whether it is logarithmic; a linear one holds 0 to 1.
    """
    low, high = min(values, default=1.0), max(values, default=1.0)
    if not log:
        domain = [min(0.0, low), max(1.0, high)]
        scale: Spec = {"zero": False, "nice": False, "padding": 8, "domain": domain}
        return {"type": "quantitative", "title": title, "axis": {"tickCount": 6}, "scale": scale}
    margin = max((high / low) ** _MARGIN, sqrt(_LEAST_SPAN * low / high))
    low, high = low / margin, high * margin
    scale = {"type": "log", "nice": False, "domain": [_round(low), _round(high)]}
    axis = {"values": power_ticks(low, high), "labelExpr": POWER_LABEL}
    return {"type": "quantitative", "title": title, "axis": axis, "scale": scale}


def power_ticks(low: float, high: float) -> list[float]:
    """Powers of ten from ``low`` to ``high``, with their double and fivefold where these are few.

    Example:
        >>> power_ticks(0.3, 30.0), power_ticks(1e-3, 1e3)
        ([0.5, 1.0, 2.0, 5.0, 10.0, 20.0], [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0])
    """
    first, last = floor(log10(low)), ceil(log10(high))
    step = max(1, -(-(last - first) // _MOST_TICKS))
    digits = "1 1.5 2 3 4 5 7" if high < 10.0 * low else "1 2 5" if last - first <= _FEW_POWERS else "1"
    between = digits.split()
    ticks = [float(f"{digit}e{power}") for power in range(first, last + 1, step) for digit in between]
    return [tick for tick in ticks if low <= tick <= high]


def phase_spec(figure: PhaseFigure) -> Spec:
    """The plane of weights and biases: blue ordered, orange chaotic, white at the edge; the points in it."""
    x: Spec = {"type": "quantitative", "title": "σ_w, std of a weight × √fan-in"}
    x |= {"scale": {"domain": [0, figure.sigma_w], "nice": False}, "axis": {"tickCount": 7, "labelFlush": False}}
    y: Spec = {"type": "quantitative", "title": "σ_b, std of a bias"}
    y |= {"scale": {"domain": [0, figure.sigma_b], "nice": False}, "axis": {"tickCount": 6}}
    marks = [layer for layer in (_fate_layer, _edge_layer, _point_layer) if layer(figure, x, y)["data"]["values"]]
    cells = _cell_layer(figure, x, y)
    return {
        "layer": [*([cells] if cells["data"]["values"] else []), {"layer": [mark(figure, x, y) for mark in marks]}],
        "resolve": {"scale": {"color": "independent"}},
    }


def _cell_layer(figure: PhaseFigure, x: Spec, y: Spec) -> Spec:
    colour = {
        "field": "power",
        "type": "quantitative",
        "title": "chi_1",
        "scale": {"scheme": "blueorange", "domain": [-_FURTHEST, _FURTHEST], "clamp": True},
        "legend": {"labelExpr": "format(pow(10, datum.value), '.2~g')", "values": [-1, -0.5, 0, 0.5, 1]},
    }
    there = [cell for cell in figure.cells if cell.chi_1 is not None]
    rows = [{**_box(cell, figure), "chi": cell.chi_1, "power": _power(cell.chi_1)} for cell in there]
    tooltip = [{"field": "chi", "type": "quantitative", "title": "chi_1"}]
    return {**_rectangles(rows, x, y), "encoding": {**_corners(x, y), "color": colour, "tooltip": tooltip}}


def _fate_layer(figure: PhaseFigure, x: Spec, y: Spec) -> Spec:
    rows = [{**_box(cell, figure), "what": _FATE} for cell in figure.cells if cell.chi_1 is None]
    return {**_rectangles(rows, x, y), "encoding": {**_corners(x, y), "color": _key(figure)}}


def _edge_layer(figure: PhaseFigure, x: Spec, y: Spec) -> Spec:
    rows = [{"w": w, "b": b, "order": i, "what": _EDGE} for i, (w, b) in enumerate(figure.edge)]
    lone: Spec = {"type": "point", "shape": "diamond", "size": 90, "filled": True, "opacity": 1}
    line: Spec = {"type": "line", "strokeWidth": 2.5, "clip": True}
    return {
        "data": {"values": rows},
        "mark": lone if len(rows) == 1 else line,
        "encoding": {
            "x": {**x, "field": "w"},
            "y": {**y, "field": "b"},
            "order": {"field": "order", "type": "quantitative"},
            "color": _key(figure),
        },
    }


def _point_layer(figure: PhaseFigure, x: Spec, y: Spec) -> Spec:
    what = _point_name(figure)
    rows = [{"w": p.sigma_w, "b": p.sigma_b, "label": visible(p.label), "what": what} for p in figure.points]
    mark = {"type": "point", "filled": True, "size": 80, "opacity": 1, "stroke": "white", "strokeWidth": 1.5}
    return {
        "data": {"values": rows},
        "mark": {**mark, "clip": False},
        "encoding": {
            "x": {**x, "field": "w"},
            "y": {**y, "field": "b"},
            "color": _key(figure),
            "tooltip": [{"field": name, "type": "nominal"} for name in ("label", "w", "b")],
        },
    }


def _box(cell: PhaseCell, figure: PhaseFigure) -> Spec:
    """A cell's corners; it reaches a little under its neighbours, or the ground would shine through between them."""
    right, high = cell.right + _OVERLAP * figure.sigma_w, cell.high + _OVERLAP * figure.sigma_b
    return {"left": cell.left, "right": _round(right), "low": cell.low, "high": _round(high)}


def _rectangles(rows: list[Spec], x: Spec, y: Spec) -> Spec:
    return {"data": {"values": rows}, "mark": {"type": "rect", "clip": True}}


def _corners(x: Spec, y: Spec) -> Spec:
    ends = {"x2": {"field": "right"}, "y2": {"field": "high"}}
    return {"x": {**x, "field": "left"}, "y": {**y, "field": "low"}, **ends}


def _key(figure: PhaseFigure) -> Spec:
    colours = {_FATE: START_COLOUR, _EDGE: EDGE, _point_name(figure): POINT}
    there = {
        _FATE: any(cell.chi_1 is None for cell in figure.cells),
        _EDGE: bool(figure.edge),
        _point_name(figure): bool(figure.points),
    }
    legend = {
        "orient": "bottom",
        "symbolType": "square",
        "symbolSize": 90,
        "symbolOpacity": 1,
        "title": None,
        "columns": 1,
        "values": [name for name, shown in there.items() if shown],
    }
    scale = {"domain": list(colours), "range": list(colours.values())}
    return {"field": "what", "type": "nominal", "scale": scale, "legend": legend}


def _point_name(figure: PhaseFigure) -> str:
    return "a layer of the model" if figure.is_model else "this choice"


def _round(value: float) -> float:
    return float(f"{value:.4g}")


def _power(chi: float | None) -> float | None:
    return None if chi is None else round(log10(max(chi, 10.0 ** (-2 * _FURTHEST))), 3)
