"""PyTorch modules described: every parameter in the canonical layout, with what a trace shows around it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial

from torch import nn

from initlab.core.adapter import Overrides
from initlab.core.facts.provenance import Provenance
from initlab.core.facts.spec import ModelSpec
from initlab.frameworks.reading.description import model_spec
from initlab.frameworks.reading.facts import Facts, Parameter, is_drawn, is_spelled_scale
from initlab.frameworks.reading.intent import Present, is_pinned
from initlab.frameworks.reading.provenance import recalled
from initlab.frameworks.reading.surroundings import Trace
from initlab.frameworks.torch.reading import marks
from initlab.frameworks.torch.reading.layers import bare_layout, layer_facts
from initlab.frameworks.torch.reading.lazy import give_shapes
from initlab.frameworks.torch.reading.parameters import Entry, entries, padding_row, paths_of
from initlab.frameworks.torch.reading.trace import trace


def describe(model: object, *, example: object = None, overrides: Overrides | None = None) -> ModelSpec:
    """Every parameter of a module, under every one of its names, in order of use where that is known.

    Args:
        model: The module; it is left as it was, and so is every generator. Lazy parts get the shapes of the example.
        example: An input, a tuple of inputs or a mapping of arguments, to trace the model with.
        overrides: Facts by glob over parameters' or modules' native names, which win over what was seen.

    Raises:
        OptionError: Not a module, no parameters, or an override that cannot be.
        InitlabError: Parameters without a shape, or with whole or quantised numbers.
        ShapeError: The model does not take the example.

    Example:
        >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> [(p.path, p.f_in, p.f_out) for p in describe(net).params if p.role == "dense"]
        [('0/weight', None, 'relu'), ('1/weight', 'relu', None)]
    """
    if example is not None:
        give_shapes(model, example)
    found = entries(model, may_lack_memory=True)
    assert isinstance(model, nn.Module)
    return described(model, found, trace(model, found, example), overrides)


def described(model: nn.Module, found: list[Entry], seen: Trace, overrides: Overrides | None) -> ModelSpec:
    """Every parameter of a model, with what a trace of it shows."""
    known = [layer_facts(entry.owner, entry.leaf, entry.shape) for entry in found]
    drawn = [is_drawn(facts, len(entry.shape)) for entry, facts in zip(found, known, strict=True)]
    scales = {e.native for e, facts in zip(found, known, strict=True) if _is_scale(e, facts)}
    paths, own = paths_of(found, drawn, scales), marks.marked(model)
    wrote = recalled(model, partial(marks.stamps, model), "torch")
    parameters = [_parameter(*row, own, wrote) for row in zip(found, known, paths, strict=True)]
    return model_spec(parameters, seen, overrides, stored=dict.fromkeys((e.native for e in found), bare_layout))


def _is_scale(entry: Entry, facts: Facts | None) -> bool:
    is_known = facts is not None and facts.role == "norm_scale"
    return is_known or is_spelled_scale(type(entry.owner).__name__, entry.leaf, len(entry.shape))


def _parameter(
    entry: Entry, facts: Facts | None, path: str, own: Collection[str], wrote: Mapping[str, Provenance]
) -> Parameter:
    return Parameter(
        entry.native,
        path,
        entry.first,
        entry.module,
        entry.shape,
        facts,
        Present(
            entry.numbers,
            type(entry.owner).__name__,
            is_own=entry.native in own,
            wrote=wrote.get(entry.native),
            is_pinned=is_pinned(entry.tensor),
        ),
        frozen=not entry.requires_grad,
        padding_row=padding_row(entry),
        is_drawable=entry.drawable,
        parts=entry.parts,
        has_memory=not entry.tensor.is_meta,
        is_divided=entry.computed is not None and entry.computed.is_divided,
        is_complex=entry.tensor.is_complex(),
    )
