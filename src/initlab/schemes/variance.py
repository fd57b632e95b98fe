"""Variance scaled by the fans, so that the signal or the gradient keeps its size from layer to layer."""

from __future__ import annotations

from dataclasses import replace
from math import sqrt
from typing import Literal

from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.fans import Dialect, Mode, fans
from initlab.core.facts.spec import ParamSpec, Role
from initlab.core.laws import Blocks, Constant, Law, Normal, Orthogonal, TruncatedNormal, Uniform
from initlab.core.plans.starts import open_forget_gate
from initlab.schemes.base import register_scheme

Distribution = Literal["normal", "uniform", "truncated_normal"]

_LECUN = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp, section 4.6"
_GLOROT = "Glorot & Bengio 2010, AISTATS, equations 12 and 16"
_HE = "He, Zhang, Ren & Sun 2015, arXiv:1502.01852, equations 10 and 14"


def law_of_std(std: float, distribution: Distribution) -> Law:
    """The law of a shape of distribution whose entries have exactly the std asked for.

    Example:
        >>> law_of_std(1.0, "uniform").bounds((1,))[1] ** 2      # sqrt(3)^2
        2.9999999999999996
    """
    if distribution == "uniform":
        return Uniform(-sqrt(3.0) * std, sqrt(3.0) * std)
    if distribution == "truncated_normal":
        return TruncatedNormal.with_std(std)
    return Normal(std)


def gaussian(dialect: Dialect | None) -> Distribution:
    """What a framework draws under ``*_normal``: Keras and JAX cut at two sigma and correct the std."""
    return "truncated_normal" if dialect in ("keras", "jax") else "normal"


def scaled_std(p: ParamSpec, *, scale: float, mode: Mode, dialect: Dialect | None) -> float:
    """``sqrt(scale / fan)`` for the fan a mode asks for.

    Raises:
        ShapeError: The fan is 0.
        OptionError: The scale is negative.
    """
    fan = fans(p, dialect=dialect).of(mode)
    if not fan > 0:
        raise ShapeError(f"{mode} of shape {p.shape} is 0", where=p.path, fix="leave out empty layers")
    if not scale >= 0:
        raise OptionError(f"scale must be 0 or more, got {scale}")
    return sqrt(scale / fan)


@register_scheme(
    family="variance scaling",
    formula="Var W = scale / fan",
    source="the common form of LeCun 1998, Glorot 2010 and He 2015; TensorFlow's variance_scaling_initializer",
    when="a scheme of your own: any scale, any fan, any shape of distribution",
    avoid="a published scheme has the number you want: its name says more to a reader",
    aliases=("VarianceScaling",),
    named=("scale", "mode", "distribution"),
    dialect_defaults={"keras": {"distribution": "truncated_normal"}},
)
def variance_scaling(
    p: ParamSpec,
    *,
    scale: float = 1.0,
    mode: Mode = "fan_in",
    distribution: Distribution = "normal",
    dialect: Dialect | None = None,
) -> Law:
    """Variance ``scale / fan``, exactly, for each of the three distributions.

    Args:
        p: A weight.
        scale: 0 or more; 1 for linear units, 2 for ReLU.
        mode: Which fan.
        distribution: ``normal``, ``uniform``, or ``truncated_normal`` (cut at two sigma, std corrected).
        dialect: Keras draws ``normal`` truncated too.

    Example:
        >>> variance_scaling(ParamSpec(shape=(64, 100)), scale=4.0).std((64, 100))      # sqrt(4 / 100)
        0.2
    """
    shape: Distribution = "truncated_normal" if dialect == "keras" and distribution == "normal" else distribution
    return law_of_std(scaled_std(p, scale=scale, mode=mode, dialect=dialect), shape)


_LECUN_WHEN = "linear and SELU layers; tanh and sigmoid layers of shallow nets"
_LECUN_AVOID = "deep ReLU nets: the signal's power halves in every layer"


@register_scheme(
    family="variance scaling",
    formula="W ~ N(0, 1 / fan_in)",
    source=_LECUN,
    when=_LECUN_WHEN,
    avoid=_LECUN_AVOID,
    aliases=("LecunNormal",),
)
def lecun_normal(p: ParamSpec, *, dialect: Dialect | None = None) -> Law:
    """Normal with std ``sqrt(1 / fan_in)``: a linear layer keeps the variance of its input.

    Args:
        p: A weight.
        dialect: Keras and JAX truncate at two sigma and correct the std.

    Example:
        >>> lecun_normal(ParamSpec(shape=(64, 100))).std((64, 100))
        0.1
    """
    return law_of_std(scaled_std(p, scale=1.0, mode="fan_in", dialect=dialect), gaussian(dialect))


@register_scheme(
    family="variance scaling",
    formula="W ~ U(-sqrt(3 / fan_in), sqrt(3 / fan_in))",
    source=_LECUN,
    when=_LECUN_WHEN,
    avoid=_LECUN_AVOID,
    aliases=("LecunUniform",),
)
def lecun_uniform(p: ParamSpec, *, dialect: Dialect | None = None) -> Law:
    """Uniform with std ``sqrt(1 / fan_in)``: a linear layer keeps the variance of its input.

    Args:
        p: A weight.
        dialect: Whose fans to count.

    Example:
        >>> lecun_uniform(ParamSpec(shape=(64, 300))).bounds((64, 300))      # sqrt(3 / 300)
        (-0.1, 0.1)
    """
    return law_of_std(scaled_std(p, scale=1.0, mode="fan_in", dialect=dialect), "uniform")


_GLOROT_WHEN = "tanh, sigmoid and linear layers; output layers"
_GLOROT_AVOID = "deep ReLU nets: the signal's power halves in every layer of equal width"


@register_scheme(
    family="variance scaling",
    formula="W ~ N(0, gain^2 2 / (fan_in + fan_out))",
    source=_GLOROT,
    when=_GLOROT_WHEN,
    avoid=_GLOROT_AVOID,
    aliases=("xavier_normal", "xavier_normal_", "GlorotNormal"),
)
def glorot_normal(p: ParamSpec, *, gain: float = 1.0, dialect: Dialect | None = None) -> Law:
    """Normal with std ``gain sqrt(2 / (fan_in + fan_out))``: between keeping the signal and keeping the gradient.

    Args:
        p: A weight.
        gain: Factor of the std, 0 or more.
        dialect: Keras and JAX truncate at two sigma and correct the std.

    Example:
        >>> glorot_normal(ParamSpec(shape=(50, 150))).std((50, 150))      # sqrt(2 / 200)
        0.1
    """
    return law_of_std(_glorot_std(p, gain, dialect), gaussian(dialect))


@register_scheme(
    family="variance scaling",
    formula="W ~ U(-l, l), l = gain sqrt(6 / (fan_in + fan_out))",
    source=_GLOROT,
    when=_GLOROT_WHEN,
    avoid=_GLOROT_AVOID,
    aliases=("xavier_uniform", "xavier_uniform_", "GlorotUniform", "xavier", "glorot"),
)
def glorot_uniform(p: ParamSpec, *, gain: float = 1.0, dialect: Dialect | None = None) -> Law:
    """Uniform with std ``gain sqrt(2 / (fan_in + fan_out))``; the default of Keras' dense and convolution layers.

    Args:
        p: A weight.
        gain: Factor of the std, 0 or more.
        dialect: Whose fans to count.

    Example:
        >>> low, high = glorot_uniform(ParamSpec(shape=(200, 400))).bounds((200, 400))      # sqrt(6 / 600)
        >>> round(high, 12)
        0.1
    """
    return law_of_std(_glorot_std(p, gain, dialect), "uniform")


def _glorot_std(p: ParamSpec, gain: float, dialect: Dialect | None) -> float:
    if not gain >= 0:
        raise OptionError(f"gain must be 0 or more, got {gain}")
    return gain * scaled_std(p, scale=1.0, mode="fan_avg", dialect=dialect)


_HE_WHEN = "ReLU and leaky ReLU nets without normalisation, at depths well below the width"
_HE_AVOID = "the layer before a linear output of small loss; smooth activations such as GELU, whose gain differs"


@register_scheme(
    family="variance scaling",
    formula="W ~ N(0, 2 / ((1 + a^2) fan)), a the negative slope",
    source=_HE,
    when=_HE_WHEN,
    avoid=_HE_AVOID,
    aliases=("kaiming_normal", "kaiming_normal_", "HeNormal", "he", "kaiming", "msra"),
)
def he_normal(
    p: ParamSpec, *, mode: Mode = "fan_in", negative_slope: float = 0.0, dialect: Dialect | None = None
) -> Law:
    """Normal with std ``sqrt(2 / ((1 + a^2) fan))``: keeps the signal (fan_in) or the gradient (fan_out) of ReLU.

    Args:
        p: A weight.
        mode: Which fan.
        negative_slope: The slope ``a`` of a leaky ReLU.
        dialect: Keras and JAX truncate at two sigma and correct the std; PyTorch does not.

    Example:
        >>> he_normal(ParamSpec(shape=(64, 200))).std((64, 200))      # sqrt(2 / 200)
        0.1
    """
    return law_of_std(_he_std(p, mode, negative_slope, dialect), gaussian(dialect))


@register_scheme(
    family="variance scaling",
    formula="W ~ U(-l, l), l = sqrt(6 / ((1 + a^2) fan)), a the negative slope",
    source=_HE,
    when=_HE_WHEN,
    avoid=_HE_AVOID,
    aliases=("kaiming_uniform", "kaiming_uniform_", "HeUniform"),
)
def he_uniform(
    p: ParamSpec, *, mode: Mode = "fan_in", negative_slope: float = 0.0, dialect: Dialect | None = None
) -> Law:
    """Uniform with std ``sqrt(2 / ((1 + a^2) fan))``: keeps the signal (fan_in) or the gradient (fan_out) of ReLU.

    Args:
        p: A weight.
        mode: Which fan.
        negative_slope: The slope ``a`` of a leaky ReLU.
        dialect: Whose fans to count.

    Example:
        >>> low, high = he_uniform(ParamSpec(shape=(64, 600))).bounds((64, 600))      # sqrt(6 / 600)
        >>> round(high, 12)
        0.1
    """
    return law_of_std(_he_std(p, mode, negative_slope, dialect), "uniform")


def _he_std(p: ParamSpec, mode: Mode, negative_slope: float, dialect: Dialect | None) -> float:
    return scaled_std(p, scale=2.0 / (1.0 + negative_slope**2), mode=mode, dialect=dialect)


@register_scheme(
    family="variance scaling",
    formula="W, b ~ U(-1 / sqrt(fan_in), 1 / sqrt(fan_in)); embeddings N(0, 1); attention: glorot_uniform, b = 0",
    source="PyTorch, Linear.reset_parameters: kaiming_uniform_ with a = sqrt(5), and the bias by the same bound; "
    "RNNBase, Bilinear and MultiheadAttention by rules of their own",
    when="to reproduce what PyTorch does when nobody asks",
    avoid="deep ReLU nets: the variance is 1 / (3 fan_in), a sixth of He's",
    aliases=("pytorch_default", "torch_linear"),
    with_biases=True,
    takes_packed=True,
)
def torch_default(p: ParamSpec) -> Law:
    """Uniform within ``1 / sqrt(fan_in)``, weights and biases alike: std ``1 / sqrt(3 fan_in)``.

    The input projections of attention are Glorot uniform, as the one matrix that they are to PyTorch, where another
    framework keeps them apart too; the biases of attention are 0. Recurrent layers take the hidden size, and bilinear
    ones their first input, for every one of their tensors. Embeddings are standard normal.

    Args:
        p: A weight, or a bias with its ``layer_shape``; fans are counted as PyTorch counts them. The gates of a
            recurrent layer bear ``blocks`` and the ``layer_shape`` of their recurrent weight; a projection of attention
            that is stored alone bears the ``layer_shape`` of the packed matrix.

    Raises:
        ShapeError: A bias that does not know its layer.

    Example:
        >>> torch_default(ParamSpec(shape=(64, 100))).bounds((64, 100))
        (-0.1, 0.1)
        >>> torch_default(ParamSpec(shape=(64,), role="bias", layer_shape=(64, 100))).bounds((64,))
        (-0.1, 0.1)
        >>> packed = ParamSpec(shape=(450, 150), blocks=(150,) * 3, layer_kind="attention")      # sqrt(6 / 600)
        >>> round(torch_default(packed).bounds((450, 150))[1], 12)
        0.1
    """
    if p.role == "bias" and p.layer_shape is None:
        raise ShapeError("torch_default needs the layer of a bias", where=p.path, fix="give ParamSpec.layer_shape")
    if p.layer_kind == "attention":
        if p.role == "bias":
            return Constant(0.0)
        law = glorot_normal if p.role == "embedding" else glorot_uniform
        return law(replace(p, shape=p.layer_shape or p.shape), dialect="torch")
    if p.role == "embedding":
        return Normal(1.0)
    bound = 1.0 / sqrt(_torch_fan(p))
    return Uniform(-bound, bound)


def _torch_fan(p: ParamSpec) -> float:
    """What PyTorch's own layers take for the fan-in of a weight, and of a bias beside it."""
    layer = p.shape if p.layer_shape is None else p.layer_shape
    if p.layer_kind == "bilinear":
        return float(layer[1])
    if p.role == "recurrent" or (p.layer_shape is not None and p.role != "bias") or (p.layer_shape and p.blocks):
        # The hidden size, which a projection makes other than the fan-in; the gates are so many blocks of it.
        return float(p.blocks[0] if p.blocks else layer[0])
    if p.role != "bias":
        return fans(p, dialect="torch").fan_in
    role: Role = "conv_transpose" if p.layer_kind == "conv_transpose" else "dense"
    return fans(ParamSpec(shape=layer, role=role, groups=p.groups), dialect="torch").fan_in


@register_scheme(
    family="variance scaling",
    formula="W ~ U(-l, l), l = sqrt(6 / (fan_in + fan_out)); recurrent W orthogonal; embeddings U(-0.05, 0.05); "
    "b = 0, 1 in forget gates",
    source="Keras 3: glorot_uniform in Dense and the convolutions, orthogonal in the recurrent layers, "
    "RandomUniform in Embedding",
    when="to reproduce what Keras does when nobody asks",
    avoid="deep ReLU nets, whose signal halves in every layer; depthwise kernels, which it makes far too small",
    aliases=("tensorflow_default",),
    with_biases=True,
    takes_packed=True,
)
def keras_default(p: ParamSpec) -> Law:
    """Glorot uniform by Keras' own fans, recurrent weights orthogonal, embeddings within 0.05, biases 0.

    The gates of a recurrent layer are one matrix to Keras: all of them count into fan_out, and their recurrent weights
    are orthogonal together. Packed projections of attention are weights of their own, each counted as a dense one:
    by the axes of its equation, since keras-team/keras#22789; before, Keras took such a kernel for a convolution. The
    bias of an LSTM's forget gate is 1.

    Args:
        p: A weight or a bias; gates bear the ``layer_shape`` of their recurrent weight, packed projections bear none.

    Example:
        >>> low, high = keras_default(ParamSpec(shape=(200, 400))).bounds((200, 400))      # sqrt(6 / 600)
        >>> round(high, 12)
        0.1
        >>> gates = ParamSpec(shape=(400, 100), role="recurrent", blocks=(100,) * 4)      # 1 / sqrt(400)
        >>> keras_default(gates).std((400, 100))
        0.05
    """
    if p.role == "bias":
        return open_forget_gate(p)
    if p.role == "embedding":
        return Uniform(-0.05, 0.05)
    if p.role == "recurrent":
        return Orthogonal()
    if not p.blocks or p.layer_shape is not None:
        return glorot_uniform(p, dialect="keras")
    laws = tuple(glorot_uniform(block, dialect="keras") for block in p.block_specs())
    return laws[0] if all(law == laws[0] for law in laws) else Blocks(laws, p.blocks, p.block_axis)
