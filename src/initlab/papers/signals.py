"""Signals in deep random nets, simulated: what a stack of random layers does to the size of what passes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from math import exp, sqrt

import numpy as np

from initlab.core.draws.streams import stream
from initlab.core.laws import Law, Normal, Orthogonal, Uniform
from initlab.lessons.nets import Array, mean_cosine, noise
from initlab.papers.figure import Figure, by_layer
from initlab.papers.paper import Constants, Measured, about, at_least, at_most, near, register_paper
from initlab.theory import activation, dead_net_probability, exact_log_growth, moments, token_cosines


def matrices(law: Law, shape: tuple[int, int], depth: int, seed: int) -> Iterator[Array]:
    """The weights of so many layers, one after another."""
    for layer in range(depth):
        yield np.asarray(law.draw(shape, stream(seed, f"{layer}/weight")), np.float64)


@register_paper(
    "selu-gain",
    title="SELU at the gain 3/4 of PyTorch's table",
    claim="At the gain 3/4 SELU does not keep variance 1: the signal settles at a std of about 0.2.",
    citation="PyTorch, torch.nn.init.calculate_gain('selu') = 3/4, against Klambauer et al. 2017, arXiv 1706.02515, "
    "whose fixed point needs the gain 1",
    quoted="3/4, said to trade the normalisation for a stable gradient flow",
    checks=(
        at_least(
            "least",
            "least std of the outputs, layers 40 to 100",
            0.18,
            "theory: 0.207 at layer 40, 0.200 at layer 100; six nets",
        ),
        at_most(
            "most",
            "largest std of the outputs, layers 40 to 100",
            0.22,
            "theory: 0.207 at layer 40, 0.200 at layer 100; six nets",
        ),
    ),
    constants={"gain": 0.75, "width": 256},
    breaks={"gain": 1.0},
)
def selu_gain(c: Constants, seed: int) -> Measured:
    """The std by layer over 100 layers, the mean of six nets."""
    width, act, nets = int(c["width"]), activation("selu"), 6
    rows = np.empty((nets, 100))
    for net in range(nets):
        x = noise((64, width), "inputs", seed=nets * seed + net)
        for layer, w in enumerate(matrices(Normal(c["gain"] / sqrt(width)), (width, width), 100, nets * seed + net)):
            x = act(x @ w.T)
            rows[net, layer] = x.std()
    stds = rows.mean(0).tolist()
    error = float(rows[:, -1].std(ddof=1) / sqrt(nets))
    figure = Figure("SELU at the gain 3/4", "Layer", "std of the outputs", _selu_lines(), {"ours": by_layer(stds)})
    return Measured({"least": min(stds[39:]), "most": max(stds[39:])}, figure, {"least": error, "most": error})


def _selu_lines() -> dict[str, list[tuple[float, float]]]:
    """The std of SELU's outputs by layer at both gains, by theory."""
    lines: dict[str, list[tuple[float, float]]] = {"gain 1": [(1.0, 1.0), (100.0, 1.0)], "gain 3/4": []}
    second = 1.0
    for layer in range(1, 101):
        outputs = moments("selu", 0.75**2 * second)
        second = outputs.second
        lines["gain 3/4"].append((float(layer), sqrt(outputs.variance)))
    return lines


@register_paper(
    "klambauer2017-fixed-point",
    title="SELU nets normalise themselves",
    claim="A SELU net with LeCun's weights brings inputs of any scale to mean 0 and variance 1.",
    citation="Klambauer et al. 2017, arXiv 1706.02515, theorem 1 and section 2",
    quoted="mean 0, variance 1",
    checks=(
        near("mean", "mean of the outputs behind 40 layers", 0.0, 0.05, "3 standard errors of a net of this width"),
        about("variance", "their variance", 1.0, 0.1, "3 standard errors of a net of this width"),
    ),
    constants={"gain": 1.0, "start": 2.0},
    breaks={"gain": 0.8},
)
def klambauer_fixed(c: Constants, seed: int) -> Measured:
    """Mean and variance by layer from inputs of another variance, eight nets of 256 units."""
    act, width, nets = activation("selu"), 256, 8
    found = np.empty((nets, 40, 2))
    for net in range(nets):
        x = sqrt(c["start"]) * noise((64, width), "inputs", seed=seed * nets + net)
        for layer, w in enumerate(matrices(Normal(c["gain"] / sqrt(width)), (width, width), 40, seed * nets + net)):
            x = act(x @ w.T)
            found[net, layer] = x.mean(), x.var()
    means, errors = found.mean(0), found[:, -1].std(0, ddof=1) / sqrt(nets)
    figure = Figure(
        "SELU brings a variance of 2 to 1",
        "Layer",
        "Variance of the outputs",
        {"fixed point": [(1, 1), (40, 1)]},
        {"ours": by_layer(means[:, 1].tolist())},
    )
    return Measured(
        {"mean": float(means[-1, 0]), "variance": float(means[-1, 1])},
        figure,
        {"mean": float(errors[0]), "variance": float(errors[1])},
    )


@register_paper(
    "glorot2010-jacobian",
    title="Mean singular values: 0.5 before, 0.8 with Glorot",
    claim="The mean singular value of a layer's Jacobian is about 0.5 with the old start and 0.8 with the new.",
    citation="Glorot & Bengio 2010, AISTATS, section 4.2",
    quoted="0.5 standard, 0.8 normalised; 8/(3π) of the gain by theory: 0.49 and 0.85 times the slope",
    checks=(
        about("old", "over the mean slope, U(±1/sqrt(n))", 8.0 / (3.0 * np.pi) / sqrt(3.0), 0.05, "5 %: 500 units"),
        about("new", "over the mean slope, U(±sqrt(6/(n + n)))", 8.0 / (3.0 * np.pi), 0.05, "5 %: 500 units"),
    ),
    constants={"old": 1.0, "new": 3.0},
    breaks={"new": 6.0},
)
def glorot_jacobian(c: Constants, seed: int) -> Measured:
    """Singular values of diag(tanh') W for one square layer."""
    n = 500
    numbers: dict[str, float] = {}
    lines: dict[str, list[tuple[float, float]]] = {}
    x = noise((n,), "inputs", seed=seed)
    for name in ("old", "new"):
        half = sqrt(c[name] / n)
        w = next(matrices(Uniform(-half, half), (n, n), 1, seed))
        slope = 1.0 - np.tanh(0.3 * w @ x) ** 2
        values = np.linalg.svd(slope[:, None] * w, compute_uv=False)
        numbers[name] = float(values.mean() / slope.mean())
        lines[f"{name} start"] = by_layer(values.tolist())
    figure = Figure("Singular values of a layer", "Place", "Singular value", {}, lines, note="dots: measured")
    return Measured(numbers, figure)


@register_paper(
    "lu2019-born-dead",
    title="Narrow ReLU nets are born dead",
    claim="Ten ReLU layers of width 4 are dead on an input with probability 1 - (15/16)^10.",
    citation="Lu, Shin, Su & Karniadakis 2019, Dying ReLU and initialization, arXiv 1903.06733, born dead nets",
    quoted="1 - prod (1 - 2^-n) = 0.4755 for one input and no bias",
    checks=(
        near("dead", "share of dead nets", 1.0 - (15.0 / 16.0) ** 10, 0.025, "3 standard errors of 4,000 nets"),
        near("theory", "by theory", 1.0 - (15.0 / 16.0) ** 10, 1e-9, "rounding"),
    ),
    constants={"width": 4, "depth": 10},
    breaks={"width": 5},
)
def lu_born_dead(c: Constants, seed: int) -> Measured:
    """The share of 4,000 nets of which a layer is silent."""
    nets, n, depth = 4000, int(c["width"]), int(c["depth"])
    x, shares = noise((nets, n), "inputs", seed=seed), []
    for layer in range(depth):
        w = noise((nets, n, n), f"layer/{layer}", seed=seed)
        x = np.maximum(np.einsum("kij,kj->ki", w, x), 0.0)
        shares.append(float((x.max(axis=1) <= 0).mean()))
    p = shares[-1]
    line = [(layer, 1.0 - (15.0 / 16.0) ** layer) for layer in range(1, depth + 1)]
    figure = Figure("Dead nets by depth", "Layers", "Share dead", {"1 - (15/16)^L": line}, {"ours": by_layer(shares)})
    numbers = {"dead": p, "theory": dead_net_probability([n] * depth)}
    return Measured(numbers, figure, {"dead": sqrt(p * (1.0 - p) / nets)})


_SIREN = 0.7968121300200199


@register_paper(
    "sitzmann2020-siren",
    title="SIREN's sums do not have variance 1",
    claim="With SIREN's weights the input of every sine is normal with variance 1.",
    citation="Sitzmann, Martel, Bergman, Lindell & Wetzstein 2020, arXiv 2006.09661, theorem 1.8",
    quoted="variance 1, from an arcsine law of the sines",
    checks=(
        near("variance", "variance of the sums, layers 5 to 20", 1.0, 0.03, "5 standard errors", said="1"),
        near(
            "variance",
            "variance of the sums, layers 5 to 20",
            _SIREN,
            0.03,
            "5 standard errors of 20 layers of 512 units",
            said="v = 1 - exp(-2v) = 0.797",
            side="correction",
        ),
    ),
    constants={"six": 6.0},
    breaks={"six": 7.0},
    recorded="differs",
    remark="Sines of a normal number of variance 1 have a mean square of (1 - exp(-2))/2 = 0.432 and not 1/2, which an "
    "arcsine law has; so the variance settles where v = 1 - exp(-2v).",
)
def siren(c: Constants, seed: int) -> Measured:
    """The variance of the sums by layer."""
    n, depth = 512, 20
    x, variances = np.sin(noise((128, n), "inputs", seed=seed)), []
    half = sqrt(c["six"] / n)
    for w in matrices(Uniform(-half, half), (n, n), depth, seed):
        z = x @ w.T
        variances.append(float(z.var()))
        x = np.sin(z)
    late = variances[4:]
    ends = (1.0, float(depth))
    lines = {"the paper": [(at, 1.0) for at in ends], "v = 1 - exp(-2v)": [(at, _SIREN) for at in ends]}
    figure = Figure("The sums before SIREN's sines", "Layer", "Variance", lines, {"ours": by_layer(variances)})
    error = float(np.std(late, ddof=1) / sqrt(len(late)))
    return Measured({"variance": float(np.mean(late)), "root": 1.0 - exp(-2.0 * _SIREN)}, figure, {"variance": error})


@register_paper(
    "hanin2018-lognormal",
    title="The signal of a narrow net is lognormal",
    claim="The log of a ReLU net's signal has a variance of about 5 times the sum of 1/width.",
    citation="Hanin & Rolnick 2018, arXiv 1803.01719; Hanin & Nica 2018, arXiv 1812.05994, the log-normal limit",
    quoted="log-variance 5β, log-mean -5β/2, β = sum of 1/n; exact for finite n by digamma functions",
    checks=(
        about("mean", "log-mean, exact", exact_log_growth([32] * 16).mean, 0.1, "10 %: 2,000 nets"),
        about("variance", "log-variance, exact", exact_log_growth([32] * 16).variance, 0.1, "10 %: 2,000 nets"),
        about("variance", "5β", 2.5, 0.25, "25 %: the first order in 1/n, to which the next adds 14 % at width 32"),
    ),
    constants={"width": 32, "depth": 16},
    breaks={"width": 24},
)
def hanin_lognormal(c: Constants, seed: int) -> Measured:
    """The log of the mean square over 2,000 nets."""
    nets, n, depth = 2000, int(c["width"]), int(c["depth"])
    x, variances = noise((nets, n), "inputs", seed=seed), []
    first = np.log((x**2).mean(axis=1))
    for layer in range(depth):
        w = noise((nets, n, n), f"layer/{layer}", seed=seed)
        x = np.maximum(np.einsum("kij,kj->ki", w, x) * sqrt(2.0 / n), 0.0)
        growth = np.log((x**2).mean(axis=1)) - first
        variances.append(float(growth.var()))
    depths = range(1, depth + 1)
    lines = {
        "5β": [(at, at * 5.0 / n) for at in depths],
        "exact, by digamma functions": [(at, exact_log_growth([n] * at).variance) for at in depths],
    }
    figure = Figure("Nets differ more with depth", "Layers", "log-variance", lines, {"ours": by_layer(variances)})
    numbers = {"mean": float(growth.mean()), "variance": variances[-1]}
    errors = {"mean": float(growth.std() / sqrt(nets)), "variance": variances[-1] * sqrt(2.0 / nets)}
    return Measured(numbers, figure, errors)


def _pair_distances(law: Law, n: int, depth: int, bias: float, seed: int) -> list[float]:
    """The distance of two inputs over their length, by layer of a tanh net."""
    x, found = 0.16 * noise((2, n), "inputs", seed=seed), []
    biases = bias * noise((depth, n), "biases", seed=seed)
    for layer, w in enumerate(matrices(law, (n, n), depth, seed)):
        x = np.tanh(x @ w.T + biases[layer])
        found.append(float(np.linalg.norm(x[0] - x[1]) / np.sqrt(np.mean(x**2) * 2 * n)))
    return found


@register_paper(
    "xiao2018-10000-layers",
    title="10,000 tanh layers: two inputs stay apart",
    claim="On the edge, orthogonal weights carry two inputs apart through 10,000 layers and Gaussian ones do not.",
    citation="Xiao et al. 2018, arXiv 1806.05393, figure 1, its dense twin untrained",
    quoted="10,000 layers train with delta-orthogonal weights",
    checks=(
        at_least("orthogonal", "distance of two inputs over their length, orthogonal", 0.1, "over 5 times the other's"),
        at_most("gaussian", "the same, Gaussian", 0.02, "a fifth of the other's"),
    ),
    constants={"sigma_w2": 1.05, "width": 32},
    breaks={"sigma_w2": 0.9},
)
def xiao_layers(c: Constants, seed: int) -> Measured:
    """The distance by layer, both laws."""
    n, scale, bias = int(c["width"]), sqrt(c["sigma_w2"]), sqrt(2.01e-5)
    found = {
        "orthogonal": _pair_distances(Orthogonal(scale), n, 10_000, bias, seed),
        "gaussian": _pair_distances(Normal(scale / sqrt(n)), n, 10_000, bias, seed),
    }
    dots = {name: by_layer(values) for name, values in found.items()}
    figure = Figure(
        "Two inputs in 10,000 tanh layers", "Layer", "Distance over length", {}, dots, log_y=True, note="dots: measured"
    )
    return Measured({name: values[-1] for name, values in found.items()}, figure)


@register_paper(
    "lee2025-tanh-fixed-point",
    title="D + Z carries tanh through 10,000 layers",
    claim="Weights D + Z, a diagonal of ones with noise of std 0.085/sqrt(n), keep a tanh signal; Xavier's lose it.",
    citation="Lee, Choi & Kim 2025, Robust weight initialization for tanh neural networks, arXiv 2410.02242, figure 1",
    quoted="10,000 layers, σ_z = 0.085/sqrt(n)",
    checks=(
        at_least("fixed_point", "std of the outputs, D + Z", 0.05, "the paper's figure: about 0.1 to 0.5"),
        at_most("xavier", "std of the outputs, Xavier", 1e-20, "lost"),
    ),
    constants={"noise": 0.085, "diagonal": 1.0},
    breaks={"diagonal": 0.95},
)
def lee_fixed_point(c: Constants, seed: int) -> Measured:
    """The std by layer, both laws."""
    n, depth = 64, 10_000
    kept = lost = 0.5 * noise((16, n), "inputs", seed=seed)
    stds: dict[str, list[float]] = {"D + Z": [], "Xavier": []}
    for w in matrices(Normal(1.0 / sqrt(n)), (n, n), depth, seed):
        kept = np.tanh(kept @ (c["diagonal"] * np.eye(n) + c["noise"] * w).T)
        lost = np.tanh(lost @ w.T)
        stds["D + Z"].append(float(kept.std()))
        stds["Xavier"].append(float(lost.std()))
    figure = Figure(
        "A tanh signal in 10,000 layers",
        "Layer",
        "std of the outputs",
        {},
        {name: by_layer(values) for name, values in stds.items()},
        log_y=True,
        note="dots: measured",
    )
    return Measured({"fixed_point": stds["D + Z"][-1], "xavier": stds["Xavier"][-1]}, figure)


@register_paper(
    "dong2021-rank-collapse",
    title="Pure attention makes tokens alike",
    claim="Without skip paths attention makes all tokens alike, doubly exponentially with depth.",
    citation="Dong, Cordonnier & Loukas 2021, arXiv 2103.03404, theorem 2.2 and figure 2",
    quoted="rank 1 after a few layers; 0.150 for the first cosine by theory with the width taken in",
    checks=(
        about("first", "cosine of 512 tokens of width 128 behind a layer", 0.1497, 0.15, "15 %: ten nets"),
        at_least("third", "cosine behind three layers", 0.99, "collapsed"),
    ),
    constants={"sharpness": 1.0},
    breaks={"sharpness": 1.5},
)
def dong_collapse(c: Constants, seed: int) -> Measured:
    """The cosine by layer over ten nets."""
    tokens, d, nets = 512, 128, 10
    rows = np.array([_cosines(tokens, d, c["sharpness"], 10 * seed + net) for net in range(nets)])
    told = list(islice(token_cosines(tokens, logit_variance=1.0, width=d), 4))
    wide = list(islice(token_cosines(tokens, logit_variance=1.0), 4))
    lines = {"theory, d = 128": by_layer(told, first=0), "theory, wide": by_layer(wide, first=0)}
    means = rows.mean(0)
    figure = Figure("Pure attention", "Layers", "Cosine of tokens", lines, {"ours": by_layer(means.tolist(), first=0)})
    error = float(rows[:, 1].std(ddof=1) / sqrt(nets))
    return Measured({"first": float(means[1]), "third": float(means[3])}, figure, {"first": error})


def _cosines(tokens: int, d: int, s: float, seed: int) -> list[float]:
    x = noise((tokens, d), "tokens", seed=seed)
    found = [mean_cosine(x)]
    for layer in range(3):
        q, k, v = noise((3, d, d), f"attention/{layer}", seed=seed) / sqrt(d)
        unit = (x - x.mean(axis=1, keepdims=True)) / x.std(axis=1, keepdims=True)
        logits = s * (unit @ q) @ (unit @ k).T / sqrt(d)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        x = (raised / raised.sum(axis=1, keepdims=True)) @ (unit @ v)
        found.append(mean_cosine(x))
    return found
