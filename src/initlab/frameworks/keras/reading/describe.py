"""Keras 3 models described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

import keras

from initlab.core.adapter import Overrides
from initlab.core.facts.spec import WEIGHT_ROLES, Axes, ModelSpec, ParamSpec
from initlab.frameworks.keras.reading.inputs import calls_kept, make_built, seeds_kept
from initlab.frameworks.keras.reading.layers import is_library_layer, slot_by_use
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.keras.reading.projections import in_attention, projections
from initlab.frameworks.keras.reading.recognition import recognise
from initlab.frameworks.keras.reading.trace import trace
from initlab.frameworks.keras.writing import memory
from initlab.frameworks.keras.writing.marks import marked
from initlab.frameworks.reading.intent import Present, intents
from initlab.frameworks.reading.overrides import overridden
from initlab.frameworks.reading.registered import with_stated
from initlab.frameworks.reading.surroundings import Surroundings, Trace


def describe(model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
    """Every parameter of a Keras model, with what a trace of it shows.

    A model without weights is built first, as its first call would build it. Else nothing changes: no weight, no
    moving statistic, no seed generator, no counter of names.

    Args:
        model: A ``keras.Model`` or layer.
        example: An input, or a tuple of inputs, with the batch axis; needed for a model that is not built, and for
            one that does not say what it was built on.
        overrides: Facts by glob over Keras' own names or layers, e.g. ``{"block_*/dense": {"f_in": "gelu"}}``.

    Returns:
        A row for every variable that is or could be trained; moving statistics and seeds are left out.

    Raises:
        OptionError: Not a Keras model, a model without parameters, or an override that cannot be.
        InitlabError: A model that is not built without an example; quantised weights; weights without memory.
        ShapeError: The model does not take the example.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "relu"), keras.layers.Dense(3)])
        >>> [(p.path, p.shape, p.f_in) for p in describe(model).params if p.is_weight]
        [('0/weight', (8, 4), None), ('1/weight', (3, 8), 'relu')]
    """
    checked = check_model(model)
    with seeds_kept():
        idle = make_built(checked, example)
        found = entries(checked)
        with calls_kept(checked):
            seen = trace(checked, found, example)
    return described(checked, found, seen, overrides, notes=idle)


def described(
    model: Any, found: Sequence[Entry], seen: Trace, overrides: Overrides | None, *, notes: Sequence[str] = ()
) -> ModelSpec:
    """Every parameter of a built model, with what a trace of it shows.

    Args:
        model: The model.
        found: Its parameters.
        seen: What was seen of it.
        overrides: As in ``describe``.
        notes: What else is to be said.
    """
    cells, held = _layers_of_cells(model), projections(layers_of(model))
    params = [in_attention(_param(e, seen, cells), e.layer, e.variable.name, held) for e in found]
    stated = with_stated(((e.native, e.layer, e.variable.name) for e in found), overrides)
    params = overridden(_with_layers(params, seen), stated)
    reasons = intents(params, _present(found, seen, marked(model)))
    kept = tuple(replace(p, intent=why) for p, why in zip(params, reasons, strict=True))
    return ModelSpec(kept, seen.fidelity, (*seen.notes, *notes))


def _present(found: Sequence[Entry], seen: Trace, own: Collection[str]) -> list[Present]:
    heads = {id(e.layer) for e in found if e.native in seen.places and seen.places[e.native].is_output}
    return [
        Present(partial(memory.numbers, e.variable), type(e.layer).__name__, id(e.layer) in heads, e.native in own)
        for e in found
    ]


_DENSE, _ROWS = Axes((0,), (1,)), Axes((1,), (0,))  # as Dense lays its kernel out, and the other way round


def _param(entry: Entry, seen: Trace, cells: dict[int, Any]) -> ParamSpec:
    slot = entry.slot
    spec = ParamSpec(
        path=entry.path,
        shape=slot.layout.shape,
        role=slot.role,
        groups=slot.groups,
        stride=slot.stride,
        blocks=slot.blocks,
        axes=slot.axes,
        layer_shape=slot.layer_shape,
        layer_kind=slot.layer_kind,
        native=entry.native,
        frozen=entry.frozen,
        intent=slot.kept,
    )
    if slot.role == "unknown" and not is_library_layer(entry.layer):
        return _by_use(spec, entry, seen)
    if slot.role == "norm_scale":
        return replace(spec, branch=seen.branches.get(entry.native))
    if slot.role not in WEIGHT_ROLES:
        return spec
    place, branch = seen.places.get(entry.native, Surroundings()), seen.branches.get(entry.native)
    if id(entry.layer) in cells:
        return _in_cell(replace(spec, branch=branch), entry, place, cells)
    if branch is not None and branch.is_last and not slot.makes_output:
        branch = replace(branch, is_last=False)
    spec = replace(spec, branch=branch)
    if slot.takes_input and slot.role != "embedding":
        spec = replace(spec, f_in=place.f_in, in_moment=place.in_moment)
    if slot.makes_output:
        spec = replace(spec, f_out=place.f_out, norm=place.norm, is_output=place.is_end)
    return spec


def _by_use(spec: ParamSpec, entry: Entry, seen: Trace) -> ParamSpec:
    """A variable that a user's own layer added, by the functions that take it."""
    uses = seen.uses.get(entry.native, [])
    if not uses or any(use != uses[0] for use in uses[1:]) or not uses[0].clear:
        return spec
    (use, *_), place = uses, seen.places.get(entry.native, Surroundings())
    axes = _ROWS if use.axes is None and use.role == "dense" else None if use.axes == _DENSE else use.axes
    slot = slot_by_use(entry.slot, tuple(entry.variable.shape), use.role, axes)
    spec = replace(spec, shape=slot.layout.shape, role=use.role, axes=axes, groups=use.groups, stride=use.stride)
    if use.role not in WEIGHT_ROLES:
        return spec
    if use.role != "embedding":
        spec = replace(spec, f_in=place.f_in, in_moment=place.in_moment)
    branch = seen.branches.get(entry.native)
    return replace(spec, f_out=place.f_out, norm=place.norm, branch=branch, is_output=place.is_end)


def _with_layers(params: Sequence[ParamSpec], seen: Trace) -> list[ParamSpec]:
    """The descriptions, in which a bias of a user's own layer knows the weight to whose product it is added."""
    weights = {p.native: p for p in params if p.is_weight}
    changed = list(params)
    for i, p in enumerate(params):
        weight = weights.get(seen.biases.get(p.native, ""))
        if p.role != "bias" or p.layer_shape is not None or weight is None:
            continue
        axes = weight.axes
        sizes = [prod(weight.shape[n] for n in kind) for kind in (axes.outputs, axes.inputs)] if axes else weight.shape
        if sizes[0] == p.size:
            changed[i] = replace(p, layer_shape=tuple(sizes))
    return changed


def _in_cell(spec: ParamSpec, entry: Entry, place: Surroundings, cells: dict[int, Any]) -> ParamSpec:
    """A weight of a recurrent cell: its output goes into the cell's own activation, and so does what it feeds back."""
    activation = getattr(entry.layer, "activation", None)
    own = None if activation is None else recognise(activation).f
    if entry.slot.feeds_back:
        return replace(spec, f_in=None if spec.blocks else own, f_out=own)
    stack = cells[id(entry.layer)].cell
    if isinstance(stack, keras.layers.StackedRNNCells) and entry.layer is not stack.cells[0]:
        return replace(spec, f_out=own)  # what comes in is another cell's output
    return replace(spec, f_in=place.f_in, in_moment=place.in_moment, f_out=own)


def _layers_of_cells(model: Any) -> dict[int, Any]:
    """For each recurrent cell, by id, the layer that runs it: the layer is what a trace sees called."""
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN):
            for cell in layers_of(layer.cell):
                owners.setdefault(id(cell), layer)
    return owners
