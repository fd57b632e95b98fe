"""How the gradient changes from layer to layer before the first step: backpropagation in NumPy, in float64.

A run's record holds the gradient by the weights, which is a product: of the gradient by the layer's output, which may
fade towards the input, and of the layer's input, which may fade towards the output. In a net where both fade alike the
product is the same in every layer (Glorot & Bengio 2010, section 4.2.1), so it is the first factor that is told here,
and in float64, which still tells 1e-60 from nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import InitlabError
from initlab.core.facts.arch import NORM_EPSILON, Mlp
from initlab.core.facts.recurrent import Recurrent
from initlab.core.facts.user_model import OwnModel
from initlab.core.plans.plan import Plan
from initlab.core.training.dataset import Dataset
from initlab.core.training.outcomes import PROBE_ROWS
from initlab.core.training.protocol import LossName
from initlab.study.records import RunSpec
from initlab.study.run import initial_weights, plan_of
from initlab.theory import activation
from initlab.theory.activations import Activation
from initlab.theory.chain import ChainLayer, chain_signals

Floats = NDArray[np.float64]
Weights = Mapping[str, Floats]


def gradient_ratio(spec: RunSpec, dataset: Dataset) -> float | None:
    """The mean square of dL/dz at the first hidden layer over that at the last, before the first step.

    ``z`` is what a layer's activation takes. In a recurrent net the layers are the steps of the sequence.

    Args:
        spec: A run of initlab's own network.
        dataset: Its data, of whose training rows the first 256 are taken.

    Returns:
        The ratio: 0 where float64 holds none of the gradient, infinite or None where it overflows.

    Example:
        A unit of weight 1/2 passes half of the gradient on, a quarter of its square:

        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> arch = Mlp((1, 1, 1, 1), activation="relu", bias=False)
        >>> spec = RunSpec("constant(value=0.5)", "", "", arch, Optimizer(), Budget(1, 1), seed=0, loss="mse")
        >>> one = np.ones((1, 1), np.float32)
        >>> gradient_ratio(spec, Dataset("one", one, one, one, one, kind="regression"))
        0.25
    """
    assert not isinstance(spec.arch, OwnModel)
    weights = {path: w.astype(np.float64) for path, w in initial_weights(spec, dataset).items()}
    x, y = dataset.x_train[:PROBE_ROWS].astype(np.float64), dataset.y_train[:PROBE_ROWS]
    act = activation(spec.arch.activation)
    with np.errstate(all="ignore"):
        if isinstance(spec.arch, Recurrent):
            squares = _through_time(spec.arch, weights, act, x, y, spec.loss)
        else:
            squares = _through_layers(spec.arch, weights, act, x, y, spec.loss)
        ratio = float(np.divide(squares[0], squares[-1]))
    # 0 / 0: the gradient dies before it reaches the last hidden layer.
    return ratio if ratio == ratio else None


@dataclass(frozen=True, eq=False)
class _Layer:
    """What a hidden layer's backward pass needs: ``z``, and of its norm the axis, the normed values and their std."""

    z: Floats
    axis: int | None = None
    normed: Floats | None = None
    std: Floats | None = None


def _through_layers(
    arch: Mlp, weights: Weights, act: Activation, x: Floats, y: NDArray[np.generic], loss: LossName
) -> list[float]:
    """Mean square of dL/dz at each hidden layer."""
    h, layers = x, list[_Layer]()
    for i in range(arch.depth - 1):
        layer = _forward(arch, weights, h, i)
        layers.append(layer)
        h = act(layer.z) + (h if arch.has_skip(i) else 0.0)
    by_state = _output_gradient(_dense(weights, h, arch.depth - 1), y, loss) @ weights[f"{arch.depth - 1}/weight"]
    squares = []
    for i in reversed(range(arch.depth - 1)):
        by_z = by_state * act.slope(layers[i].z)
        squares.append(float(np.mean(by_z**2)))
        by_input = _before_norm(layers[i], by_z, weights.get(f"norm_{i}/scale")) @ weights[f"{i}/weight"]
        by_state = by_input + (by_state if arch.has_skip(i) else 0.0)
    return squares[::-1]


def _forward(arch: Mlp, weights: Weights, h: Floats, i: int) -> _Layer:
    z = _dense(weights, h, i)
    if arch.norm == "none":
        return _Layer(z)
    axis = 1 if arch.norm == "layer" else 0
    std = np.sqrt(z.var(axis, keepdims=True) + NORM_EPSILON)
    normed = (z - z.mean(axis, keepdims=True)) / std
    return _Layer(normed * weights[f"norm_{i}/scale"] + weights[f"norm_{i}/bias"], axis, normed, std)


def _before_norm(layer: _Layer, by_z: Floats, scale: Floats | None) -> Floats:
    """The gradient before a norm: what shifts or stretches all that the norm averages over is taken out of it."""
    if layer.axis is None or layer.normed is None or layer.std is None or scale is None:
        return by_z
    g = by_z * scale
    along = (g * layer.normed).mean(layer.axis, keepdims=True)
    before: Floats = (g - g.mean(layer.axis, keepdims=True) - layer.normed * along) / layer.std
    return before


def _dense(weights: Weights, h: Floats, i: int) -> Floats:
    z = h @ weights[f"{i}/weight"].T
    return z + weights[f"{i}/bias"] if f"{i}/bias" in weights else z


def _through_time(
    arch: Recurrent, weights: Weights, act: Activation, x: Floats, y: NDArray[np.generic], loss: LossName
) -> list[float]:
    """Mean square of dL/dz at each step of the sequence."""
    driven = x.reshape(len(x), arch.steps, arch.inputs) @ weights["0/weight"].T
    bias = weights.get("1/bias", np.zeros(arch.width))
    state, zs = np.zeros((len(x), arch.width)), list[Floats]()
    for step in range(arch.steps):
        zs.append(driven[:, step] + state @ weights["1/weight"].T + bias)
        state = act(zs[-1])
    by_state = _output_gradient(_dense(weights, state, 2), y, loss) @ weights["2/weight"]
    squares = []
    for z in reversed(zs):
        by_z = by_state * act.slope(z)
        squares.append(float(np.mean(by_z**2)))
        by_state = by_z @ weights["1/weight"]
    return squares[::-1]


def _output_gradient(outputs: Floats, y: NDArray[np.generic], loss: LossName) -> Floats:
    """Of each row's loss by its outputs; the factor that makes a mean of rows cancels in every ratio."""
    classes = np.issubdtype(y.dtype, np.integer)
    target = np.eye(outputs.shape[1])[y.astype(np.intp)] if classes else y.astype(np.float64)
    if loss == "mse":
        difference: Floats = outputs - target
        return difference
    odds = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: Floats = odds / odds.sum(axis=1, keepdims=True)
    return shares - target


def predicted_ratio(spec: RunSpec, dataset: Dataset) -> float | None:
    """What mean-field theory says of ``gradient_ratio``, from the laws of the weights alone.

    Args:
        spec: A run.
        dataset: Its data, from which the input's mean square comes.

    Returns:
        The ratio; None where the theory of a chain says nothing: residual and recurrent nets, and weights whose mean is
        not zero, as those of ``ones`` and ``identity``.

    Example:
        >>> from initlab.core.training.protocol import Budget, Optimizer
        >>> spec = RunSpec("lecun_normal", "", "", Mlp((8,) * 5), Optimizer(), Budget(1, 1), seed=0)
        >>> x, y = np.ones((1, 8), np.float32), np.zeros(1, np.int32)
        >>> round(predicted_ratio(spec, Dataset("ones", x, y, x, y)), 9)      # two ReLUs, each halves the square
        0.25
    """
    arch = spec.arch
    if not isinstance(arch, Mlp) or arch.depth < 2 or any(arch.has_skip(i) for i in range(arch.depth)):
        return None
    share = float(np.mean(np.square(dataset.x_train[:PROBE_ROWS], dtype=np.float64)))
    layers = chain_of(arch, plan_of(spec), share)
    if layers is None:
        return None
    try:
        gradients = [signal.gradient for signal in chain_signals(layers)]
    except InitlabError:
        return None
    missing = len(layers) - len(gradients)
    if not missing:
        return gradients[-1]
    if len(gradients) < 2 or gradients[-2] == 0.0:
        return None
    # The chain ends where the signal is below 1e-12 or above 1e12: an activation is a power of its argument there, and
    # the factor from layer to layer stays what it is.
    factor = gradients[-1] / gradients[-2]
    with np.errstate(over="ignore"):
        last = float(np.float64(gradients[-1]) * np.float64(factor) ** missing)
    return last if last < inf else None


def chain_of(arch: Mlp, plan: Plan, share: float) -> list[ChainLayer] | None:
    """The hidden layers of a network as theory sees them; None where a weight's mean is not zero.

    Args:
        arch: Without residual connections.
        plan: The laws of its weights.
        share: E[x^2] of its input.
    """
    laws = {entry.param.path: entry.law for entry in plan}
    layers = []
    for i, shape in enumerate(zip(arch.widths[1:-1], arch.widths[:-2], strict=True)):
        law, bias = laws[f"{i}/weight"], laws.get(f"{i}/bias")
        if law is None or law.mean(shape) != 0.0:
            return None
        layers.append(
            ChainLayer(
                f_in=arch.activation if i else None,
                sigma_w2=law.std(shape) ** 2 * shape[1],
                sigma_b2=0.0 if bias is None else bias.std(shape[:1]) ** 2,
                fan_in=shape[1],
                share=1.0 if i else share,
                normalised=arch.norm != "none",
                centered=arch.norm == "batch",
            )
        )
    return layers
