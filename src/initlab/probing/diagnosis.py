"""The verdict on a probed model: every check run over its evidence, the findings worst first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from initlab.core.errors import InitlabError
from initlab.core.factories import exits_refused
from initlab.probing.checks.biases import with_biases
from initlab.probing.checks.book import checks_in_order
from initlab.probing.checks.causes import with_causes
from initlab.probing.checks.limits import Limits
from initlab.probing.checks.mends import with_trials, without_obstacles
from initlab.probing.checks.registry import Case
from initlab.probing.measure.coverage import coverage
from initlab.probing.records import Evidence, Finding, Verdict
from initlab.probing.show.diagnosis_text import VERDICTS, diagnosis_html, diagnosis_text, headline

GIVE_A_BATCH = "give a batch as in training: initlab.probe(model, x)"


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
        findings: Alarms before notes, and behind a cause what follows from it.
        limits: Those of a healthy model.
        layers: Weighted layers that were probed.
        unseen: The share of the model's numbers that was not seen at work.
        names: What layers are, by path, where the path is a number that tells nothing.
        guessed: What the batch was, in words, where it was guessed from the model; such a model is never healthy.

    Example:
        >>> finding = Finding("dead units", "alarm", ("0:relu",), "90 % are zero", "set the biases to zero")
        >>> print(Diagnosis("Net", (finding,), layers=2))
        Net is sick: 1 alarm in 2 weighted layers
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
    names: Mapping[str, str] = field(default_factory=dict)
    guessed: str = ""

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that make a model sick, or hard to train."""
        return tuple(finding for finding in self.findings if finding.severity == "alarm")

    @property
    def judged(self) -> bool:
        """Whether enough was seen, of different samples, for a verdict; an alarm of a sick model is one in any case."""
        if any(finding.grade == "sick" for finding in self.alarms):
            return True
        if self.guessed:
            return False
        return self.unseen <= self.limits.unseen and not any(one.grade == "not judged" for one in self.findings)

    @property
    def verdict(self) -> Verdict:
        """What trains it: nothing, Adam or a warm-up, or plain SGD too; or that nothing can be said."""
        if not self.judged:
            return "not judged"
        if not self.alarms:
            return "healthy"
        return "sick" if any(finding.grade == "sick" for finding in self.alarms) else "hard"

    @property
    def healthy(self) -> bool:
        """Whether the verdict is ``healthy``: enough was seen, and no finding is an alarm."""
        return self.verdict == "healthy"

    @property
    def headline(self) -> str:
        """The verdict in one line, and how many findings there are."""
        unseen = self.unseen if self.unseen > self.limits.unseen else 0.0
        return headline(
            self.model, self.verdict, self.findings, layers=self.layers, unseen=unseen, guessed=self.guessed
        )

    def assert_healthy(self, *, strict: bool = False) -> None:
        """Nothing, where the model is healthy, or hard to train.

        Args:
            strict: Whether a model that is hard to train is refused too.

        Raises:
            InitlabError: The alarms, the worst first; or why the model is not judged.
        """
        if self.verdict == "healthy" or (self.verdict == "hard" and not strict):
            return
        told = [one for one in self.findings if one.severity == "alarm" or one.grade == "not judged"]
        if self.verdict == "not judged":
            told = [one for one in told if one.grade == "not judged"]
            what = "; ".join([self.headline, *(f"{one.kind}: {one.what}" for one in told)])
        else:
            what = f"{self.model} is {VERDICTS[self.verdict]}: " + "; ".join(f"{f.kind}: {f.what}" for f in told)
        fix = GIVE_A_BATCH if self.guessed and self.verdict == "not judged" else "probe with more samples"
        raise InitlabError(what, fix=told[0].fix if told else fix)

    def __contains__(self, kind: object) -> bool:
        """Whether there is a finding of a kind."""
        return any(finding.kind == kind for finding in self.findings)

    def __str__(self) -> str:
        return diagnosis_text(self.headline, self.findings, limits=self.limits, names=self.names)

    def _repr_html_(self) -> str:
        return diagnosis_html(self.headline, self.findings, names=self.names)

    def to_dict(self) -> dict[str, object]:
        """The diagnosis as JSON-ready data; a number that is not finite is None."""
        return {
            "model": self.model,
            "verdict": self.verdict,
            "healthy": self.healthy,
            "judged": self.judged,
            "unseen": self.unseen,
            "guessed": self.guessed,
            "findings": [_plain(finding) for finding in self.findings],
            "limits": self.limits.to_dict(),
        }


def diagnose(evidence: Evidence | Probed, limits: Limits | None = None) -> Diagnosis:
    """Everything that the checks find in a probed model, and what became of the mends that were tried.

    It reads records, and runs no model.

    Args:
        evidence: All that is known of it, or its profile.
        limits: Those of a healthy model; left out, the defaults.

    Returns:
        A diagnosis; a model whose signal, gradient and likeness of samples all pass has no alarm of theirs.
    """
    known = evidence if isinstance(evidence, Evidence) else evidence.evidence
    case, limits = Case(known), Limits() if limits is None else limits
    tried = [(one, _found(Case(one.evidence), limits) if one.evidence else ()) for one in known.trials]
    findings = without_obstacles(with_trials(_found(case, limits), tried), known.spec)
    return Diagnosis(known.model, findings, limits, len(case.rows), coverage(known).unseen, _names(case), known.guessed)


def _found(case: Case, limits: Limits) -> tuple[Finding, ...]:
    """What every check finds, causes before what follows from them."""
    found: list[Finding] = []
    for check in checks_in_order():
        with exits_refused(f"the check '{check.name}'"):
            found += check.function(case, limits)
    return with_causes(with_biases(found, case))


def _names(case: Case) -> dict[str, str]:
    """Of layers that have a number for a name, what their weight is."""
    params = {p.native: p for p in case.evidence.spec.params}
    found = {}
    for row in case.rows:
        place = case.place(case.index[row.path])
        p = params.get(place.params[0]) if place.params else None
        if p is not None and row.path.partition("#")[0].isdigit():
            found[row.path] = f"{row.path} ({p.role}, {' x '.join(str(n) for n in p.shape)})"
    return found


def _plain(finding: Finding) -> dict[str, object]:
    numbers = {"value": finding.value, "limit": finding.limit}
    plain = {key: value if math.isfinite(value) else None for key, value in numbers.items()}
    return {**asdict(finding), "where": list(finding.where), "params": list(finding.params), **plain}
