"""A parameter found by its description, in a time that does not grow with the square of the model's size."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary, ref

from initlab.core.errors import OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.reading.layers import own_variables, stored
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.reading.description import bare_layout
from initlab.frameworks.reading.facts import Facts


@dataclass(frozen=True)
class _Place:
    """An ``Entry`` that keeps neither the layer nor the variable alive."""

    native: str
    layer: ref[Any]
    variable: ref[Any]
    facts: Facts
    frozen: bool


@dataclass(frozen=True)
class _Places:
    shape_of_model: tuple[int, ...]
    by_path: dict[str, _Place]


_PLACES: WeakKeyDictionary[Any, _Places] = WeakKeyDictionary()


def find(model: object, param: ParamSpec) -> Entry:
    """The parameter of a description, which may be that of another model of the same build.

    Keras' own names count up from model to model, so the canonical path is what tells.

    Raises:
        OptionError: Not a Keras model, or the model has no such parameter.
    """
    remembered = _remembered(check_model(model), param.path)
    if remembered is not None:
        return _described(remembered, param)
    found = {entry.path: entry for entry in entries(model)}
    _PLACES[model] = _Places(
        _shape_of_model(model),
        {e.path: _Place(e.native, ref(e.layer), ref(e.variable), e.facts, e.frozen) for e in found.values()},
    )
    if param.path not in found:
        raise OptionError(
            f"the model has no parameter '{param.path}'",
            where=param.native,
            fix="apply the plan to a model of the same build",
        )
    return _described(found[param.path], param)


def forget(model: Any) -> None:
    """Let go of what is remembered of a model, whose parameters change their shapes."""
    _PLACES.pop(model, None)


def _described(entry: Entry, param: ParamSpec) -> Entry:
    """The parameter with the layout that its description implies, where no kind of layer knows it."""
    if entry.facts.role != "unknown":
        return entry
    order = bare_layout(param, tuple(entry.variable.shape), stored)
    return replace(entry, facts=replace(entry.facts, role=param.role, layout=order))


def _remembered(model: Any, path: str) -> Entry | None:
    """The parameter, if the model is made of the same layers as when they were last gone through."""
    places = _PLACES.get(model)
    if places is None or path not in places.by_path or places.shape_of_model != _shape_of_model(model):
        return None
    place = places.by_path[path]
    layer, variable = place.layer(), place.variable()
    if layer is None or variable is None or not any(variable is v for v in own_variables(layer)):
        return None
    return Entry(place.native, path, variable, layer, place.facts, place.frozen)


def _shape_of_model(model: Any) -> tuple[int, ...]:
    """Every layer's identity and its number of variables: LoRA, for instance, adds two."""
    return tuple(n for layer in layers_of(model) for n in (id(layer), len(own_variables(layer))))
