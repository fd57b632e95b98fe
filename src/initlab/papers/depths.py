"""Jacobians, residual streams and first updates of deep nets, simulated."""

from __future__ import annotations

from math import sqrt

import numpy as np

from initlab.core.laws import Law, Normal, Orthogonal
from initlab.lessons.nets import Array, noise
from initlab.papers.figure import Figure, by_layer
from initlab.papers.paper import Constants, Measured, about, at_least, at_most, near, register_paper
from initlab.papers.signals import matrices
from initlab.theory import activation, jacobian_variance


def _spread(law: Law, act: str, n: int, depth: int, seed: int, *, q: float = 1.0) -> float:
    """The variance of the squared singular values of a net's Jacobian over their squared mean."""
    f = activation(act)
    x, jacobian = sqrt(q) * noise((n,), "inputs", seed=seed), np.eye(n)
    for w in matrices(law, (n, n), depth, seed):
        z = w @ x
        jacobian = f.slope(z)[:, None] * (w @ jacobian)
        x = f(z)
    gram = jacobian @ jacobian.T
    return float(n * (gram**2).sum() / np.trace(gram) ** 2 - 1.0)


@register_paper(
    "pennington2017-spectra",
    title="How uneven a Jacobian is: 2L, L and L",
    claim="The squared singular values of L layers have a relative variance of 2L for Gaussian ReLU nets, and of L for "
    "orthogonal ReLU and for Gaussian linear nets.",
    citation="Pennington, Schoenholz & Ganguli 2017, arXiv 1711.04735 (σ²_JJ^T = L (μ₂/μ₁² - 1 - s₁))",
    quoted="2L, L, L",
    checks=(
        about("relu_gaussian", "ReLU, Gaussian, over L", 2.0, 0.1, "10 %: 600 units, four nets"),
        about("relu_orthogonal", "ReLU, orthogonal, over L", 1.0, 0.1, "10 %: 600 units, four nets"),
        about("linear_gaussian", "linear, Gaussian, over L", 1.0, 0.1, "10 %: 600 units, four nets"),
    ),
    constants={"mix": 0.0},
    breaks={"mix": 0.5},
)
def pennington_spectra(c: Constants, seed: int) -> Measured:
    """The relative variance of four nets of 600 units and 4 layers."""
    n, depth, nets = 600, 4, 4
    leaky = f"leaky_relu(negative_slope={c['mix']})" if c["mix"] else "relu"
    cases: dict[str, tuple[Law, str]] = {
        "relu_gaussian": (Normal(sqrt(2.0 / n)), leaky),
        "relu_orthogonal": (Orthogonal(sqrt(2.0)), leaky),
        "linear_gaussian": (Normal(1.0 / sqrt(n)), "identity"),
    }
    rows = {
        name: [_spread(law, act, n, depth, nets * seed + k) / depth for k in range(nets)]
        for name, (law, act) in cases.items()
    }
    labels = ("ReLU, Gaussian", "ReLU, orthogonal", "linear, Gaussian")
    dots = {
        label: [(float(d), _spread(law, act, n, d, nets * seed)) for d in (1, 2, 3)]
        + [(float(depth), depth * value) for value in rows[name]]
        for label, (name, (law, act)) in zip(labels, cases.items(), strict=True)
    }
    lines = {"2L": [(0.0, 0.0), (depth, 2.0 * depth)], "L": [(0.0, 0.0), (depth, 1.0 * depth)]}
    figure = Figure("How uneven a Jacobian is", "Layers L", "Relative variance of σ²", lines, dots)
    errors = {name: float(np.std(row, ddof=1) / sqrt(nets)) for name, row in rows.items()}
    return Measured({name: float(np.mean(row)) for name, row in rows.items()}, figure, errors)


@register_paper(
    "pennington2017-isometry",
    title="Dynamical isometry: orthogonal tanh, not Gaussian",
    claim="Near the straight end of its edge an orthogonal tanh net keeps all singular values near 1; no Gaussian one "
    "does.",
    citation="Pennington, Schoenholz & Ganguli 2017, arXiv 1711.04735, abstract",
    quoted="orthogonal tanh nets reach dynamical isometry, Gaussian nets and ReLU nets do not",
    checks=(
        at_most("orthogonal", "relative variance over 32 layers, orthogonal", 0.1, "near an isometry"),
        at_least("gaussian", "the same, Gaussian", 16.0, "half of L, which is its limit"),
        at_least("theory", "Gaussian, by theory", 32.0, "L and more"),
    ),
    constants={"q": 1e-3, "depth": 32},
    breaks={"q": 1.0},
)
def pennington_isometry(c: Constants, seed: int) -> Measured:
    """The relative variance of a small-signal tanh net."""
    n, depth = 256, int(c["depth"])
    laws: dict[str, Law] = {"orthogonal": Orthogonal(1.0), "gaussian": Normal(1.0 / sqrt(n))}
    numbers = {name: _spread(law, "tanh", n, depth, seed, q=c["q"]) for name, law in laws.items()}
    numbers["theory"] = jacobian_variance("tanh", depth, q=c["q"])
    lines = {"L": [(1.0, 1.0), (float(depth), float(depth))]}
    dots = {
        name.replace("g", "G", 1) if name == "gaussian" else name: [
            (float(d), _spread(law, "tanh", n, d, seed, q=c["q"])) for d in (1, 2, 4, 8, 16, 32)
        ]
        for name, law in laws.items()
    }
    figure = Figure("Isometry of tanh nets", "Layers", "Relative variance", lines, dots, log_x=True, log_y=True)
    return Measured(numbers, figure)


@register_paper(
    "de-smith2020-identity",
    title="Batch norm biases residual blocks to the identity",
    claim="With batch norm in the branch a residual stream grows linearly with depth, without it by 2 a block.",
    citation="De & Smith 2020, arXiv 2002.10444, the variance of a block with and without batch norm",
    quoted="variance of the l-th block: l with batch norm, 2^l without",
    checks=(
        about("normed", "growth over 32 blocks with batch norm, over 33", 1.0, 0.15, "15 %: 256 units"),
        about("plain", "growth a block without", 2.0, 0.05, "5 %: 256 units, 32 blocks"),
    ),
    constants={"branch": 1.0},
    breaks={"branch": 1.3},
)
def de_smith(c: Constants, seed: int) -> Measured:
    """The mean square of the stream by block."""
    n, blocks = 256, 32
    start = noise((128, n), "inputs", seed=seed)
    grown: dict[str, list[float]] = {"batch norm": [], "plain": []}
    streams = {name: start for name in grown}
    for w in matrices(Normal(c["branch"] * sqrt(2.0 / n)), (n, n), blocks, seed):
        for name, x in streams.items():
            h = (x - x.mean(axis=0)) / x.std(axis=0) if name == "batch norm" else x
            streams[name] = x + np.maximum(h, 0.0) @ w.T
            grown[name].append(float((streams[name] ** 2).mean()))
    lines = {
        "l + 1": [(float(b), b + 1.0) for b in range(1, blocks + 1)],
        "2^l": [(float(b), 2.0**b) for b in range(1, blocks + 1)],
    }
    dots = {name: by_layer(values) for name, values in grown.items()}
    figure = Figure("The residual stream with and without batch norm", "Block", "E x²", lines, dots, log_y=True)
    numbers = {"normed": grown["batch norm"][-1] / (blocks + 1), "plain": grown["plain"][-1] ** (1.0 / blocks)}
    return Measured(numbers, figure)


def _first_update(blocks: int, scale: float, seed: int, *, n: int = 32, step: float = 1e-3) -> float:
    """How far the first step of gradient descent moves a residual net whose branches end in zeros.

    The output's pull is g; a last layer V = 0 gets the gradient g h^T, its inner layer none.
    """
    x, g = noise((n,), "inputs", seed=seed), noise((n,), "pull", seed=seed)
    x, g = x / np.linalg.norm(x) * sqrt(n), g / np.linalg.norm(g)
    moved = x.copy()
    for w in matrices(Normal(sqrt(2.0 / n)), (n, n), blocks, seed):
        h = np.maximum(scale * w @ x, 0.0)
        moved = moved - step * g * float(h @ np.maximum(scale * w @ moved, 0.0))
    return float(np.linalg.norm(moved - x) / step)


@register_paper(
    "fixup2019-update",
    title="Fixup's first update is the same at every depth",
    claim="The first step of gradient descent moves a Fixup net equally far from 10 to 1,000 blocks.",
    citation="Zhang, Dauphin & Ma 2019, arXiv 1901.09321, the aim of Fixup: an update of order η",
    quoted="the update is of order η, independent of depth",
    checks=(at_most("spread", "largest over smallest update, 10 to 1,000 blocks", 2.0, "within a factor of 2"),),
    constants={"power": 0.5},
    breaks={"power": 0.25},
)
def fixup_update(c: Constants, seed: int) -> Measured:
    """The update by depth, one net each."""
    depths = (10, 32, 100, 320, 1000)
    fixup = [(float(d), _first_update(d, d ** -c["power"], seed)) for d in depths]
    plain = [(float(d), _first_update(d, 1.0, seed, step=1e-5)) for d in depths]
    sizes = [size for _, size in fixup]
    dots = {"Fixup": fixup, "not scaled": plain}
    figure = Figure(
        "The first update", "Blocks", "Change over step", {}, dots, log_x=True, log_y=True, note="dots: measured"
    )
    return Measured({"spread": max(sizes) / min(sizes)}, figure)


@register_paper(
    "mishkin2016-lsuv",
    title="LSUV: every layer at variance 1 in one pass",
    claim="Orthogonal weights, each divided by the std of its outputs on one batch, give every layer variance 1.",
    citation="Mishkin & Matas 2016, All you need is a good init, arXiv 1511.06422, algorithm 1",
    quoted="variance 1 within 0.1, usually in one pass",
    checks=(near("worst", "largest distance of a layer's std to 1", 0.0, 1e-6, "a linear map: one pass is exact"),),
    constants={"passes": 1},
    breaks={"passes": 0},
)
def lsuv(c: Constants, seed: int) -> Measured:
    """The std of the sums by layer of 20 ReLU layers, before and behind."""
    n, depth, weights = 64, 20, list(matrices(Orthogonal(1.0), (64, 64), 20, seed))
    batch = noise((256, n), "inputs", seed=seed)

    def stds(each: list[Array]) -> list[float]:
        x, found = batch, []
        for w in each:
            z = x @ w.T
            found.append(float(z.std()))
            x = np.maximum(z, 0.0)
        return found

    before = stds(weights)
    for _ in range(int(c["passes"])):
        x = batch
        for layer in range(depth):
            weights[layer] = weights[layer] / (x @ weights[layer].T).std()
            x = np.maximum(x @ weights[layer].T, 0.0)
    after = stds(weights)
    dots = {"orthogonal": by_layer(before), "LSUV": by_layer(after)}
    figure = Figure("LSUV", "Layer", "std of the sums", {"1": [(1, 1), (depth, 1)]}, dots, log_y=True)
    return Measured({"worst": max(abs(s - 1.0) for s in after)}, figure)


_WIDTHS = (64, 128, 256, 512)


def _slope(points: list[tuple[float, float]]) -> float:
    """The slope of a line through logarithms."""
    x, y = np.log(np.array(points)).T
    return float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())


def _moved(n: int, rate: float, seed: int) -> float:
    """How far a hidden layer's coordinates move by one step of Adam on that layer: its first step is a sign."""
    hidden = np.maximum(noise((n,), "inputs", seed=seed), 0.0)
    pull = noise((n,), "pull", seed=seed)
    return float(np.abs(rate * np.sign(np.outer(pull, hidden)) @ hidden).mean())


@register_paper(
    "mup2022-coordinates",
    title="muP: coordinates move alike at every width",
    claim="With Adam's rate divided by the width the first step moves a hidden coordinate equally at every width; with "
    "one rate for all it moves in proportion to the width.",
    citation="Yang et al. 2022, Tensor programs V, arXiv 2203.03466, table 3 and the coordinate check",
    quoted="slope 0 over width in muP, 1 in the standard way",
    checks=(
        near("mup", "slope of the log of the move over the log of the width, muP", 0.0, 0.1, "four widths, 16 draws"),
        near("standard", "the same, one rate", 1.0, 0.1, "four widths, 16 draws"),
    ),
    constants={"power": 1.0},
    breaks={"power": 0.5},
)
def mup_coordinates(c: Constants, seed: int) -> Measured:
    """The slope over four widths, by a reference step."""

    def moves(power: float) -> list[tuple[float, float]]:
        return [(float(n), float(np.mean([_moved(n, n**-power, 16 * seed + k) for k in range(16)]))) for n in _WIDTHS]

    dots = {"muP": moves(c["power"]), "one rate": moves(0.0)}
    slopes = [_slope(points) for points in dots.values()]
    figure = Figure(
        "The coordinate check", "Width", "Mean move", {}, dots, log_x=True, log_y=True, note="dots: measured"
    )
    return Measured({"mup": slopes[0], "standard": slopes[1]}, figure)
