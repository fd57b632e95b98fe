"""What a user's own layer does with the variables that it adds, told by the functions that take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import keras

from initlab.core.facts.spec import Axes, Role
from initlab.frameworks.keras.reading.layers import Slot
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.layout import einsum_axes

_PRODUCTS = frozenset({"matmul", "dot"})
DENSE = Axes((0,), (1,))


@dataclass(frozen=True, eq=False)
class Use:
    """One use of a variable beside a tensor of the pass.

    Attributes:
        variable: The variable.
        role: What it does: ``dense`` for a kernel that a tensor is multiplied by, ``bias`` for what is added to
            the product with one.
        axes: Of a kernel, its own.
        layer_shape: For a bias, ``(out, in)`` of the kernel whose product it is added to.
    """

    variable: Any
    role: Role
    axes: Axes | None = None
    layer_shape: tuple[int, ...] | None = None


def slot_by_use(slot: Slot, shape: tuple[int, ...], role: Role, axes: Axes | None) -> Slot:
    """The slot of a variable that is described so: a kernel ``(in, out)`` of no known layer is laid out as Dense's.

    Args:
        slot: What the kind of its layer says.
        shape: Its own shape.
        role: The description's role.
        axes: The description's axes.
    """
    is_dense = slot.role == "unknown" and role == "dense" and axes is None
    return replace(slot, role=role, layout=layout.dense(shape)) if is_dense else slot


def use_of(kind: str, function: Callable[..., Any], args: Any, before: Use | None) -> Use | None:
    """How a call uses the one variable that it is given; None where it is given none, or in another way.

    Args:
        kind: The function's name, as ``Call.kind``.
        function: The function, or the ``call`` of Keras' operation.
        args: Its arguments.
        before: The use in the call that made its first tensor; None where that took no variable.
    """
    values = args if isinstance(args, tuple | list) else (args,)
    variables = [x for x in values if isinstance(x, keras.Variable)]
    if len(variables) != 1 or not variables[0].trainable:
        return None
    variable, rank = variables[0], len(variables[0].shape)
    if kind == "add" and rank == 1 and before is not None and before.axes is not None:
        out, into = _sizes(before.variable, before.axes)
        return Use(variable, "bias", layer_shape=(out, into)) if variable.shape[0] == out else None
    if kind in _PRODUCTS and rank == 2 and len(values) > 1 and values[1] is variable:
        return Use(variable, "dense", DENSE)
    if kind == "einsum" and values[-1] is variable:
        axes = _einsum_axes(values[0], function, rank)
        return None if axes is None else Use(variable, "dense", axes)
    return None


def _einsum_axes(first: Any, function: Callable[..., Any], rank: int) -> Axes | None:
    """The axes of the last operand; the operation of Keras keeps its equation, its function is given it."""
    equation = first if isinstance(first, str) else getattr(getattr(function, "__self__", None), "subscripts", "")
    if rank < 2 or equation.count(",") != 1 or "->" not in equation:
        return None
    axes = einsum_axes(equation, rank)
    return axes if axes is not None and axes.inputs and axes.outputs else None


def _sizes(kernel: Any, axes: Axes) -> tuple[int, int]:
    """Outputs and inputs of a kernel."""
    return prod(kernel.shape[axis] for axis in axes.outputs), prod(kernel.shape[axis] for axis in axes.inputs)
