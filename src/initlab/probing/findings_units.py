"""Checks of units that do nothing: dead ones, saturated ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

from initlab.probing.checks import Case, register_check
from initlab.probing.limits import Limits
from initlab.probing.metrics import LayerRow, samples_in
from initlab.probing.records import Finding
from initlab.probing.wording import percent


@register_check("dead units", stage="units")
def dead_units(case: Case, limits: Limits) -> Iterator[Finding]:
    """One-sided units are zero on the whole batch, beyond what the likeness of its samples explains."""
    rows = [row for row in case.rows if not math.isnan(row.dead.measured)]
    if samples_in(case.evidence.reading) < 2:
        return  # half of the units are below zero for any one sample
    units = sum(row.units for row in rows)
    if not units:
        return
    net = sum(row.units * _unexplained(row) for row in rows) / units
    worst = max(rows, key=_unexplained)
    dead = sorted((row for row in rows if _unexplained(row) > limits.dead_layer), key=_unexplained, reverse=True)
    if not dead and net <= limits.dead_net:
        return
    explained = _explained(worst)
    yield Finding(
        kind="dead units",
        severity="alarm",
        where=tuple(row.activation for row in dead or [worst]),
        what=f"{percent(worst.dead.measured)} of the units behind '{worst.path}' are zero on the whole batch, "
        f"{percent(explained)} are explained by how alike its samples are; {percent(max(net, 0.0))} too many over the "
        "net",
        fix="set the biases to zero and the weights to He's std: a unit that no sample wakes gets no gradient",
        scheme="he_normal",
        value=_unexplained(worst) if dead else net,
        limit=limits.dead_layer if dead else limits.dead_net,
    )


def _unexplained(row: LayerRow) -> float:
    return row.dead.measured - _explained(row)


def _explained(row: LayerRow) -> float:
    return row.dead.predicted or 0.0


@register_check("saturated units", stage="units")
def saturated_units(case: Case, limits: Limits) -> Iterator[Finding]:
    """A bounded activation stands at its flat ends."""
    flat = [row for row in case.rows if row.saturated.measured > limits.saturated]
    if not flat:
        return
    worst = max(flat, key=lambda row: row.saturated.measured)
    theory = worst.saturated.predicted
    said = "" if theory is None else f" (theory: {percent(theory)})"
    yield Finding(
        kind="saturated units",
        severity="alarm",
        where=tuple(row.path for row in flat),
        what=f"{percent(worst.saturated.measured)} of the entries behind '{worst.path}'{said} are where the slope of "
        f"{worst.f or 'the activation'} is below 5 % of its largest: E[z²] is {worst.signal.measured:.3g}",
        fix="draw smaller weights, and scale the inputs to mean 0 and variance 1",
        scheme="glorot_normal",
        value=worst.saturated.measured,
        limit=limits.saturated,
    )
