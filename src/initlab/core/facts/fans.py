"""How many inputs feed one output of a weight, and how many outputs one input feeds."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from initlab.core.errors import ShapeError
from initlab.core.facts.spec import Axes, ParamSpec

Dialect = Literal["torch", "keras", "jax"]
Mode = Literal["fan_in", "fan_out", "fan_avg"]


@dataclass(frozen=True)
class Fans:
    """Fan-in and fan-out of one weight; fractions are possible where a stride thins the sums out.

    Example:
        >>> Fans(fan_in=4.0, fan_out=8.0).of("fan_avg")
        6.0
    """

    fan_in: float
    fan_out: float

    def of(self, mode: Mode) -> float:
        """The fan a mode asks for; ``fan_avg`` is the arithmetic mean of both."""
        return {"fan_in": self.fan_in, "fan_out": self.fan_out, "fan_avg": (self.fan_in + self.fan_out) / 2}[mode]


def fans(p: ParamSpec, *, dialect: Dialect | None = None) -> Fans:
    """The true number of terms in each forward and backward sum, from the logical shape and the role.

    With ``n`` the product of the kernel's sizes, a weight of canonical shape ``(out, in / groups, *kernel)`` has

    - dense, conv: ``fan_in = in / groups * n``, ``fan_out = out / groups * n``. A stride changes neither: the
      published rules are stated for stride 1;
    - conv_transpose: as conv, with ``fan_in`` divided by the product of the strides, since that many of the kernel's
      taps meet each output;
    - einsum kernels (``axes``): products over the input and over the output axes, times the axes of neither kind.

    Args:
        p: A weight, packed blocks taken one at a time (see ``ParamSpec.block_specs``).
        dialect: Count as PyTorch, Keras or JAX initializers do from the framework's own layout, mistakes included:
            groups left in fan_out, transposed kernels read the wrong way round, depthwise kernels of Keras with
            fan_in ``channels`` times too big.

    Returns:
        The two fans.

    Raises:
        ShapeError: The parameter has no fans: rank below 2, or an embedding without a dialect.

    Example:
        >>> fans(ParamSpec(shape=(256, 1, 3, 3), role="conv", groups=256))
        Fans(fan_in=9.0, fan_out=9.0)
        >>> fans(ParamSpec(shape=(256, 1, 3, 3), role="conv", groups=256), dialect="torch")
        Fans(fan_in=9.0, fan_out=2304.0)
        >>> fans(ParamSpec(shape=(16, 16, 4, 4), role="conv_transpose", stride=(2, 2)))
        Fans(fan_in=64.0, fan_out=256.0)
    """
    if len(p.shape) < 2:
        raise ShapeError(
            f"shape {p.shape} has no fans", where=p.path, fix="use zeros, constant, normal or uniform for it"
        )
    if dialect is not None:
        return _dialect_fans(p, dialect)
    if p.role == "embedding":
        raise ShapeError(
            "an embedding has no fans: each row is looked up, not summed",
            where=p.path,
            fix="give it normal(std=...), or a dialect",
        )
    if p.axes is not None:
        return _axes_fans(p.shape, p.axes)
    kernel = prod(p.shape[2:])
    thinning = prod(p.stride) if p.role == "conv_transpose" else 1
    return Fans(p.shape[1] * kernel / thinning, p.shape[0] // p.groups * kernel * 1.0)


def _axes_fans(shape: tuple[int, ...], axes: Axes) -> Fans:
    named = {*axes.inputs, *axes.outputs, *axes.batch}
    field = prod(n for axis, n in enumerate(shape) if axis not in named)
    return Fans(float(field * prod(shape[a] for a in axes.inputs)), float(field * prod(shape[a] for a in axes.outputs)))


def _dialect_fans(p: ParamSpec, dialect: Dialect) -> Fans:
    native = native_shape(p, dialect)
    if dialect == "torch":
        field = prod(native[2:])
        return Fans(float(native[1] * field), float(native[0] * field))
    field = prod(native[:-2])
    return Fans(float(native[-2] * field), float(native[-1] * field))


def native_shape(p: ParamSpec, dialect: Dialect) -> tuple[int, ...]:
    """The shape in which a framework's own layer stores a weight.

    PyTorch keeps ``(out, in / groups, *kernel)`` and stores transposed convolutions as ``(in, out / groups, *kernel)``;
    Keras and Flax store ``(*kernel, in / groups, out)``, Keras transposed convolutions ``(*kernel, out, in)`` and
    depthwise ones ``(*kernel, channels, multiplier)``. Embeddings are ``(rows, width)`` everywhere; an einsum kernel
    already is in its own layout.

    Example:
        >>> native_shape(ParamSpec(shape=(32, 1, 3, 3), role="conv", groups=16), "keras")
        (3, 3, 16, 2)
    """
    if p.axes is not None or p.role == "embedding":
        return p.shape
    out, per_group, *kernel = p.shape
    if dialect == "torch":
        if p.role == "conv_transpose":
            return (per_group * p.groups, out // p.groups, *kernel)
        return p.shape
    if dialect == "keras" and p.role == "conv_transpose":
        return (*kernel, out, per_group * p.groups)
    if dialect == "keras" and p.role == "conv" and p.groups > 1 and per_group == 1:
        return (*kernel, p.groups, out // p.groups)
    return (*kernel, per_group, out)
