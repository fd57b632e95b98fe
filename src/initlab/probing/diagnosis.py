"""The verdict on a probed model: every check run over its evidence, the findings worst first."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Protocol

from initlab.core.factories import exits_refused
from initlab.probing.checks.book import checks_in_order
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.registry import Case
from initlab.probing.measure.coverage import coverage
from initlab.probing.records import Evidence, Finding
from initlab.probing.show.diagnosis_text import diagnosis_html, diagnosis_text, verdict


class Probed(Protocol):
    """A profile, or whatever else holds all that is known of a probed model."""

    @property
    def evidence(self) -> Evidence:
        """All that is known of the model."""


@dataclass(frozen=True)
class Diagnosis:
    """What is wrong with a model, the worst first: ``print`` it, ask ``healthy``.

    Attributes:
        model: The model's class name.
        findings: Alarms before notes; within them causes before what follows from them.
        limits: Those of a healthy model.
        layers: Weighted layers that were probed.
        unseen: The share of the model's numbers that was not seen at work.

    Example:
        >>> finding = Finding("dead units", "alarm", ("0:relu",), "90 % are zero", "set the biases to zero")
        >>> print(Diagnosis("Net", (finding,), layers=2))
        Net is not healthy: 1 alarm in 2 weighted layers
        <BLANKLINE>
        ALARM  dead units                                                        0:relu
               90 % are zero
               -> set the biases to zero
    """

    model: str
    findings: tuple[Finding, ...] = ()
    limits: Limits = field(default_factory=Limits)
    layers: int = 0
    unseen: float = 0.0

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that make a model sick."""
        return tuple(finding for finding in self.findings if finding.severity == "alarm")

    @property
    def judged(self) -> bool:
        """Whether enough was seen for a verdict; an alarm is one in any case."""
        return bool(self.alarms) or self.unseen <= self.limits.unseen

    @property
    def healthy(self) -> bool:
        """Whether enough was seen, and no finding is an alarm."""
        return self.judged and not self.alarms

    @property
    def verdict(self) -> str:
        """In one line: healthy, not healthy or not judged, and how many findings there are."""
        unjudged = 0.0 if self.judged else self.unseen
        return verdict(self.model, self.findings, layers=self.layers, unjudged=unjudged)

    def __contains__(self, kind: object) -> bool:
        """Whether there is a finding of a kind."""
        return any(finding.kind == kind for finding in self.findings)

    def __str__(self) -> str:
        return diagnosis_text(self.verdict, self.findings, limits=self.limits)

    def _repr_html_(self) -> str:
        return diagnosis_html(self.verdict, self.findings)

    def to_dict(self) -> dict[str, object]:
        """The diagnosis as JSON-ready data; a number that is not finite is None."""
        return {
            "model": self.model,
            "healthy": self.healthy,
            "judged": self.judged,
            "unseen": self.unseen,
            "findings": [_plain(finding) for finding in self.findings],
            "limits": self.limits.to_dict(),
        }


def diagnose(evidence: Evidence | Probed, limits: Limits | None = None) -> Diagnosis:
    """Everything that the checks find in a probed model.

    Args:
        evidence: All that is known of it, or its profile.
        limits: Those of a healthy model; left out, the defaults.

    Returns:
        A diagnosis; a model whose signal, gradient and likeness of samples all pass has no alarm of theirs.
    """
    case = Case(evidence if isinstance(evidence, Evidence) else evidence.evidence)
    limits = Limits() if limits is None else limits
    found: list[Finding] = []
    for check in checks_in_order():
        with exits_refused(f"the check '{check.name}'"):
            found += check.function(case, limits)
    found.sort(key=lambda finding: finding.severity != "alarm")
    return Diagnosis(case.evidence.model, tuple(found), limits, len(case.rows), coverage(case.evidence).unseen)


def _plain(finding: Finding) -> dict[str, object]:
    numbers = {"value": finding.value, "limit": finding.limit}
    plain = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
    return {**asdict(finding), "where": list(finding.where), "params": list(finding.params), **plain}
