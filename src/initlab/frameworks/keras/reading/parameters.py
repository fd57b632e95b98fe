"""The parameters of a Keras model by name: who holds each, its own path, and its canonical one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras.src.utils.naming import to_snake_case
from numpy.typing import NDArray

from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.paths import NativeName, canonical_paths, is_automatic
from initlab.core.facts.spec import WEIGHT_ROLES
from initlab.frameworks.keras.reading.layers import is_library_layer, own_variables, slots, unknown
from initlab.frameworks.keras.tensors import to_numpy
from initlab.frameworks.reading.facts import Facts

LEAVES = {"gamma": "scale", "beta": "bias"}  # Keras' names of a norm layer's two; the canonical ones in their place


@dataclass(frozen=True, eq=False)
class Entry:
    """One parameter of a model.

    Attributes:
        native: Keras' own path, made unique.
        path: The canonical path.
        variable: The variable.
        layer: The layer that holds it.
        facts: What is known of what it does there.
        frozen: Whether it is excluded from training.
    """

    native: str
    path: str
    variable: Any
    layer: Any
    facts: Facts
    frozen: bool


@dataclass(frozen=True, eq=False)
class _Found:
    variable: Any
    layer: Any
    facts: Facts
    name: NativeName
    chain: str
    known: bool


def check_model(model: object) -> Any:
    """The model itself, if it is a Keras layer or model.

    Raises:
        OptionError: It is not.
    """
    if not isinstance(model, keras.Layer):
        raise OptionError(f"{type(model).__name__} is not a Keras model", fix="give a keras.Model")
    return model


def entries(model: object) -> list[Entry]:
    """Every parameter of a built model, each once, in the order of its layers; moving statistics and seeds are none.

    Raises:
        OptionError: Not a Keras model, or one without parameters.
        InitlabError: Quantised weights, or weights without memory (torch's ``meta`` device).
    """
    found = list(_found(check_model(model)))
    if not found:
        raise OptionError(f"{type(model).__name__} has no parameters", fix="give a model with weights")
    for one in found:
        _check_memory(one.variable)
    natives = _unique([one.variable.path for one in found], [one.chain for one in found])
    paths = canonical_paths([one.name for one in found])
    # A variable of a layer that is frozen is listed as not trainable by the model, whatever its own flag says.
    trained = {id(v) for v in check_model(model).trainable_variables}
    return [
        Entry(native, path, one.variable, one.layer, one.facts, id(one.variable) not in trained)
        for native, path, one in zip(natives, paths, found, strict=True)
    ]


def spectral_norms(model: Any) -> dict[int, Any]:
    """The layers that divide a kernel by its largest singular value, by the ``id`` of the kernel."""
    found = (one for one in layers_of(model) if isinstance(one, keras.layers.SpectralNormalization) and one.built)
    return {id(one.kernel): one for one in found}


def layers_of(model: Any) -> list[Any]:
    """The model and every layer in it, each once, parents first."""
    seen: dict[int, Any] = {}
    stack = [model]
    while stack:
        layer = stack.pop()
        if id(layer) not in seen:
            seen[id(layer)] = layer
            stack.extend(reversed(_sublayers(layer)))
    return list(seen.values())


def _found(model: Any) -> Iterator[_Found]:
    """Each parameter once: where two layers hold it, under the first whose kind knows what it does."""
    candidates = list(_walk(model, (), (), "", set()))
    owner: dict[int, _Found] = {}
    for one in candidates:
        held = owner.setdefault(id(one.variable), one)
        if one.known and not held.known:
            owner[id(one.variable)] = one
    yield from (one for one in candidates if owner[id(one.variable)] is one)
    rest = [v for v in model.weights if v.trainable and id(v) not in owner]
    for variable in rest:
        parts = tuple(variable.path.split("/"))
        name = NativeName(parts, (False,) * (len(parts) - 1), drawn=False)
        yield _Found(variable, model, unknown(variable), name, variable.path, known=False)


def _walk(
    layer: Any, parts: tuple[str, ...], automatic: tuple[bool, ...], chain: str, seen: set[int]
) -> Iterator[_Found]:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    _check_float(layer)
    known = slots(layer)
    leaves = _leaves(own_variables(layer))
    for variable, leaf in zip(own_variables(layer), leaves, strict=True):
        slot = known.get(variable.name)
        if slot is None and not variable.trainable and _is_buffer(layer, variable):
            continue
        name = NativeName((*parts, leaf), automatic, slot is not None and slot.role in WEIGHT_ROLES)
        place = f"{chain}/{variable.name}" if chain else variable.name
        yield _Found(variable, layer, slot or unknown(variable), name, place, known=slot is not None)
    for child, part, is_auto in _children(layer):
        inside = (parts, automatic) if part is None else ((*parts, part), (*automatic, is_auto))
        yield from _walk(child, *inside, f"{chain}/{child.name}" if chain else child.name, seen)


def _children(layer: Any) -> Iterator[tuple[Any, str | None, bool]]:
    """Each sublayer with its part of the path (None adds none), and whether Keras made that name up.

    A made-up name is replaced by a place, since two siblings may bear the same one after Keras' counters were reset.
    """
    names: Counter[str] = Counter()
    for place, child in enumerate(_sublayers(layer)):
        if isinstance(layer, keras.layers.Bidirectional):
            yield child, "forward" if child is layer.forward_layer else "backward", False
            continue
        made_up = _is_made_up(child)
        if _is_shell(layer, child) and made_up:
            yield child, None, False
        elif made_up:
            yield child, str(place), True
        else:
            names[child.name] += 1
            yield child, child.name if names[child.name] == 1 else f"{child.name}~{names[child.name]}", False


def _is_made_up(layer: Any) -> bool:
    stem = re.sub(r"_\d+$", "", layer.name)
    return stem == to_snake_case(type(layer).__name__) or is_automatic(layer.name, type(layer).__name__)


def _sublayers(layer: Any) -> list[Any]:
    return [child for child in layer._layers if not isinstance(child, keras.layers.InputLayer)]


def _is_shell(layer: Any, child: Any) -> bool:
    """Whether a layer is but a shell around one other, which needs no part of its own in a path."""
    if isinstance(layer, keras.layers.RNN):
        return child is layer.cell
    return isinstance(layer, keras.layers.Wrapper) and child is layer.layer


def _leaves(variables: Sequence[Any]) -> list[str]:
    """Canonical names of one layer's own variables; those without a name of their own are numbered."""
    taken: Counter[str] = Counter()
    names = []
    for variable in variables:
        leaf = "variable" if re.fullmatch(r"variable(_\d+)?", variable.name) else variable.name
        leaf = LEAVES.get(leaf, leaf)
        taken[leaf] += 1
        names.append(leaf if taken[leaf] == 1 else f"{leaf}~{taken[leaf]}")
    return names


def _is_buffer(layer: Any, variable: Any) -> bool:
    """Whether a variable that was made not to be trained is a statistic or a state, and no parameter."""
    return is_library_layer(layer) and any(variable is v for v in layer._non_trainable_variables)


def _unique(paths: Sequence[str], chains: Sequence[str]) -> list[str]:
    """The paths, with the chain of layers' names in place of those that are there twice."""
    count = Counter(paths)
    taken: Counter[str] = Counter()
    names = []
    for path, chain in zip(paths, chains, strict=True):
        name = path if count[path] == 1 else chain
        taken[name] += 1
        names.append(name if taken[name] == 1 else f"{name}~{taken[name]}")
    return names


def _check_float(layer: Any) -> None:
    mode = getattr(layer, "quantization_mode", None)
    if mode is not None and mode != "float8":
        raise InitlabError(
            f"quantised weights ({mode}) are neither drawn nor probed",
            where=layer.path or layer.name,
            fix="take the float model, and quantise it afterwards",
        )


def _check_memory(variable: Any) -> None:
    if getattr(getattr(variable.value, "device", None), "type", "") == "meta":
        raise InitlabError(
            "the parameter is on the meta device and holds no numbers",
            where=variable.path,
            fix="build the model on a real device, then initialise",
        )


def numbers(variable: Any, *, first: bool = False) -> NDArray[np.generic]:
    """The variable's values in its own layout: float64 for float64, float32 for the other floats; perhaps a view.

    ``first`` asks for the first number alone.
    """
    whole = to_numpy(variable.value)
    array = whole.reshape(-1)[:1] if first else whole
    if array.dtype.kind in "iub" or array.dtype == np.float64:
        return array
    return array.astype(np.float32, copy=False)
