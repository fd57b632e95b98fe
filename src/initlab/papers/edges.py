"""Where order ends and chaos begins: edges, fixed points and the laws of depth, by theory."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import InitlabError
from initlab.papers.figure import Figure
from initlab.papers.paper import Constants, Measured, about, at_least, at_most, near, register_paper
from initlab.theory import (
    CriticalPoint,
    chi_1,
    correlation_map,
    edge_law,
    edge_of_chaos,
    half_stable_point,
    layer_curve,
    pair_moment,
    q_star,
    variance_map,
)

QUADRATURE = "1e-6: the integrals are exact to about 1e-10"


def _edge(f: str, sigma_b2: float) -> CriticalPoint:
    found = edge_of_chaos(f, sigma_b2=sigma_b2)
    if found is None:
        raise InitlabError(f"'{f}' has no edge of chaos at sigma_b^2 = {sigma_b2:g}", fix="give another")
    return found


def _edge_figure(title: str, at: CriticalPoint, dots: dict[str, list[tuple[float, float]]]) -> Figure:
    """The edge of tanh from nearly no bias to three times the one at hand, and points beside it."""
    biases = np.linspace(0.03, 3.0**0.5, 40) ** 2 * at.sigma_b2
    line = [(_edge("tanh", float(b)).sigma_w2, float(b)) for b in biases]
    return Figure(title, "σw², weight variance times fan-in", "σb², bias variance", {"edge, χ₁ = 1": line}, dots)


@register_paper(
    "schoenholz2017-tanh-edge",
    title="The edge of chaos of tanh at σb² = 0.05",
    claim="A deep tanh net with biases of variance 0.05 is critical at a weight variance of 1.76 over the fan-in.",
    citation="Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation, arXiv 1611.01232, "
    "the edge chi_1 = 1 of tanh at the bias variance of the experiments",
    quoted="σw² = 1.76 at σb² = 0.05",
    checks=(
        near("sigma_w2", "σw² at the edge", 1.760954639606739, 1e-6, QUADRATURE),
        near("sigma_w2", "σw² as it is quoted", 1.76, 0.005, "half of the last digit", said="1.76"),
    ),
    constants={"sigma_b2": 0.05},
    breaks={"sigma_b2": 0.06},
)
def schoenholz_edge(c: Constants, seed: int) -> Measured:
    """The edge by theory, beside the number."""
    at = _edge("tanh", c["sigma_b2"])
    dots = {"Schoenholz 2017": [(1.76, 0.05)]}
    return Measured({"sigma_w2": at.sigma_w2}, _edge_figure("The edge of chaos of tanh", at, dots))


@register_paper(
    "xiao2018-tanh-edge",
    title="The edge of tanh where 10,000 layers were trained",
    claim="With a bias variance of 2.01e-5 a tanh net is critical at a weight variance of 1.05.",
    citation="Xiao, Bahri, Sohl-Dickstein, Schoenholz & Pennington 2018, arXiv 1806.05393, the nets trained",
    quoted="σw² = 1.05 at σb² = 2.01e-5",
    checks=(
        near("sigma_w2", "σw² at the edge", 1.05, 5e-5, "half of a further digit: σb² is given to three", said="1.05"),
        near("chi_1", "χ₁ at the pair that is quoted", 1.0, 1e-4, "its slope in σw² is near 2 there"),
    ),
    constants={"sigma_b2": 2.01e-5},
    breaks={"sigma_b2": 2.2e-5},
)
def xiao_edge(c: Constants, seed: int) -> Measured:
    """The edge by theory, and chi_1 at the pair that the paper gives."""
    at, sigma_w2 = _edge("tanh", c["sigma_b2"]), 1.05
    q = q_star("tanh", sigma_w2=sigma_w2, sigma_b2=c["sigma_b2"])
    numbers = {"sigma_w2": at.sigma_w2, "chi_1": chi_1("tanh", sigma_w2, q)}
    grid = np.geomspace(1e-6, 1e-3, 40)
    line = [(_edge("tanh", float(b)).sigma_w2, float(b)) for b in grid]
    figure = Figure(
        "The edge of tanh near its straight end",
        "σw², weight variance times fan-in",
        "σb², bias variance",
        {"edge, χ₁ = 1": line},
        {"Xiao 2018": [(1.05, 2.01e-5)]},
        log_y=True,
    )
    return Measured(numbers, figure)


@register_paper(
    "hayou2019-tanh-edge",
    title="The edge of tanh at σb = 0.2",
    claim="For tanh, (σb, σw) = (0.2, 1.304) lies on the edge of chaos.",
    citation="Hayou, Doucet & Rousseau 2019, arXiv 1902.06853, the tanh nets on the edge of chaos",
    quoted="(σb, σw) = (0.2, 1.304)",
    checks=(near("sigma_w", "σw at the edge", 1.304, 5e-4, "half of the last digit", said="1.304"),),
    constants={"sigma_b": 0.2},
    breaks={"sigma_b": 0.21},
)
def hayou_edge(c: Constants, seed: int) -> Measured:
    """The edge by theory, beside the pair."""
    at = _edge("tanh", c["sigma_b"] ** 2)
    dots = {"Hayou 2019": [(1.304**2, 0.04)]}
    return Measured({"sigma_w": sqrt(at.sigma_w2)}, _edge_figure("The edge of tanh at σb = 0.2", at, dots))


@register_paper(
    "poole2016-transition",
    title="Order and chaos at σb = 0.3",
    claim="At σb = 0.3 nearby inputs of a tanh net converge for σw = 1.3 and part for σw = 2.5 and 4.",
    citation="Poole, Lahiri, Raghu, Sohl-Dickstein & Ganguli 2016, arXiv 1606.05340, figures 1 and 2",
    quoted="c* = 1 at σw = 1.3, c* < 1 at σw = 2.5 and 4",
    checks=(
        at_most("chi_ordered", "χ₁ at σw = 1.3", 1.0 - 1e-6, "equal inputs attract", said="below 1"),
        at_least("chi_middle", "χ₁ at σw = 2.5", 1.0 + 1e-6, "equal inputs repel", said="above 1"),
        at_least("chi_chaotic", "χ₁ at σw = 4", 1.0 + 1e-6, "equal inputs repel", said="above 1"),
        near("settled_ordered", "c* at σw = 1.3", 1.0, 1e-3, "300 layers of theory, χ₁^300 is 1e-8", said="1"),
        at_most("settled_middle", "c* at σw = 2.5", 0.95, "figure 2 shows a fixed point well below 1", said="below 1"),
        near("sigma_w", "σw of the transition, χ₁ = 1", 1.395583975155, 1e-6, QUADRATURE),
    ),
    constants={"sigma_b": 0.3, "ordered": 1.3, "middle": 2.5, "chaotic": 4.0},
    breaks={"ordered": 1.5},
)
def poole_transition(c: Constants, seed: int) -> Measured:
    """chi_1 and the settled correlation at three scales, and where the transition lies."""
    bias = c["sigma_b"] ** 2
    numbers, lines = {"sigma_w": sqrt(_edge("tanh", bias).sigma_w2)}, {}
    for name in ("ordered", "middle", "chaotic"):
        weight = c[name] ** 2
        q = q_star("tanh", sigma_w2=weight, sigma_b2=bias)
        curve = layer_curve("tanh", 300, sigma_w2=weight, sigma_b2=bias, q=q, correlation=0.9)
        numbers |= {f"chi_{name}": chi_1("tanh", weight, q), f"settled_{name}": curve[-1].correlation}
        grid = np.linspace(0.0, 1.0, 41)
        lines[f"σw = {c[name]:g}"] = [
            (float(x), correlation_map("tanh", float(x), sigma_w2=weight, sigma_b2=bias, q=q)) for x in grid
        ]
    lines["no change"] = [(0.0, 0.0), (1.0, 1.0)]
    figure = Figure(
        "What one layer does to the correlation of two inputs", "Correlation before", "Correlation behind", lines
    )
    return Measured(numbers, figure)


_SPELLED = {"gelu": "GELU", "silu": "SiLU"}
_HALF_STABLE = "1e-7 and the last digit that is printed"


def _half_stable(f: str, c: Constants) -> Measured:
    at = half_stable_point(f)
    if at is None:
        raise InitlabError(f"'{f}' has no half-stable point", fix="choose GELU or SiLU")
    weight, bias = at.sigma_w2 * c["scale"], at.sigma_b2
    lines = {
        "V(K) - K": [
            (float(q), variance_map(f, float(q), sigma_w2=weight, sigma_b2=bias) - float(q))
            for q in np.linspace(0.2, 3.0 * at.q_star, 60)
        ]
    }
    touch = variance_map(f, at.q_star, sigma_w2=weight, sigma_b2=bias) - at.q_star
    figure = Figure(
        f"The kernel of {_SPELLED[f]} touches its fixed point from one side",
        "Kernel K before the layer",
        "Change by one layer",
        lines,
        {"K*": [(at.q_star, 0.0)]},
    )
    return Measured({"sigma_w2": weight, "sigma_b2": bias, "touch": touch}, figure)


@register_paper(
    "pdlt2022-gelu",
    title="GELU's half-stable critical point",
    claim="GELU nets are critical, and half-stable, at C_b = 0.17292239 and C_W = 1.98305826.",
    citation="Roberts, Yaida & Hanin 2022, The Principles of Deep Learning Theory, arXiv 2106.10165, section 5.3.4",
    quoted="(C_b, C_W) = (0.17292239, 1.98305826)",
    checks=(
        near("sigma_w2", "C_W", 1.98305826, 1e-7, _HALF_STABLE),
        near("sigma_b2", "C_b", 0.17292239, 1e-7, _HALF_STABLE),
        near("touch", "V(K*) - K*", 0.0, 1e-9, "a fixed point", said="0"),
    ),
    constants={"scale": 1.0},
    breaks={"scale": 1.001},
)
def pdlt_gelu(c: Constants, seed: int) -> Measured:
    """The half-stable point of GELU."""
    return _half_stable("gelu", c)


@register_paper(
    "pdlt2022-silu",
    title="SiLU's half-stable critical point",
    claim="SiLU (swish) nets are critical, and half-stable, at C_b = 0.55514317 and C_W = 1.98800468.",
    citation="Roberts, Yaida & Hanin 2022, The Principles of Deep Learning Theory, arXiv 2106.10165, section 5.3.4",
    quoted="(C_b, C_W) = (0.55514317, 1.98800468); public code often has 0.055514317, a digit too few",
    checks=(
        near("sigma_w2", "C_W", 1.98800468, 1e-7, _HALF_STABLE),
        near("sigma_b2", "C_b", 0.55514317, 1e-7, _HALF_STABLE),
        near("touch", "V(K*) - K*", 0.0, 1e-9, "a fixed point", said="0"),
    ),
    constants={"scale": 1.0},
    breaks={"scale": 1.001},
)
def pdlt_silu(c: Constants, seed: int) -> Measured:
    """The half-stable point of SiLU."""
    return _half_stable("silu", c)


@register_paper(
    "hayou2019-relu-law",
    title="ReLU correlations go to 1 like 9π²/(2 l²)",
    claim="In a ReLU net on the edge of chaos 1 - c of two inputs falls like 9π²/(2 l²), not exponentially.",
    citation="Hayou, Doucet & Rousseau 2019, arXiv 1902.06853, proposition on ReLU-like activations (kappa / l^2)",
    quoted="l² (1 - c) -> 9π²/2 = 44.41",
    checks=(
        near("coefficient", "the coefficient by theory", 4.5 * pi**2, 1e-6, QUADRATURE),
        about(
            "at_depth",
            "l² (1 - c) of the map followed for 20,000 layers",
            4.5 * pi**2,
            0.01,
            "1 %: what the law leaves out is of order log l / l",
        ),
    ),
    constants={"sigma_w2": 2.0, "depth": 20000},
    breaks={"sigma_w2": 1.96},
)
def hayou_relu(c: Constants, seed: int) -> Measured:
    """The law's coefficient, and the closed correlation map iterated."""
    law = edge_law("relu", sigma_w2=c["sigma_w2"], q=1.0)
    # Cho and Saul's map at sigma_w^2 = 2, of angles, which stay exact where 1 - c is small.
    depth, theta = int(c["depth"]), 0.5 * pi
    points = []
    for layer in range(1, depth + 1):
        theta = _next_angle(theta, 0.5 * c["sigma_w2"])
        if layer in _LOOKED_AT:
            points.append((float(layer), layer**2 * (1.0 - np.cos(theta))))
    end = depth**2 * 2.0 * np.sin(0.5 * theta) ** 2
    lines = {"9π²/2": [(1.0, 4.5 * pi**2), (float(depth), 4.5 * pi**2)]}
    figure = Figure(
        "How slowly ReLU makes two inputs alike", "Layer l", "l² (1 - c)", lines, {"the map": points}, log_x=True
    )
    return Measured({"coefficient": law.coefficient if law else float("nan"), "at_depth": float(end)}, figure)


_LOOKED_AT = frozenset(int(v) for v in np.geomspace(1, 20000, 40))


def _next_angle(theta: float, share: float) -> float:
    """The angle of two inputs behind a ReLU layer: ``cos' = (sin t + (pi - t) cos t) / pi``, by ``1 - cos``."""
    if theta < 1e-2:  # 1 - cos' = t^2 / 2 - t^3 / (3 pi) + O(t^4), without cancellation
        less = theta**2 / 2.0 - theta**3 / (3.0 * pi) - theta**4 / 24.0 + theta**5 / (30.0 * pi)
    else:
        less = 1.0 - (np.sin(theta) + (pi - theta) * np.cos(theta)) / pi
    return float(2.0 * np.arcsin(np.sqrt(0.5 * share * less)))


@register_paper(
    "cho-saul2009-kernel",
    title="The arc-cosine kernel of orthogonal inputs is 1/π",
    claim="Two orthogonal inputs have a correlation of 1/π behind a ReLU layer.",
    citation="Cho & Saul 2009, Kernel methods for deep learning, NIPS 22, equation 6: J_1(θ) = sin θ + (π - θ) cos θ",
    quoted="J_1(π/2)/π = 1/π = 0.3183",
    checks=(
        near("kernel", "the kernel over that of equal inputs", 1.0 / pi, 1e-6, QUADRATURE),
        near("worst", "largest distance to J_1(θ)/π over 19 angles", 0.0, 1e-6, QUADRATURE, said="0"),
    ),
    constants={"slope_below": 0.0},
    breaks={"slope_below": 0.01},
)
def cho_saul(c: Constants, seed: int) -> Measured:
    """The kernel by theory at 19 angles, beside the closed form."""

    # A function of ours, not the registered ReLU, whose kernel theory has in closed form.
    def act(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.maximum(x, c["slope_below"] * x)

    whole = pair_moment(act, 1.0)
    angles = np.linspace(0.0, pi, 19)
    told = [float((np.sin(t) + (pi - t) * np.cos(t)) / pi) for t in angles]
    ours = [pair_moment(act, float(np.cos(t))) / whole for t in angles]
    figure = Figure(
        "The first arc-cosine kernel",
        "Angle of two inputs",
        "Kernel over that of equal inputs",
        {"J_1(θ)/π": list(zip(angles.tolist(), told, strict=True))},
        {"by theory's integrals": list(zip(angles.tolist(), ours, strict=True))},
    )
    worst = max(abs(a - b) for a, b in zip(told, ours, strict=True))
    return Measured({"kernel": pair_moment(act, 0.0) / whole, "worst": worst}, figure)
