"""Checks of what comes out, of the residual stream and of attention."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from initlab.core.facts.spec import ParamSpec
from initlab.core.plans.account import percent
from initlab.core.signals.readings import Guess, Place, Sums
from initlab.probing.checks.batch import entries
from initlab.probing.checks.likeness import alike_vectors, stay_alike
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import NAMED, Case, register_check
from initlab.probing.checks.targets import globs_of
from initlab.probing.checks.wording import listed, number
from initlab.probing.measure.trunk import downstream, nearest_weighted, writers
from initlab.probing.records import Finding, Severity

_ROUNDING = 1e-6
# Share of the entries of a packed weight that queries have, at the least.
_PACKED = 0.3
_GUESSES = {"constant": "the best constant", "zero": "outputs of zero", "uniform": "equal shares", "none": ""}
# Of a tied embedding: GPT-2's.
_SMALL_STD = 0.02
_UNMIXED = frozenset({"dropout", "pass", "scale"})
_NUMBER = re.compile(r"(^|[./])\d+(?=[./]|$)")


@register_check("output scale", stage="output")
def output_scale(case: Case, limits: Limits) -> Iterator[Finding]:
    """The first loss is above that of a guess, or off what the weights let expect."""
    reading, theory = case.evidence.reading, case.evidence.loss
    place = reading.places[reading.outputs[0]] if reading.outputs else None
    guess = Guess() if reading.guess is None else reading.guess
    times = reading.loss / guess.value if guess.value > 0.0 and math.isfinite(reading.loss) else 0.0
    note, alarm, sick = _bounds(guess, limits)
    if times > note:
        severity: Severity = "alarm" if times > alarm else "note"
        said = "" if theory is None else f", theory says {number(theory)}"
        costs = f"ln {guess.classes} = " if guess.classes else f"{number(times)} times less: {_GUESSES[guess.how]}, "
        yield replace(
            _cause(case, limits, place),
            severity=severity,
            what=f"the first loss is {number(reading.loss)}, a guess costs {costs}{number(guess.value)}{said}",
            value=times,
            limit=alarm if severity == "alarm" else note,
            grade="sick" if times > sick else "hard",
        )
    elif reading.loss_kind in ("cross_entropy", "mse") and theory is not None and _is_off(case, theory, limits):
        yield Finding(
            kind="loss off its prediction",
            severity="note",
            where=(place.path if place is not None else "loss",),
            what=f"the loss is {number(reading.loss)}, theory says {number(theory)}: outputs and targets are not "
            "independent of each other",
            fix="look at targets and loss: a model that was trained, or a leak of the targets, shows like this",
            value=reading.loss,
            limit=theory,
        )


def _behind(case: Case, place: Place | None) -> ParamSpec | None:
    """The weight behind the logits: the first name of a tied one, else that of the output, else the last there is.

    Of a model that returns its loss alone, the weight behind the largest sums of which no other layer is made.
    """
    weights = [p for p in case.evidence.spec.params if p.is_weight]
    first = {p.path: p for p in weights}
    tied = [first[p.tied_to] for p in weights if p.tied_to in first]
    last = next((row.path for row in reversed(case.rows)), "") if place is not None else _largest_head(case)
    names = [*(() if place is None else place.params), *(case.place(case.index[last]).params if last else ())]
    return next(iter([*tied, *(p for name in names for p in weights if p.native == name)]), None)


def _largest_head(case: Case) -> str:
    """The layer with the largest sums among those of which no other layer is made; empty where there is none."""
    places, paths = case.evidence.reading.places, {row.path for row in case.rows}
    heads = [
        row for row in case.rows if not any(places[at].path in paths for at in downstream(places, case.index[row.path]))
    ]
    return max(heads, key=lambda row: row.signal.measured).path if heads else ""


def _bounds(guess: Guess, limits: Limits) -> tuple[float, float, float]:
    """From which multiple of a guess on there is a note, an alarm, and no training."""
    if guess.how == "uniform":
        return limits.loss_note, limits.loss_alarm, limits.loss_sick
    power = guess.growth / 2.0
    return limits.error_note**power, limits.error_alarm**power, limits.error_sick**power


def _cause(case: Case, limits: Limits, place: Place | None) -> Finding:
    """What makes the first loss large: the inputs, the targets or the head; without the numbers."""
    off = next((entry for entry in entries(case) if entry.size > limits.input_note and not entry.is_normed), None)
    if off is not None:
        fix = "scale the inputs: the outputs are as large as they make them"
        return Finding("output scale", "note", (off.path, off.layer), "", fix)
    targets, head = case.evidence.reading.targets, None if place is None else case.sums(case.index[place.path])
    if targets is not None and not targets.is_whole and head is not None and head.square <= limits.error_alarm:
        fix = "scale the targets to mean 0 and variance 1: the outputs' root mean square is "
        return Finding("output scale", "note", ("targets",), "", fix + number(math.sqrt(head.square)))
    behind = _behind(case, place)
    table = behind.native if behind is not None and behind.role == "embedding" else ""
    beside = _added_to(case, table) if table else []
    return Finding(
        kind="output scale",
        severity="note",
        where=(place.path if place is not None else _largest_head(case) or "loss",),
        what="",
        fix=f"draw the tied embedding '{table}'{_and_beside(beside)} with std 0.02, or 1/sqrt(width)"
        if table
        else "draw a smaller head, or zeros",
        scheme="" if behind is None else "normal(std=0.02)" if table else "zeros",
        params=globs_of(case.evidence.spec, [] if behind is None else [behind.native, *beside]),
    )


def _and_beside(names: Sequence[str]) -> str:
    return f" and what is added to it ({listed(names, NAMED)})" if names else ""


def _added_to(case: Case, table: str) -> list[str]:
    """The larger tables whose rows are added to those of a table that is drawn small: they would drown its words."""
    places, weights = case.evidence.reading.places, case.evidence.weights
    drawn = {p.native for p in case.evidence.spec.params if p.role == "embedding" and not (p.frozen or p.intent)}
    for index, place in enumerate(places):
        tables = _tables(places, index) if place.kind == "sum" else []
        if table in tables:
            return [
                name
                for name in dict.fromkeys(tables)
                if name != table and name in drawn and name in weights and weights[name].std > 2.0 * _SMALL_STD
            ]
    return []


def _tables(places: Sequence[Place], index: int) -> list[str]:
    """The parameters of a sum of rows of tables and of parameters."""
    found = list(places[index].params)
    for term in _terms(places, index):
        if places[term].kind == "sum":
            found += _tables(places, term)
        elif places[term].facts.get("table"):
            found += places[term].params[:1]
    return found


def _is_off(case: Case, theory: float, limits: Limits) -> bool:
    reading = case.evidence.reading
    error = 0.0 if math.isnan(reading.loss_error) else reading.loss_error
    by_chance = limits.loss_errors * math.hypot(error, theory * case.evidence.loss_scatter)
    return abs(reading.loss - theory) > by_chance + limits.loss_share * theory


@register_check("residual stream", stage="signal")
def growing_stream(case: Case, limits: Limits) -> Iterator[Finding]:
    """The residual stream grows from its first sum to its last; a note where every branch begins with a norm."""
    sums = [(s, found) for s in case.stations if s.is_residual and (found := case.sums(s.index)) is not None]
    if len(sums) < 2 or not sums[0][1].square > 0.0:
        return
    growth = sums[-1][1].square / sums[0][1].square
    theory = [case.evidence.expected.get(sums[i][0].index) for i in (0, -1)]
    scatter = max((t.scatter for t in theory if t is not None), default=0.0)
    limit = limits.ratio * math.exp(limits.deviations * scatter)
    if all(s.norm is not None and not s.is_stream for s, _ in sums) or not growth > limit:
        return  # a norm behind every sum gives the stream its size anew
    normed = sums[0][0].is_stream
    places = case.evidence.reading.places
    if all(any(places[term].kind == "norm" for term in _terms(places, at.index)) for at, _ in sums):
        return  # branches that end in a norm add the same each: the stream grows like the depth
    factor = growth ** (1.0 / (len(sums) - 1))
    ends = zip((-1, *(s.index for s, _ in sums)), sums, strict=False)
    written = [at for before, (s, _) in ends for at in writers(case.evidence.reading, s.index, before=before)]
    paths = [case.place(at).path for at in written]
    yield Finding(
        kind="growing residual stream",
        severity="note" if normed else "alarm",
        where=(case.place(sums[-1][0].index).path, case.place(sums[0][0].index).path, *paths),
        what=f"E[x²] goes from {number(sums[0][1].square)} to {number(sums[-1][1].square)} over {len(sums)} sums, "
        f"x {factor:.3g} a branch" + (": the last branches add little to it" if normed else ""),
        fix=f"scale the last layer of every branch{_stem(paths)} by 1/sqrt({len(sums)}) = {len(sums) ** -0.5:.3g}, "
        "or to zero",
        scheme="auto",
        value=growth,
        limit=limit,
        grade="sick" if growth > limits.grow_sick else "hard",
    )


def _terms(places: Sequence[Place], index: int) -> list[int]:
    """The terms of a sum, behind what only drops or scales their entries, by a norm's own scale too."""
    found = list(places[index].inputs)
    for slot, term in enumerate(found):
        while len(places[term].inputs) == 1 and places[term].kind in (*_UNMIXED, "product"):
            term = places[term].inputs[0]
        found[slot] = term
    return found


def _stem(paths: Sequence[str]) -> str:
    """Layers of numbered blocks by what their names have in common."""
    names = dict.fromkeys(_NUMBER.sub(r"\1*", path) for path in paths)
    return f" ({listed(list(names), NAMED)})" if names else ""


@register_check("attention", stage="output")
def attention(case: Case, limits: Limits) -> Iterator[Finding]:
    """An attention looks at one place only, or at all of them alike, exactly."""
    known = _entropies(case)
    floor = sorted((path for path, entropy in known.items() if entropy < limits.entropy), key=lambda path: known[path])
    ceiling = [path for path, entropy in known.items() if 1.0 - entropy < limits.uniform]
    if floor:
        yield Finding(
            kind="attention at its floor",
            severity="alarm",
            where=tuple(floor),
            what=f"the entropy of '{floor[0]}' is {percent(max(known[floor[0]], 0.0))} of the largest: one place takes "
            "all, and no gradient passes to queries and keys",
            fix="divide the logits by sqrt(head size), or draw smaller queries and keys",
            scheme="glorot_uniform",
            value=known[floor[0]],
            limit=limits.entropy,
        )
    stuck = [path for path in ceiling if stay_alike(case, case.index[path], limits)]
    idle = [path for path in ceiling if path not in stuck and _are_idle(case, path)]
    if stuck:
        alike = alike_vectors(case)
        yield Finding(
            kind="attention at its ceiling",
            severity="alarm",
            where=(*alike, *stuck),
            what=f"the shares of '{stuck[0]}' are exactly equal"
            + (f", as the rows of '{alike[0]}' are" if alike else "")
            + ": keys get no gradient, and what is attended to does not count",
            fix="draw the queries at random: equal ones get equal gradients and stay equal"
            if alike
            else "keep a residual connection around every attention: tokens that are the same get equal shares",
            scheme="normal(std=0.02)" if alike else "",
            params=globs_of(case.evidence.spec, alike),
            value=known[stuck[0]],
            limit=1.0 - limits.uniform,
        )
    elif idle:
        yield Finding(
            kind="attention at its ceiling",
            severity="note",
            where=tuple(idle),
            what=f"the shares of '{idle[0]}' are exactly equal: its queries or keys get no gradient at the first step",
            fix="nothing, if it is meant: tokens differ behind it, and its weights move once what they meet does",
            value=known[idle[0]],
            limit=1.0 - limits.uniform,
        )


def _entropies(case: Case) -> dict[str, float]:
    """By attention, its mean entropy over the largest it could have."""
    places, found = case.evidence.reading.places, {}
    for index in _attentions(places):
        sums = case.sums(index)
        # Shares add up to 1: where they do not, they are NaN.
        if sums is not None and not math.isnan(sums.entropy) and sums.mean > 0.0:
            found[places[index].path] = 1.0 if _is_causal_and_even(places[index], sums) else sums.entropy
    return found


def _attentions(places: Sequence[Place]) -> list[int]:
    """The softmaxes whose shares multiply values of tokens: those of classes, and of a router, multiply none."""
    found = dict[int, None]()
    for place in places:
        if place.kind == "mix" or (place.kind == "product" and len(place.shape) > 2):
            for at in place.inputs:
                while places[at].kind in _UNMIXED and places[at].inputs:
                    at = places[at].inputs[0]
                if places[at].kind == "softmax":
                    found[at] = None
    return sorted(found)


def _are_idle(case: Case, path: str) -> bool:
    """Whether queries or keys of an attention get no gradient: those of the one are zero where the other's weights are.

    Zero queries of tokens that differ, as maximal update parametrisation has them, or a norm before them whose scale is
    zero. Logits that are merely small make nearly equal shares too, and their weights move.
    """
    evidence = case.evidence
    sources = [case.place(i) for i in nearest_weighted(evidence.reading.places, case.index[path])]
    sources += [case.place(i) for place in sources for i in place.inputs if case.place(i).kind == "norm"]
    names = [place.params[0] for place in sources if place.params and not place.facts.get("table")]
    held = [name for name in names if name in evidence.weights and name in evidence.reading.gradients]
    return any(
        evidence.weights[name].zeros >= _PACKED or evidence.reading.gradients[name].square == 0.0 for name in held
    )


def _is_causal_and_even(place: Place, sums: Sums) -> bool:
    """Whether row ``t`` of ``T`` gives ``1 / t`` to each of the ``t`` places that a causal mask lets it see.

    The mean entropy is then that of ``ln t``, and the mean square that of ``1 / t`` over ``T``.

    Example:
        >>> place = Place("softmax", "s", shape=(1, 2, 2))      # rows (1, 0) and (1/2, 1/2)
        >>> _is_causal_and_even(place, Sums(1, 4, 2, mean=0.5, square=0.375, entropy=0.5))
        True
    """
    terms = place.shape[-1] if place.shape else 0
    if terms < 2 or place.shape[-2:] != (terms, terms):
        return False
    entropy = math.lgamma(terms + 1) / (terms * math.log(terms))
    square = sum(1.0 / t for t in range(1, terms + 1)) / terms**2
    return math.isclose(sums.entropy, entropy, rel_tol=_ROUNDING) and math.isclose(
        sums.square, square, rel_tol=_ROUNDING
    )
