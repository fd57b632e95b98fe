"""Activations that are small below zero and grow like the input above: smooth relatives of ReLU."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from initlab.core.erf import Array, normal_cdf, normal_pdf
from initlab.theory.activations import register_activation

# Mean 0 and variance 1 under a standard normal input give both in closed form (Klambauer et al., arXiv 1706.02515).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def logistic(x: Array) -> Array:
    """``1 / (1 + exp(-x))`` without overflow, to full relative accuracy on both sides."""
    small = np.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, small) / (1.0 + small)


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _elu_slope(x: Array, *, alpha: float) -> Array:
    return np.where(x > 0.0, 1.0, alpha * np.exp(np.minimum(x, 0.0)))


@register_activation(
    "elu",
    kinks=(0.0,),
    derivative=_elu_slope,
    native={
        "torch": "torch.nn.functional.elu(alpha=alpha)",
        "keras": "elu(alpha=alpha)",
        "jax": "jax.nn.elu(alpha=alpha)",
    },
    formula="x if x > 0 else alpha * (exp(x) - 1)",
    source="Clevert, Unterthiner & Hochreiter, arXiv 1511.07289",
)
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """The input above zero, an exponential that ends at -alpha below."""
    return np.where(x > 0.0, x, alpha * np.expm1(np.minimum(x, 0.0)))


@register_activation(
    "selu",
    kinks=(0.0,),
    derivative=lambda x: SELU_SCALE * _elu_slope(x, alpha=SELU_ALPHA),
    native={"torch": "torch.nn.functional.selu", "keras": "selu", "jax": "jax.nn.selu"},
    formula="1.0507... * elu(x, alpha=1.6733...)",
    source="Klambauer et al., arXiv 1706.02515",
)
def selu(x: Array) -> Array:
    """ELU scaled so that a standard normal input gives mean 0 and variance 1."""
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


@register_activation(
    "celu",
    kinks=(0.0,),
    derivative=lambda x, *, alpha: np.exp(np.minimum(x, 0.0) / alpha),
    positive=("alpha",),
    native={
        "torch": "torch.nn.functional.celu(alpha=alpha)",
        "keras": "celu(alpha=alpha)",
        "jax": "jax.nn.celu(alpha=alpha)",
    },
    formula="max(x, 0) + alpha * (exp(min(x, 0) / alpha) - 1)",
    source="Barron, arXiv 1704.07483",
)
def celu(x: Array, *, alpha: float = 1.0) -> Array:
    """ELU whose slope is 1 at zero for every alpha."""
    return np.maximum(x, 0.0) + alpha * np.expm1(np.minimum(x, 0.0) / alpha)


@register_activation(
    "gelu",
    kinks=(),
    derivative=lambda x: normal_cdf(x) + x * normal_pdf(x),
    native={
        "torch": "torch.nn.functional.gelu",
        "keras": "gelu(approximate=False)",
        "jax": "jax.nn.gelu(approximate=False)",
    },
    formula="x * P(z <= x), z standard normal",
    source="Hendrycks & Gimpel, arXiv 1606.08415",
)
def gelu(x: Array) -> Array:
    """The input times the share of a standard normal below it (the exact form)."""
    return x * normal_cdf(x)


_GELU_TANH_SCALE = sqrt(2.0 / pi)
_GELU_TANH_CUBE = 0.044715
# tanh is 1 to float64 long before this; the cube of more would overflow.
_GELU_TANH_END = 100.0


def _gelu_tanh_inner(x: Array) -> Array:
    near = np.clip(x, -_GELU_TANH_END, _GELU_TANH_END)
    return _GELU_TANH_SCALE * near * (1.0 + _GELU_TANH_CUBE * near * near)


def _gelu_tanh_slope(x: Array) -> Array:
    gate = logistic(2.0 * _gelu_tanh_inner(x))
    near = np.clip(x, -_GELU_TANH_END, _GELU_TANH_END)
    inner_slope = _GELU_TANH_SCALE * (1.0 + 3.0 * _GELU_TANH_CUBE * near * near)
    return gate + 2.0 * near * gate * (1.0 - gate) * inner_slope


@register_activation(
    "gelu_tanh",
    kinks=(),
    derivative=_gelu_tanh_slope,
    aliases=("gelu_new", "gelu_approximate"),
    native={
        "torch": "torch.nn.functional.gelu(approximate='tanh')",
        "keras": "gelu(approximate=True)",
        "jax": "jax.nn.gelu(approximate=True)",
    },
    formula="x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))",
    source="Hendrycks & Gimpel, arXiv 1606.08415, section 2",
)
def gelu_tanh(x: Array) -> Array:
    """The tanh approximation of GELU: that of GPT-2, and the default of ``jax.nn.gelu``."""
    return x * logistic(2.0 * _gelu_tanh_inner(x))


def _gated_slope(x: Array, rate: float) -> Array:
    gate = logistic(rate * x)
    return gate * (1.0 + rate * x * logistic(-rate * x))


@register_activation(
    "quick_gelu",
    kinks=(),
    derivative=lambda x: _gated_slope(x, 1.702),
    aliases=("gelu_sigmoid",),
    formula="x * sigmoid(1.702 x)",
    source="Hendrycks & Gimpel, arXiv 1606.08415, section 2; the GELU of CLIP",
)
def quick_gelu(x: Array) -> Array:
    """The sigmoid approximation of GELU."""
    return x * logistic(1.702 * x)


@register_activation(
    "silu",
    kinks=(),
    derivative=lambda x: _gated_slope(x, 1.0),
    aliases=("swish",),
    native={"torch": "torch.nn.functional.silu", "keras": "silu", "jax": "jax.nn.silu"},
    formula="x * sigmoid(x)",
    source="Elfwing, Uchibe & Doya, arXiv 1702.03118; Ramachandran et al., arXiv 1710.05941",
)
def silu(x: Array) -> Array:
    """The input times its sigmoid."""
    return x * logistic(x)


def _mish_slope(x: Array) -> Array:
    level = np.tanh(_softplus(x))
    return level + x * logistic(x) * (1.0 - level * level)


@register_activation(
    "mish",
    kinks=(),
    derivative=_mish_slope,
    native={"torch": "torch.nn.functional.mish", "keras": "mish", "jax": "jax.nn.mish"},
    formula="x * tanh(softplus(x))",
    source="Misra, arXiv 1908.08681",
)
def mish(x: Array) -> Array:
    """The input times the tanh of its softplus."""
    return x * np.tanh(_softplus(x))


@register_activation(
    "softplus",
    kinks=(),
    derivative=lambda x, *, beta: logistic(beta * x),
    positive=("beta",),
    native={
        "torch": "torch.nn.functional.softplus(beta=beta)",
        "keras": "softplus",
        "jax": "jax.nn.softplus",
    },
    formula="log(1 + exp(beta * x)) / beta",
    source="Dugas et al., NeurIPS 2000",
)
def softplus(x: Array, *, beta: float = 1.0) -> Array:
    """The integral of the sigmoid."""
    return _softplus(beta * x) / beta


def _hypot_sum(x: Array, root: float) -> Array:
    # x + sqrt(x^2 + root^2) cancels below zero, where root^2 / (sqrt(..) - x) does not.
    length = np.hypot(x, root)
    return np.where(x > 0.0, x + length, root * root / (length + np.abs(x)))


@register_activation(
    "squareplus",
    kinks=(),
    derivative=lambda x, *, b: 0.5 * _hypot_sum(x, sqrt(b)) / np.hypot(x, sqrt(b)),
    positive=("b",),
    native={"keras": "squareplus(b=b)", "jax": "jax.nn.squareplus(b=b)"},
    formula="(x + sqrt(x^2 + b)) / 2",
    source="Barron, arXiv 2112.11687",
)
def squareplus(x: Array, *, b: float = 4.0) -> Array:
    """A hyperbola with the asymptotes of ReLU."""
    return 0.5 * _hypot_sum(x, sqrt(b))


def _telu_slope(x: Array) -> Array:
    grown = np.exp(np.minimum(x, 20.0))
    level = np.tanh(grown)
    return level + np.minimum(x, 20.0) * grown * (1.0 - level * level)


@register_activation(
    "telu",
    kinks=(),
    derivative=_telu_slope,
    formula="x * tanh(exp(x))",
    source="Fernandez & Mali, arXiv 2412.20269",
)
def telu(x: Array) -> Array:
    """The input times the tanh of its exponential."""
    return x * np.tanh(np.exp(np.minimum(x, 20.0)))


@register_activation(
    "snake",
    kinks=(),
    derivative=lambda x, *, alpha: 1.0 + np.sin(2.0 * alpha * x),
    positive=("alpha",),
    formula="x + sin(alpha * x)^2 / alpha",
    source="Ziyin, Hartwig & Ueda, arXiv 2006.08195",
)
def snake(x: Array, *, alpha: float = 1.0) -> Array:
    """The input plus a periodic part."""
    return x + np.square(np.sin(alpha * x)) / alpha
