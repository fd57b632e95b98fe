"""What the mends that were tried did: each finding says so, and an offer that mends nothing is withdrawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from initlab.core.facts.spec import ModelSpec
from initlab.probing.records import Finding, Mended, Trial

Tried = tuple[Trial, Sequence[Finding]]
"""A mend, and what was found with it; nothing where it was refused."""

_RANKS = {"hard": 2, "sick": 3}


def with_trials(findings: Sequence[Finding], tried: Sequence[Tried]) -> tuple[Finding, ...]:
    """The findings, each with what became of its offer; an offer that mends nothing is withdrawn.

    Args:
        findings: Of the model as it is.
        tried: The mends that were tried.

    Example:
        >>> lost = Finding("dead units", "alarm", ("0",), "...", "set the biases to zero", scheme="he_normal")
        >>> dead = Trial("he_normal", evidence=None)
        >>> [one.mended for one in with_trials([lost], [(dead, ())])]
        ['yes']
        >>> one, = with_trials([lost], [(dead, [lost])])
        >>> one.mended, one.scheme, one.fix
        ('no', '', "set the biases to zero; 'he_normal' was tried with seed 0, and leaves it as it is")
    """
    return tuple(_judged(finding, findings, tried) for finding in findings)


def without_obstacles(findings: Sequence[Finding], spec: ModelSpec) -> tuple[Finding, ...]:
    """The findings, without offers for all weights of a model most of whose numbers cannot be drawn.

    Example:
        >>> from initlab.core.facts.spec import ParamSpec
        >>> part = ParamSpec("0/weight", (3, 2), "unknown", intent="a part of a weight", is_obstacle=True)
        >>> lost = Finding("dead units", "alarm", ("0",), "...", "draw larger weights", scheme="he_normal")
        >>> one, = without_obstacles([lost], ModelSpec((part, ParamSpec("1/weight", (1, 3)))))
        >>> one.scheme, one.fix
        ('', 'draw larger weights; most weights cannot be drawn: a part of a weight')
    """
    stuck = [p for p in spec.params if p.is_obstacle]
    if 2 * sum(p.size for p in stuck) <= sum(p.size for p in spec.params if len(p.shape) > 1):
        return tuple(findings)
    why = f"; most weights cannot be drawn: {stuck[0].intent}"
    return tuple(replace(one, scheme="", fix=one.fix + why) if _is_for_all(one) else one for one in findings)


def _is_for_all(finding: Finding) -> bool:
    return bool(finding.scheme) and not finding.params and finding.mended == "not tried"


def _judged(finding: Finding, findings: Sequence[Finding], tried: Sequence[Tried]) -> Finding:
    for trial, after in tried:
        if finding.scheme and trial.schemes == finding.schemes:
            if trial.refused:
                return _withdrawn(finding, f"fails: {trial.refused}")
            mended, why = _outcome(finding, findings, after)
            return replace(finding, mended=mended) if mended != "no" else _withdrawn(finding, why)
    return finding


def _withdrawn(finding: Finding, why: str) -> Finding:
    offered = (
        finding.scheme
        if isinstance(finding.schemes, str)
        else ", ".join(f"{glob}: {scheme}" for glob, scheme in finding.schemes.items())
    )
    fix = f"{finding.fix}; '{offered}' was tried with seed 0, and {why}"
    return replace(finding, mended="no", fix=fix, scheme="", params=(), zeros=())


def _outcome(finding: Finding, before: Sequence[Finding], after: Sequence[Finding]) -> tuple[Mended, str]:
    """Whether it is gone; why not, in words."""
    then, now, own = _ranks(before), _ranks(after), _rank(finding)
    brought = [kind for kind, rank in now.items() if rank >= own and rank > then.get(kind, 0)]
    if brought:
        return "no", f"brings '{brought[0]}'"
    left = [one for one in after if one.kind == finding.kind]
    if left and now[finding.kind] >= own and not any(_is_nearer(one, finding) for one in left):
        return "no", "leaves it as it is"
    made = [one.kind for one in before if one.cause == finding.kind]
    worse = [kind for kind, rank in now.items() if rank > max(then.get(kind, 0), 1)]
    rest = [kind for kind in (finding.kind, *made) if now.get(kind, 0) >= min(own, 2)]
    return ("partly", "") if rest or worse else ("yes", "")


def _is_nearer(after: Finding, before: Finding) -> bool:
    """Whether the number that is compared went half of its way to the limit, or more."""
    values = (after.value, before.value, after.limit, before.limit)
    if not all(value > 0.0 and math.isfinite(value) for value in values):
        return False
    way = [abs(math.log(one.value / one.limit)) for one in (after, before)]
    return way[0] <= 0.5 * way[1]


def _ranks(findings: Sequence[Finding]) -> dict[str, int]:
    """By kind, how bad the worst finding is."""
    found: dict[str, int] = {}
    for one in findings:
        found[one.kind] = max(found.get(one.kind, 0), _rank(one))
    return found


def _rank(finding: Finding) -> int:
    """1 of a note, 2 of a model that is hard to train, 3 of a sick one."""
    return _RANKS.get(finding.grade, 1) if finding.severity == "alarm" else 1
