"""Architectures that every framework builds alike: described once, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from initlab.core.errors import OptionError
from initlab.core.spec import Branch, ModelSpec, ParamSpec

Norm = Literal["none", "layer", "batch"]


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
        for width in self.widths:
            if isinstance(width, bool) or not isinstance(width, int) or width < 1:
                raise OptionError(f"widths must be whole numbers of 1 or more, got {width!r}", fix="e.g. 4,64,3")
        if not 0.0 <= self.dropout < 1.0:
            raise OptionError(f"dropout must be in [0, 1), got {self.dropout}", fix="e.g. 0.2")
        if self.norm not in ("none", "layer", "batch"):
            raise OptionError(f"unknown norm '{self.norm}'", fix="none, layer or batch")

    @property
    def depth(self) -> int:
        """Number of dense layers, the output layer included."""
        return len(self.widths) - 1

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
            branch = Branch(1, 1, branches, is_last=True) if self.has_skip(i) else None
            params.append(ParamSpec(path=f"{i}/weight", shape=shape, f_in=f_in, f_out=f_out, branch=branch))
            if self.bias:
                params.append(ParamSpec(path=f"{i}/bias", shape=shape[:1], role="bias", layer_shape=shape))
            if self.norm != "none" and not last:
                params.append(ParamSpec(path=f"norm_{i}/scale", shape=shape[:1], role="norm_scale"))
                params.append(ParamSpec(path=f"norm_{i}/bias", shape=shape[:1], role="norm_bias"))
        return ModelSpec(tuple(params))
