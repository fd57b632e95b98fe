"""The architectures of ``core.facts.arch`` as modules of ordinary layers, seen by the adapter as any user's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from initlab.core.facts.arch import NORM_EPSILON, NORM_MOMENTUM, Architecture, ConvNet, Mlp
from initlab.frameworks.torch.activations import activation
from initlab.frameworks.torch.writing.state import seeded


class BatchNorm(nn.Module):
    """Batch normalisation whose running variance is that of the batch, as Keras has it; torch's is n / (n - 1) of it.

    Args:
        width: Units of the layer.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, z: Tensor) -> Tensor:
        """``z`` normalised by the batch's moments in training, by the running ones in evaluation."""
        mean, var = self.running_mean, self.running_var
        if self.training:
            mean, var = z.mean(0), z.var(0, correction=0)
            with torch.no_grad():
                self.running_mean.lerp_(mean, 1.0 - NORM_MOMENTUM)
                self.running_var.lerp_(var, 1.0 - NORM_MOMENTUM)
        return (z - mean) / torch.sqrt(var + NORM_EPSILON) * self.weight + self.bias


class MlpModule(nn.Module):
    """An ``Mlp``: children ``0``, ``1``, ... are its dense layers, ``norm_0``, ``norm_1``, ... the norms after them.

    Args:
        arch: The architecture.
    """

    def __init__(self, arch: Mlp) -> None:
        super().__init__()
        self.arch = arch
        self.dropout = nn.Dropout(arch.dropout)
        self._f = activation(arch.activation)
        norm = {"layer": lambda n: nn.LayerNorm(n, eps=NORM_EPSILON), "batch": BatchNorm, "none": None}[arch.norm]
        for i, (n_in, n_out) in enumerate(zip(arch.widths, arch.widths[1:], strict=False)):
            self.add_module(str(i), nn.Linear(n_in, n_out, bias=arch.bias))
            if norm is not None and i < arch.depth - 1:
                self.add_module(f"norm_{i}", norm(n_out))

    def forward(self, x: Tensor) -> Tensor:
        """The logits (rows, outputs) of rows (rows, features)."""
        for i in range(self.arch.depth - 1):
            z = self.get_submodule(str(i))(x)
            if self.arch.norm != "none":
                z = self.get_submodule(f"norm_{i}")(z)
            a = self._f(z)
            x = self.dropout(a + x if self.arch.has_skip(i) else a)
        logits: Tensor = self.get_submodule(str(self.arch.depth - 1))(x)
        return logits


def build_mlp(arch: Mlp) -> MlpModule:
    """The architecture as a module, with the weights that torch itself gives its layers.

    Example:
        >>> [name for name, _ in build_mlp(Mlp((4, 64, 3))).named_parameters()]
        ['0.weight', '0.bias', '1.weight', '1.bias']
    """
    return MlpModule(arch)


class ConvNetModule(nn.Module):
    """A ``ConvNet``: children ``0``, ``1``, ... are its convolutions, the last of them the output layer.

    Args:
        arch: The architecture.
    """

    def __init__(self, arch: ConvNet) -> None:
        super().__init__()
        self.arch = arch
        self._f = activation(arch.activation)
        for i, (n_in, n_out, stride, groups) in enumerate(arch.layers):
            convolution = nn.Conv2d(
                n_in, n_out, arch.kernel, stride=stride, padding=arch.kernel // 2, groups=groups, bias=arch.bias
            )
            self.add_module(str(i), convolution)
        self.add_module(str(len(arch.layers)), nn.Linear(arch.channels[-1], arch.classes, bias=arch.bias))

    def forward(self, x: Tensor) -> Tensor:
        """The logits (rows, classes) of images (rows, channels, height, width)."""
        for i in range(len(self.arch.layers)):
            x = self._f(self.get_submodule(str(i))(x))
        logits: Tensor = self.get_submodule(str(len(self.arch.layers)))(x.mean((2, 3)))
        return logits


def build_convnet(arch: ConvNet) -> ConvNetModule:
    """The architecture as a module, with the weights that torch itself gives its layers.

    Example:
        >>> build_convnet(ConvNet((1, 4, 8), classes=3, strides=(2, 1)))(torch.zeros(2, 1, 6, 6)).shape
        torch.Size([2, 3])
    """
    return ConvNetModule(arch)


def build(arch: Architecture, *, seed: int = 0) -> nn.Module:
    """The architecture as a module of ordinary layers, with the weights that torch itself gives them under a seed."""
    with seeded(seed):
        return build_mlp(arch) if isinstance(arch, Mlp) else build_convnet(arch)
