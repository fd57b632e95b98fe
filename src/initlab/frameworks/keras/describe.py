"""Keras 3 models described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from initlab.core.adapter import Overrides
from initlab.core.facts.provenance import Provenance
from initlab.core.facts.spec import WEIGHT_ROLES, ModelSpec
from initlab.frameworks.keras.reading.inputs import calls_kept, make_built, seeds_kept
from initlab.frameworks.keras.reading.layers import is_library_layer, stored
from initlab.frameworks.keras.reading.marks import marked, stamps
from initlab.frameworks.keras.reading.parameters import Entry, check_model, entries, layers_of, numbers, spectral_norms
from initlab.frameworks.keras.reading.projections import in_attention, projections
from initlab.frameworks.keras.reading.recognition import recognise
from initlab.frameworks.keras.reading.trace import trace
from initlab.frameworks.reading.description import model_spec
from initlab.frameworks.reading.facts import Facts, Parameter
from initlab.frameworks.reading.intent import Present, is_pinned
from initlab.frameworks.reading.provenance import recalled
from initlab.frameworks.reading.surroundings import Trace


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
    cells, held, own = _layers_of_cells(model), projections(layers_of(model)), marked(model)
    wrote = recalled(model, partial(stamps, model), "keras")
    known = [in_attention(_facts(e, cells), e.layer, e.variable.name, held) for e in found]
    divided = spectral_norms(model)
    parameters = [
        replace(_parameter(e, facts, own, wrote), is_divided=id(e.variable) in divided)
        for e, facts in zip(found, known, strict=True)
    ]
    by_name = dict.fromkeys((e.native for e in found), stored)
    return model_spec(parameters, seen, overrides, stored=by_name, notes=notes, keeps_order=True)


def _facts(entry: Entry, cells: Mapping[int, Any]) -> Facts:
    """What is known of a variable: a weight of a recurrent cell without gates is inside of the cell's activation."""
    if id(entry.layer) not in cells or entry.facts.role not in WEIGHT_ROLES:
        return entry.facts
    stack, activation = cells[id(entry.layer)].cell, getattr(entry.layer, "activation", None)
    is_upper = isinstance(stack, keras.layers.StackedRNNCells) and entry.layer is not stack.cells[0]
    own = None if activation is None or entry.facts.is_gated else recognise(activation).f
    fed = entry.facts.takes_input and not is_upper  # what comes into an upper cell is another cell's output
    return replace(entry.facts, takes_input=fed, f_in=None if entry.facts.takes_input else own, f_out=own)


def _parameter(entry: Entry, facts: Facts, own: Collection[str], wrote: Mapping[str, Provenance]) -> Parameter:
    is_open = facts.role == "unknown" and not is_library_layer(entry.layer)  # only its use can tell
    return Parameter(
        entry.native,
        entry.path,
        entry.native,
        entry.native.rpartition("/")[0],
        tuple(entry.variable.shape),
        None if is_open else facts,
        Present(
            partial(numbers, entry.variable),
            type(entry.layer).__name__,
            is_own=entry.native in own,
            wrote=wrote.get(entry.native),
            is_pinned=is_pinned(entry.variable),
        ),
        frozen=entry.frozen,
    )


def _layers_of_cells(model: Any) -> dict[int, Any]:
    """For each recurrent cell, by id, the layer that runs it: the layer is what a trace sees called."""
    owners: dict[int, Any] = {}
    for layer in layers_of(model):
        if isinstance(layer, keras.layers.RNN):
            for cell in layers_of(layer.cell):
                owners.setdefault(id(cell), layer)
    return owners
