"""The layers that initlab knows, by framework: the role of each parameter, and the fan that its law is scaled by."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import keras
from flax import nnx
from torch import nn

from initlab.core.errors import ShapeError
from initlab.core.facts.fans import fans
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks import adapter_for
from initlab.frameworks.jax.reading import layers as flax_layers
from initlab.frameworks.keras.reading import layers as keras_layers
from initlab.frameworks.torch.reading import layers as torch_layers
from registries.markdown import MADE, page, table

WIDE, NARROW = 32, 8
# What the layers' arguments are given by name, so that each can be built; layers of one kind share their names.
SIZES: dict[str, Any] = {
    **dict.fromkeys(("in_features", "in_channels", "input_size", "in1_features"), WIDE),
    **dict.fromkeys(("out_features", "out_channels", "hidden_size", "units", "filters", "output_dim"), NARROW),
    **dict.fromkeys(("num_embeddings", "input_dim"), 100),
    **dict.fromkeys(("num_features", "normalized_shape", "num_channels", "embed_dim", "embedding_dim"), WIDE),
    "in2_features": 6,
    "kernel_size": 3,
    "num_groups": 4,
    "groups": 4,
    "num_heads": 4,
    "equation": "abc,cd->abd",
    "output_shape": (None, NARROW),
}
# The same for Flax, whose names mean other things: all sizes of a kernel, one string for both operands.
FLAX_SIZES: dict[str, Any] = {
    "rngs": nnx.Rngs(0),
    **dict.fromkeys(("in_features", "num_features"), WIDE),
    **dict.fromkeys(("out_features", "hidden_features", "features"), NARROW),
    "num_embeddings": 100,
    "kernel_size": (3, 3),
    "lora_rank": 4,
    "einsum_str": "abc,cde->abde",
    "kernel_shape": (WIDE, 4, NARROW),
}
# An input without its rows, the first that a Keras layer takes.
KERAS_INPUTS = ((WIDE,), (16, WIDE), (16, 16, WIDE), (16, 16, 16, WIDE))
HEADER = ["layer", "parameter", "role", "canonical shape", "fan_in", "fan_out"]
RULES = [
    ["dense", "(out, in)", "in", "out"],
    ["conv", "(out, in / groups, *kernel)", "in / groups * kernel", "out / groups * kernel"],
    ["conv_transpose", "(out, in / groups, *kernel)", "in / groups * kernel / stride", "out / groups * kernel"],
    ["recurrent", "(hidden, hidden) a gate", "hidden", "hidden"],
    ["embedding", "(rows, width)", "none: a row is looked up", "none"],
    ["bias, norm_scale, norm_bias, scale", "as stored", "none", "none"],
]


def layers() -> str:
    """The tables, and the rule of each role."""
    said = (
        f"{MADE}: each layer below is built, of {WIDE} inputs and {NARROW} outputs, and described. Packed weights"
        " (gates; query, key and value) are several weights in one, and each block gets the fans of its own shape. A"
        " layer that is not here is traced by what it computes, and where that cannot be told its parameters have the"
        " role `unknown` and are kept, unless `initlab.register_layer` says what they are."
    )
    return page(
        "Layers",
        said,
        "## Fans by role\n",
        table(["role", "canonical shape", "fan_in", "fan_out"], RULES),
        "## PyTorch\n",
        table(HEADER, list(torch_rows())),
        "## Keras\n",
        table(HEADER, list(keras_rows())),
        "## Flax\n",
        table(HEADER, list(flax_rows())),
    )


def torch_rows() -> Iterator[list[str]]:
    """A row a parameter of every layer of ``torch.nn`` that a rule is for."""
    kinds = tuple(
        kind for of_rule, _ in torch_layers._RULES for kind in (of_rule if isinstance(of_rule, tuple) else (of_rule,))
    )
    for name in sorted(vars(nn)):
        layer = getattr(nn, name)
        if not inspect.isclass(layer) or not any(issubclass(layer, kind) for kind in kinds) or "Lazy" in name:
            continue
        built = made(layer)
        if built is not None and list(built.parameters()):
            params = adapter_for(built).describe(built).params
            yield from rows(f"`nn.{name}`", ((p.native, p) for p in params))


def keras_rows() -> Iterator[list[str]]:
    """A row a variable of every layer of ``keras.layers`` that has a reader."""
    readers = {kind for kind, _ in keras_layers._READERS if kind is not keras.layers.Layer}
    for kind in sorted(readers, key=lambda kind: kind.__name__):
        built = made(kind)
        if built is None:
            continue
        any(takes(built, shape) for shape in KERAS_INPUTS)
        found = keras_layers.slots(built)
        yield from rows(f"`layers.{kind.__name__}`", ((name, spec(slot)) for name, slot in found.items()))


def flax_rows() -> Iterator[list[str]]:
    """A row a parameter of every module of ``flax.nnx`` that a rule is for."""
    for name in sorted(vars(nnx)):
        kind = getattr(nnx, name)
        if not inspect.isclass(kind) or not issubclass(kind, flax_layers.known_layers()):
            continue
        built = flax_made(kind)
        if built is not None:
            params = adapter_for(built).describe(built).params
            yield from rows(f"`nnx.{name}`", ((p.native, p) for p in params))


def takes(layer: Any, shape: tuple[int, ...]) -> bool:
    """Whether a Keras layer could be built on inputs of a shape."""
    try:
        layer.build((None, *shape))
        # Some build without a look at the number of axes, and fail when they are called.
        keras.ops.shape(layer.compute_output_spec(keras.KerasTensor((2, *shape))))
    except Exception:  # the layers have no common way to say that they want other axes
        return False
    return True


def made(kind: type) -> Any:
    """A layer of this kind; None for one that wants an argument of no known name, as an abstract one does."""
    wanted = list(inspect.signature(kind).parameters.values())
    if any(
        p.kind is p.VAR_POSITIONAL for p in wanted
    ):  # what it passes on is its base's, but for what it settles itself
        base = kind.__mro__[1]
        wanted = [p for p in inspect.signature(base).parameters.values() if p.name in SIZES]
    names = [p.name for p in wanted if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return kind(**{name: SIZES[name] for name in names}) if all(name in SIZES for name in names) else None


def flax_made(kind: Any) -> Any:
    """A Flax module of this kind; None for one that wants an argument of no known name."""
    wanted = list(inspect.signature(kind.__init__).parameters.values())[1:]
    names = [p.name for p in wanted if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    return kind(**{name: FLAX_SIZES[name] for name in names}) if all(name in FLAX_SIZES for name in names) else None


def spec(slot: keras_layers.Slot) -> ParamSpec:
    """The facts that a Keras slot holds."""
    return ParamSpec(
        shape=slot.layout.shape,
        role=slot.role,
        groups=slot.groups,
        stride=slot.stride,
        blocks=slot.blocks,
        axes=slot.axes,
    )


def rows(layer: str, params: Iterable[tuple[str, ParamSpec]]) -> Iterator[list[str]]:
    """The rows of one layer, whose name stands in the first."""
    for at, (name, p) in enumerate(params):
        shape = " x ".join(map(str, p.shape)) or "scalar"
        packed = f", {len(p.blocks)} blocks" if len(p.blocks) > 1 else ""
        yield [layer if at == 0 else "", f"`{name}`", p.role, f"{shape}{packed}", *told_fans(p)]


def told_fans(p: ParamSpec) -> tuple[str, str]:
    """Both fans, of one block where there are several."""
    if not p.is_weight or prod(p.shape) == 0:
        return "", ""
    try:
        found = fans(p.block_specs()[0])
    except ShapeError:
        return "none", "none"
    return f"{found.fan_in:g}", f"{found.fan_out:g}"


PAGES = {"layers.md": layers}
