"""Models of ``flax.nnx`` described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

import jax.numpy as jnp
from flax import nnx

from initlab.core.adapter import Overrides
from initlab.core.facts.provenance import Provenance
from initlab.core.facts.spec import ModelSpec
from initlab.frameworks.jax.reading import marks
from initlab.frameworks.jax.reading.layers import layer_facts, stored
from initlab.frameworks.jax.reading.parameters import Entry, check_model, entries, numbers, paths_of, value_of
from initlab.frameworks.jax.reading.trace import trace
from initlab.frameworks.jax.reading.wrapped import wrapped
from initlab.frameworks.reading import layout
from initlab.frameworks.reading.description import model_spec
from initlab.frameworks.reading.facts import Facts, Parameter, is_drawn
from initlab.frameworks.reading.intent import Present, is_pinned
from initlab.frameworks.reading.provenance import recalled
from initlab.frameworks.reading.surroundings import Trace


def describe(model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
    """Every ``nnx.Param`` of a module, under every one of its names, in the module's order.

    Variables of other types, as running statistics and generators, are no parameters and are left alone.

    Args:
        model: The module; a copy of it is traced, and it stays as it is.
        example: An input, a tuple of inputs or a mapping of arguments, to trace the model with.
        overrides: Facts by glob over parameters' or modules' native names, which win over what was seen.

    Raises:
        OptionError: Not a module, no parameters, or an override that cannot be.
        InitlabError: Parameters without numbers (``nnx.eval_shape``, a trace), or with whole numbers.
        ShapeError: The model does not take the example.

    Example:
        >>> from flax import nnx
        >>> rngs = nnx.Rngs(0)
        >>> net = nnx.Sequential(nnx.Linear(4, 8, rngs=rngs), nnx.relu, nnx.Linear(8, 3, rngs=rngs))
        >>> [(p.path, p.shape, p.f_in) for p in describe(net).params if p.is_weight]
        [('0/weight', (8, 4), None), ('1/weight', (3, 8), 'relu')]
    """
    found = entries(model)
    checked = check_model(model)
    return described(checked, found, trace(checked, found, example), overrides)


def described(model: nnx.Module, found: list[Entry], seen: Trace, overrides: Overrides | None) -> ModelSpec:
    """Every parameter of a model, with what a trace of it shows."""
    known = [layer_facts(entry) for entry in found]
    drawn = [is_drawn(facts, len(entry.shape)) for entry, facts in zip(found, known, strict=True)]
    paths, own = paths_of(found, drawn), marks.marked(model)
    wrote = recalled(model, partial(marks.stamps, model), "jax")
    parameters = [_parameter(*row, own, wrote) for row in zip(found, known, paths, strict=True)]
    return model_spec(parameters, seen, overrides, stored={e.native: partial(stored, e.leaf) for e in found})


def _parameter(
    entry: Entry, facts: Facts | None, path: str, own: Collection[str], wrote: Mapping[str, Provenance]
) -> Parameter:
    within = wrapped(entry)
    is_kernel = entry.leaf == "kernel" and len(entry.shape) == 2
    return Parameter(
        entry.native,
        path,
        entry.first,
        entry.module,
        entry.shape,
        facts,
        Present(
            partial(numbers, entry.variable),
            type(entry.owner).__name__,
            is_own=entry.native in own,
            wrote=wrote.get(entry.native),
            is_pinned=is_pinned(entry.variable),
        ),
        unseen=Facts("dense", layout.dense(entry.shape)) if is_kernel else None,
        is_drawable=entry.drawable,
        is_complex=bool(jnp.iscomplexobj(value_of(entry.variable))),
        parts=() if within is None or within.is_divided else (entry.native,),
        is_divided=within is not None and within.is_divided,
    )
