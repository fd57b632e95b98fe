"""The architectures of ``core.facts.arch`` as ``nnx`` modules of ordinary layers, seen by the adapter as any user's."""

from __future__ import annotations

from flax import nnx
from jax import Array

from initlab.core.draws.seeding import narrowed
from initlab.core.facts.arch import NORM_EPSILON, NORM_MOMENTUM, Architecture, ConvNet, Mlp
from initlab.frameworks.jax.activations import activation

_OWN = nnx.initializers.lecun_normal()


class MlpModule(nnx.Module):
    """An ``Mlp``: attributes ``0``, ``1``, ... are its dense layers, ``norm_0``, ``norm_1``, ... the norms after them.

    Args:
        arch: The architecture.
        rngs: For the kernels, and for dropout.
        kernel_init: Draws the kernels.
    """

    def __init__(self, arch: Mlp, rngs: nnx.Rngs, kernel_init: nnx.Initializer) -> None:
        self.arch = arch
        self.dropout = nnx.Dropout(arch.dropout, rngs=rngs)
        self._f = activation(arch.activation)
        for i, (n_in, n_out) in enumerate(zip(arch.widths, arch.widths[1:], strict=False)):
            setattr(self, str(i), nnx.Linear(n_in, n_out, use_bias=arch.bias, kernel_init=kernel_init, rngs=rngs))
            if arch.norm == "layer" and i < arch.depth - 1:
                setattr(self, f"norm_{i}", nnx.LayerNorm(n_out, epsilon=NORM_EPSILON, rngs=rngs))
            elif arch.norm == "batch" and i < arch.depth - 1:
                norm = nnx.BatchNorm(n_out, epsilon=NORM_EPSILON, momentum=NORM_MOMENTUM, rngs=rngs)
                setattr(self, f"norm_{i}", norm)

    def __call__(self, x: Array) -> Array:
        """The logits (rows, outputs) of rows (rows, features)."""
        for i in range(self.arch.depth - 1):
            z = getattr(self, str(i))(x)
            if self.arch.norm != "none":
                z = getattr(self, f"norm_{i}")(z)
            a = self._f(z)
            x = self.dropout(a + x if self.arch.has_skip(i) else a)
        logits: Array = getattr(self, str(self.arch.depth - 1))(x)
        return logits


def build_mlp(arch: Mlp, *, seed: int = 0, kernel_init: nnx.Initializer = _OWN) -> MlpModule:
    """The architecture as a module, with the weights that Flax itself gives its layers, or others.

    Args:
        arch: The architecture.
        seed: Of the kernels and of dropout.
        kernel_init: Draws the kernels; Flax' own if left out.

    Example:
        >>> sorted(nnx.to_flat_state(nnx.state(build_mlp(Mlp((4, 64, 3))), nnx.Param)).paths)
        [('0', 'bias'), ('0', 'kernel'), ('1', 'bias'), ('1', 'kernel')]
    """
    return MlpModule(arch, nnx.Rngs(narrowed(seed, 32)), kernel_init)


class ConvNetModule(nnx.Module):
    """A ``ConvNet``: attributes ``0``, ``1``, ... are its convolutions, the last of them the output layer.

    Args:
        arch: The architecture.
        rngs: For the kernels.
        kernel_init: Draws the kernels.
    """

    def __init__(self, arch: ConvNet, rngs: nnx.Rngs, kernel_init: nnx.Initializer) -> None:
        self.arch = arch
        self._f = activation(arch.activation)
        kernel, side = (arch.kernel, arch.kernel), arch.kernel // 2
        for i, (n_in, n_out, stride, groups) in enumerate(arch.layers):
            convolution = nnx.Conv(
                n_in,
                n_out,
                kernel,
                strides=stride,
                padding=[(side, side), (side, side)],
                feature_group_count=groups,
                use_bias=arch.bias,
                kernel_init=kernel_init,
                rngs=rngs,
            )
            setattr(self, str(i), convolution)
        width = arch.channels[-1]
        head = nnx.Linear(width, arch.classes, use_bias=arch.bias, kernel_init=kernel_init, rngs=rngs)
        setattr(self, str(len(arch.layers)), head)

    def __call__(self, x: Array) -> Array:
        """The logits (rows, classes) of images (rows, height, width, channels)."""
        for i in range(len(self.arch.layers)):
            x = self._f(getattr(self, str(i))(x))
        logits: Array = getattr(self, str(len(self.arch.layers)))(x.mean((1, 2)))
        return logits


def build_convnet(arch: ConvNet, *, seed: int = 0, kernel_init: nnx.Initializer = _OWN) -> ConvNetModule:
    """The architecture as a module, with the weights that Flax itself gives its layers, or others.

    Args:
        arch: The architecture.
        seed: Of the kernels.
        kernel_init: Draws the kernels; Flax' own if left out.

    Example:
        >>> import jax.numpy as jnp
        >>> build_convnet(ConvNet((1, 4, 8), classes=3, strides=(2, 1)))(jnp.zeros((2, 6, 6, 1))).shape
        (2, 3)
    """
    return ConvNetModule(arch, nnx.Rngs(narrowed(seed, 32)), kernel_init)


def build(arch: Architecture, *, seed: int = 0) -> nnx.Module:
    """The architecture as a module of ordinary layers, with the weights that Flax itself gives them under a seed."""
    return build_mlp(arch, seed=seed) if isinstance(arch, Mlp) else build_convnet(arch, seed=seed)
