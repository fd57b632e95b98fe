"""Gains: constants that keep a signal's variance, by theory."""

from __future__ import annotations

from math import hypot

import numpy as np

from initlab.papers.figure import Figure
from initlab.papers.paper import Constants, Measured, near, register_paper
from initlab.theory import activation, centered_gain, moments, variance_slope

QUADRATURE = "1e-6: the integrals are exact to about 1e-10"

# The table of nfnets/base.py, each from one sample of 1,024 x 256 normal numbers.
GAMMAS = {
    "identity": 1.0,
    "celu": 1.270926833152771,
    "elu": 1.2716004848480225,
    "gelu": 1.7015043497085571,
    "leaky_relu": 1.70590341091156,
    "log_sigmoid": 1.9193484783172607,
    "relu": 1.7139588594436646,
    "relu6": 1.7131484746932983,
    "selu": 1.0008515119552612,
    "sigmoid": 4.803835391998291,
    "silu": 1.7881293296813965,
    "softsign": 2.338853120803833,
    "softplus": 1.9203323125839233,
    "tanh": 1.5939117670059204,
}


@register_paper(
    "brock2021-gammas",
    title="The gains of normaliser-free nets",
    claim="Scaling an activation by γ = 1/std f(z) keeps the variance; the table of γ serves all NFNets.",
    citation="Brock, De, Smith & Simonyan 2021, arXiv 2102.06171 (γ = sqrt(2)/sqrt(1 - 1/π) for ReLU), and "
    "the table in nfnets/base.py of deepmind-research",
    quoted="ReLU 1.7139588594436646, GELU 1.7015043497085571, and 12 more",
    checks=(
        near("relu", "γ of ReLU", np.sqrt(2.0 / (1.0 - 1.0 / np.pi)), 1e-6, QUADRATURE),
        near(
            "worst",
            "largest relative distance of the 14 to 1/std f(z)",
            0.0,
            1.5e-3,
            "the published ones are sampled, from 262,144 numbers: a relative error of 1e-3 is one of theirs",
            said="0",
        ),
    ),
    constants={"variance": 1.0},
    breaks={"variance": 1.05},
)
def brock_gammas(c: Constants, seed: int) -> Measured:
    """1/std f(z) of 14 activations beside the table."""
    ours = {f: 1.0 / float(np.sqrt(moments(f, c["variance"]).variance)) for f in GAMMAS}
    points = [(ours[f], told) for f, told in GAMMAS.items()]
    figure = Figure(
        "The published gains are those of theory",
        "1/std f(z), by quadrature",
        "γ in the published table",
        {"equal": [(0.9, 0.9), (5.0, 5.0)]},
        {"14 activations": points},
    )
    worst = max(abs(GAMMAS[f] / ours[f] - 1.0) for f in GAMMAS)
    return Measured({"relu": ours["relu"], "worst": worst}, figure)


@register_paper(
    "elu-constant",
    title="The constant of ELU's weights",
    claim="An ELU net keeps its signal with weights of variance 1.5505188080679277 over the fan-in.",
    citation="init_weights_elu of the published code of Sitzmann et al. 2020 (SIREN), modules.py",
    quoted="std = sqrt(1.5505188080679277)/sqrt(fan_in)",
    checks=(near("constant", "1/E f(z)²", 1.5505188080679277, 1e-6, QUADRATURE),),
    constants={"alpha": 1.0},
    breaks={"alpha": 1.01},
)
def elu_constant(c: Constants, seed: int) -> Measured:
    """One over the second moment of ELU."""
    act = activation("elu", alpha=c["alpha"])
    curve = [(float(q), moments(act, float(q)).second / float(q)) for q in np.geomspace(0.05, 20.0, 40)]
    constant = 1.0 / moments(act).second
    figure = Figure(
        "What ELU keeps of a signal, by its variance",
        "Variance before the activation",
        "E f² over the variance",
        {"ELU": curve},
        {"1/1.5505 at variance 1": [(1.0, 1.0 / 1.5505188080679277)]},
        log_x=True,
    )
    return Measured({"constant": constant}, figure)


@register_paper(
    "klambauer2017-slope",
    title="How strongly SELU pulls to its fixed point",
    claim="At mean 0 and variance 1 one layer of SELU keeps 0.782648 of a deviation of the variance.",
    citation="Klambauer, Unterthiner, Mayr & Hochreiter 2017, arXiv 1706.02515, equation 6",
    quoted="J(0, 1) = ((0, 0.088834), (0, 0.782648)), spectral norm 0.7877",
    checks=(
        near("slope", "dν'/dν", 0.782648, 1e-6, "the last digit that is printed"),
        near("mean_slope", "dμ'/dν", 0.088834, 1e-6, "the last digit that is printed"),
        near("norm", "spectral norm of J", 0.7877, 5e-5, "half of the last digit", said="0.7877"),
        near("gain", "1/std f(z)", 1.0, 1e-6, QUADRATURE),
    ),
    constants={"variance": 1.0},
    breaks={"variance": 1.01},
)
def klambauer_slope(c: Constants, seed: int) -> Measured:
    """The slope of the variance map of SELU, and of its mean by a central difference."""
    q, h = c["variance"], 1e-4
    slope = variance_slope("selu", 1.0, q)
    mean_slope = (moments("selu", q + h).mean - moments("selu", q - h).mean) / (2.0 * h)
    grid = np.linspace(0.2, 2.0, 37)
    lines = {
        "one layer": [(float(v), moments("selu", float(v)).second) for v in grid],
        "no change": [(0.2, 0.2), (2.0, 2.0)],
    }
    figure = Figure(
        "SELU pulls every variance to 1", "Variance before", "Variance behind", lines, {"fixed point": [(1.0, 1.0)]}
    )
    numbers = {
        "slope": slope,
        "mean_slope": mean_slope,
        "norm": hypot(slope, mean_slope),
        "gain": centered_gain("selu"),
    }
    return Measured(numbers, figure)
