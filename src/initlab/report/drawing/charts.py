"""Charts of lines and dots: lines for theory, dots for runs, one palette, named axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from initlab.report.drawing.palette import DASHES, line_style
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config

Lines = Mapping[str, Sequence[tuple[float, float]]]

WIDTH, HEIGHT = 520, 300
# Powers of ten as people write them: 0.01, 1, 100; 1e-5, 1e6.
POWER_LABEL = "abs(log(datum.value)) < 7.5 ? format(datum.value, '~g') : replace(format(datum.value, '.0e'), '+', '')"
MOST_TICKS = 8
# A dot in a square of side 2, as small as it is beside a line in the legend.
DOT = "M.35,0A.35,.35,0,1,1,-.35,0A.35,.35,0,1,1,.35,0"
LINE: Spec = {"type": "line", "strokeWidth": 2, "clip": True}
SPOT: Spec = {"type": "point", "shape": DOT, "size": 300, "strokeWidth": 0, "opacity": 0.9, "clip": True}


def axis(title: str, *, log: bool = False, **options: Any) -> Spec:
    """A quantitative axis; a logarithmic one has powers of ten at its ticks."""
    scale: Spec = {"type": "log"} if log else {"zero": False}
    return {
        "type": "quantitative",
        "title": title,
        "scale": {**scale, "nice": False, "padding": 8, **options.pop("scale", {})},
        "axis": {**({"labelExpr": POWER_LABEL} if log else {"tickCount": 7}), **options},
    }


def chart(
    lines: Lines,
    dots: Lines,
    *,
    x: Spec,
    y: Spec,
    title: str,
    note: str = "",
    columns: int = 3,
    dashes: Sequence[Sequence[int]] = DASHES,
) -> Spec:
    """Lines and dots over one pair of axes, a colour and a dash for each label, the legend below.

    Args:
        lines: Theory, or curves, by label.
        dots: Measurements by label.
        x: The horizontal axis.
        y: The vertical axis.
        title: What the figure shows.
        note: What lines and dots are.
        columns: Of the legend.
        dashes: Patterns of the lines, taken in turn.
    """
    labels = list(dict.fromkeys([*lines, *dots]))
    colour = {"domain": labels, "range": [line_style(i).colour for i in range(len(labels))]}
    # Lines that lie on each other are both seen where one is dashed.
    drawn = [list(dashes[i % len(dashes)]) if label in lines else [1, 0] for i, label in enumerate(labels)]
    dash = {"domain": labels, "range": drawn}
    places = [point for line in (*lines.values(), *dots.values()) for point in line]
    x, y = with_ticks(x, [at for at, _ in places]), with_ticks(y, [at for _, at in places])
    shape = {"domain": labels, "range": ["stroke" if label in lines else DOT for label in labels]}
    legend = {"title": None, "orient": "bottom", "columns": columns, "symbolOpacity": 1}
    of_label = {"field": "label", "type": "nominal"}
    stroke = {"stroke": {**of_label, "scale": colour, "legend": legend}}
    fill = {**of_label, "scale": colour, "legend": legend}
    order = {"field": "at", "type": "quantitative"}
    dashed = {**stroke, "order": order, "strokeDash": {**of_label, "scale": dash, "legend": legend}}
    # Dots of a line's own label take its colour, and stand under its symbol in the legend.
    beside = {label: line for label, line in dots.items() if label in lines}
    alone = {label: line for label, line in dots.items() if label not in lines}
    marked = {**stroke, "fill": fill, "shape": {**of_label, "scale": shape, "legend": legend}}
    every = ((lines, LINE, dashed), (beside, SPOT, {"fill": {**fill, "legend": None}}), (alone, SPOT, marked))
    layers = [
        layer(some, mark, {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, **e}) for some, mark, e in every if some
    ]
    return figure_of({"width": WIDTH, "height": HEIGHT, "layer": layers}, title=title, note=note)


def layer(lines: Lines, mark: Spec, encoding: Spec) -> Spec:
    """One kind of mark over its own data."""
    return {"data": {"values": points(lines)}, "mark": mark, "encoding": encoding}


def figure_of(body: Spec, *, title: str, note: str = "") -> Spec:
    """A whole specification: title and note above the drawing, in the report's look."""
    heading: Spec = {"text": title, "anchor": "start", "fontSize": 14, "offset": 10}
    if note:
        heading |= {"subtitle": note, "subtitleFontSize": 12, "subtitleColor": "#555555", "subtitlePadding": 4}
    return {"$schema": SCHEMA, "padding": 12, "title": heading, **body, "config": picture_config()}


def with_ticks(of: Spec, values: Sequence[float]) -> Spec:
    """The axis; a logarithmic one has its ticks at powers of ten, or at 1, 2 and 5 times them where those are few."""
    return {**of, "axis": {**of["axis"], "values": ticks(values)}} if of["scale"].get("type") == "log" else of


def ticks(values: Sequence[float]) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, at most ``MOST_TICKS``; where fewer than three, 1, 2, 5 times those.

    Example:
        >>> ticks([1e-3, 20.0]), ticks([2.0, 30.0])
        ([0.001, 0.01, 0.1, 1.0, 10.0], [2.0, 5.0, 10.0, 20.0])
    """
    known = [math.log10(v) for v in values if v > 0]
    low, high = min(known) - 0.05, max(known) + 0.05
    first, last = math.ceil(low), math.floor(high)
    if last - first < 2:
        fine = [float(f"{m}e{k}") for k in range(first - 1, last + 1) for m in (1, 2, 5)]
        return [v for v in fine if low <= math.log10(v) <= high]
    step = -(-(last - first + 1) // MOST_TICKS)
    return [10.0**k for k in range(-(-first // step) * step, last + 1, step)]


def points(lines: Lines) -> list[Spec]:
    """A record for each point, with its place in its line."""
    return [
        {"label": label, "at": at, "x": x, "y": y} for label, line in lines.items() for at, (x, y) in enumerate(line)
    ]


def by_layer(values: Sequence[float], *, first: int = 1, every: int = 1) -> list[tuple[float, float]]:
    """Numbers with their layers, counted from ``first``."""
    return [(float(first + i), value) for i, value in enumerate(values) if i % every == 0]
