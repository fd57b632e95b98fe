"""Activations made of straight lines, steps and parabolas."""

from __future__ import annotations

import numpy as np

from initlab.core.erf import Array
from initlab.core.errors import OptionError
from initlab.theory.activations import register_activation


def _between(x: Array, low: float, high: float) -> Array:
    return ((x > low) & (x < high)).astype(np.float64)


@register_activation(
    "identity",
    kinks=(),
    derivative=np.ones_like,
    aliases=("linear", "none"),
    native={"torch": "torch.nn.Identity", "keras": "linear", "jax": "jax.nn.identity"},
    formula="x",
    source="the linear layer",
)
def identity(x: Array) -> Array:
    """The input itself."""
    return x


@register_activation(
    "relu",
    kinks=(0.0,),
    derivative=lambda x: np.heaviside(x, 0.0),
    native={"torch": "torch.nn.functional.relu", "keras": "relu", "jax": "jax.nn.relu"},
    formula="max(x, 0)",
    source="Nair & Hinton, ICML 2010",
)
def relu(x: Array) -> Array:
    """Zero below zero, the input above."""
    return np.maximum(x, 0.0)


def _leaky_relu_slope(x: Array, *, negative_slope: float) -> Array:
    return np.where(x > 0.0, 1.0, negative_slope)


@register_activation(
    "leaky_relu",
    kinks=(0.0,),
    derivative=_leaky_relu_slope,
    native={
        "torch": "torch.nn.functional.leaky_relu(negative_slope=negative_slope)",
        "keras": "leaky_relu(negative_slope=negative_slope)",
        "jax": "jax.nn.leaky_relu(negative_slope=negative_slope)",
    },
    formula="x if x > 0 else negative_slope * x",
    source="Maas, Hannun & Ng, ICML 2013 workshop",
)
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Array:
    """The input above zero, a share of it below; the default share is that of PyTorch and JAX (Keras: 0.2)."""
    return np.where(x > 0.0, x, negative_slope * x)


@register_activation(
    "relu6",
    kinks=(0.0, 6.0),
    derivative=lambda x: _between(x, 0.0, 6.0),
    native={"torch": "torch.nn.functional.relu6", "keras": "relu6", "jax": "jax.nn.relu6"},
    formula="min(max(x, 0), 6)",
    source="Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010",
)
def relu6(x: Array) -> Array:
    """ReLU that stops at 6."""
    return np.clip(x, 0.0, 6.0)


@register_activation(
    "relu_squared",
    kinks=(0.0,),
    derivative=lambda x: 2.0 * np.maximum(x, 0.0),
    aliases=("squared_relu",),
    formula="max(x, 0)^2",
    source="So et al., Primer, arXiv 2109.08668",
)
def relu_squared(x: Array) -> Array:
    """The square of ReLU; its slope bends at zero."""
    with np.errstate(over="ignore"):
        return np.square(np.maximum(x, 0.0))


def _ordered_ends(*, min_val: float, max_val: float) -> tuple[float, float]:
    if min_val >= max_val:
        raise OptionError(f"hard_tanh from {min_val} to {max_val}", fix="give a min_val below max_val")
    return min_val, max_val


@register_activation(
    "hard_tanh",
    kinks=_ordered_ends,
    derivative=lambda x, *, min_val, max_val: _between(x, min_val, max_val),
    native={
        "torch": "torch.nn.functional.hardtanh(min_val=min_val, max_val=max_val)",
        "keras": "hard_tanh",
        "jax": "jax.nn.hard_tanh",
    },
    formula="min(max(x, min_val), max_val)",
    source="Collobert, PhD thesis, 2004",
)
def hard_tanh(x: Array, *, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """The input, cut off at both ends."""
    return np.clip(x, min_val, max_val)


@register_activation(
    "hard_sigmoid",
    kinks=(-3.0, 3.0),
    derivative=lambda x: _between(x, -3.0, 3.0) / 6.0,
    native={"torch": "torch.nn.functional.hardsigmoid", "keras": "hard_sigmoid", "jax": "jax.nn.hard_sigmoid"},
    formula="min(max(x / 6 + 1/2, 0), 1)",
    source="Howard et al., MobileNetV3, arXiv 1905.02244; Keras 2 had slope 1/5",
)
def hard_sigmoid(x: Array) -> Array:
    """A straight line from 0 at -3 to 1 at 3."""
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _hard_swish_slope(x: Array) -> Array:
    return np.where(x >= 3.0, 1.0, np.where(x > -3.0, np.clip(x, -3.0, 3.0) / 3.0 + 0.5, 0.0))


@register_activation(
    "hard_swish",
    kinks=(-3.0, 3.0),
    derivative=_hard_swish_slope,
    aliases=("hard_silu",),
    native={"torch": "torch.nn.functional.hardswish", "keras": "hard_swish", "jax": "jax.nn.hard_swish"},
    formula="x * hard_sigmoid(x)",
    source="Howard et al., MobileNetV3, arXiv 1905.02244",
)
def hard_swish(x: Array) -> Array:
    """The input times its hard sigmoid."""
    return x * np.clip(x / 6.0 + 0.5, 0.0, 1.0)


@register_activation(
    "abs",
    kinks=(0.0,),
    derivative=np.sign,
    aliases=("modulus",),
    native={"torch": "torch.abs", "jax": "jax.numpy.abs"},
    formula="|x|",
    source="leaky_relu with slope -1",
)
def absolute(x: Array) -> Array:
    """The size of the input."""
    return np.abs(x)


@register_activation(
    "hard_shrink",
    kinks=lambda lambd: (-lambd, lambd),
    derivative=lambda x, *, lambd: (np.abs(x) > lambd).astype(np.float64),
    positive=("lambd",),
    native={
        "torch": "torch.nn.functional.hardshrink(lambd=lambd)",
        "keras": "hard_shrink(threshold=lambd)",
    },
    formula="x if |x| > lambd else 0",
    source="Donoho & Johnstone, Biometrika 81 (1994)",
)
def hard_shrink(x: Array, *, lambd: float = 0.5) -> Array:
    """The input, with small values set to zero; it jumps at both thresholds."""
    return np.where(np.abs(x) > lambd, x, 0.0)


@register_activation(
    "soft_shrink",
    kinks=lambda lambd: (-lambd, lambd),
    derivative=lambda x, *, lambd: (np.abs(x) > lambd).astype(np.float64),
    aliases=("soft_threshold",),
    positive=("lambd",),
    native={
        "torch": "torch.nn.functional.softshrink(lambd=lambd)",
        "keras": "soft_shrink(threshold=lambd)",
    },
    formula="sign(x) * max(|x| - lambd, 0)",
    source="Donoho & Johnstone, Biometrika 81 (1994)",
)
def soft_shrink(x: Array, *, lambd: float = 0.5) -> Array:
    """The input moved towards zero by the threshold, and no further than zero."""
    return x - np.clip(x, -lambd, lambd)


@register_activation(
    "threshold",
    kinks=lambda threshold, value: (threshold,),
    derivative=lambda x, *, threshold, value: (x > threshold).astype(np.float64),
    aliases=("thresholded_relu",),
    native={
        "torch": "torch.nn.functional.threshold(threshold=threshold, value=value)",
        "keras": "threshold(threshold=threshold, default_value=value)",
    },
    formula="x if x > threshold else value",
    source="Konda, Memisevic & Krueger, arXiv 1402.3337",
)
def threshold(x: Array, *, threshold: float = 1.0, value: float = 0.0) -> Array:
    """The input above the threshold, one value below it."""
    return np.where(x > threshold, x, value)


@register_activation(
    "sign",
    kinks=(0.0,),
    derivative=np.zeros_like,
    native={"torch": "torch.sign", "jax": "jax.numpy.sign"},
    formula="sign(x)",
    source="Rosenblatt, The perceptron, 1958",
)
def sign(x: Array) -> Array:
    """-1 or 1; its slope is zero, so no gradient passes."""
    return np.sign(x)


@register_activation(
    "sparse_plus",
    kinks=(-1.0, 1.0),
    derivative=lambda x: np.clip(0.5 * (x + 1.0), 0.0, 1.0),
    native={"keras": "sparse_plus", "jax": "jax.nn.sparse_plus"},
    formula="0 if x <= -1, (x + 1)^2 / 4 if x < 1, else x",
    source="the integral of sparse_sigmoid",
)
def sparse_plus(x: Array) -> Array:
    """A softplus that reaches zero and the identity at -1 and 1."""
    middle = 0.25 * np.square(np.clip(x, -1.0, 1.0) + 1.0)
    return np.where(x >= 1.0, x, middle)


@register_activation(
    "sparse_sigmoid",
    kinks=(-1.0, 1.0),
    derivative=lambda x: 0.5 * _between(x, -1.0, 1.0),
    native={"keras": "sparse_sigmoid", "jax": "jax.nn.sparse_sigmoid"},
    formula="min(max((x + 1) / 2, 0), 1)",
    source="Martins & Astudillo, sparsemax in two dimensions, arXiv 1602.02068",
)
def sparse_sigmoid(x: Array) -> Array:
    """A straight line from 0 at -1 to 1 at 1."""
    return np.clip(0.5 * (x + 1.0), 0.0, 1.0)
