"""The description of every parameter of a model: what its layer and its names say, and what a trace showed of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

from initlab.core.adapter import Overrides
from initlab.core.facts.spec import WEIGHT_ROLES, Axes, Branch, ModelSpec, ParamSpec, Role
from initlab.frameworks.reading.facts import Facts, Parameter
from initlab.frameworks.reading.graph import Use
from initlab.frameworks.reading.intent import intents
from initlab.frameworks.reading.layout import Layout, same
from initlab.frameworks.reading.overrides import overridden
from initlab.frameworks.reading.surroundings import Surroundings, Trace, listed

Shape = tuple[int, ...]
Stored = Callable[[Role, Shape, int], Layout | None]

_PACKED = ("c_attn", "qkv", "in_proj", "to_qkv", "to_kv", "Wqkv")
_UNSETTLED = "a part of it sets the step of a recurrence, which would forget all at once at a bias of zero"
_BLIND = (
    "without memory, and their construction was not recorded, so that no value is known to be designed, as zeros that "
    "close a branch: {}; build the model within initlab.record_construction()"
)
_IN_OUT, _OUT_IN = Axes((0,), (1,)), Axes((1,), (0,))


def model_spec(
    found: Sequence[Parameter],
    seen: Trace,
    overrides: Overrides | None,
    *,
    stored: Mapping[str, Stored],
    notes: Sequence[str] = (),
    keeps_order: bool = False,
) -> ModelSpec:
    """Every parameter of a model, in order of use where that is known.

    Args:
        found: The parameters under every one of their names.
        seen: What a trace of the model showed.
        overrides: See ``overridden``.
        stored: By native name, how a layer of the framework's own would store a weight of this role and shape that is
            kept under such a name; None where that is not known.
        notes: What else could not be seen, in words.
        keeps_order: Whether the parameters stay as they are given: where a framework's own list has an order that its
            users know.
    """
    known = [_known(p, seen, stored) for p in found]
    paths = {p.native: p.path for p in found}
    specs = _with_layers([_spec(p, facts, paths, seen) for p, facts in zip(found, known, strict=True)], seen)
    specs = _with_dynamics(specs, found, seen)
    heads = {p.module for p in found if p.first in seen.places and seen.places[p.first].is_output}
    spare = {name for name, place in seen.places.items() if place.may_be_zero}
    present = [
        replace(p.present, layer=p.module, is_head=p.module in heads, may_be_zero=p.first in spare) for p in found
    ]
    specs = [replace(spec, intent=why) for spec, why in zip(specs, intents(specs, present), strict=True)]
    specs = overridden(specs, overrides)
    ordered = specs if keeps_order else _in_order(found, specs, seen)
    return ModelSpec(tuple(ordered), seen.fidelity, (*seen.notes, *notes, *_notes(found)))


def _known(p: Parameter, seen: Trace, stored: Mapping[str, Stored]) -> Facts:
    if not p.is_drawable:
        return Facts("unknown", same(p.shape), kept="numbers of its type are not drawn")
    facts = p.facts or by_use(p.shape, seen.uses.get(p.first, ()), stored[p.native]) or p.unseen
    if facts is None:
        return Facts("unknown", same(p.shape))
    uses = seen.uses.get(p.first, ())
    if facts.role == "norm_scale" and uses and all(use.role == "norm_bias" for use in uses):
        return Facts("norm_bias", facts.layout)
    return facts


def by_use(shape: Shape, uses: Sequence[Use], stored: Stored) -> Facts | None:
    """What the uses of a parameter show, where its owner's type says nothing; None where they differ or are unclear.

    Args:
        shape: Its own shape.
        uses: The uses.
        stored: How a layer of the framework's own would store it.

    Example:
        >>> by_use((4, 6), [Use("dense", Axes((0,), (1,)))], lambda *asked: same((4, 6))).axes
        Axes(inputs=(0,), outputs=(1,), batch=())
    """
    if not uses or any(use != uses[0] for use in uses[1:]) or not uses[0].clear:
        return None
    use, rank = uses[0], len(shape)
    if use.role not in WEIGHT_ROLES:
        return Facts(use.role, same(shape))
    if use.role == "embedding":
        return Facts("embedding", same(shape))
    if rank < 2 or (use.axes is not None and max((*use.axes.inputs, *use.axes.outputs, *use.axes.batch)) >= rank):
        return None
    layout = stored(use.role, shape, use.groups)
    if use.role == "dense":
        return _matrix(shape, use.axes, layout)
    stride = use.stride if any(n != 1 for n in use.stride) else ()
    return None if layout is None else Facts(use.role, layout, groups=use.groups, stride=stride)


def _matrix(shape: Shape, axes: Axes | None, layout: Layout | None) -> Facts:
    """A factor of a product: as the framework's own layers store it, or as it is with its axes by role."""
    is_in_out = layout is not None and len(layout.order) > 0
    if is_in_out and layout is not None and len(shape) == 2 and axes == _IN_OUT:
        return Facts("dense", layout)
    return Facts("dense", same(shape), axes=_OUT_IN if is_in_out and axes is None else axes)


def bare_layout(p: ParamSpec, shape: Shape, stored: Stored) -> Layout:
    """The layout of a parameter that was described by its use; see ``by_use``."""
    layout = stored(p.role, shape, p.groups) if p.axes is None and len(shape) >= 2 else None
    return same(shape) if layout is None else layout


# One parameter's description


def _spec(p: Parameter, facts: Facts, paths: Mapping[str, str], seen: Trace) -> ParamSpec:
    spec = ParamSpec(
        path=p.path,
        shape=facts.layout.shape,
        role=facts.role,
        groups=facts.groups,
        stride=facts.stride,
        axes=facts.axes,
        blocks=facts.blocks,
        layer_shape=facts.layer_shape,
        layer_kind=facts.layer_kind,
        tied_to=paths[p.first] if p.first != p.native else None,
        native=p.native,
        frozen=p.frozen,
        intent=facts.kept,
        is_obstacle=facts.kept != "" and facts.role == "unknown",
        padding_row=p.padding_row,
        is_drawable=p.is_drawable,
        parts=p.parts,
        has_memory=p.has_memory,
        is_divided=p.is_divided,
        is_complex=p.is_complex,
        is_written=p.present.wrote is not None and p.present.wrote.state == "written",
        forget_block=facts.forget_block,
    )
    branch, place = seen.branches.get(p.first), seen.places.get(p.first)
    if spec.role == "norm_scale":
        return replace(spec, branch=branch)
    if spec.role not in WEIGHT_ROLES:
        return spec
    spec = replace(spec, branch=_own(branch, facts), f_in=facts.f_in, f_out=facts.f_out)
    return replace(_placed(spec, facts, place or Surroundings()), blocks=_blocks(spec, facts, p.module, place))


def _own(branch: Branch | None, facts: Facts) -> Branch | None:
    """The place in a branch: what is followed by more of its own layer does not end one."""
    is_inside = facts.takes_input and not (facts.makes_output or facts.is_gated)
    return replace(branch, is_last=False) if branch is not None and branch.is_last and is_inside else branch


def _placed(spec: ParamSpec, facts: Facts, place: Surroundings) -> ParamSpec:
    if facts.takes_input and spec.role != "embedding":
        spec = replace(spec, f_in=place.f_in, in_moment=place.in_moment, unfollowed=place.unknown)
        spec = replace(spec, summed=place.summed, carried=place.carried)
    if facts.makes_output:
        f_out = facts.f_out or place.f_out
        spec = replace(spec, f_out=f_out, norm=place.norm, is_output=place.is_end, frequency=place.frequency)
    return spec


def _blocks(spec: ParamSpec, facts: Facts, module: str, place: Surroundings | None) -> Shape:
    """What is packed along the outputs: as the layer says, as its name says, or as its output is cut."""
    if facts.blocks or not facts.makes_output:
        return facts.blocks
    if spec.role == "dense" and len(spec.shape) == 2 and module.replace("/", ".").rpartition(".")[2] in _PACKED:
        times, rest = divmod(spec.shape[0], spec.shape[1])
        if rest == 0 and times in (2, 3):
            return (spec.shape[1],) * times
    if place is None or spec.groups > 1 or (spec.axes is not None and len(spec.axes.outputs) != 1):
        return ()
    return _cut(place.split, spec.shape[spec.block_axis])


def _cut(split: int | Shape | None, out: int) -> Shape:
    """The sizes of the parts in which an output of so many units is cut; none where it is not, or unevenly so."""
    if isinstance(split, int):
        return (out // split,) * split if split > 1 and out % split == 0 else ()
    if split and len(split) == 1:
        return (split[0],) * (out // split[0]) if 0 < split[0] < out and out % split[0] == 0 else ()
    return split if split and len(split) > 1 and sum(split) == out and min(split) > 0 else ()


def _with_layers(specs: Sequence[ParamSpec], seen: Trace) -> list[ParamSpec]:
    """The descriptions, in which a bias that was described by its use knows the weight to whose product it is added."""
    weights = {p.native: p for p in specs if p.is_weight}
    changed = list(specs)
    for i, p in enumerate(specs):
        weight = weights.get(seen.biases.get(p.native, ""))
        if p.role != "bias" or p.layer_shape is not None or weight is None:
            continue
        axes = weight.axes
        sizes = [prod(weight.shape[n] for n in kind) for kind in (axes.outputs, axes.inputs)] if axes else weight.shape
        stack = prod(weight.shape[n] for n in axes.batch) if axes else 1
        if p.size in (sizes[0], sizes[0] * stack):
            changed[i] = replace(p, layer_shape=tuple(sizes))
    return changed


def _with_dynamics(specs: Sequence[ParamSpec], found: Sequence[Parameter], seen: Trace) -> list[ParamSpec]:
    """The descriptions, in which the parameters of a recurrence say what they do there."""
    parts, unsettled = seen.recurrences.parts, seen.recurrences.unsettled
    changed = list(specs)
    for i, (p, one) in enumerate(zip(specs, found, strict=True)):
        if p.intent or p.is_weight:
            continue
        if one.first in parts:
            changed[i] = replace(p, dynamics=parts[one.first])
        elif one.first in unsettled and p.role == "bias":
            changed[i] = replace(p, intent=_UNSETTLED, is_obstacle=True)
    return changed


def _notes(found: Sequence[Parameter]) -> list[str]:
    blind = [p.native for p in found if p.present.numbers is None and p.present.wrote is None and p.first == p.native]
    padded = [p for p in found if p.padding_row is not None and p.first == p.native]
    return [
        *(f"row {p.padding_row} of {p.native} is padding and is set to zero" for p in padded),
        *([_BLIND.format(listed(blind))] if blind else []),
        *(f"{p.native} has numbers of a type that is not drawn" for p in found if not p.is_drawable),
    ]


def _in_order(found: Sequence[Parameter], specs: Sequence[ParamSpec], seen: Trace) -> list[ParamSpec]:
    """The descriptions in the order in which modules are first used; those without a weight stay where they were."""
    first: dict[str, int] = {}
    for p in found:
        place = seen.places.get(p.first)
        if place is not None and p.native == p.first:
            first[p.module] = min(place.order, first.get(p.module, place.order))
    rank, at = [], -1
    for p in found:
        at = first.get(p.module, at)
        rank.append(at)
    return [specs[i] for i in sorted(range(len(specs)), key=rank.__getitem__)]
