"""Mends tried on a model that is afterwards as it was: what a probe finds with the weights that they draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from initlab.api.planning import plan
from initlab.core.adapter import WeightSource
from initlab.core.errors import InitlabError
from initlab.core.facts.spec import ModelSpec
from initlab.core.plans.bound import BoundPlan
from initlab.probing.checks.limits import Limits
from initlab.probing.diagnosis import Diagnosis
from initlab.probing.profile import Profile
from initlab.probing.records import Trial

MOST = 3
"""Mends of one model that are tried: each costs a pass."""

SEED = 0
"""That of the line which a diagnosis offers to paste."""

SMALL = 10_000_000
"""Numbers of a model up to which the command line tries mends unasked: they are drawn in about a second."""

_Schemes = str | Mapping[str, str]


def with_mends_tried(
    model: object, profile: Profile, again: Callable[[], Profile], limits: Limits | None = None
) -> Profile:
    """The profile, with a record of each mend that its diagnosis offers, as it was tried.

    The offered weights are written in place and probed; then parameters are bit for bit what they were, also after an
    exception or Ctrl-C, and a probe leaves all else as it was.

    Args:
        model: The model.
        profile: Of the model.
        again: Probes the model as the profile was probed.
        limits: Those of the diagnosis.
    """
    trials = tuple(_trial(model, schemes, again) for schemes in offers(profile.diagnose(limits))[:MOST])
    return Profile(replace(profile.evidence, trials=trials))


def offers(diagnosis: Diagnosis) -> list[_Schemes]:
    """Each thing that a diagnosis offers once: causes before what follows from them, alarms before notes."""
    found: list[_Schemes] = []
    for is_cause in (True, False):
        for one in diagnosis.findings:
            if one.scheme and is_cause == (not one.cause) and one.schemes not in found:
                found.append(one.schemes)
    return found


def is_small(spec: ModelSpec) -> bool:
    """Whether a model is small enough for mends to be tried in about the time of a probe."""
    return sum(p.size for p in spec.params if p.tied_to is None) <= SMALL


def _trial(model: object, schemes: _Schemes, again: Callable[[], Profile]) -> Trial:
    try:
        made = plan(model, schemes)
        made.plan.check()
        return Trial(schemes, _under(made, again).evidence)
    except InitlabError as error:
        return Trial(schemes, None, refused=error.what)


def _under(made: BoundPlan, again: Callable[[], Profile]) -> Profile:
    """The profile of a plan's model with the weights of the plan, which are gone afterwards."""
    rows = [(entry.param, entry.law) for entry in made if entry.action == "initialise" and entry.law is not None]
    with made.adapter.holding(made.model, [param for param, _ in rows]):
        for param, law in rows:
            made.adapter.write(made.model, param, WeightSource(law, param, SEED))
        return again()
