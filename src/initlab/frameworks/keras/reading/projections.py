"""The projections of a multi-head attention: layers of their own to Keras, one packed matrix to PyTorch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import prod
from typing import Any

import keras

from initlab.frameworks.keras.reading.layers import own_variables
from initlab.frameworks.reading.facts import Facts

_INPUTS = ("_query_dense", "_key_dense", "_value_dense")
_KINDS = tuple(
    getattr(keras.layers, name) for name in ("MultiHeadAttention", "GroupQueryAttention") if hasattr(keras.layers, name)
)

Projections = dict[int, tuple[int, ...] | None]


def projections(layers: Iterable[Any]) -> tuple[Projections, frozenset[int]]:
    """The projections of every built attention among some layers, by id: those of the input, and those of the output.

    The gate of a gated attention, which PyTorch's has not, is none of them.

    Args:
        layers: Layers, an attention and its sublayers among them.

    Returns:
        Of each projection of an input the canonical shape of the one matrix that query, key and value are to PyTorch,
        which packs them where all three inputs have one width; None where they have not, and each stays a matrix of
        its own. Then the projections of outputs.

    Example:
        >>> layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
        >>> layer.build((None, 5, 8), (None, 5, 8))
        >>> list(projections([layer])[0].values())      # 8 rows each, 8 columns
        [(24, 8), (24, 8), (24, 8)]
    """
    inputs: Projections = {}
    outputs = set[int]()
    for layer in layers:
        if not isinstance(layer, _KINDS):
            continue
        parts = [getattr(layer, name, None) for name in _INPUTS]
        shapes = [_kernel_shape(part) for part in parts]
        if all(shapes):
            widths = {shape[0] for shape in shapes}
            packed = (sum(prod(shape[1:]) for shape in shapes), *widths) if len(widths) == 1 else None
            inputs |= {id(part): packed for part in parts}
            outputs.add(id(layer._output_dense))
    return inputs, frozenset(outputs)


def in_attention(facts: Facts, layer: Any, leaf: str, found: tuple[Projections, frozenset[int]]) -> Facts:
    """The facts of a variable with what its place in an attention means to PyTorch's own default.

    Args:
        facts: What is known of it without.
        layer: The layer that holds it.
        leaf: Its name there.
        found: What ``projections`` gave.
    """
    inputs, outputs = found
    if leaf == "kernel" and id(layer) in inputs:
        return replace(facts, layer_kind="attention", layer_shape=inputs[id(layer)])
    if leaf == "bias" and (id(layer) in inputs or id(layer) in outputs):
        return replace(facts, layer_kind="attention")
    return facts


def _kernel_shape(dense: Any) -> tuple[int, ...]:
    """``(width of the input, heads, size of a head)``; empty where the layer is not built."""
    kernels = [v for v in own_variables(dense) if v.name == "kernel"] if dense is not None else []
    return tuple(int(n) for n in kernels[0].shape) if kernels else ()
