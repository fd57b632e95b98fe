"""Training of deep nets: which start learns, and how long it takes, over depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt

import numpy as np

from initlab.core.draws.streams import stream
from initlab.core.laws import Law, Normal, Orthogonal
from initlab.lessons.nets import Array, deep, drawn
from initlab.lessons.training import Descent, Trained, digits, train
from initlab.papers.figure import Figure, by_layer
from initlab.papers.paper import Constants, Measured, at_least, at_most, near, register_paper

_MOST_STEPS, _N = 400, 32


@dataclass(frozen=True, eq=False)
class _Second:
    """The digits as a linear net sees them: a squared error hangs on second moments alone.

    Attributes:
        inputs: E x x^T of the 32 leading directions of the pixels, (32, 32).
        across: E y x^T, y the class as a row of the identity, (10, 32).
        least: The least mean square that a linear map leaves, of a whole of 1.
    """

    inputs: Array
    across: Array
    least: float

    def loss(self, product: Array) -> float:
        """The mean squared error of a linear map."""
        return float(1.0 - 2.0 * (product * self.across).sum() + ((product @ self.inputs) * product).sum())


@cache
def _second_moments() -> _Second:
    rows = digits()
    classes = np.eye(rows.classes)[rows.y]
    x = rows.x @ np.linalg.svd(rows.x, full_matrices=False)[2][:_N].T
    inputs, across = x.T @ x / len(x), classes.T @ x / len(x)
    best = across @ np.linalg.pinv(inputs)
    return _Second(inputs, across, 1.0 - float((best * across).sum()))


def _steps_to_learn(law: Law, depth: int, rate: float, share: float, seed: int) -> float:
    """Steps of gradient descent until so large a share of what a linear map can learn is learnt; inf for never."""
    data = _second_moments()
    aim = 1.0 - 0.1 - share * (0.9 - data.least)
    shapes = [(_N, _N)] * depth + [(10, _N)]
    weights = [np.asarray(law.draw(s, stream(seed, f"{at}/weight")), np.float64) for at, s in enumerate(shapes)]
    for step in range(_MOST_STEPS + 1):
        passed = [np.eye(_N)]
        for w in weights:
            passed.append(w @ passed[-1])
        loss = data.loss(passed[-1])
        if loss < aim or not loss < 1e3:
            return float(step) if loss < aim else float("inf")
        back = passed[-1] @ data.inputs - data.across
        for at in reversed(range(len(weights))):
            slope, back = back @ passed[at].T, weights[at].T @ back
            weights[at] -= rate / (depth + 1) * slope
    return float("inf")


@register_paper(
    "saxe2014-depth",
    title="Orthogonal linear nets: time, whatever the depth",
    claim="A deep linear net with orthogonal weights learns in a time that does not hang on its depth, one with scaled "
    "Gaussian weights takes ever longer.",
    citation="Saxe, McClelland & Ganguli 2014, Exact solutions to the nonlinear dynamics of learning in deep linear "
    "neural networks, arXiv 1312.6120, abstract and the figure of learning time over depth (MNIST, best rate by depth)",
    quoted="a finite, depth-independent delay; scaled random Gaussian initializations cannot",
    checks=(
        at_most("ratio", "longest over shortest time, orthogonal, 10 to 80 layers", 5.0, "one rate in four by depth"),
        at_most("slowest", "longest time, orthogonal", 200.0, "half of the steps given", said="learns"),
        near("gaussian", "Gaussian nets of 20, 40, 80 layers that learn in 400 steps", 0.0, 0.5, "none", said="0"),
    ),
    constants={"gain": 1.0, "share": 0.8},
    breaks={"gain": 0.9},
)
def saxe_depth(c: Constants, seed: int) -> Measured:
    """Steps until four fifths of what a linear map can learn of the digits is learnt, at the best of four rates."""
    laws: dict[str, Law] = {"orthogonal": Orthogonal(c["gain"]), "Gaussian": Normal(c["gain"] / sqrt(_N))}
    dots: dict[str, list[tuple[float, float]]] = {}
    for name, law in laws.items():
        dots[name] = []
        for depth in (10, 20, 40, 80):
            times = [_steps_to_learn(law, depth, rate, c["share"], seed) for rate in (0.06, 0.12, 0.25, 0.5)]
            dots[name].append((float(depth), min(times)))
    times = [time for _, time in dots["orthogonal"]]
    numbers = {
        "ratio": max(times) / min(times) if np.isfinite(max(times)) else float("inf"),
        "slowest": max(times),
        "gaussian": float(sum(np.isfinite(time) for _, time in dots["Gaussian"][1:])),
    }
    shown = {name: [(depth, min(time, float(_MOST_STEPS))) for depth, time in line] for name, line in dots.items()}
    figure = Figure(
        "Time to learn digits, linear nets",
        "Layers",
        "Steps",
        {"not learnt by then": [(10.0, float(_MOST_STEPS)), (80.0, float(_MOST_STEPS))]},
        shown,
        log_x=True,
        note="dots: measured; a dot on the line did not learn",
    )
    return Measured(numbers, figure)


# The rate at which both starts of 10 layers learn; deeper nets with He's weights lose the way at more than half of it.
_RATES = {10: 0.02, 22: 0.01, 30: 0.01}


def _digits_net(depth: int, gain: float, epochs: int, seed: int) -> Trained:
    """A ReLU net of 64 units a layer on the digits, by plain gradient descent."""
    net = deep(depth, 64, "relu")
    start = drawn(net, f"variance_scaling(scale={gain!r}, distribution=normal)", seed=seed)
    return train(net, digits(), start, Descent(epochs=epochs, rate=_RATES[depth], seed=seed))


def _he_against_glorot(c: Constants, seed: int, epochs: dict[int, int]) -> Measured:
    """Training accuracies of both starts at some depths, and the losses as a figure."""
    numbers, dots = {}, {}
    for depth, passes in epochs.items():
        for name, gain in (("he", c["gain_he"]), ("glorot", 1.0)):
            done = _digits_net(depth, gain, passes, seed)
            numbers[f"{name}_{depth}"] = done.accuracy
            dots[f"{'He' if name == 'he' else 'Glorot'}, {depth} layers"] = by_layer(done.losses, first=0)
    figure = Figure("Loss of deep ReLU nets on digits", "Epoch", "Cross entropy", {}, dots, note="dots: measured")
    return Measured(numbers, figure)


@register_paper(
    "he2015-30-layers",
    title="30 ReLU layers: He trains, Glorot does not",
    claim="A 30-layer ReLU net learns from He's weights and stalls from Glorot's; a shallow one learns from both.",
    citation="He, Zhang, Ren & Sun 2015, arXiv 1502.01852, figure 3",
    quoted="at 30 layers Xavier completely stalls; ours is able to converge",
    checks=(
        at_least("he_30", "training accuracy at 30 layers, He", 0.5, "five times a guess: it learns"),
        at_most("glorot_30", "training accuracy at 30 layers, Glorot", 0.2, "a guess, or two classes told apart"),
        at_least("he_10", "training accuracy at 10 layers, He", 0.8, "it learns"),
        at_least("glorot_10", "training accuracy at 10 layers, Glorot", 0.8, "it learns"),
    ),
    constants={"gain_he": 2.0, "epochs_10": 20, "epochs_30": 20},
    breaks={"gain_he": 1.0},
)
def he_layers(c: Constants, seed: int) -> Measured:
    """Training at 10 and at 30 layers."""
    return _he_against_glorot(c, seed, {10: int(c["epochs_10"]), 30: int(c["epochs_30"])})


@register_paper(
    "he2015-22-layers",
    title="22 ReLU layers: Glorot fails here too",
    claim="At 22 layers both starts train, and He's sooner.",
    citation="He, Zhang, Ren & Sun 2015, arXiv 1502.01852, figure 2",
    quoted="at 22 layers both converge, ours starts reducing error earlier",
    checks=(
        at_least("he_22", "training accuracy at 22 layers, He", 0.8, "it learns"),
        at_least("glorot_22", "training accuracy at 22 layers, Glorot", 0.8, "it learns"),
        at_least("he_22", "training accuracy at 22 layers, He", 0.8, "it learns", side="correction"),
        at_most("glorot_22", "the same, Glorot, in an MLP on digits", 0.4, "four times a guess", side="correction"),
    ),
    constants={"gain_he": 2.0, "epochs": 12},
    breaks={"gain_he": 1.0},
    recorded="differs",
    remark="The paper's net is convolutional and is trained for some hundred thousand steps. In an MLP of equal widths "
    "Glorot's weights halve the square of signal and gradient in each of the 22 layers, and 500 steps do not mend it.",
)
def he_22(c: Constants, seed: int) -> Measured:
    """Training at 22 layers."""
    return _he_against_glorot(c, seed, {22: int(c["epochs"])})
