"""What the type of an ``nnx`` module says about each of its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any

from flax import nnx

from initlab.core.facts.spec import Axes, Role
from initlab.frameworks.jax.reading.parameters import Entry, value_of
from initlab.frameworks.jax.reading.recognition import activation_of
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.facts import Facts, role_by_name
from initlab.frameworks.reading.layout import Layout
from initlab.frameworks.reading.registered import stated_facts

GATED: tuple[type, ...] = (nnx.LSTMCell, nnx.OptimizedLSTMCell, nnx.GRUCell)
_RECURRENT_NAMES = frozenset({"dense_h", "hi", "hf", "hg", "ho"})
NORMS: tuple[type, ...] = (nnx.LayerNorm, nnx.RMSNorm, nnx.BatchNorm, nnx.GroupNorm, nnx.InstanceNorm)


LayerRule = Callable[[Any, str, tuple[int, ...]], Facts | None]


def layer_facts(entry: Entry) -> Facts | None:
    """Facts from the owner's type and the leaf's name; None where only its use can tell.

    Example:
        >>> from initlab.frameworks.jax.reading.parameters import entries
        >>> layer = nnx.Conv(8, 8, (3, 3), feature_group_count=8, rngs=nnx.Rngs(0))
        >>> found = layer_facts(entries(layer)[0])
        >>> found.groups, found.layout.shape
        (8, (8, 1, 3, 3))
    """
    shape = entry.shape
    stated = stated_facts(entry.owner, entry.leaf, shape, partial(_shape_of, entry.owner), out_first=False)
    if stated is not None:
        return stated
    cell = entry.modules[-2] if len(entry.modules) > 1 else None
    if isinstance(entry.owner, nnx.Linear) and isinstance(cell, nnx.RNNCellBase) and len(shape) <= 2:
        return _in_cell(cell, entry.parts[-2], entry.leaf, shape)
    for kinds, rule in _RULES:
        if isinstance(entry.owner, kinds):
            return rule(entry.owner, entry.leaf, shape)
    return _by_name(entry.owner, entry.leaf, shape)


def _by_name(owner: object, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    """A parameter of a module that people wrote themselves, or of Linen, which holds its own in a mapping."""
    siblings = owner.keys() if isinstance(owner, Mapping) else ()
    role = role_by_name(leaf, len(shape), siblings)
    kernel = owner.get("kernel") if isinstance(owner, Mapping) and role == "bias" else None
    beside = None if kernel is None else stored("kernel", "conv", tuple(int(n) for n in value_of(kernel).shape))
    return (
        None if role is None else Facts(role, layout.same(shape), layer_shape=None if beside is None else beside.shape)
    )


def stored(leaf: str, role: Role, shape: tuple[int, ...], groups: int = 1) -> Layout | None:
    """The layout in which Flax' own modules store a weight of this role under this name; None for any other name.

    Example:
        >>> stored("kernel", "conv", (3, 3, 4, 8)).shape
        (8, 4, 3, 3)
    """
    if leaf != "kernel" or role not in ("dense", "conv", "conv_transpose"):
        return None
    if len(shape) == 2:
        return layout.dense(shape)
    return None if role == "dense" else layout.conv(shape)


def _shape_of(owner: object, leaf: str) -> tuple[int, ...] | None:
    variable = getattr(owner, leaf, None)
    return tuple(int(n) for n in value_of(variable).shape) if isinstance(variable, nnx.Variable) else None


def known_layers() -> tuple[type, ...]:
    """The modules whose type says what their parameters do, subclasses beside them.

    Example:
        >>> nnx.Linear in known_layers(), nnx.GRUCell in known_layers()
        (True, True)
    """
    kinds = (kind for of_rule, _ in _RULES for kind in (of_rule if isinstance(of_rule, tuple) else (of_rule,)))
    return (*kinds, nnx.SimpleCell, *GATED)


def cell_of(module: object) -> nnx.RNNCellBase | None:
    """The cell that a recurrent layer runs, or the cell itself; None for other modules, and for a cell of other code.

    Example:
        >>> cell = nnx.GRUCell(4, 5, rngs=nnx.Rngs(0))
        >>> cell_of(nnx.RNN(cell)) is cell, cell_of(nnx.Linear(4, 5, rngs=nnx.Rngs(0)))
        (True, None)
    """
    cell = module.cell if isinstance(module, nnx.RNN) else module
    if not isinstance(cell, nnx.SimpleCell | nnx.LSTMCell | nnx.OptimizedLSTMCell | nnx.GRUCell):
        return None
    return None if isinstance(cell.activation_fn, nnx.Module) else cell


def plain_activation(cell: nnx.RNNCellBase) -> str | None:
    """The activation of a cell without gates."""
    return activation_of(cell.activation_fn) if isinstance(cell, nnx.SimpleCell) else None


def feeds_back(native: str) -> bool:
    """Whether a parameter of a cell is of the layer that takes the cell's own state."""
    return not _RECURRENT_NAMES.isdisjoint(native.split(".")[-2:-1])


def weight_of(layer: object, leaf: str = "kernel") -> tuple[int, ...] | None:
    """The canonical shape of a layer's weight, of one slice where they are stacked; None where it has none."""
    variable = getattr(layer, leaf, None)
    if not isinstance(variable, nnx.Variable):
        return None
    shape = tuple(int(n) for n in variable.get_value().shape)
    found = next((rule(layer, leaf, shape) for kinds, rule in _RULES if isinstance(layer, kinds)), None)
    if found is None or found.axes is None:
        return None if found is None else found.layout.shape
    axes = found.axes
    field = [n for axis, n in enumerate(shape) if axis not in (*axes.inputs, *axes.outputs, *axes.batch)]
    rows, columns = (prod(shape[axis] for axis in kind) for kind in (axes.outputs, axes.inputs))
    return (rows, columns, *field)


def _bias(layer: object, shape: tuple[int, ...]) -> Facts:
    return Facts("bias", layout.same(shape), layer_shape=weight_of(layer))


def _linear(layer: nnx.Linear, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    if leaf == "bias":
        return _bias(layer, shape)
    return _matrix(shape) if leaf == "kernel" else None


def _matrix(shape: tuple[int, ...]) -> Facts:
    """A kernel ``(in, out)``, or a stack of them: each slice of scanned or mapped layers is a weight of its own."""
    rank = len(shape)
    if rank == 2:
        return Facts("dense", layout.dense(shape))
    return Facts("dense", layout.same(shape), axes=Axes((rank - 2,), (rank - 1,), tuple(range(rank - 2))))


def _linear_general(layer: nnx.LinearGeneral, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    if leaf == "bias":
        return _bias(layer, shape)
    if leaf != "kernel":
        return None
    inputs, outputs = len(layer.in_features), len(layer.out_features)
    first = len(shape) - inputs - outputs
    axes = Axes(tuple(range(first, first + inputs)), tuple(range(first + inputs, len(shape))), tuple(range(first)))
    order, kept = layout.einsum(shape, axes)
    return Facts("dense", order, axes=kept)


def _einsum(layer: nnx.Einsum, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    if leaf == "bias":
        return _bias(layer, shape)
    axes = layout.einsum_axes(layer.einsum_str, len(shape)) if leaf == "kernel" and layer.einsum_str else None
    if axes is None:
        return None
    order, kept = layout.einsum(shape, axes)
    return Facts("dense", order, axes=kept)


def _conv(layer: Any, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    if leaf == "bias":
        return _bias(layer, shape)
    if leaf != "kernel":
        return None
    rank = len(layer.kernel_size)
    is_transposed = isinstance(layer, nnx.ConvTranspose)
    role: Role = "conv_transpose" if is_transposed else "conv"
    groups = 1 if is_transposed else int(layer.feature_group_count)
    stride = _each(layer.strides, rank)
    stacked = len(shape) - rank - 2
    if stacked:
        if groups > 1 or is_transposed:
            return Facts("unknown", layout.same(shape), kept="a stack of grouped or transposed convolutions")
        axes = Axes((len(shape) - 2,), (len(shape) - 1,), tuple(range(stacked)))
        return Facts(role, layout.same(shape), axes=axes)
    order = layout.conv_transpose if is_transposed and layer.transpose_kernel else layout.conv
    return Facts(role, order(shape), groups=groups, stride=stride)


def _each(given: object, rank: int) -> tuple[int, ...]:
    """A stride as one number an axis; empty where it is 1 everywhere."""
    steps = (given,) * rank if isinstance(given, int) else tuple(given) if isinstance(given, list | tuple) else ()
    return steps if any(n != 1 for n in steps) else ()


def _embed(layer: nnx.Embed, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    return Facts("embedding", layout.same(shape)) if leaf == "embedding" else None


def _norm(layer: object, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    role: Role | None = {"scale": "norm_scale", "bias": "norm_bias"}.get(leaf)  # type: ignore[assignment]
    return None if role is None else Facts(role, layout.same(shape))


def _prelu(layer: object, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    return Facts("scale", layout.same(shape), kept="the slope of a PReLU") if leaf == "negative_slope" else None


def _lora(layer: object, leaf: str, shape: tuple[int, ...]) -> Facts | None:
    return _matrix(shape) if leaf in ("lora_a", "lora_b") and len(shape) >= 2 else None


def _in_cell(cell: nnx.RNNCellBase, name: str, leaf: str, shape: tuple[int, ...]) -> Facts:
    """A weight or bias of a recurrent cell, which holds a dense layer for the input and one for its own state."""
    hidden = int(getattr(cell, "hidden_features", shape[-1]))
    gates = shape[-1] // hidden
    blocks = (hidden,) * gates if gates > 1 and gates * hidden == shape[-1] else ()
    if leaf == "bias":
        forget = _forget_block(cell, name)
        return Facts("bias", layout.same(shape), blocks=blocks, layer_shape=(shape[-1], hidden), forget_block=forget)
    is_back, is_gated, own = name in _RECURRENT_NAMES, isinstance(cell, GATED), plain_activation(cell)
    role: Role = "recurrent" if is_back else "dense"
    return Facts(
        role,
        layout.dense(shape),
        blocks=blocks,
        layer_shape=None if is_back else (shape[-1], hidden),
        takes_input=not is_back,
        makes_output=not (is_back or is_gated),
        is_gated=is_gated,
        f_in=own if is_back else None,
        f_out=own,
    )


def _forget_block(cell: nnx.RNNCellBase, name: str) -> int | None:
    """The block of a cell's bias that opens its forget gate: a layer of its own, or the second of i, f, g, o."""
    if isinstance(cell, nnx.OptimizedLSTMCell):
        return 1
    return 0 if isinstance(cell, nnx.LSTMCell) and name == "hf" else None


_RULES: tuple[tuple[type | tuple[type, ...], LayerRule], ...] = (
    (nnx.Linear, _linear),
    (nnx.LinearGeneral, _linear_general),
    (nnx.Einsum, _einsum),
    ((nnx.Conv, nnx.ConvTranspose), _conv),
    (nnx.Embed, _embed),
    (NORMS, _norm),
    (nnx.PReLU, _prelu),
    (nnx.LoRA, _lora),
)
