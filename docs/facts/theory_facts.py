"""Numbers of theory, and of widths, that no lesson has."""

from __future__ import annotations

from computed import Computed, facts

from initlab.lessons.nets import deep, drawn, forward, noise
from initlab.report.drawing.text import number
from initlab.theory import activation, describe_activation

DRAWS, DEPTH, NARROW, WIDE = 12, 20, 16, 256


@facts("gains")
def gains() -> Computed:
    """The two gains of tanh, and what the first does to the gradient."""
    tanh = describe_activation(activation("tanh"))
    return {
        "tanh_forward": f"{tanh.forward_gain:.4f}",
        "tanh_backward": f"{tanh.backward_gain:.4f}",
        "tanh_chi": number(tanh.chi_1),
    }


@facts("width")
def width() -> Computed:
    """The signal behind He's ReLU layers, draw by draw, in narrow and in wide layers."""
    found = {"draws-count": str(DRAWS), "depth-count": str(DEPTH)}
    for name, units in (("narrow", NARROW), ("wide", WIDE)):
        net = deep(DEPTH, units, "relu")
        signals = []
        for seed in range(DRAWS):
            done = forward(net, drawn(net, "he_normal", seed=seed), noise((8, units), "inputs", seed=seed))
            signals.append(float((done.before[-1] ** 2).mean()))
        found |= {
            f"{name}-count": str(units),
            f"{name}_low": number(min(signals)),
            f"{name}_high": number(max(signals)),
        }
    return found
