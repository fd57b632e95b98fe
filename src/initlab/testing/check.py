"""The conformance suite of a check: it finds what is planted, finds nothing in the healthy twin, and says it well."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from initlab.api.probing import probe
from initlab.core.calls import parse_call
from initlab.probing.checks.book import CHECKS
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case
from initlab.probing.records import Finding, Severity
from initlab.schemes import SCHEMES
from initlab.testing.holding import hold


def check_check(
    name: str, *, sick: Callable[[], tuple[object, object]], healthy: Callable[[], tuple[object, object]]
) -> None:
    """Holds a registered check to what every check keeps.

    Args:
        name: Its name.
        sick: Returns a model with the fault, and a batch for it.
        healthy: Returns its twin without the fault, and a batch.

    Raises:
        AssertionError: What the check does otherwise.
        UnknownNameError: No check has the name.
    """
    hold(bool(CHECKS[name].summary), f"{name}: its docstring does not say what it looks for")
    found = _findings(name, *sick())
    hold(bool(found), f"{name}: it finds nothing in the sick model")
    for finding in found:
        _check_finding(name, finding)
    rest = _findings(name, *healthy())
    hold(not rest, f"{name}: it finds something in the healthy model", rest[0].what if rest else "")


def _findings(name: str, model: object, batch: object) -> list[Finding]:
    return list(CHECKS[name].function(Case(probe(model, batch).evidence), Limits()))


def _check_finding(name: str, finding: Finding) -> None:
    """What is the matter, where, and what to do, in a line each."""
    hold(finding.severity in get_args(Severity), f"{name}: no such severity", finding.severity)
    hold(bool(finding.where), f"{name}: a finding does not say where")
    for said in (finding.kind, finding.what, finding.fix):
        hold(bool(said) and "\n" not in said, f"{name}: a finding says nothing, or more than a line", repr(said))
    if finding.scheme:
        hold(parse_call(finding.scheme)[0] in SCHEMES, f"{name}: no scheme has the name", finding.scheme)
