"""Keras 3 models described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from initlab.core.adapter import Overrides
from initlab.core.facts.spec import WEIGHT_ROLES, ModelSpec, ParamSpec
from initlab.frameworks.keras.reading.inputs import calls_kept, make_built, seeds_kept
from initlab.frameworks.keras.reading.layers import is_library_layer
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of
from initlab.frameworks.keras.reading.projections import in_attention, projections
from initlab.frameworks.keras.reading.recognition import activation_of, values_of
from initlab.frameworks.keras.reading.trace import Around, Trace, trace
from initlab.frameworks.keras.reading.uses import DENSE, slot_by_use
from initlab.frameworks.keras.writing import memory
from initlab.frameworks.keras.writing.marks import marked
from initlab.frameworks.reading.intent import Present, intents
from initlab.frameworks.reading.overrides import overridden


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
            seen = trace(checked, example)
        cells = _layers_of_cells(checked)
        held = projections(layers_of(checked))
        params = [in_attention(_param(e, seen, cells), e.layer, e.variable.name, held) for e in found]
        params = overridden(params, overrides)
    reasons = intents(params, _present(found, seen, marked(checked)))
    kept = tuple(replace(p, intent=why) for p, why in zip(params, reasons, strict=True))
    return ModelSpec(kept, seen.fidelity, (*seen.notes, *idle, *_silent(kept, seen, found, cells)))


def _present(found: Sequence[Entry], seen: Trace, own: Collection[str]) -> list[Present]:
    return [
        Present(partial(memory.numbers, e.variable), type(e.layer).__name__, id(e.layer) in seen.heads, e.native in own)
        for e in found
    ]


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
        return replace(spec, branch=seen.last_norms.get(id(entry.layer)))
    if slot.role not in WEIGHT_ROLES:
        return spec
    around = seen.around.get(id(cells.get(id(entry.layer), entry.layer)), Around())
    if id(entry.layer) in cells:
        return _in_cell(spec, entry, around, cells)
    branch = around.branch
    if branch is not None and branch.is_last and not slot.makes_output:
        branch = replace(branch, is_last=False)
    return replace(
        spec,
        f_in=around.f_in if slot.takes_input else None,
        in_moment=around.in_moment if slot.takes_input else None,
        f_out=around.f_out if slot.makes_output else None,
        norm=around.norm if slot.makes_output else None,
        branch=branch,
        is_output=slot.makes_output and id(entry.layer) in seen.heads,
    )


def _by_use(spec: ParamSpec, entry: Entry, seen: Trace) -> ParamSpec:
    """A variable that a user's own layer added, by the functions that take it."""
    use, around = seen.uses.get(id(entry.variable)), seen.around.get(id(entry.variable), Around())
    if use is None:
        return spec
    axes = None if use.axes == DENSE else use.axes
    slot = slot_by_use(entry.slot, tuple(entry.variable.shape), use.role, axes)
    return replace(
        spec,
        shape=slot.layout.shape,
        role=use.role,
        axes=axes,
        layer_shape=use.layer_shape,
        f_in=around.f_in,
        in_moment=around.in_moment,
        f_out=around.f_out,
        norm=around.norm,
        branch=around.branch,
        is_output=use.role == "dense" and id(entry.variable) in seen.heads,
    )


def _in_cell(spec: ParamSpec, entry: Entry, around: Around, cells: dict[int, Any]) -> ParamSpec:
    """A weight of a recurrent cell: its output goes into the cell's own activation, and so does what it feeds back."""
    values = values_of(getattr(entry.layer, "activation", None))
    own = None if values is None else activation_of(values)
    if not entry.slot.feeds_back:
        stack = cells[id(entry.layer)].cell
        if isinstance(stack, keras.layers.StackedRNNCells) and entry.layer is not stack.cells[0]:
            return replace(spec, f_out=own, branch=around.branch)  # what comes in is another cell's output
        return replace(spec, f_in=around.f_in, in_moment=around.in_moment, f_out=own, branch=around.branch)
    is_gated = bool(spec.blocks)
    return replace(spec, f_in=None if is_gated else own, f_out=own, branch=around.branch)


def _layers_of_cells(model: Any) -> dict[int, Any]:
    """For each recurrent cell, by id, the layer that runs it: the layer is what a trace sees called."""
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN):
            for cell in layers_of(layer.cell):
                owners.setdefault(id(cell), layer)
    return owners


def _silent(params: Sequence[ParamSpec], seen: Trace, found: Sequence[Entry], cells: dict[int, Any]) -> list[str]:
    """A note on the weights whose layers the trace did not see called."""
    if seen.fidelity == "declared":
        return []
    missing = [
        p.native
        for p, entry in zip(params, found, strict=True)
        if p.is_weight and {id(entry.variable), id(cells.get(id(entry.layer), entry.layer))}.isdisjoint(seen.around)
    ]
    return [f"not seen called: {', '.join(missing[:5])}{' and others' if missing[5:] else ''}"] if missing else []
