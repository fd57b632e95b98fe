"""Figures of starts: activations, saturation, training from bad starts, the map of GELU."""

from __future__ import annotations

from itertools import pairwise
from math import log

import numpy as np
from computed import figure

from initlab.lessons.nets import deep, drawn, forward, noise
from initlab.lessons.problem import start_runs
from initlab.lessons.rules_of_thumb import course
from initlab.lessons.symmetry import constant_runs
from initlab.report.drawing.charts import Spec, axis, by_layer, chart, figure_of
from initlab.report.drawing.palette import COLOURS
from initlab.theory import activation, forward_gain, variance_map


@figure("activations")
def activations() -> Spec:
    """Four activations and their slopes, side by side."""
    x = np.linspace(-5.0, 5.0, 161)
    names = {"sigmoid": "sigmoid", "tanh": "tanh", "ReLU": "relu", "GELU": "gelu"}
    values = {label: list(zip(x.tolist(), activation(a)(x).tolist(), strict=True)) for label, a in names.items()}
    slopes = {label: list(zip(x.tolist(), activation(a).slope(x).tolist(), strict=True)) for label, a in names.items()}
    panels = []
    for lines, title, domain in ((values, "Output f(z)", [-1.2, 2.2]), (slopes, "Slope f'(z)", [-0.25, 1.25])):
        panel = chart(lines, {}, x=axis("Input z"), y=axis(title, scale={"domain": domain}), title="", columns=4)
        panels.append({"width": 280, "height": 230, "layer": panel["layer"]})
    return figure_of(
        {"hconcat": panels, "spacing": 30},
        title="A gradient passes where the slope is not flat",
        note="sigmoid and tanh flatten at both ends, ReLU on one side",
    )


@figure("saturation-histograms")
def saturation_histograms() -> Spec:
    """Outputs of tanh layers under three scales."""
    depth, bins = 10, np.linspace(-1.0, 1.0, 41)
    scales = {"N(0, 1)": "normal(std=1.0)", "Xavier": "glorot_normal", "N(0, 0.01²)": "normal(std=0.01)"}
    rows = []
    net = deep(depth, 100, "tanh")
    for place, (label, call) in enumerate(scales.items()):
        done = forward(net, drawn(net, call), noise((200, 100), "inputs"))
        for layer in (1, 3, depth):
            counts, _ = np.histogram(np.tanh(done.before[layer - 1]), bins)
            total = counts.sum()
            rows += [
                {
                    "scheme": label,
                    "place": place,
                    "layer": layer,
                    "left": left,
                    "right": right,
                    "share": 100.0 * c / total,
                }
                for left, right, c in zip(bins[:-1].tolist(), bins[1:].tolist(), counts.tolist(), strict=True)
            ]
    return figure_of(
        {
            "data": {"values": rows},
            "facet": {
                "row": {
                    "field": "scheme",
                    "sort": {"field": "place"},
                    "title": None,
                    "header": {"labelAngle": 0, "labelAlign": "left", "labelPadding": 8},
                },
                "column": {"field": "layer", "title": "Layer"},
            },
            "spacing": 14,
            "resolve": {"scale": {"y": "independent"}},
            "spec": {
                "width": 170,
                "height": 90,
                "mark": {"type": "bar", "color": COLOURS[0], "binSpacing": 0},
                "encoding": {
                    "x": {
                        "field": "left",
                        "type": "quantitative",
                        "title": "Output of a tanh unit",
                        "scale": {"domain": [-1, 1]},
                        "axis": {"values": [-1, 0, 1]},
                        "bin": {"binned": True},
                    },
                    "x2": {"field": "right"},
                    "y": {"field": "share", "type": "quantitative", "title": "Units, %", "axis": {"tickCount": 3}},
                },
            },
        },
        title="Too large saturates, too small collapses to zero",
        note="tanh net of 100 units a layer; each panel has its own height",
    )


@figure("start-curves")
def start_curves() -> Spec:
    """The loss of a ReLU net from four starts."""
    runs = start_runs(depth=8, epochs=12, rate=0.05)
    lines = {
        label.replace("^2", "²"): by_layer([v for v in run.losses if np.isfinite(v)], first=0)
        for label, run in runs.items()
        if not run.diverged_at
    }
    lost = ", ".join(f"{label}: NaN at step {run.diverged_at}" for label, run in runs.items() if run.diverged_at)
    return chart(
        lines,
        {},
        x=axis("Epoch", tickMinStep=1, format="d"),
        y=axis("Training loss, nats", log=True),
        title="One net, one data set, one learning rate: only the start differs",
        note=f"8 hidden ReLU layers of 64 units on digits; {lost}",
    )


@figure("constant-curves")
def constant_curves() -> Spec:
    """The loss of a tanh net from constants and from random weights."""
    runs = constant_runs(
        {"zeros": "zeros", "ones": "ones", "all 0.05": "constant(value=0.05)", "random (Xavier)": "glorot_normal"},
        act="tanh",
    )
    lines = {label: by_layer(run.losses, first=0) for label, run in runs.items()}
    return chart(
        lines,
        {},
        x=axis("Epoch", tickMinStep=1, format="d"),
        y=axis("Training loss, nats", scale={"domain": [0.0, 2.6]}),
        title="Equal weights learn as much as one unit can",
        note=f"one hidden layer of 64 tanh units on digits; a guess costs ln 10 = {log(10):.2f}",
        columns=4,
    )


@figure("gelu-map")
def gelu_map() -> Spec:
    """The variance maps of tanh and GELU at the exact gain, with the staircase of a signal."""
    panels = []
    for name, act, starts in (
        ("tanh: V'(1) < 1, the fixed point attracts", "tanh", (2.0, 0.2)),
        ("GELU: V'(1) > 1, the fixed point repels", "gelu", (1.25, 0.8)),
    ):
        weight = forward_gain(act) ** 2
        grid = np.linspace(0.02, 2.2, 80)
        curve = [(float(q), variance_map(act, float(q), sigma_w2=weight)) for q in grid]
        lines = {"V(q)": curve, "q stays": [(0.0, 0.0), (2.2, 2.2)]}
        stairs = [_stairs(course(act, start, depth=14)) for start in starts]
        lines |= dict(zip(("a signal above 1", "a signal below 1"), stairs, strict=True))
        panel = chart(
            lines,
            {},
            x=axis("q of a layer", scale={"domain": [0, 2.2]}),
            y=axis("q of the next layer", scale={"domain": [0, 2.2]}),
            title="",
            columns=4,
            dashes=((1, 0), (7, 3), (1, 0), (1, 0)),
        )
        panels.append({"title": {"text": name, "fontSize": 12}, "width": 340, "height": 340, "layer": panel["layer"]})
    return figure_of(
        {"hconcat": panels, "spacing": 30},
        title="Both gains hold variance 1; only one pulls back what is off",
        note="q = E z²; the steps follow a signal through 14 layers",
    )


def _stairs(signals: tuple[float, ...]) -> list[tuple[float, float]]:
    """The corners of a cobweb: from the diagonal up to the map, across to the diagonal."""
    corners = [(signals[0], signals[0])]
    for now, later in pairwise(signals):
        corners += [(now, later), (later, later)]
    return corners
