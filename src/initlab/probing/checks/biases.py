"""Biases that look designed and are what is the matter: a scheme for the whole model would keep them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from initlab.core.facts.spec import ParamSpec
from initlab.core.signals.readings import Place
from initlab.probing.checks.gates import is_gate
from initlab.probing.checks.registry import Case
from initlab.probing.measure.metrics import LayerRow
from initlab.probing.measure.weights import mean_square
from initlab.probing.records import Finding
from initlab.recipes.recipe import exact

_MOST = 0.5  # of E[z^2]


def with_biases(findings: Sequence[Finding], case: Case) -> list[Finding]:
    """The findings; an alarm that offers a scheme for all weights has the biases that make most of the signal at zero.

    Those of gates are left out: a gate that starts shut is one.
    """
    loud = tuple(name for row in case.hidden if not is_gate(case, row) for name in _loud(case, row))
    return [replace(one, zeros=loud) if loud and _takes(one) else one for one in findings]


def _takes(finding: Finding) -> bool:
    is_for_all = bool(finding.scheme) and not finding.params and not finding.zeros
    return is_for_all and finding.severity == "alarm"


def _loud(case: Case, row: LayerRow) -> Iterator[str]:
    for p in kept_biases(case, row):
        if mean_square(case.evidence.weights[p.native]) >= _MOST * row.signal.measured:
            yield exact(p)


def kept_biases(case: Case, row: LayerRow) -> list[ParamSpec]:
    """A layer's biases that a scheme for the whole model would keep, for they look designed."""
    held = params_of(case, case.place(case.index[row.path]))
    return [p for p in held if p.role == "bias" and p.intent]


def params_of(case: Case, place: Place) -> list[ParamSpec]:
    """The parameters of a place whose numbers are known."""
    known = {p.native: p for p in case.evidence.spec.params}
    return [known[name] for name in place.params if name in known and name in case.evidence.weights]
