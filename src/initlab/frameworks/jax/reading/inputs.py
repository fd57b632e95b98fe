"""Examples and batches as arguments of a model, and inputs that are tried where no example is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from initlab.frameworks.jax.reading.layers import layer_facts
from initlab.frameworks.jax.reading.parameters import Entry

_SIDES = (32, 28, 8)  # of the pictures that are tried: CIFAR's, MNIST's, scikit-learn's digits
_ROWS, _STEPS = 2, 8

Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def arguments(example: object) -> Arguments:
    """An example as arguments by place and by name, its arrays JAX's own."""
    if isinstance(example, Mapping):
        return (), {str(key): prepared(value) for key, value in example.items()}
    return tuple(prepared(value) for value in (example if isinstance(example, tuple) else (example,))), {}


def prepared(value: Any) -> Any:
    """A value with arrays of JAX in place of those of others: NumPy's, and lists of numbers."""
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, Mapping):
        return {key: prepared(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return tuple(prepared(item) for item in value)
    if hasattr(value, "detach"):  # a tensor of torch's
        value = value.detach().cpu().numpy()
    return jnp.asarray(value)


def arrays_in(given: Arguments) -> list[jax.Array]:
    """The arrays among arguments, in order."""
    return [leaf for leaf in jax.tree_util.tree_leaves(given) if isinstance(leaf, jax.Array)]


def shapes_of(given: Arguments) -> str:
    """The shapes of the arrays among arguments, in words."""
    return ", ".join(str(tuple(array.shape)) for array in arrays_in(given)) or "no array"


def tried(found: Sequence[Entry]) -> Iterator[Arguments]:
    """Inputs that the first layer with a weight would take, the likeliest first."""
    layer = next((entry.owner for entry in found if isinstance(entry.owner, _LAYERS) and not _feeds_back(entry)), None)
    for shape, dtype in _forms(layer):
        yield (np.zeros(shape, dtype),), {}


def _feeds_back(entry: Entry) -> bool:
    facts = layer_facts(entry)
    return facts is not None and not facts.takes_input


_LAYERS = (nnx.Linear, nnx.LinearGeneral, nnx.Conv, nnx.ConvTranspose, nnx.Embed)


def _forms(layer: Any) -> Iterator[tuple[tuple[int, ...], str]]:
    if isinstance(layer, nnx.Embed):
        yield (_ROWS, _STEPS), "int32"
    elif isinstance(layer, nnx.Conv | nnx.ConvTranspose):
        yield from (((_ROWS, *(side,) * len(layer.kernel_size), layer.in_features), "float32") for side in _SIDES)
    elif layer is not None:
        features = layer.in_features if isinstance(layer.in_features, tuple) else (layer.in_features,)
        yield (_ROWS, *features), "float32"
        yield (_ROWS, _STEPS, *features), "float32"
