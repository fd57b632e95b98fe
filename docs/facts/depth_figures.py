"""Figures of what depth does: signal, gradient, correlation, phases, streams, attention, time."""

from __future__ import annotations

from itertools import islice

import numpy as np
from computed import figure

from initlab.lessons.gradients import DEPTH
from initlab.lessons.gradients import WIDTH as UNITS
from initlab.lessons.matrices import singular_values
from initlab.lessons.nets import deep, drawn, forward, gaussian, geometric_mean, mean_cosine, noise, profile
from initlab.lessons.recurrent import STARTS, STEPS, gradients_by_time
from initlab.lessons.remedies import ROWS
from initlab.lessons.streams import stream_of
from initlab.lessons.transformers import TOKENS, attention_cosines
from initlab.report.drawing.charts import HEIGHT, WIDTH, Spec, axis, by_layer, chart, figure_of
from initlab.theory import (
    batch_norm_factor,
    edge_of_chaos,
    layer_curve,
    layer_norm_factor,
    phase_diagram,
    pre_norm_stream,
    residual_stream,
    token_cosines,
)

BOTH = "lines: theory for infinite width; dots: geometric mean of 6 nets of 100 units"


@figure("signal-by-layer")
def signal_by_layer() -> Spec:
    """ReLU nets at four scales."""
    scales = {
        "n Var w = 4": 4.0,
        "n Var w = 2 (He)": 2.0,
        "n Var w = 1 (Xavier)": 1.0,
        "n Var w = 1/3 (PyTorch)": 1 / 3,
    }
    return chart(
        {label: by_layer([w * (w / 2.0) ** layer for layer in range(DEPTH)]) for label, w in scales.items()},
        {label: by_layer(profile(deep(DEPTH, UNITS, "relu"), gaussian(w)).signal) for label, w in scales.items()},
        x=axis("Layer"),
        y=axis("Signal before the activation, E z²", log=True),
        title="Only one scale carries a signal through 20 ReLU layers",
        note=BOTH,
        columns=2,
    )


@figure("gradient-by-layer")
def gradient_by_layer() -> Spec:
    """Sigmoid, tanh and ReLU nets."""
    nets = {
        "sigmoid, Xavier": ("sigmoid", "glorot_normal", 1.0),
        "ReLU, Xavier": ("relu", "glorot_normal", 1.0),
        "tanh, Xavier": ("tanh", "glorot_normal", 1.0),
        "ReLU, He": ("relu", "he_normal", 2.0),
        "tanh, n Var w = 4": ("tanh", gaussian(4.0), 4.0),
    }
    return chart(
        {
            label: by_layer([p.gradient for p in layer_curve(act, DEPTH, sigma_w2=w)])
            for label, (act, _, w) in nets.items()
        },
        {label: by_layer(profile(deep(DEPTH, UNITS, act), call).gradient) for label, (act, call, _) in nets.items()},
        x=axis("Layer"),
        y=axis("Squared gradient over that of the last layer", log=True),
        title="Gradients vanish, stay, or explode on their way back to layer 1",
        note=BOTH,
    )


@figure("correlation-by-layer")
def correlation_by_layer() -> Spec:
    """Two unrelated inputs in tanh and ReLU nets."""
    depth, edge = 30, edge_of_chaos("tanh", sigma_b2=0.05)
    assert edge is not None  # tanh has one at every bias
    nets = {
        "tanh, σw² = 0.9 (ordered)": ("tanh", 0.9, 0.05),
        f"tanh, σw² = {edge.sigma_w2:.3f} (edge)": ("tanh", edge.sigma_w2, 0.05),
        "tanh, σw² = 4 (chaotic)": ("tanh", 4.0, 0.05),
        "ReLU, He": ("relu", 2.0, 0.0),
    }
    lines, dots = {}, {}
    for label, (act, w, b) in nets.items():
        start = b / (w + b)
        curve = layer_curve(act, depth, sigma_w2=w, sigma_b2=b, q=w + b, correlation=start)
        lines[label] = by_layer([p.correlation for p in curve])
        dots[label] = by_layer(_pair_correlation(act, w, b, depth), every=2)
    return chart(
        lines,
        dots,
        x=axis("Layer"),
        y=axis("Correlation of two unrelated inputs", scale={"domain": [-0.05, 1.05]}),
        title="How fast a net forgets that two inputs differ",
        note="σb² = 0.05 with tanh; lines: theory; dots: mean over 6 nets of 100 units",
        columns=2,
    )


def _pair_correlation(act: str, w: float, b: float, depth: int) -> list[float]:
    """The mean cosine of z of different rows, by layer, over draws."""
    net, runs = deep(depth, UNITS, act), []
    for seed in range(6):
        weights = drawn(net, gaussian(w), seed=seed)
        for path in [p for p in weights if p.endswith("/bias")]:
            weights[path] = b**0.5 * noise(weights[path].shape, f"bias/{path}", seed=seed)
        done = forward(net, weights, noise((24, UNITS), "inputs", seed=seed))
        runs.append([mean_cosine(z) for z in done.before])
    return [float(v) for v in np.mean(runs, axis=0)]


@figure("phase-diagram")
def phases() -> Spec:
    """The phases of deep tanh nets."""
    sigma_w, sigma_b = np.linspace(0.025, 2.975, 60), np.linspace(0.0125, 0.9875, 40)
    diagram = phase_diagram("tanh", sigma_w=sigma_w.tolist(), sigma_b=sigma_b.tolist())
    cells = [
        {"w": w - 0.025, "w2": w + 0.03, "b": b - 0.0125, "b2": b + 0.015, "chi": chi}
        for b, row in zip(diagram.sigma_b, diagram.chi_1, strict=True)
        for w, chi in zip(diagram.sigma_w, row, strict=True)
        if chi is not None
    ]
    points = [(b, edge_of_chaos("tanh", sigma_b2=float(b) ** 2)) for b in np.linspace(0.0, 1.0, 25) ** 2]
    edge = [{"w": point.sigma_w2**0.5, "b": float(b)} for b, point in points if point is not None]
    words = [
        {"w": 0.7, "b": 0.5, "text": "ordered: gradients vanish"},
        {"w": 2.45, "b": 0.3, "text": "chaotic: gradients explode"},
    ]
    x: Spec = {"type": "quantitative", "title": "σw = √(n Var w)", "scale": {"domain": [0, 3], "nice": False}}
    y: Spec = {"type": "quantitative", "title": "σb = std of a bias", "scale": {"domain": [0, 1], "nice": False}}
    colour = {
        "field": "chi",
        "type": "quantitative",
        "title": "χ, the factor of the squared gradient a layer",
        "scale": {"range": ["#2166AC", "#F7F7F7", "#B2182B"], "domainMid": 1, "domain": [0, 2], "clamp": True},
        "legend": {"orient": "bottom", "gradientLength": 300, "titleLimit": 400},
    }
    layers = [
        {
            "data": {"values": cells},
            "mark": {"type": "rect", "clip": True, "strokeWidth": 0},
            "encoding": {
                "x": {**x, "field": "w"},
                "x2": {"field": "w2"},
                "y": {**y, "field": "b"},
                "y2": {"field": "b2"},
                "color": colour,
            },
        },
        {
            "data": {"values": edge},
            "mark": {"type": "line", "color": "black", "strokeWidth": 2.5, "clip": True},
            "encoding": {"x": {**x, "field": "w"}, "y": {**y, "field": "b"}, "order": {"field": "b"}},
        },
        {
            "data": {"values": [*words, {"w": 1.4, "b": 0.9, "text": "edge of chaos"}]},
            "mark": {"type": "text", "fontSize": 13, "color": "black"},
            "encoding": {"x": {**x, "field": "w"}, "y": {**y, "field": "b"}, "text": {"field": "text"}},
        },
    ]
    return figure_of(
        {"width": WIDTH, "height": HEIGHT, "layer": layers},
        title="Where a deep tanh net keeps its gradient: the edge of chaos",
        note="χ at the variance that the signal settles at; black: χ = 1",
    )


@figure("residual-growth")
def residual_growth() -> Spec:
    """Streams of ReLU and tanh blocks."""
    small = DEPTH**-0.5
    theory = {
        "x + F": [s.q for s in residual_stream("relu", DEPTH, sigma_w2=2.0)],
        "x + F, tanh, Xavier": [s.q for s in residual_stream("tanh", DEPTH, sigma_w2=1.0)],
        "x + F(norm x)": [s.q for s in pre_norm_stream(DEPTH)],
        "x + F / √L": [s.q for s in residual_stream("relu", DEPTH, sigma_w2=2.0, branch_scale=small)],
    }
    found = {
        "x + F": stream_of("he_normal", depth=DEPTH),
        "x + F, tanh, Xavier": stream_of("glorot_normal", act="tanh", depth=DEPTH),
        "x + F(norm x)": stream_of("he_normal", depth=DEPTH, normed=True),
        "x + F / √L": stream_of("he_normal", depth=DEPTH, branch_scale=small),
    }
    return chart(
        {label: by_layer(values, first=0) for label, values in theory.items()},
        {label: by_layer(stream.signal, first=0) for label, stream in found.items()},
        x=axis("Blocks passed"),
        y=axis("Stream, E x²", log=True),
        title="What a residual stream grows to, by kind of block",
        note=f"ReLU blocks of He's weights but for tanh, L = {DEPTH}; lines: theory; dots: geometric mean of 6 draws",
        columns=2,
    )


@figure("norm-gradient")
def norm_gradient() -> Spec:
    """Gradients behind norms at weights that are too large."""
    call, scale = "normal(std=0.2)", 0.2**2 * UNITS
    nets = {
        "ReLU, no norm": ("relu", "none", scale / 2),
        "ReLU, batch norm": ("relu", "batch", batch_norm_factor("relu", batch=ROWS)),
        "ReLU, layer norm": ("relu", "layer", layer_norm_factor("relu")),
        "tanh, layer norm": ("tanh", "layer", layer_norm_factor("tanh")),
    }
    return chart(
        {
            label: by_layer([factor ** (DEPTH - layer) for layer in range(1, DEPTH + 1)])
            for label, (_, _, factor) in nets.items()
        },
        {
            label: by_layer(profile(deep(DEPTH, UNITS, act, norm=norm), call, rows=ROWS).gradient)  # type: ignore[arg-type]
            for label, (act, norm, _) in nets.items()
        },
        x=axis("Layer"),
        y=axis("Squared gradient over that of the last layer", log=True),
        title="A norm mends the signal; batch norm with ReLU still grows the gradient",
        note=f"weights N(0, 0.2²), batches of {ROWS} rows; lines: factor to the power of the layers left",
        columns=2,
    )


@figure("token-cosine")
def token_cosine() -> Spec:
    """Attention with and without skip paths."""
    layers = 6
    dots = {
        "without skip paths": attention_cosines(layers, skip=False),
        "with skip paths": attention_cosines(layers, skip=True),
    }
    lines = {
        "without skip paths": list(islice(token_cosines(TOKENS, logit_variance=1.0), layers + 1)),
        "with skip paths": list(islice(token_cosines(TOKENS, logit_variance=1.0, branch_scale=1.0), layers + 1)),
    }
    return chart(
        {label: by_layer(values, first=0) for label, values in lines.items()},
        {label: by_layer(values, first=0) for label, values in dots.items()},
        x=axis("Layers of attention passed", tickMinStep=1, format="d"),
        y=axis("Mean cosine of two tokens", scale={"domain": [-0.05, 1.05]}),
        title="Attention alone makes all tokens one within three layers",
        note=f"{TOKENS} tokens of width {TOKENS}, one head; lines: theory of independent rows; dots: 4 draws",
    )


@figure("recurrent-gradient")
def recurrent_gradient() -> Spec:
    """Squared gradient by time for several recurrent matrices."""
    lines = {
        label: [
            (float(step + 1), geometric_mean(column))
            for step, column in enumerate(gradients_by_time(call, act).T.tolist())
        ]
        for label, (call, act) in STARTS.items()
    }
    return chart(
        lines,
        {},
        x=axis("Step of time"),
        y=axis(f"Squared gradient over that of step {STEPS}", log=True),
        title=f"What of a gradient gets back through {STEPS} steps of time",
        note="tanh but for the identity; 64 units, geometric mean over 8 draws",
    )


@figure("singular-values")
def sorted_singular_values() -> Spec:
    """Squared singular values of linear and ReLU nets, sorted."""
    cases = {
        "linear, orthogonal": ("orthogonal", "identity", 1.0),
        "linear, normal": ("lecun_normal", "identity", 1.0),
        "ReLU, orthogonal": ("orthogonal", "relu", 2.0**0.5),
        "ReLU, normal": ("he_normal", "relu", 1.0),
    }
    lines = {}
    for label, (call, act, scale) in cases.items():
        values = singular_values(call, act, scale=scale)
        middle = np.median(values, axis=0)
        lines[label] = [(100.0 * (i + 1) / len(middle), float(v)) for i, v in enumerate(middle) if v > 1e-6]
    return chart(
        lines,
        {},
        x=axis("Direction, sorted, in % of all", scale={"domain": [0, 100]}),
        y=axis("Squared singular value of the net", log=True),
        title="Orthogonal weights keep more directions alive",
        note="8 layers of 64 units, median over 12 draws; values below 1e-6 are left out",
        columns=2,
    )
