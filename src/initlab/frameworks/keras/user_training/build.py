"""A Keras model that the user's function builds: made under a seed, tried on rows, and told by its configuration."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import OptionError, ShapeError
from initlab.core.factories import parts_of
from initlab.core.sources import plain_facts
from initlab.frameworks.keras.reading.inputs import run, seeds_kept
from initlab.frameworks.keras.reading.parameters import layers_of
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.keras.writing.state import seeded


def built(build: Callable[[], object], seed: int) -> Any:
    """A model as the function makes it when Keras' seed is ``seed``; every generator stays as it was.

    Raises:
        OptionError: It returns something else.
    """
    return build_own(build, seed)[0]


def build_own(build: Callable[[], object], seed: int) -> tuple[Any, object]:
    """The same, with the example that the function returns beside it; None for none."""
    with seeded(seed):
        model, example, _ = parts_of(build())
    if not isinstance(model, keras.Model):
        fix = "return a keras.Model; keras.Sequential([layer]) makes one of a layer"
        raise OptionError(f"build returned a {type(model).__name__}", where="build", fix=fix)
    return model, example


def called(build: Callable[[], object], seed: int, x: NDArray[np.generic]) -> Any:
    """The same, after a first call on rows, under the same seed, that gives its layers their weights."""
    model = built(build, seed)
    with seeded(seed):
        run(model, (x,))
    return model


def outputs(model: Any, x: NDArray[np.generic]) -> NDArray[np.float32]:
    """What the model gives for rows, not in training; the global generators stay as they were.

    Raises:
        ShapeError: It does not take them, or gives something else than one tensor.
    """
    with seeds_kept():
        run(model, (x,))
        given = model(keras.ops.convert_to_tensor(x), training=False)
    if not keras.ops.is_tensor(given):
        fix = "return one tensor, (rows, outputs)"
        raise ShapeError(f"the model gives a {type(given).__name__}", where="build", fix=fix)
    return to_numpy(given).astype(np.float32)


def digest(model: Any, build: Callable[[], object]) -> str:
    """sha256 of the layers' classes, configurations and weights' shapes."""
    parts = []
    for layer in layers_of(model):
        facts = {name: value for name, value in plain_facts(layer).items() if not name.startswith("_")}
        shapes = [tuple(v.shape) for v in layer.weights]
        parts.append(_placeless(f"{type(layer).__qualname__} {_config(layer)} {facts} {shapes}"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _config(layer: Any) -> object:
    try:
        return layer.get_config()
    except NotImplementedError:  # a class of the user's own, whose arguments Keras cannot know
        return {}


def _placeless(text: str) -> str:
    """The text without the addresses of objects."""
    return re.sub(r" at 0x[0-9a-f]+", "", text)
