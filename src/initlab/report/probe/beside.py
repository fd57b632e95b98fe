"""The numbers and the drawing of profiles side by side: signal, gradient and histograms by layer on common axes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from initlab.core.signals.readings import BINS, Sums
from initlab.probing.profile import Profile, SideBySide
from initlab.report.drawing.text import rounded, visible
from initlab.report.drawing.theme import SCHEMA, Spec, picture_config, style_scales
from initlab.report.probe.figures import Values
from initlab.report.probe.specs import LAYERS, TITLES, VALUE_TITLES
from initlab.report.theory.specs import layer_axis, value_axis

_REACH = 5.0  # root mean squares on both sides of zero that a reading's histogram covers
_SHOWN = 3.0  # of the largest root mean square, on both sides of zero
_WIDE, _HIGH, _SMALL, _LOW = 360, 220, 150, 46


@dataclass(frozen=True)
class BesidePoint:
    """One quantity of one layer under one set of weights; None where it is 0 or was not measured."""

    name: str
    layer: int
    quantity: Literal["signal", "gradient"]
    value: float | None


@dataclass(frozen=True)
class BesidePanel:
    """How the entries of one layer are spread under one set of weights.

    Attributes:
        name: Of the weights.
        layer: The weighted layer, counted from 1.
        path: Its name.
        low: The lower edge of the first bin, the same for all panels of a figure.
        step: The width of a bin, likewise.
        shares: Of the entries in each bin; what lies outside is in none.
    """

    name: str
    layer: int
    path: str
    low: float
    step: float
    shares: tuple[float, ...]


@dataclass(frozen=True)
class BesideFigure:
    """All that is drawn.

    Attributes:
        names: Of the weights, in order.
        points: Signal and gradient.
        panels: Histograms of values and of gradients, every layer; empty where none were counted.
    """

    names: tuple[str, ...]
    points: tuple[BesidePoint, ...]
    panels: dict[Values, tuple[BesidePanel, ...]]


def beside_figure(both: SideBySide) -> BesideFigure:
    """The numbers of the figure."""
    points = tuple(point for name, profile in both.profiles.items() for point in _points(name, profile))
    panels: dict[Values, tuple[BesidePanel, ...]] = {
        "activation": _panels(both, "activation"),
        "gradient": _panels(both, "gradient"),
    }
    return BesideFigure(tuple(both.profiles), points, {key: found for key, found in panels.items() if found})


def _points(name: str, profile: Profile) -> Iterator[BesidePoint]:
    for layer, row in enumerate(profile.rows, start=1):
        for quantity, number in (("signal", row.signal.measured), ("gradient", row.gradient.measured)):
            value = rounded(number) if number > 0.0 and math.isfinite(number) else None
            yield BesidePoint(name, layer, "signal" if quantity == "signal" else "gradient", value)


def _panels(both: SideBySide, values: Values) -> tuple[BesidePanel, ...]:
    found = [
        (name, layer, path, sums)
        for name, profile in both.profiles.items()
        for layer, path, sums in _counted(profile, values)
    ]
    largest = max((math.sqrt(sums.square) for *_, sums in found if math.isfinite(sums.square)), default=0.0)
    if not largest > 0.0:
        return ()
    edges = np.linspace(-_SHOWN * largest, _SHOWN * largest, BINS + 1)
    step = float(edges[1] - edges[0])
    return tuple(
        BesidePanel(name, layer, path, float(f"{edges[0]:.4g}"), float(f"{step:.4g}"), _shares(sums, edges))
        for name, layer, path, sums in found
    )


def _counted(profile: Profile, values: Values) -> Iterator[tuple[int, str, Sums]]:
    reading = profile.evidence.reading
    places = {place.path: i for i, place in enumerate(reading.places)}
    held = reading.forward if values == "activation" else reading.backward
    for layer, row in enumerate(profile.rows, start=1):
        path = (row.activation or row.path) if values == "activation" else row.path
        sums = held.get(places[path])
        if sums is not None and sums.counts.sum() > 0:
            yield layer, path, sums


def _shares(sums: Sums, edges: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, ...]:
    """A reading's histogram on other bins: what a bin holds is spread evenly over it."""
    reach = _REACH * math.sqrt(sums.square) if sums.square > 0.0 else 1e-12 * float(edges[-1])
    own = np.linspace(-reach, reach, len(sums.counts) + 1)
    below = np.interp(edges, own, np.concatenate([[0.0], np.cumsum(sums.counts)]) / sums.counts.sum())
    return tuple(float(f"{share:.3g}") for share in np.diff(below))


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
    """All panels have one axis; shares are drawn by their root, so that a spike leaves a bell to be seen."""
    panels, names = figure.panels[values], [visible(name) for name in figure.names]
    reach = -panels[0].low
    x = {"field": "left", "type": "quantitative", "title": VALUE_TITLES[values], "axis": {"tickCount": 3}}
    y = {"field": "share", "type": "quantitative", "title": None, "axis": {"values": [0, 0.1, 1], "format": "~g"}}
    return {
        "data": {"values": [_value_row(panel) for panel in panels]},
        "transform": [
            {"calculate": "sequence(length(datum.share))", "as": "bin"},
            {"flatten": ["bin", "share"]},
            {"calculate": "datum.low + datum.step * datum.bin", "as": "left"},
        ],
        "facet": {
            "row": {"field": "panel", "type": "nominal", "sort": {"field": "layer"}, "title": None,
                    "header": {"labelAngle": 0, "labelAlign": "left"}},
            "column": {"field": "weights", "type": "nominal", "sort": names, "title": None},
        },
        "spacing": 8,
        "spec": {
            "width": _SMALL,
            "height": _LOW,
            "mark": {"type": "area", "interpolate": "step-after", "opacity": 0.7, "clip": True},
            "encoding": {
                "x": {**x, "scale": {"domain": [-reach, reach], "nice": False}},
                "y": {**y, "scale": {"type": "sqrt", "domain": [0, 1]}},
            },
        },
    }  # fmt: skip


def _value_row(panel: BesidePanel) -> Spec:
    return {
        "weights": visible(panel.name),
        "panel": f"{panel.layer}: {visible(panel.path)}",
        "layer": panel.layer,
        "low": panel.low,
        "step": panel.step,
        "share": [*panel.shares, panel.shares[-1]],  # a step needs the right edge of the last bin
    }
