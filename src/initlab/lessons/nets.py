"""Small networks in plain NumPy: drawn by initlab's schemes, run forwards and backwards, measured layer by layer.

A lesson needs nothing that NumPy has not, and what it computes can be read here line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.streams import stream
from initlab.core.facts.arch import NORM_EPSILON, Mlp, Norm
from initlab.core.laws import Normal
from initlab.core.plans.plan import make_plan
from initlab.schemes.rules import make_rules
from initlab.theory import Activation, activation, largest_slope

Array = NDArray[np.float64]
Weights = Mapping[str, Array]
Schemes = str | Mapping[str, str]

# A unit counts as saturated where its slope is below this share of the largest, as in theory.saturation_probability.
SATURATED = 0.05


def drawn(arch: Mlp, schemes: Schemes, *, seed: int = 0) -> dict[str, Array]:
    """The weights of a network, drawn by a scheme, or by schemes for globs of paths; biases are 0.

    Example:
        >>> w = drawn(Mlp((4, 200, 3)), "he_normal")["1/weight"]      # std sqrt(2 / 200)
        >>> w.shape, bool(abs(w.std() - 0.1) < 5 * 0.1 / (2 * w.size) ** 0.5)
        ((3, 200), True)
    """
    rules, _ = make_rules(arch.spec(), schemes)
    return {path: w.astype(np.float64) for path, w in make_plan(arch.spec(), rules).draw(seed).items()}


def noise(shape: tuple[int, ...], name: str, *, seed: int = 0) -> Array:
    """Standard normal numbers from a stream of their own: inputs, and pulls on outputs."""
    return Normal(1.0).draw(shape, stream(seed, name, purpose="data")).astype(np.float64)


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass through a network leaves behind.

    Attributes:
        inputs: What each dense layer was given, (rows, fan_in).
        before: What each hidden activation was given, z, (rows, width).
        normed: For each hidden layer with a norm, its input brought to mean 0 and variance 1, and one over its std.
        outputs: The network's outputs, (rows, outputs).
    """

    inputs: tuple[Array, ...]
    before: tuple[Array, ...]
    normed: tuple[tuple[Array, Array] | None, ...]
    outputs: Array


@dataclass(frozen=True, eq=False)
class Gradients:
    """The derivatives of a sum over rows: by what each hidden activation was given, and by each parameter."""

    before: tuple[Array, ...]
    weights: Weights


def forward(arch: Mlp, weights: Weights, x: Array, *, masks: Sequence[Array] = ()) -> Pass:
    """One pass; norms take their moments from the rows at hand.

    Args:
        arch: A chain of dense layers; skip connections are not taken.
        weights: By path.
        x: Inputs, (rows, features).
        masks: For dropout, a factor for each hidden layer's outputs, 0 or one over the share kept.
    """
    act, h = activation(arch.activation), x
    inputs, before, normed = [], [], []
    for layer in range(arch.depth):
        inputs.append(h)
        z = h @ weights[f"{layer}/weight"].T + weights.get(f"{layer}/bias", 0.0)
        if layer == arch.depth - 1:
            break
        unit = None
        if arch.norm != "none":
            axis = 0 if arch.norm == "batch" else 1
            inverse = 1.0 / np.sqrt(z.var(axis=axis, keepdims=True) + NORM_EPSILON)
            unit = ((z - z.mean(axis=axis, keepdims=True)) * inverse, inverse)
            z = unit[0] * weights[f"norm_{layer}/scale"] + weights[f"norm_{layer}/bias"]
        before.append(z)
        normed.append(unit)
        h = act(z) * masks[layer] if masks else act(z)
    return Pass(tuple(inputs), tuple(before), tuple(normed), z)


def backward(arch: Mlp, weights: Weights, done: Pass, pull: Array, *, masks: Sequence[Array] = ()) -> Gradients:
    """Back-propagation of ``sum(pull * outputs)``.

    Args:
        arch: As in the forward pass.
        weights: As in the forward pass.
        done: What the forward pass left.
        pull: The derivative by the outputs, (rows, outputs).
        masks: As in the forward pass.

    Returns:
        The derivatives.

    Example:
        >>> net = Mlp((1, 1, 1), activation="square", bias=False)      # y = v (w x)^2, dy/dw = 2 v w x^2
        >>> w = {"0/weight": np.array([[3.0]]), "1/weight": np.array([[5.0]])}
        >>> backward(net, w, forward(net, w, np.array([[2.0]])), np.ones((1, 1))).weights["0/weight"]
        array([[120.]])
    """
    act, pushed = activation(arch.activation), pull
    by_weight: dict[str, Array] = {}
    by_input: list[Array] = []
    for layer in reversed(range(arch.depth)):
        by_weight[f"{layer}/weight"] = pushed.T @ done.inputs[layer]
        if f"{layer}/bias" in weights:
            by_weight[f"{layer}/bias"] = pushed.sum(axis=0)
        if layer == 0:
            break
        back = pushed @ weights[f"{layer}/weight"]
        pushed = back * act.slope(done.before[layer - 1]) * (masks[layer - 1] if masks else 1.0)
        by_input.append(pushed)
        unit = done.normed[layer - 1]
        if unit is not None:
            by_weight[f"norm_{layer - 1}/scale"] = (pushed * unit[0]).sum(axis=0)
            by_weight[f"norm_{layer - 1}/bias"] = pushed.sum(axis=0)
            pushed = _through_norm(arch, pushed * weights[f"norm_{layer - 1}/scale"], *unit)
    return Gradients(tuple(reversed(by_input)), by_weight)


def _through_norm(arch: Mlp, pushed: Array, unit: Array, inverse: Array) -> Array:
    """A norm takes two directions out of a gradient: that of the mean and that of the scale."""
    axis = 0 if arch.norm == "batch" else 1
    along = (pushed * unit).mean(axis=axis, keepdims=True)
    through: Array = inverse * (pushed - pushed.mean(axis=axis, keepdims=True) - unit * along)
    return through


@dataclass(frozen=True)
class LayerMeans:
    """Means over units, rows and draws, one number a hidden layer.

    Attributes:
        signal: ``E z^2`` before the activation.
        output: ``E a^2`` behind it.
        gradient: ``E (dL/dz)^2`` over that of the last hidden layer.
        saturated: Share of units whose slope is below 1/20 of the largest.
        cosine: Between the outputs ``a`` of two different inputs.
    """

    signal: tuple[float, ...]
    output: tuple[float, ...]
    gradient: tuple[float, ...]
    saturated: tuple[float, ...]
    cosine: tuple[float, ...]

    @property
    def gradient_ratio(self) -> float:
        """The squared gradient at the first hidden layer over that at the last."""
        return self.gradient[0]


def profile(arch: Mlp, schemes: Schemes, *, draws: int = 6, rows: int = 24, biases: float = 0.0) -> LayerMeans:
    """Signal, gradient, saturation and likeness by layer: geometric means over draws of the network.

    The inputs are independent standard normal numbers, and so is the pull on every output. With few rows a product is
    so small that BLAS keeps to one thread: many threads on small matrices wait more than they work.

    Args:
        arch: The network.
        schemes: A scheme, or schemes for globs of paths.
        draws: How many times the network is drawn.
        rows: Inputs a draw.
        biases: Std of the biases.
    """
    act = activation(arch.activation)
    steepest = largest_slope(act)
    found = [_one_draw(arch, act, steepest, schemes, seed, rows, biases) for seed in range(draws)]
    with np.errstate(divide="ignore"):
        logs = np.log(np.stack([table[:3] for table in found])).mean(axis=0)
    signal, output, gradient = np.exp(logs)
    saturated, cosine = np.stack([table[3:] for table in found]).mean(axis=0)
    last = gradient[-1] if gradient[-1] > 0 else 1.0
    return LayerMeans(*(tuple(row.tolist()) for row in (signal, output, gradient / last, saturated, cosine)))


def _one_draw(
    arch: Mlp, act: Activation, steepest: float, schemes: Schemes, seed: int, rows: int, biases: float
) -> Array:
    """One draw's five numbers a layer, (5, hidden layers)."""
    weights = drawn(arch, schemes, seed=seed)
    if biases:
        for path in [p for p in weights if p.endswith("/bias") and not p.startswith("norm")]:
            weights[path] = biases * noise(weights[path].shape, f"bias/{path}", seed=seed)
    done = forward(arch, weights, noise((rows, arch.widths[0]), "inputs", seed=seed))
    pull = noise((rows, arch.widths[-1]), "pull", seed=seed)
    slopes = backward(arch, weights, done, pull).before
    table = np.empty((5, arch.depth - 1))
    for layer, (z, g) in enumerate(zip(done.before, slopes, strict=True)):
        a = act(z)
        table[:, layer] = (
            np.mean(z**2),
            np.mean(a**2),
            np.mean(g**2),
            np.mean(np.abs(act.slope(z)) < SATURATED * steepest),
            mean_cosine(a),
        )
    return table


def mean_cosine(a: Array) -> float:
    """The mean cosine of two different rows; 1 where the rows are zero.

    Example:
        >>> mean_cosine(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))      # 1 pair of 3 is parallel
        0.3333333333333333
    """
    length = np.sqrt((a**2).sum(axis=1, keepdims=True))
    if not length.all():
        return 1.0
    unit, n = a / length, len(a)
    return float(((unit.sum(axis=0) ** 2).sum() - n) / (n * (n - 1)))


def gaussian(sigma_w2: float) -> str:
    """The scheme ``N(0, sigma_w2 / fan_in)``."""
    return f"variance_scaling(scale={sigma_w2!r}, distribution=normal)"


def deep(depth: int, width: int, act: str, *, norm: Norm = "none", outputs: int = 10) -> Mlp:
    """A chain of ``depth`` hidden layers of one width, whose input has that width too."""
    return Mlp((*(width,) * (depth + 1), outputs), activation=act, norm=norm)


def geometric_mean(values: Iterable[float]) -> float:
    """``exp`` of the mean logarithm of positive numbers.

    Example:
        >>> round(geometric_mean([1.0, 100.0]), 12)
        10.0
    """
    return float(np.exp(np.mean(np.log(list(values)))))
