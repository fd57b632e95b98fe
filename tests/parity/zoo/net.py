"""One small model written in three frameworks, and what of it is known to differ between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
from flax import nnx
from numpy.typing import NDArray
from torch import nn as torch_nn

Framework = Literal["torch", "keras", "flax"]
FRAMEWORKS: tuple[Framework, ...] = ("torch", "keras", "flax")
Array: TypeAlias = NDArray[Any]
Values: TypeAlias = dict[str, Array]

ROWS = 10
RNGS = nnx.Rngs(0)
# Flax compiles its own draw for each shape, and every weight is written before it is looked at.
ZEROS = nnx.initializers.zeros_init()


@dataclass(frozen=True)
class Input:
    """One input of a model.

    Attributes:
        shape: Of a sample, channels last.
        tokens: Its entries are whole numbers below this; 0 for standard normal numbers.
        is_image: Whether PyTorch takes the channels first.
    """

    shape: tuple[int, ...]
    tokens: int = 0
    is_image: bool = False


@dataclass(frozen=True)
class Reason:
    """Why a fact or a number is not the same in all three frameworks.

    Attributes:
        fact: A glob over the names of facts and numbers, with or without ``fact``, ``predicted`` or ``measured``
            before them.
        where: A glob over the parameters, rows and places it is about.
        odd: The frameworks that have another value than the rest, which agree.
        why: In one sentence.
    """

    fact: str
    where: str
    odd: tuple[Framework, ...]
    why: str


@dataclass(frozen=True)
class Net:
    """A model in three frameworks: the same function of the same weights.

    Attributes:
        name: What it shows.
        torch: Builds it in PyTorch.
        keras: Builds it in Keras.
        flax: Builds it in Flax NNX.
        inputs: What it takes.
        classes: Classes of its targets; 0 for targets of real numbers, None for none.
        target_shape: Of a sample's target, where it is not that of one label or of one number.
        values: By a parameter's key, what it holds in place of a draw: all zeros, ones, or these numbers.
        names: By framework, the keys of parameters that have another name there, and the key that they share.
        layouts: By framework, how the parameters of PyTorch become this framework's, where they do not have the same
            keys and shapes.
        reasons: What is known to differ.
    """

    name: str
    torch: Callable[[], torch_nn.Module]
    keras: Callable[[], keras.Model]
    flax: Callable[[], nnx.Module]
    inputs: tuple[Input, ...]
    classes: int | None = None
    target_shape: tuple[int, ...] = ()
    values: Mapping[str, float | Array] = field(default_factory=dict)
    names: Mapping[Framework, Mapping[str, str]] = field(default_factory=dict)
    layouts: Mapping[Framework, Callable[[Values], Values]] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()


KERAS_ORDER = "a functional Keras model runs the layers of one depth in an order of its own"


class _TorchNet(torch_nn.Module):
    def __init__(self, body: Callable[..., Any], parts: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = body
        for name, part in parts.items():
            setattr(self, name, part)


class _TorchOne(_TorchNet):
    def forward(self, x: Any) -> Any:
        return self.body(self, x)


class _TorchTwo(_TorchNet):
    def forward(self, x: Any, y: Any) -> Any:
        return self.body(self, x, y)


def torch_net(body: Callable[..., Any], **parts: Any) -> torch_nn.Module:
    """A module of one input, or of two, whose forward pass is ``body(module, ...)``."""
    return (_TorchOne if body.__code__.co_argcount == 2 else _TorchTwo)(body, parts)


class FlaxNet(nnx.Module):
    """A module whose call is ``body(module, ...)``."""

    def __init__(self, body: Callable[..., Any], parts: Mapping[str, Any]) -> None:
        self.body = body
        for name, part in parts.items():
            setattr(self, name, nnx.List(part) if isinstance(part, list) else part)

    def __call__(self, *inputs: Any) -> Any:
        return self.body(self, *inputs)


def flax_net(body: Callable[..., Any], **parts: Any) -> FlaxNet:
    """A module whose call is ``body(module, ...)``."""
    return FlaxNet(body, parts)


def linear(n_in: int, n_out: int, **options: Any) -> nnx.Linear:
    """A dense layer of Flax."""
    return nnx.Linear(n_in, n_out, kernel_init=ZEROS, rngs=RNGS, **options)


def conv(n_in: int, n_out: int, kernel: tuple[int, ...], **options: Any) -> nnx.Conv:
    """A convolution of Flax."""
    return nnx.Conv(n_in, n_out, kernel, kernel_init=ZEROS, rngs=RNGS, **options)


def torch_parameter(*shape: int) -> torch_nn.Parameter:
    """A parameter of PyTorch that a module holds itself."""
    import torch

    return torch_nn.Parameter(torch.zeros(shape))


def flax_parameter(*shape: int) -> nnx.Param[Any]:
    """A parameter of Flax that a module holds itself."""
    return nnx.Param(np.zeros(shape, np.float32))
