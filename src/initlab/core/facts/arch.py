"""Architectures that every framework builds alike: described once, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from initlab.core.errors import OptionError
from initlab.core.facts.spec import Branch, ModelSpec, ParamSpec

Norm = Literal["none", "layer", "batch"]

NORM_EPSILON = 1e-3  # Keras' default, for both norms
NORM_MOMENTUM = 0.99  # Keras' default for BatchNormalization


@dataclass(frozen=True)
class Mlp:
    """A chain of dense layers: Dense -> (norm) -> activation -> (dropout), then a linear output layer.

    Attributes:
        widths: Sizes from the input to the output; ``(4, 64, 32, 3)`` has two hidden layers.
        activation: The hidden layers' activation, a name of ``initlab list activations``.
        dropout: Share of a hidden layer's units dropped in training, in [0, 1).
        norm: Normalisation between a hidden layer and its activation.
        residual: Whether a hidden layer whose input and output have the same width adds its input.
        bias: Whether the dense layers have a bias.

    Raises:
        OptionError: Fewer than two widths, a width below 1, or a dropout outside [0, 1).

    Example:
        >>> [p.path for p in Mlp((4, 64, 3)).spec().params]
        ['0/weight', '0/bias', '1/weight', '1/bias']
        >>> Mlp((4, 64, 32, 3)).parameters
        2499
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0
    norm: Norm = "none"
    residual: bool = False
    bias: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        if len(self.widths) < 2:
            raise OptionError(f"widths need an input and an output, got {self.widths}", fix="e.g. 4,64,3")
        _check_counts("widths", self.widths, fix="e.g. 4,64,3")
        if not 0.0 <= self.dropout < 1.0:
            raise OptionError(f"dropout must be in [0, 1), got {self.dropout}", fix="e.g. 0.2")
        if self.norm not in ("none", "layer", "batch"):
            raise OptionError(f"unknown norm '{self.norm}'", fix="none, layer or batch")

    @property
    def depth(self) -> int:
        """Number of dense layers, the output layer included."""
        return len(self.widths) - 1

    @property
    def outputs(self) -> int:
        """Numbers that the network gives for a row."""
        return self.widths[-1]

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.size for p in self.spec().params)

    def has_skip(self, layer: int) -> bool:
        """Whether hidden layer ``layer`` (counted from 0) adds its input to its output."""
        return self.residual and layer < self.depth - 1 and self.widths[layer] == self.widths[layer + 1]

    def spec(self) -> ModelSpec:
        """Every parameter, in order of use, with the activations around it."""
        branches = sum(self.has_skip(i) for i in range(self.depth))
        params: list[ParamSpec] = []
        for i in range(self.depth):
            last = i == self.depth - 1
            shape = (self.widths[i + 1], self.widths[i])
            f_in = None if i == 0 else self.activation
            f_out = None if last else self.activation
            norm = None if last or self.norm == "none" else self.norm
            branch = None
            if self.has_skip(i):
                nth = sum(self.has_skip(k) for k in range(i + 1))
                branch = Branch(1, 1, branches, True, self.activation, norm is not None, index=nth)
            params.append(ParamSpec(path=f"{i}/weight", shape=shape, f_in=f_in, f_out=f_out, branch=branch, norm=norm))
            if self.bias:
                params.append(ParamSpec(path=f"{i}/bias", shape=shape[:1], role="bias", layer_shape=shape))
            if norm is not None:
                params.append(ParamSpec(path=f"norm_{i}/scale", shape=shape[:1], role="norm_scale", branch=branch))
                params.append(ParamSpec(path=f"norm_{i}/bias", shape=shape[:1], role="norm_bias"))
        return ModelSpec(tuple(params))


class ConvLayer(NamedTuple):
    """One convolution of a ``ConvNet``: its channels in and out, its stride and its groups."""

    n_in: int
    n_out: int
    stride: int
    groups: int


@dataclass(frozen=True)
class ConvNet:
    """A chain of 2-d convolutions: Conv -> activation, then the mean over all places, then a linear output layer.

    Every image is padded by ``kernel // 2`` zeros on each side, whatever the stride, so that a stride of s takes n
    places to ``ceil(n / s)``. (Where Keras and JAX pad "same", strided layers get fewer zeros before than after.)

    Attributes:
        channels: Channels from the image to the last convolution; ``(1, 16, 32)`` has two convolutions.
        classes: Outputs.
        activation: The convolutions' activation, a name of ``initlab list activations``.
        kernel: Side of every kernel, odd.
        strides: Stride of each convolution, along both sides; empty is 1 everywhere.
        groups: Groups of each convolution, which divide its channels in and out; empty is 1 everywhere.
        bias: Whether the convolutions and the output layer have a bias.

    Raises:
        OptionError: Fewer than two channel counts, an even kernel, a number below 1, strides or groups that are not
            one a convolution, or groups that do not divide the channels.

    Example:
        >>> [(p.path, p.shape) for p in ConvNet((1, 16, 32), classes=10).spec().params if p.is_weight]
        [('0/weight', (16, 1, 3, 3)), ('1/weight', (32, 16, 3, 3)), ('2/weight', (10, 32))]
        >>> ConvNet((1, 16, 32), classes=10).parameters      # (9 + 1) 16 + (16 * 9 + 1) 32 + (32 + 1) 10
        5130
    """

    channels: tuple[int, ...]
    classes: int
    activation: str = "relu"
    kernel: int = 3
    strides: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    bias: bool = True

    def __post_init__(self) -> None:
        for name in ("channels", "strides", "groups"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            _check_counts(name, getattr(self, name), fix="e.g. 1,16,32")
        _check_counts("classes", (self.classes,), fix="e.g. 10")
        _check_counts("kernel", (self.kernel,), fix="e.g. 3")
        if len(self.channels) < 2:
            raise OptionError(f"channels need an image's and a layer's, got {self.channels}", fix="e.g. 1,16,32")
        if self.kernel % 2 == 0:
            raise OptionError(f"kernel {self.kernel} has no middle to pad around", fix="take an odd one, e.g. 3")
        for name, given in (("strides", self.strides), ("groups", self.groups)):
            if len(given) not in (0, len(self.channels) - 1):
                fix = f"give {len(self.channels) - 1}, one a convolution, or none"
                raise OptionError(f"{len(given)} {name} for {len(self.channels) - 1} convolutions", fix=fix)
        for layer in self.layers:
            if layer.n_in % layer.groups or layer.n_out % layer.groups:
                reason = f"{layer.groups} groups do not divide {layer.n_in} channels in and {layer.n_out} out"
                raise OptionError(reason, fix="take a divisor of both")

    @property
    def layers(self) -> tuple[ConvLayer, ...]:
        """The convolutions, in order.

        Example:
            >>> ConvNet((4, 8), classes=2, strides=(2,)).layers
            (ConvLayer(n_in=4, n_out=8, stride=2, groups=1),)
        """
        ones = (1,) * (len(self.channels) - 1)
        rows = zip(self.channels[:-1], self.channels[1:], self.strides or ones, self.groups or ones, strict=True)
        return tuple(ConvLayer(*row) for row in rows)

    @property
    def depth(self) -> int:
        """Number of layers with weights, the output layer included."""
        return len(self.channels)

    @property
    def parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(p.size for p in self.spec().params)

    def spec(self) -> ModelSpec:
        """Every parameter, in order of use, with the activations around it."""
        weights: list[ParamSpec] = []
        for i, layer in enumerate(self.layers):
            weights.append(
                ParamSpec(
                    path=f"{i}/weight",
                    shape=(layer.n_out, layer.n_in // layer.groups, self.kernel, self.kernel),
                    role="conv",
                    groups=layer.groups,
                    stride=(layer.stride, layer.stride) if layer.stride != 1 else (),
                    f_in=None if i == 0 else self.activation,
                    f_out=self.activation,
                )
            )
        # The second moment of a mean over places lies anywhere from E[f]^2, for places that have nothing in common, to
        # E[f^2], for equal ones: the image decides, so no in_moment is given.
        head = (self.classes, self.channels[-1])
        weights.append(ParamSpec(path=f"{len(self.layers)}/weight", shape=head, f_in=self.activation))
        return ModelSpec(tuple(p for weight in weights for p in _with_bias(weight, has_bias=self.bias)))


Architecture: TypeAlias = Mlp | ConvNet


def _with_bias(weight: ParamSpec, *, has_bias: bool) -> tuple[ParamSpec, ...]:
    if not has_bias:
        return (weight,)
    path = weight.path.removesuffix("weight") + "bias"
    return weight, ParamSpec(path=path, shape=weight.shape[:1], role="bias", layer_shape=weight.shape)


def _check_counts(name: str, counts: tuple[int, ...], *, fix: str) -> None:
    for count in counts:
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise OptionError(f"{name} must be whole numbers of 1 or more, got {count!r}", fix=fix)
