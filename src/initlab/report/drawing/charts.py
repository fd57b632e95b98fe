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
    dash = {"domain": labels, "range": [list(dashes[i % len(dashes)]) for i in range(len(labels))]}
    if y["scale"].get("type") == "log":
        heights = [v for line in (*lines.values(), *dots.values()) for _, v in line]
        y = {**y, "axis": {**y["axis"], "values": powers(heights)}}
    legend = {"title": None, "orient": "bottom", "columns": columns, "symbolType": "stroke", "symbolOpacity": 1}
    style = {"field": "label", "type": "nominal", "scale": colour, "legend": legend}
    layers: list[Spec] = []
    if lines:
        layers.append(
            {
                "data": {"values": points(lines)},
                "mark": {"type": "line", "strokeWidth": 2, "clip": True},
                "encoding": {
                    "x": {**x, "field": "x"},
                    "y": {**y, "field": "y"},
                    "order": {"field": "at", "type": "quantitative"},
                    "color": style,
                    "strokeDash": {"field": "label", "type": "nominal", "scale": dash, "legend": legend},
                },
            }
        )
    if dots:
        layers.append(
            {
                "data": {"values": points(dots)},
                "mark": {"type": "point", "filled": True, "size": 32, "opacity": 0.9, "clip": True},
                "encoding": {"x": {**x, "field": "x"}, "y": {**y, "field": "y"}, "color": style},
            }
        )
    return figure_of({"width": WIDTH, "height": HEIGHT, "layer": layers}, title=title, note=note)


def figure_of(body: Spec, *, title: str, note: str = "") -> Spec:
    """A whole specification: title and note above the drawing, in the report's look."""
    heading: Spec = {"text": title, "anchor": "start", "fontSize": 14, "offset": 10}
    if note:
        heading |= {"subtitle": note, "subtitleFontSize": 12, "subtitleColor": "#555555", "subtitlePadding": 4}
    return {"$schema": SCHEMA, "padding": 12, "title": heading, **body, "config": picture_config()}


def powers(values: Sequence[float]) -> list[float]:
    """Powers of ten between the least and the largest positive value, evenly spaced, at most ``MOST_TICKS``."""
    known = [math.log10(v) for v in values if v > 0]
    first, last = math.ceil(min(known) - 0.05), math.floor(max(known) + 0.05)
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
