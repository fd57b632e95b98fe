"""Checks of what comes out, of the residual stream and of attention."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initlab.probing.checks import Case, register_check
from initlab.probing.limits import Limits
from initlab.probing.records import Finding, Severity
from initlab.probing.wording import number, percent


@register_check("output scale", stage="output")
def output_scale(case: Case, limits: Limits) -> Iterator[Finding]:
    """The first loss is above that of a guess, or off what the weights let expect."""
    reading, theory = case.evidence.reading, case.evidence.loss
    if not math.isfinite(reading.loss) or reading.loss_kind not in ("cross_entropy", "mse"):
        return
    said = "" if theory is None else f", theory says {number(theory)}"
    place = reading.places[reading.outputs[0]] if reading.outputs else None
    guess = _guess(place.shape[place.units]) if place is not None and len(place.shape) > 1 else math.nan
    times = reading.loss / guess if reading.loss_kind == "cross_entropy" and guess > 0.0 else 0.0
    tied = [p for p in case.evidence.spec.params if p.tied_to is not None and p.is_weight]
    if times > limits.loss_note and place is not None:
        severity: Severity = "alarm" if times > limits.loss_alarm else "note"
        yield Finding(
            kind="output scale",
            severity=severity,
            where=(place.path,),
            what=f"the first loss is {number(reading.loss)}, a guess costs ln {place.shape[place.units]} = "
            f"{number(guess)}{said}" + (f"; the head is the embedding '{tied[0].tied_to}'" if tied else ""),
            fix="draw the tied embedding with std 0.02, or 1/sqrt(width)" if tied else "draw a smaller head, or zeros",
            scheme="normal(std=0.02)" if tied else "zeros",
            value=times,
            limit=limits.loss_alarm if severity == "alarm" else limits.loss_note,
        )
    elif theory is not None and _is_off(case, theory, limits):
        yield Finding(
            kind="loss off its prediction",
            severity="note",
            where=(place.path if place is not None else "loss",),
            what=f"the loss is {number(reading.loss)}{said}: outputs and targets are not independent of each other",
            fix="look at targets and loss: a model that was trained, or a leak of the targets, shows like this",
            value=reading.loss,
            limit=theory,
        )


def _guess(classes: int) -> float:
    return math.log(classes) if classes > 1 else math.nan


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
    if sums[-1][0].norm is not None and not sums[-1][0].is_stream and sums[0][0].norm is not None:
        return  # a norm behind every sum
    if not growth > limit:
        return
    normed = sums[0][0].is_stream
    factor = growth ** (1.0 / (len(sums) - 1))
    yield Finding(
        kind="growing residual stream",
        severity="note" if normed else "alarm",
        where=(case.place(sums[-1][0].index).path, case.place(sums[0][0].index).path),
        what=f"E[x²] goes from {number(sums[0][1].square)} to {number(sums[-1][1].square)} over {len(sums)} sums, "
        f"x {factor:.3g} a branch" + (": the last branches add little to it" if normed else ""),
        fix=f"scale the last layer of every branch by 1/sqrt({len(sums)}) = {len(sums) ** -0.5:.3g}, or to zero",
        scheme="auto",
        value=growth,
        limit=limit,
    )


@register_check("attention", stage="output")
def attention(case: Case, limits: Limits) -> Iterator[Finding]:
    """An attention looks at one place only, or at all of them alike, exactly."""
    places = case.evidence.reading.places
    known = {places[i].path: s.entropy for i, s in case.evidence.reading.forward.items() if not math.isnan(s.entropy)}
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
    if ceiling:
        zero = _zero_queries(case)
        yield Finding(
            kind="attention at its ceiling",
            severity="alarm",
            where=(*zero, *ceiling),
            what=f"the shares of '{ceiling[0]}' are exactly equal"
            + (f", for '{zero[0]}' is all zero" if zero else "")
            + ": keys get no gradient, and what is attended to does not count",
            fix="draw the queries at random: zero ones are all the same, and stay so",
            scheme="normal(std=0.02)",
            value=known[ceiling[0]],
            limit=1.0 - limits.uniform,
        )


def _zero_queries(case: Case) -> list[str]:
    """Parameters of rank 2 or more that are all zero and no weighted layer's own."""
    weights = case.evidence.weights
    return [p.native for p in case.evidence.spec.params if len(p.shape) > 1 and weights[p.native].largest == 0.0]
