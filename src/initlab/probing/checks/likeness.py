"""Checks of what a model makes the same: samples, tokens, units, layers."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from initlab.core.facts.spec import ParamSpec
from initlab.frameworks import FRAMEWORKS
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import NAMED, Case, register_check
from initlab.probing.checks.signal import if_needed
from initlab.probing.checks.targets import globs_of
from initlab.probing.checks.wording import listed, number
from initlab.probing.measure.metrics import LayerRow
from initlab.probing.measure.trunk import downstream
from initlab.probing.measure.weights import stacked_axes
from initlab.probing.records import Finding, Severity, WeightFacts

_ROUNDING = 1e-5  # of a sum of squares in float32
_LAYER = re.compile(r"^(.*?)(?<=[./])(\d+)(?=[./])(.*)$")


@register_check("one point", stage="signal")
def one_point(case: Case, limits: Limits) -> Iterator[Finding]:
    """Inputs that differ come out the same in the last hidden layer."""
    start, end = _first_cosine(case), case.stations[-1] if case.stations else None
    sums = None if end is None else case.sums(end.index if end.norm is None else end.norm)
    if start is None or end is None or sums is None or math.isnan(sums.cosine):
        return
    left = max(1.0 - sums.cosine, 0.0) / start
    if left >= limits.cosine_note:
        return
    is_shallow = len(case.hidden) <= limits.shallow
    severity: Severity = "alarm" if left < limits.cosine_alarm and not is_shallow else "note"
    theory = case.evidence.expected.get(end.index)
    said = f", theory says {1.0 - theory.cosine:.2g}" if theory is not None and not theory.is_measured else ""
    yield Finding(
        kind="inputs mapped to one point",
        severity=severity,
        where=(case.place(end.index).path,),
        what=f"1 - cosine of two inputs falls from {number(start)} to {number(1.0 - sums.cosine)}{said}: "
        f"{number(left)} of their difference is left, in {sums.rank:.1f} directions",
        fix=if_needed(severity, "use fewer layers, orthogonal or larger weights, batch norm, or residual connections"),
        scheme="auto" if severity == "alarm" else "",
        value=left,
        limit=limits.cosine_alarm if severity == "alarm" else limits.cosine_note,
        grade="hard",
    )


def _first_cosine(case: Case) -> float | None:
    """1 - cosine of the inputs; of their embeddings, where they are numbers of words."""
    for index, place in enumerate(case.evidence.reading.places):
        sums = case.sums(index)
        is_table = place.kind == "weighted" and bool(place.facts.get("table")) and bool(place.inputs)
        if (place.kind == "input" or is_table) and sums is not None and sums.cosine < 1.0:
            return 1.0 - sums.cosine
    return None


@register_check("equal tokens", stage="symmetry")
def equal_tokens(case: Case, limits: Limits) -> Iterator[Finding]:
    """The tokens of a sample are the same behind a place and were not before it, and stay so up to the output."""
    if stacked_clones(case):
        return  # what experts that are the same make of a sample is the same as well
    for index, place in enumerate(case.evidence.reading.places):
        sums = case.sums(index)
        if sums is None or place.kind in ("softmax", "input") or not _are_same_tokens(case, index, limits):
            continue
        if not stay_alike(case, index, limits):
            continue
        attentions = [place for place in case.evidence.reading.places[:index] if place.kind == "mix"]
        alike = alike_vectors(case)
        collapsed = len(attentions) > 1 and not alike
        parts = bool(alike) and any(_has_tokens(case, at) for at in case.evidence.reading.outputs)
        yield Finding(
            kind="equal tokens",
            severity="note" if parts else "alarm",
            where=(*alike, place.path),
            what=f"all tokens of a sample are the same: 1 - cosine is {number(max(1.0 - sums.token_cosine, 0.0))}"
            + (f", as the rows of '{alike[0]}' are" if alike else ""),
            fix="nothing, if every token has a target of its own: they part at the first step"
            if parts
            else "keep a residual connection around every attention"
            if collapsed
            else "draw queries and embeddings at random: equal ones get equal gradients and stay equal",
            scheme="normal(std=0.02)" if alike else "",
            value=1.0 - sums.token_cosine,
            limit=limits.same,
            params=globs_of(case.evidence.spec, alike),
        )
        return


def stay_alike(case: Case, index: int, limits: Limits) -> bool:
    """Whether layers stand behind a place, and the tokens of a sample differ nowhere behind it.

    A gate, or a branch beside a stream whose tokens differ, makes them the same for itself alone.
    """
    behind = downstream(case.evidence.reading.places, index)
    told = [at for at in behind if _has_tokens(case, at) and case.place(at).kind != "softmax"]
    return any(case.place(at).kind == "weighted" for at in behind) and all(
        _are_same_tokens(case, at, limits) for at in told
    )


def _are_same_tokens(case: Case, index: int, limits: Limits) -> bool:
    sums = case.sums(index)
    return sums is not None and _has_tokens(case, index) and 1.0 - sums.token_cosine < limits.same


def _has_tokens(case: Case, index: int) -> bool:
    """Whether a place holds vectors of tokens by sample.

    Queries that are the same for all samples do not, before they are laid out by sample, nor do kinds of tokens that
    are one; and numbers of one unit point the same way or the opposite one, whatever they are.
    """
    sums = case.sums(index)
    if sums is None or math.isnan(sums.token_cosine) or case.place(index).facts.get("table"):
        return False
    return sums.units > 1 and sums.rows == case.rows_seen


def alike_vectors(case: Case) -> list[str]:
    """Parameters such as learned queries and tokens, by their own names, whose rows are all the same, zero or not."""
    weights = case.evidence.weights
    bare = [p for p in case.evidence.spec.params if p.role in ("embedding", "unknown") and len(p.shape) > 1]
    named = [p for p in bare if p.shape[-2] > 1 and p.native in weights]
    return [p.native for p in named if _are_alike(p, weights[p.native])]


def _are_alike(p: ParamSpec, facts: WeightFacts) -> bool:
    return facts.std == 0.0 or facts.equal_units >= p.shape[0] - 1 > 0


@register_check("equal rows", stage="symmetry")
def equal_rows(case: Case, limits: Limits) -> Iterator[Finding]:
    """Most rows of an embedding are the same, so that the model cannot tell its words apart."""
    for p in case.evidence.spec.params:
        facts = case.evidence.weights.get(p.native)
        if facts is None or p.role != "embedding" or p.tied_to is not None or len(p.shape) != 2:
            continue
        if p.intent or facts.largest == 0.0 or not 2 * facts.equal_units >= p.shape[0] > 1:
            continue
        yield Finding(
            kind="equal embeddings",
            severity="alarm",
            where=(p.native,),
            what=f"{facts.equal_units} of the {p.shape[0]} rows of '{p.native}' are as good as the same as another "
            "one: what the model makes of one word it makes of the others",
            fix="draw every row at random",
            scheme="normal(std=0.02)",
            value=float(facts.equal_units),
            limit=0.5 * p.shape[0],
            params=globs_of(case.evidence.spec, [p.native]),
        )


@register_check("equal units", stage="symmetry")
def equal_units(case: Case, limits: Limits) -> Iterator[Finding]:
    """Units of a hidden layer are the same, so that they get the same gradient and stay the same."""
    rows = sorted((row for row in case.hidden if _equal_rows(case, row)), key=lambda row: -row.clones / row.units)
    if not rows:
        yield from _apart_by_bias(case)
        return
    worst = rows[0]
    yield Finding(
        kind="equal units",
        severity="alarm",
        where=tuple(row.path for row in rows),
        what=f"{worst.clones} of the {worst.units} units of '{worst.path}' are the same as another one"
        + (f", and so it is in {len(rows) - 1} further layers" if rows[1:] else ""),
        fix="draw the weights at random: equal units get equal gradients and stay one unit",
        scheme=case.usual_scheme,
        value=float(worst.clones),
        limit=0.0,
    )


def _apart_by_bias(case: Case) -> Iterator[Finding]:
    """Units whose weights are the same and whose values are not: their biases alone tell them apart."""
    weights = case.evidence.weights
    found = []
    for row in case.hidden:
        names = case.place(case.index[row.path]).params
        held = [weights[name].equal_units for name in names if name in weights]
        sums = case.sums(case.index[row.path])
        if len(held) > 1 and 2 * held[0] >= row.units and sums is not None and not sums.equal_units:
            found.append((held[0], row))
    if not found:
        return
    equal, worst = max(found, key=lambda one: one[0] / one[1].units)
    yield Finding(
        kind="equal units",
        severity="note",
        where=tuple(row.path for _, row in found),
        what=f"{equal} of the {worst.units} units of '{worst.path}' have the weights of another one, and differ by "
        f"their bias alone: what they make of a batch has {worst.rank:.1f} directions",
        fix="draw the weights at random",
        scheme=case.usual_scheme,
        value=float(equal),
        limit=0.0,
    )


def _equal_rows(case: Case, row: LayerRow) -> bool:
    """Whether units are equal by their weights and in their values: dead inputs make equal values of any weights."""
    place = case.place(case.index[row.path])
    facts, sums = (case.evidence.weights.get(name) for name in place.params[:1]), case.sums(case.index[row.path])
    return sums is not None and sums.equal_units > 0 and any(one is not None and one.equal_units > 0 for one in facts)


@register_check("cloned layers", stage="symmetry")
def cloned_layers(case: Case, limits: Limits) -> Iterator[Finding]:
    """Layers hold the same random numbers: they were copied and not drawn anew."""
    groups = _equal_parameters(case)
    if not groups:
        yield from _cloned_slices(case)
        return
    named = [p for group in groups for p in group]
    names = [p.native for p in named]
    # Random biases are copied with a layer whose weights are then drawn anew: they break no symmetry, and keep none.
    is_weight = any(len(p.shape) > 1 for p in named)
    is_alarm = is_weight and any(_stay_clones(case, group) for group in groups)
    layers = sorted({match[1] + match[2] for name in names if (match := _LAYER.match(name))}, key=_by_number)
    counts = Counter(match[1] + match[2] for p in case.evidence.spec.params if (match := _LAYER.match(p.native)))
    equal = Counter(match[1] + match[2] for name in _all_equal(case) if (match := _LAYER.match(name)))
    if layers:
        what = (
            f"{equal[layers[0]]} of {counts[layers[0]]} tensors are identical across {len(layers)} layers "
            f"({listed(layers, NAMED)})"
        )
    else:
        what = f"{listed(names, NAMED)} hold the same numbers"
    if not is_weight:
        what += ": biases alone, whose weights differ"
    elif not is_alarm:
        what += ": they get different gradients, and part at the first step"
    default = FRAMEWORKS[case.evidence.framework].default_scheme or "auto"
    yield Finding(
        kind="cloned layers",
        severity="alarm" if is_alarm else "note",
        where=tuple(layers) or tuple(names),
        what=what,
        fix=f"draw every layer anew after copying it: initlab.initialize(model, '{default}')",
        scheme=default,
        value=float(len(groups)),
        limit=0.0,
    )


def _cloned_slices(case: Case) -> Iterator[Finding]:
    """Stacked layers, or experts, that hold the same random numbers."""
    stacked = stacked_clones(case)
    if not stacked:
        return
    p, slices = stacked[0], case.evidence.weights[stacked[0].native].equal_slices
    total = math.prod(p.shape[axis] for axis in stacked_axes(p))
    yield Finding(
        kind="cloned layers",
        severity="note",
        where=tuple(one.native for one in stacked),
        what=f"{slices} of the {total} weights that are stacked in '{p.native}' are the same as another one: where "
        "they get the same gradient too, they stay one",
        fix="draw every slice anew",
        scheme=FRAMEWORKS[case.evidence.framework].default_scheme or "auto",
        value=float(slices),
        limit=0.0,
        params=globs_of(case.evidence.spec, [one.native for one in stacked]),
    )


def stacked_clones(case: Case) -> list[ParamSpec]:
    """Stacked parameters of random numbers of which slices are the same."""
    weights = case.evidence.weights
    held = [p for p in case.evidence.spec.params if p.native in weights and p.tied_to is None and not p.frozen]
    return [p for p in held if weights[p.native].equal_slices and weights[p.native].is_varied]


def _stay_clones(case: Case, group: Sequence[ParamSpec]) -> bool:
    """Whether two weights that are the same get the same gradient too, as layers beside each other do."""
    gradients = case.evidence.reading.gradients
    squares = sorted(gradients[p.native].square for p in group if p.native in gradients and len(p.shape) > 1)
    return any(b - a <= _ROUNDING * b for a, b in pairwise(squares))


def _equal_parameters(case: Case) -> list[list[ParamSpec]]:
    """Parameters that hold the same random numbers, each group of more than one."""
    groups: dict[str, list[ParamSpec]] = {}
    for p in case.evidence.spec.params:
        facts = case.evidence.weights.get(p.native)
        is_random = facts is not None and facts.std > 0.0 and facts.is_varied
        if facts is not None and is_random and p.tied_to is None and not p.frozen and p.size > 1:
            groups.setdefault(facts.digest, []).append(p)
    return [group for group in groups.values() if len(group) > 1]


def _all_equal(case: Case) -> Sequence[str]:
    """Parameters of numbered layers, constant ones too, that are the same in a neighbour of the same list."""
    held: Counter[tuple[str, str, str]] = Counter()
    keys = {}
    for p in case.evidence.spec.params:
        match, facts = _LAYER.match(p.native), case.evidence.weights.get(p.native)
        if match and facts is not None:
            keys[p.native] = (match[1], match[3], facts.digest)
            held[keys[p.native]] += 1
    return [name for name, key in keys.items() if held[key] > 1]


def _by_number(layer: str) -> tuple[str, int]:
    stem = layer.rstrip("0123456789")
    return stem, int(layer[len(stem) :] or 0)
