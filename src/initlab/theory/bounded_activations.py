"""Sigmoids, waves and other smooth activations that are no rectifiers."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from initlab.core.erf import Array, erf
from initlab.theory.activations import register_activation
from initlab.theory.smooth_rectifiers import logistic

# exp(-x^2) is zero in float64 from here on, and no square of less overflows.
_GAUSSIAN_END = 40.0


def _sech_squared(x: Array) -> Array:
    small = np.exp(-2.0 * np.abs(x))
    return 4.0 * small / np.square(1.0 + small)


def _bell(x: Array) -> Array:
    return np.exp(-np.square(np.clip(x, -_GAUSSIAN_END, _GAUSSIAN_END)))


@register_activation(
    "tanh",
    kinks=(),
    derivative=_sech_squared,
    native={"torch": "torch.tanh", "keras": "tanh", "jax": "jax.nn.tanh"},
    formula="tanh(x)",
    source="LeCun et al., Efficient BackProp, 1998",
)
def tanh(x: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(x)


@register_activation(
    "lecun_tanh",
    kinks=(),
    derivative=lambda x: 1.7159 * 2.0 / 3.0 * _sech_squared(2.0 / 3.0 * x),
    aliases=("scaled_tanh",),
    formula="1.7159 * tanh(2/3 * x)",
    source="LeCun et al., Efficient BackProp, 1998, section 4.4",
)
def lecun_tanh(x: Array) -> Array:
    """A tanh that maps 1 to 1 and -1 to -1."""
    return 1.7159 * np.tanh(2.0 / 3.0 * x)


@register_activation(
    "tanhshrink",
    kinks=(),
    derivative=lambda x: np.square(np.tanh(x)),
    aliases=("tanh_shrink",),
    native={"torch": "torch.nn.functional.tanhshrink", "keras": "tanh_shrink"},
    formula="x - tanh(x)",
    source="torch.nn.Tanhshrink",
)
def tanhshrink(x: Array) -> Array:
    """The input minus its tanh, without loss of digits near zero."""
    near = np.clip(x, -1.0, 1.0)
    square = near * near
    # Lambert's continued fraction tanh x = x / (1 + c), c = x^2 / (3 + x^2 / (5 + ...)), so x - tanh x = x c / (1 + c).
    fraction = np.zeros_like(near)
    for odd in range(19, 1, -2):
        fraction = square / (odd + fraction)
    return np.where(np.abs(x) < 1.0, near * fraction / (1.0 + fraction), x - np.tanh(x))


@register_activation(
    "sigmoid",
    kinks=(),
    derivative=lambda x: logistic(x) * logistic(-x),
    aliases=("logistic",),
    native={"torch": "torch.sigmoid", "keras": "sigmoid", "jax": "jax.nn.sigmoid"},
    formula="1 / (1 + exp(-x))",
    source="Verhulst, 1845; Rumelhart, Hinton & Williams, Nature 323 (1986)",
)
def sigmoid(x: Array) -> Array:
    """The logistic function."""
    return logistic(x)


@register_activation(
    "log_sigmoid",
    kinks=(),
    derivative=lambda x: logistic(-x),
    native={"torch": "torch.nn.functional.logsigmoid", "keras": "log_sigmoid", "jax": "jax.nn.log_sigmoid"},
    formula="-log(1 + exp(-x))",
    source="minus the softplus of -x",
)
def log_sigmoid(x: Array) -> Array:
    """The logarithm of the sigmoid."""
    return np.minimum(x, 0.0) - np.log1p(np.exp(-np.abs(x)))


@register_activation(
    "softsign",
    kinks=(0.0,),
    derivative=lambda x: np.square(1.0 / (1.0 + np.abs(x))),
    aliases=("soft_sign",),
    native={"torch": "torch.nn.functional.softsign", "keras": "softsign", "jax": "jax.nn.soft_sign"},
    formula="x / (1 + |x|)",
    source="Bergstra et al., Quadratic polynomials learn better image features, 2009",
)
def softsign(x: Array) -> Array:
    """A sigmoid with algebraic tails; its slope bends at zero."""
    return x / (1.0 + np.abs(x))


@register_activation(
    "erf",
    kinks=(),
    derivative=lambda x: 2.0 / sqrt(pi) * _bell(x),
    native={"torch": "torch.erf", "jax": "jax.scipy.special.erf"},
    formula="2 / sqrt(pi) * integral of exp(-t^2) from 0 to x",
    source="Williams, Computing with infinite networks, NeurIPS 1996",
)
def error_function(x: Array) -> Array:
    """The error function."""
    return erf(x)


@register_activation(
    "arctan",
    kinks=(),
    derivative=lambda x: np.square(1.0 / np.hypot(x, 1.0)),
    aliases=("atan",),
    native={"torch": "torch.atan", "jax": "jax.numpy.arctan"},
    formula="arctan(x)",
    source="a sigmoid with tails 1/x",
)
def arctan(x: Array) -> Array:
    """The arc tangent, between -pi/2 and pi/2."""
    return np.arctan(x)


@register_activation(
    "asinh",
    kinks=(),
    derivative=lambda x: 1.0 / np.hypot(x, 1.0),
    aliases=("arcsinh",),
    native={"torch": "torch.asinh", "jax": "jax.numpy.arcsinh"},
    formula="log(x + sqrt(x^2 + 1))",
    source="a sigmoid that grows like the logarithm",
)
def asinh(x: Array) -> Array:
    """The inverse hyperbolic sine; it never saturates."""
    return np.arcsinh(x)


@register_activation(
    "sin",
    kinks=(),
    derivative=np.cos,
    aliases=("sine",),
    native={"torch": "torch.sin", "jax": "jax.numpy.sin"},
    formula="sin(x)",
    source="Sitzmann et al., SIREN, arXiv 2006.09661 (there with a frequency before x)",
)
def sin(x: Array) -> Array:
    """The sine."""
    return np.sin(x)


@register_activation(
    "cos",
    kinks=(),
    derivative=lambda x: -np.sin(x),
    aliases=("cosine",),
    native={"torch": "torch.cos", "jax": "jax.numpy.cos"},
    formula="cos(x)",
    source="Rahimi & Recht, Random features, NeurIPS 2007",
)
def cos(x: Array) -> Array:
    """The cosine."""
    return np.cos(x)


@register_activation(
    "gaussian",
    kinks=(),
    derivative=lambda x: -2.0 * np.clip(x, -_GAUSSIAN_END, _GAUSSIAN_END) * _bell(x),
    aliases=("rbf",),
    formula="exp(-x^2)",
    source="Broomhead & Lowe, Complex Systems 2 (1988)",
)
def gaussian(x: Array) -> Array:
    """A bell around zero."""
    return _bell(x)


def _exp(x: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.exp(x)


@register_activation(
    "exp",
    kinks=(),
    derivative=_exp,
    aliases=("exponential",),
    native={"torch": "torch.exp", "keras": "exponential", "jax": "jax.numpy.exp"},
    formula="exp(x)",
    source="the exponential linear model",
)
def exp(x: Array) -> Array:
    """The exponential; infinite above 709."""
    return _exp(x)


@register_activation(
    "square",
    kinks=(),
    derivative=lambda x: 2.0 * x,
    aliases=("quadratic",),
    native={"torch": "torch.square", "jax": "jax.numpy.square"},
    formula="x^2",
    source="Livni, Shalev-Shwartz & Shamir, arXiv 1410.1141",
)
def square(x: Array) -> Array:
    """The square of the input."""
    with np.errstate(over="ignore"):
        return np.square(x)
