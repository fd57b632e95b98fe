"""Checks of recurrent layers: what becomes of a gradient over the steps of a sequence."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case, register_check
from initlab.probing.checks.targets import globs_of
from initlab.probing.checks.wording import number
from initlab.probing.records import Finding, Past


@register_check("gradient over time", stage="signal")
def gradient_over_time(case: Case, limits: Limits) -> Iterator[Finding]:
    """A recurrent layer makes the gradient of early steps large, or keeps nothing of the step before."""
    loud = [past for past in case.evidence.pasts if not past.ratio <= limits.ratio]
    if loud:
        yield _exploding(case, loud, limits)
    faint = [past for past in case.evidence.pasts if past.ratio < 1.0 / limits.steep]
    if faint:
        yield _vanishing(case, faint, limits)


def _exploding(case: Case, loud: list[Past], limits: Limits) -> Finding:
    worst = max(loud, key=lambda past: math.inf if math.isnan(past.ratio) else past.ratio)
    alarms = [past for past in loud if not past.ratio <= limits.steep]
    said = "overflows" if math.isnan(worst.factor) else f"grows by {number(worst.factor)} a step"
    return Finding(
        kind="exploding gradient over time",
        severity="alarm" if alarms else "note",
        where=_where(alarms or loud, worst),
        what=f"a squared gradient {said} on its way back through '{worst.native}', "
        f"x {number(worst.ratio)} over the {worst.steps} steps of this batch",
        fix="draw orthogonal recurrent weights: their singular values are 1",
        scheme="orthogonal",
        params=globs_of(case.evidence.spec, [past.native for past in alarms or loud]),
        value=worst.ratio,
        limit=limits.steep if alarms else limits.ratio,
    )


def _vanishing(case: Case, faint: list[Past], limits: Limits) -> Finding:
    worst = min(faint, key=lambda past: past.factor)
    alarms = [past for past in faint if past.factor < limits.forgets]
    gates = "" if worst.gates == 1 else ", and biases of 1 and more for gates that keep"
    return Finding(
        kind="vanishing gradient over time",
        severity="alarm" if alarms else "note",
        where=_where(alarms or faint, worst),
        what=f"a squared gradient falls by {number(worst.factor)} a step on its way back through '{worst.native}': "
        f"{_reach(worst, limits)}",
        fix=f"draw orthogonal recurrent weights{gates}, where what is long ago counts",
        scheme="orthogonal" if alarms else "",
        params=globs_of(case.evidence.spec, [past.native for past in alarms]),
        value=worst.factor,
        limit=limits.forgets,
    )


def _where(found: list[Past], worst: Past) -> tuple[str, ...]:
    return tuple(dict.fromkeys((worst.native, *(past.native for past in found))))


def _reach(past: Past, limits: Limits) -> str:
    if not past.factor > 0.0:
        return "nothing of it is left"
    steps = math.ceil(math.log(limits.steep) / -math.log(past.factor))
    return f"1/{limits.steep:g} of it is left after {steps} of the {past.steps} steps of this batch"
