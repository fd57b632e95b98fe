"""The arguments of a model's call: from an example, from the model's own inputs, or from the shapes it was built on."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.generators import global_generators
from initlab.frameworks.keras.reading.parameters import layers_of
from initlab.frameworks.reading.made_up import Asked

_FIX = "give example=x, or call the model once on an input"


def arguments(model: Any, example: object) -> tuple[Any, ...]:
    """The positional arguments of the model's call, as arrays.

    A tuple is several arguments, or several inputs of a model that takes one list of them.
    """
    takes_list = isinstance(model, keras.Sequential) or hasattr(model, "inputs")
    parts = (list(example),) if isinstance(example, tuple) and takes_list else example
    given = parts if isinstance(parts, tuple) else (parts,)
    return tuple(_arrays(part) for part in given)


def _arrays(part: Any) -> Any:
    numbers = isinstance(part, list) and all(isinstance(x, bool | int | float) for x in keras.tree.flatten(part))
    return _array(part) if numbers else keras.tree.map_structure(_array, part)


def _array(x: Any) -> Any:
    if isinstance(x, keras.KerasTensor) or keras.ops.is_tensor(x):
        return x
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise OptionError(f"an example of {array.dtype}", where="example", fix="give numbers: an array or a tensor")
    return array


def symbolic(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors without values, of the shapes and types of these."""

    def hollow(x: Any) -> Any:
        return keras.KerasTensor(tuple(x.shape), dtype=keras.backend.standardize_dtype(x.dtype))

    return tuple(keras.tree.map_structure(hollow, list(given)))


def recorded_inputs(model: Any) -> tuple[Any, ...] | None:
    """Symbolic arguments as the model was built on them; None where that is not known."""
    if getattr(model, "inputs", None):
        fresh = [keras.KerasTensor(x.shape, dtype=x.dtype, name=x.name) for x in model.inputs]
        structure = getattr(model, "_inputs_struct", None)
        if structure is not None:
            return (keras.tree.pack_sequence_as(structure, fresh),)
        return (fresh[0] if len(fresh) == 1 else fresh,)
    shapes = getattr(model, "_build_shapes_dict", None)
    if not shapes:
        return None
    try:
        return tuple(keras.tree.map_shape_structure(keras.KerasTensor, shape) for shape in shapes.values())
    except (TypeError, ValueError):
        return None


def asked(model: Any) -> tuple[Asked, ...]:
    """The inputs that a model names itself; none where it was built by calls."""
    inputs = getattr(model, "inputs", None) or ()
    names = list(model._inputs_struct) if isinstance(getattr(model, "_inputs_struct", None), dict) else []
    found = [Asked(tuple(x.shape[1:]), _is_whole(x.dtype)) for x in inputs]
    # A dictionary's tensors come in the order of its sorted keys.
    return tuple(replace(one, name=name) for one, name in zip(found, sorted(names) or [""] * len(found), strict=True))


def _is_whole(dtype: str) -> bool:
    return "int" in dtype or dtype == "bool"


def make_built(model: Any, example: object) -> tuple[str, ...]:
    """Build a model that has no weights yet, as its first call would.

    Returns:
        A note for each layer that is still without weights, because it was never called.

    Raises:
        InitlabError: It is not built and there is no example; or it does not take the example.
    """
    if _is_complete(model):
        return ()
    if example is None and not (model.built and model.weights):
        raise InitlabError(f"the model '{model.name}' is not built: it has no weights yet", where="model", fix=_FIX)
    if example is not None:
        _build(model, arguments(model, example))
    idle = [layer.name for layer in layers_of(model) if not layer.built]
    return tuple(f"'{name}' was never called: it has no weights yet" for name in idle)


def _is_complete(model: Any) -> bool:
    return bool(model.built) and all(layer.built for layer in layers_of(model))


def _build(model: Any, given: tuple[Any, ...]) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a layer cannot be built so: then the example itself comes next
            if isinstance(model, keras.Sequential):
                model.build((None, *given[0].shape[1:]))
            else:
                model(*symbolic(given))
    except Exception:  # the model's own code, on a tensor without a value
        pass_on = True
    else:
        pass_on = not _is_complete(model)
    if pass_on:
        run(model, given)


def run(model: Any, given: tuple[Any, ...]) -> Any:
    """What the model returns for an example.

    Raises:
        ShapeError: It does not take the example.
    """
    try:
        return model(*keras.tree.map_structure(keras.ops.convert_to_tensor, given))
    except Exception as error:  # the model's own code, on an input that does not fit it
        shapes = ", ".join(str(tuple(x.shape)) for x in keras.tree.flatten(given))
        raise ShapeError(
            f"the model does not take this example: {first_line(error)}",
            where=f"example of shape {shapes}",
            fix="give an input as the model gets it in training, with its batch axis",
        ) from error


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its kind, without Keras' frame around errors of a model's own code."""
    text = re.sub(r"\x1b\[\d*m", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        lines = lines[1:]
    return lines[0][:160] if lines else type(error).__name__


@contextmanager
def seeds_kept() -> Iterator[None]:
    """The global random states of Python, NumPy and Keras come out as they went in."""
    generator = global_state.get_global_attribute("global_seed_generator")
    try:
        with global_generators():
            yield
    finally:
        global_state.set_global_attribute("global_seed_generator", generator)


@contextmanager
def calls_kept(model: Any) -> Iterator[None]:
    """Keras' counters of made-up names and the layers' own lists of calls come out as they went in."""
    counters = global_state.get_global_attribute("object_name_uids")
    names = dict(counters or {})
    calls = [(x, len(x._inbound_nodes), len(x._outbound_nodes)) for x in layers_of(model)]
    try:
        yield
    finally:
        if counters is not None:
            counters.clear()
            counters.update(names)
        for layer, inbound, outbound in calls:
            del layer._inbound_nodes[inbound:]
            del layer._outbound_nodes[outbound:]
