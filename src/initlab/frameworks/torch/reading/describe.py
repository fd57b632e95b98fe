"""PyTorch modules described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from torch import nn

from initlab.core.adapter import Overrides
from initlab.core.facts.spec import WEIGHT_ROLES, Axes, ModelSpec, ParamSpec
from initlab.frameworks.reading.graph import Use
from initlab.frameworks.reading.intent import Present, intents
from initlab.frameworks.reading.overrides import overridden
from initlab.frameworks.reading.surroundings import Trace
from initlab.frameworks.torch.reading.layers import Facts, layer_facts, weight_shape
from initlab.frameworks.torch.reading.parameters import Entry, entries, padding_row, paths_of
from initlab.frameworks.torch.reading.trace import trace
from initlab.frameworks.torch.writing import marks, memory

_PACKED = ("c_attn", "qkv", "in_proj", "to_qkv", "to_kv", "Wqkv")


def describe(model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
    """Every parameter of a module, under every one of its names, in order of use where that is known.

    Args:
        model: The module; it is left as it was, and so is every generator.
        example: An input, a tuple of inputs or a mapping of arguments, to trace the model with.
        overrides: Facts by glob over parameters' or modules' native names, which win over what was seen.

    Raises:
        OptionError: Not a module, no parameters, or an override that cannot be.
        InitlabError: Parameters without memory, or with whole or quantised numbers.
        ShapeError: The model does not take the example.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> [(p.path, p.f_in, p.f_out) for p in describe(net).params if p.role == "dense"]
        [('0/weight', None, 'relu'), ('1/weight', 'relu', None)]
    """
    found = entries(model)
    assert isinstance(model, nn.Module)
    return described(model, found, trace(model, found, example), overrides)


def described(model: nn.Module, found: list[Entry], seen: Trace, overrides: Overrides | None) -> ModelSpec:
    """Every parameter of a model, with what a trace of it shows."""
    known = [layer_facts(entry.owner, entry.leaf, rank=entry.tensor.dim()) for entry in found]
    drawn = [_is_drawn(entry, facts) for entry, facts in zip(found, known, strict=True)]
    scales = {e.native for e, facts in zip(found, known, strict=True) if facts and facts.role == "norm_scale"}
    paths = dict(zip((entry.native for entry in found), paths_of(found, drawn, scales), strict=True))
    specs = [_spec(entry, facts, paths, seen) for entry, facts in zip(found, known, strict=True)]
    meant = intents(specs, _present(found, seen, marks.marked(model)))
    specs = [replace(spec, intent=text) for spec, text in zip(specs, meant, strict=True)]
    specs = overridden(specs, overrides)
    return ModelSpec(tuple(_in_order(found, specs, seen)), seen.fidelity, (*seen.notes, *_notes(found)))


def _present(found: Sequence[Entry], seen: Trace, own: Collection[str]) -> list[Present]:
    heads = {name.rpartition(".")[0] for name, place in seen.places.items() if place.is_output}
    return [
        Present(partial(memory.numbers, e.tensor), type(e.owner).__name__, e.module in heads, e.native in own)
        for e in found
    ]


def _is_drawn(entry: Entry, facts: Facts | None) -> bool:
    """Whether a name counts among its siblings: by type and rank alone, so a trace changes no path."""
    rank = entry.tensor.dim()
    return rank >= 2 if facts is None else facts.role in WEIGHT_ROLES and rank >= 2


def _notes(found: Sequence[Entry]) -> list[str]:
    notes = [
        f"row {padding_row(entry)} of {entry.native} is padding and is set to zero"
        for entry in found
        if padding_row(entry) is not None and entry.first == entry.native
    ]
    return notes + [f"{entry.native} has complex numbers, which are not drawn" for entry in found if not entry.drawable]


# One parameter's description


def _spec(entry: Entry, known: Facts | None, paths: dict[str, str], seen: Trace) -> ParamSpec:
    native = tuple(entry.tensor.shape)
    facts = _from_uses(entry, seen) if known is None else known
    if facts.role == "norm_scale" and seen.uses.get(entry.first) == [Use("norm_bias")]:
        facts = Facts("norm_bias")
    if not entry.drawable:
        facts = Facts(kept=f"{entry.tensor.dtype} numbers are not drawn")
    shape = memory.canonical_shape(native, facts.layout, facts.groups)
    spec = ParamSpec(
        path=paths[entry.native],
        shape=shape,
        role=facts.role,
        groups=facts.groups,
        stride=facts.stride,
        axes=facts.axes,
        blocks=facts.blocks,
        layer_shape=_layer_shape(entry, facts),
        layer_kind=facts.layer_kind,
        tied_to=paths[entry.first] if entry.first != entry.native else None,
        native=entry.native,
        frozen=not entry.tensor.requires_grad,
        intent=facts.kept,
        padding_row=padding_row(entry),
        is_drawable=entry.drawable,
    )
    if spec.role == "norm_scale":
        return replace(spec, branch=seen.branches.get(entry.first))
    return _placed(spec, facts, entry, seen) if spec.role in WEIGHT_ROLES else spec


def _placed(spec: ParamSpec, facts: Facts, entry: Entry, seen: Trace) -> ParamSpec:
    branch = seen.branches.get(entry.first)
    if facts.inner:
        return replace(spec, f_in=facts.f_in, f_out=facts.f_out, branch=branch)
    place = seen.places.get(entry.first)
    blocks = spec.blocks or _named_blocks(entry, spec)
    if place is None:
        return replace(spec, blocks=blocks)
    if spec.axes is None and spec.groups == 1:
        blocks = blocks or _split_blocks(place.split, spec.shape[0])
    f_in, moment = (None, None) if spec.role == "embedding" else (place.f_in, place.in_moment)
    spec = replace(spec, f_in=f_in, f_out=facts.f_out or place.f_out, in_moment=moment, norm=place.norm)
    return replace(spec, branch=branch, blocks=blocks, is_output=place.is_end)


def _named_blocks(entry: Entry, spec: ParamSpec) -> tuple[int, ...]:
    """Packed queries, keys and values by the name that everybody gives such a layer."""
    if spec.role != "dense" or len(spec.shape) != 2 or entry.module.rpartition(".")[2] not in _PACKED:
        return ()
    times, rest = divmod(spec.shape[0], spec.shape[1])
    return (spec.shape[1],) * times if rest == 0 and times in (2, 3) else ()


def _split_blocks(split: int | tuple[int, ...] | None, out: int) -> tuple[int, ...]:
    if isinstance(split, int):
        return (out // split,) * split if split > 1 and out % split == 0 else ()
    if split and len(split) == 1:
        return (split[0],) * (out // split[0]) if 0 < split[0] < out and out % split[0] == 0 else ()
    return split if split and len(split) > 1 and sum(split) == out and min(split) > 0 else ()


def _layer_shape(entry: Entry, facts: Facts) -> tuple[int, ...] | None:
    if not facts.layer:
        return None
    native = weight_shape(entry.owner, facts.layer)
    weight = layer_facts(entry.owner, facts.layer, rank=len(native or ()))
    if native is None or weight is None:
        return native
    return memory.canonical_shape(native, weight.layout, weight.groups)


def _from_uses(entry: Entry, seen: Trace) -> Facts:
    """What the uses of a parameter show, where its module's type is not known."""
    uses = seen.uses.get(entry.first, [])
    if not uses or any(use != uses[0] for use in uses[1:]) or not uses[0].clear:
        return Facts()
    use, rank = uses[0], entry.tensor.dim()
    if use.role == "norm_bias":
        return Facts("scale")
    if use.role in ("dense", "conv", "conv_transpose", "embedding") and rank < 2:
        return Facts("embedding" if use.role == "embedding" else "unknown")
    stride = use.stride if any(n != 1 for n in use.stride) else ()
    layout: memory.Layout = "conv_transpose" if use.role == "conv_transpose" else "same"
    return Facts(use.role, layout=layout, groups=use.groups, stride=stride, axes=_checked(use.axes, rank))


def _checked(axes: Axes | None, rank: int) -> Axes | None:
    return axes if axes is not None and max((*axes.inputs, *axes.outputs, *axes.batch), default=0) < rank else None


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
