"""A model's variables in other shapes: in place, with the sizes that its layers state."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.draws.dtypes import wide
from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.reading.lookup import find, forget
from initlab.frameworks.keras.reading.parameters import layers_of
from initlab.frameworks.keras.writing.state import variables

_SIZES = (
    ("kernel", "units", -1),
    ("kernel", "filters", -1),
    ("embeddings", "input_dim", 0),
    ("embeddings", "output_dim", 1),
)


def native_axes(model: object, param: ParamSpec) -> tuple[int, ...]:
    """The axis of the variable behind each canonical axis.

    Raises:
        OptionError: The model has no such parameter, or its canonical axes are not the variable's own.
    """
    entry = find(model, param)
    return entry.facts.layout.axes(tuple(entry.variable.shape), param.native)


def resize(model: Any, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Give variables arrays of any size, by the names that ``state`` gives them, and let layers state their sizes.

    A variable stays the same object; compiled steps are forgotten, and a functional model's shapes are inferred anew.

    Raises:
        OptionError: The model holds no variable of such a name.
    """
    held = variables(model)
    missing = [name for name in arrays if name not in held]
    if missing:
        raise OptionError(f"the model holds no '{missing[0]}'", fix="give names of its state")
    layers = layers_of(model)
    sizes = [size for layer in layers for size in _sizes(layer)]
    for name, array in arrays.items():
        variable = held[name]
        variable._initialize(keras.ops.convert_to_tensor(wide(array), dtype=variable.dtype))
        variable._shape = tuple(array.shape)
    for size in sizes:
        size()
    forget(model)
    for layer in reversed(layers):
        _forget(layer)


def _sizes(layer: Any) -> Iterator[Callable[[], None]]:
    """What lets a layer state each size that it states of one of its variables."""
    held = {one.name: one for one in (*layer._trainable_variables, *layer._non_trainable_variables)}
    for leaf, name, axis in _SIZES:
        if leaf in held and getattr(layer, name, None) == held[leaf].shape[axis]:
            yield partial(_state, layer, name, held[leaf], axis)
    spec, groups = getattr(layer, "input_spec", None), getattr(layer, "groups", 1)
    for leaf, axis, times in (("kernel", -2, groups), ("gamma", 0, 1), ("beta", 0, 1), ("moving_mean", 0, 1)):
        axes = getattr(spec, "axes", None) or {}
        if leaf in held and list(axes.values()) == [held[leaf].shape[axis] * times]:
            yield partial(_expect, spec, held[leaf], axis, times)
            return


def _state(layer: Any, name: str, variable: Any, axis: int) -> None:
    setattr(layer, name, int(variable.shape[axis]))


def _expect(spec: Any, variable: Any, axis: int, times: int) -> None:
    spec.axes = dict.fromkeys(spec.axes, int(variable.shape[axis]) * times)


def _forget(layer: Any) -> None:
    """Let go of what was made for the sizes of before: compiled functions, and the shapes of a graph of layers."""
    for name in ("train_function", "test_function", "predict_function"):
        if getattr(layer, name, None) is not None:
            setattr(layer, name, None)
    if hasattr(layer, "_track_variables"):  # of the back end torch, which keeps them by name
        layer._track_variables()
    depths = getattr(getattr(layer, "_functional", None) or layer, "_nodes_by_depth", {})
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            if not node.is_input:
                made = node.operation.compute_output_spec(*node.arguments.args, **node.arguments.kwargs)
                for kept, one in zip(node.outputs, keras.tree.flatten(made), strict=True):
                    kept._shape = one.shape
