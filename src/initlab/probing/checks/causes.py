"""Which findings follow from which: a root cause is named once, and what it makes stands beneath it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from initlab.probing.records import Finding

_SIZES = frozenset({
    "exploding forward signal", "vanishing forward signal", "exploding gradient", "vanishing gradient",
    "layer out of scale", "growing residual stream", "values that overflow", "inputs mapped to one point",
    "saturated units", "dead units", "attention at its floor", "output scale", "chaotic phase",
})  # fmt: skip
_LOUD = frozenset({"exploding gradient", "values that overflow", "saturated units", "output scale"})
FOLLOWS: Mapping[str, frozenset[str]] = {
    "diverged training": _SIZES,
    "uninitialised values": _SIZES,
    "outlying weights": _SIZES,
    "zero divided by zero": _SIZES,
    "unscaled inputs": _SIZES,
    "zero weights that block learning": frozenset({"dead units", "attention at its ceiling", "equal units"}),
    "equal units": frozenset({"equal tokens"}),
    "equal embeddings": frozenset({"equal tokens", "inputs mapped to one point"}),
    "equal tokens": frozenset({"attention at its ceiling", "exploding gradient", "vanishing gradient"}),
    "exploding forward signal": _LOUD,
    "growing residual stream": _LOUD,
    "vanishing forward signal": frozenset({"vanishing gradient", "inputs mapped to one point"}),
    "chaotic phase": frozenset({"exploding gradient"}),
    "vanishing gradient": frozenset({"inputs mapped to one point"}),
    "dead units": frozenset({"inputs mapped to one point"}),
}
"""By the kind of an alarm, the kinds of findings that it makes by itself."""


def with_causes(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Alarms before notes, and behind each what follows from it, which names it as its cause.

    Example:
        >>> kinds = ("vanishing gradient", "vanishing forward signal")
        >>> [(one.kind, one.cause) for one in with_causes([Finding(kind, "alarm", ("0",), "", "") for kind in kinds])]
        [('vanishing forward signal', ''), ('vanishing gradient', 'vanishing forward signal')]
    """
    findings = sorted(findings, key=lambda finding: finding.severity != "alarm")
    kinds = {finding.kind for finding in findings if finding.severity == "alarm"}
    made = {kind: _root(kind, kinds) for kind in {finding.kind for finding in findings}}
    found: list[Finding] = []
    for root in (one for one in findings if not made[one.kind]):
        is_first = root.severity == "alarm" and all(one.kind != root.kind for one in found)
        found += [
            root,
            *(replace(one, cause=root.kind) for one in findings if is_first and made[one.kind] == root.kind),
        ]
    return tuple(found)


def _root(kind: str, kinds: set[str]) -> str:
    """The first cause of a kind that nothing else makes; empty where it is one itself."""
    causes = [cause for cause in FOLLOWS if cause in kinds and kind in FOLLOWS[cause]]
    return (_root(causes[0], kinds) or causes[0]) if causes else ""
