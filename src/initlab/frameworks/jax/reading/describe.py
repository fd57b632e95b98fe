"""Models of ``flax.nnx`` described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

from flax import nnx

from initlab.core.adapter import Overrides
from initlab.core.facts.spec import WEIGHT_ROLES, ModelSpec, ParamSpec
from initlab.frameworks.jax.reading.layers import Facts, layer_facts
from initlab.frameworks.jax.reading.parameters import Entry, check_model, entries, paths_of
from initlab.frameworks.jax.reading.trace import trace
from initlab.frameworks.jax.reading.uses import from_uses
from initlab.frameworks.jax.writing import marks, memory
from initlab.frameworks.reading.intent import Present, intents
from initlab.frameworks.reading.overrides import overridden
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
    drawn = [_is_drawn(entry, facts) for entry, facts in zip(found, known, strict=True)]
    paths = dict(zip((entry.native for entry in found), paths_of(found, drawn), strict=True))
    specs = [_spec(entry, facts, paths, seen) for entry, facts in zip(found, known, strict=True)]
    meant = intents(specs, _present(found, seen, marks.marked(model)))
    specs = [replace(spec, intent=text) for spec, text in zip(specs, meant, strict=True)]
    specs = overridden(specs, overrides)
    return ModelSpec(tuple(_in_order(found, specs, seen)), seen.fidelity, (*seen.notes, *_notes(found)))


def _present(found: Sequence[Entry], seen: Trace, own: Collection[str]) -> list[Present]:
    heads = {name.rpartition(".")[0] for name, place in seen.places.items() if place.is_output}
    return [
        Present(partial(memory.numbers, e.variable), type(e.owner).__name__, e.module in heads, e.native in own)
        for e in found
    ]


def _is_drawn(entry: Entry, facts: Facts | None) -> bool:
    """Whether a name counts among its siblings: by type and rank alone, so a trace changes no path."""
    rank = len(entry.shape)
    return rank >= 2 if facts is None else facts.role in WEIGHT_ROLES and rank >= 2


def _notes(found: Sequence[Entry]) -> list[str]:
    return [f"{entry.native} has complex numbers, which are not drawn" for entry in found if not entry.drawable]


# One parameter's description


def _spec(entry: Entry, known: Facts | None, paths: Mapping[str, str], seen: Trace) -> ParamSpec:
    facts = from_uses(entry, seen.uses.get(entry.first, ())) if known is None else known
    if not entry.drawable:
        facts = replace(facts, role="unknown", kept="complex numbers are not drawn")
    spec = ParamSpec(
        path=paths[entry.native],
        shape=facts.layout.shape,
        role=facts.role,
        groups=facts.groups,
        stride=facts.stride,
        axes=facts.axes,
        blocks=facts.blocks,
        layer_shape=facts.layer_shape,
        tied_to=paths[entry.first] if entry.first != entry.native else None,
        native=entry.native,
        intent=facts.kept,
        is_drawable=entry.drawable,
    )
    if spec.role == "norm_scale":
        return replace(spec, branch=seen.branches.get(entry.first))
    return _placed(spec, facts, entry, seen) if spec.role in WEIGHT_ROLES else spec


def _placed(spec: ParamSpec, facts: Facts, entry: Entry, seen: Trace) -> ParamSpec:
    branch, place = seen.branches.get(entry.first), seen.places.get(entry.first)
    if facts.feeds_back:
        return replace(spec, f_in=facts.own, f_out=facts.own, branch=branch)
    if place is None:
        return replace(spec, f_out=facts.own)
    if not facts.blocks and spec.axes is None and spec.groups == 1:
        spec = replace(spec, blocks=_split_blocks(place.split, spec.shape[0]))
    f_in, moment = (None, None) if spec.role == "embedding" else (place.f_in, place.in_moment)
    if facts.is_gated:
        return replace(spec, f_in=f_in, in_moment=moment, branch=branch)
    return replace(
        spec,
        f_in=f_in,
        in_moment=moment,
        f_out=facts.own or place.f_out,
        norm=place.norm,
        branch=branch,
        is_output=place.is_end,
    )


def _split_blocks(split: int | tuple[int, ...] | None, out: int) -> tuple[int, ...]:
    return split if isinstance(split, tuple) and len(split) > 1 and sum(split) == out and min(split) > 0 else ()


def _in_order(found: Sequence[Entry], specs: Sequence[ParamSpec], seen: Trace) -> list[ParamSpec]:
    """The descriptions in the order in which modules are first used; those without a weight stay where they were."""
    first: dict[str, int] = {}
    for entry in found:
        place = seen.places.get(entry.first)
        if place is not None and entry.native == entry.first:
            first[entry.module] = min(place.order, first.get(entry.module, place.order))
    rank, at = [], -1
    for entry in found:
        at = first.get(entry.module, at)
        rank.append(at)
    return [specs[i] for i in sorted(range(len(specs)), key=rank.__getitem__)]
