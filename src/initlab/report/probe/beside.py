"""The numbers and the drawing of profiles side by side: signal, gradient and histograms by layer on common axes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from initlab.probing.profile import Profile, SideBySide
from initlab.report.drawing.text import round_to, visible
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config, style_scales
from initlab.report.probe.figures import ValuePanel, Values, common_edges, counted_layers, value_panel
from initlab.report.probe.specs import LAYERS, TITLES, VALUE_TITLES, histograms, value_row
from initlab.report.theory.specs import layer_axis, value_axis

_WIDE, _HIGH, _SMALL, _LOW = 360, 220, 150, 46


@dataclass(frozen=True)
class BesidePoint:
    """One quantity of one layer under one set of weights; None where it is 0 or was not measured."""

    name: str
    layer: int
    quantity: Literal["signal", "gradient"]
    value: float | None


@dataclass(frozen=True)
class BesideFigure:
    """All that is drawn.

    Attributes:
        names: Of the weights, in order.
        points: Signal and gradient.
        panels: By name of the weights, histograms of values and of gradients of every layer, all on one axis; empty
            where none were counted.
    """

    names: tuple[str, ...]
    points: tuple[BesidePoint, ...]
    panels: dict[Values, tuple[tuple[str, ValuePanel], ...]]


def beside_figure(both: SideBySide) -> BesideFigure:
    """The numbers of the figure."""
    points = tuple(point for name, profile in both.profiles.items() for point in _points(name, profile))
    panels: dict[Values, tuple[tuple[str, ValuePanel], ...]] = {
        "activation": _panels(both, "activation"),
        "gradient": _panels(both, "gradient"),
    }
    return BesideFigure(tuple(both.profiles), points, {key: found for key, found in panels.items() if found})


def _points(name: str, profile: Profile) -> Iterator[BesidePoint]:
    for layer, row in enumerate(profile.rows, start=1):
        for quantity, number in (("signal", row.signal.measured), ("gradient", row.gradient.measured)):
            value = round_to(number) if number > 0.0 and math.isfinite(number) else None
            yield BesidePoint(name, layer, "signal" if quantity == "signal" else "gradient", value)


def _panels(both: SideBySide, values: Values) -> tuple[tuple[str, ValuePanel], ...]:
    found = [(name, one) for name, profile in both.profiles.items() for one in counted_layers(profile, values)]
    edges = common_edges(sums for _, (*_, sums) in found)
    return tuple((name, value_panel(*one, edges)) for name, one in found) if len(edges) else ()


def beside_spec(figure: BesideFigure) -> Spec:
    """Signal and gradient by layer, a line for each set of weights; below, a row of histograms a layer."""
    lines: Spec = {"hconcat": [_line_spec(figure, "signal"), _line_spec(figure, "gradient")], "spacing": 50}
    grids = [_value_spec(figure, values) for values in figure.panels]
    return {"$schema": SCHEMA, "config": picture_config(), "vconcat": [lines, *grids], "spacing": 40}


def _line_spec(figure: BesideFigure, quantity: Literal["signal", "gradient"]) -> Spec:
    points = [p for p in figure.points if p.quantity == quantity and p.value is not None]
    colour, dash = style_scales(figure.names)
    known = [p.value for p in points if p.value is not None]
    legend = {"title": None, "orient": "top", "columns": 3}
    return {
        "data": {"values": [{"weights": visible(p.name), "layer": p.layer, "value": p.value} for p in points]},
        "width": _WIDE,
        "height": _HIGH,
        "mark": {"type": "line", "point": {"size": 20}},
        "encoding": {
            "x": {**layer_axis(max((p.layer for p in points), default=1), title=LAYERS), "field": "layer"},
            "y": {**value_axis(TITLES[quantity], known, log=True), "field": "value"},
            "color": {"field": "weights", "type": "nominal", "scale": colour, "legend": legend},
            "strokeDash": {"field": "weights", "type": "nominal", "scale": dash, "legend": legend},
        },
    }


def _value_spec(figure: BesideFigure, values: Values) -> Spec:
    panels, names = figure.panels[values], [visible(name) for name in figure.names]
    rows = [{**value_row(panel), "weights": visible(name)} for name, panel in panels]
    facet = {
        "row": {"field": "panel", "type": "nominal", "sort": {"field": "layer"}, "title": None,
                "header": {"labelAngle": 0, "labelAlign": "left"}},
        "column": {"field": "weights", "type": "nominal", "sort": names, "title": None},
    }  # fmt: skip
    panels_of = histograms(rows, VALUE_TITLES[values], None, width=_SMALL, height=_LOW)
    return {**panels_of, "facet": facet, "spacing": 8}
