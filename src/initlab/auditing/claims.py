"""What is claimed of each parameter: of a plan, of a recipe, or of a lock file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from initlab.core.errors import OptionError
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Law
from initlab.core.plans.account import Kept
from initlab.core.plans.plan import Action, Plan, matches
from initlab.recipes.recipe import Declaration, DepthScale, are_named


@dataclass(frozen=True)
class Claim:
    """What one parameter is held to.

    Attributes:
        param: The parameter as it is found in the model.
        action: Whether it was to be initialised, kept, or could not be.
        law: The law; None where nothing is drawn.
        why: The reason of the plan's row.
        kept: The reason for which it is kept; None where it is not.
        tied: Path of the parameter whose memory it was to share; empty where it was to have its own; None where
            nothing was said.
        depth: The factor for depth inside the law.
        share: Share of the entries that count as evidence; below 1 where the law was estimated.
        excess: Excess kurtosis, where the law's family is not known.
        digest: What its numbers were; empty where any draw will do.
        path: The path it was drawn under.
    """

    param: ParamSpec
    action: Action
    law: Law | None
    why: str
    tied: str | None = None
    depth: DepthScale | None = None
    share: float = 1.0
    excess: float | None = None
    digest: str = ""
    path: str = ""
    kept: Kept | None = None


def plan_claims(plan: Plan, spec: ModelSpec, *, says_ties: bool) -> list[Claim]:
    """The claims of a plan on a model.

    Args:
        plan: A row for every parameter.
        spec: The model's parameters, as they are now.
        says_ties: Whether the plan was made before, of a model whose shared parameters are part of what it says.

    Raises:
        OptionError: The plan is of another model; the first difference is named.
    """
    entries = {entry.param.path: entry for entry in plan}
    check_same({path: entry.param.shape for path, entry in entries.items()}, spec, source="plan")
    claims = []
    for p in spec.params:
        entry = entries[p.path]
        tied = (entry.param.tied_to or "") if says_ties else None
        claims.append(
            Claim(
                p,
                entry.action,
                entry.law,
                entry.why,
                tied=tied,
                depth=branch_depth(entry.param),
                path=p.path,
                kept=entry.kept,
            )
        )
    return claims


def branch_depth(p: ParamSpec) -> DepthScale | None:
    """The factor that the last weight of a residual branch gets where a law is scaled for depth."""
    if p.branch is None or not p.branch.is_last or p.branch.branches < 2:
        return None
    count = p.branch.branches
    words = f"1/sqrt({count}), the scale of {count} residual branches"
    return DepthScale(1.0 / math.sqrt(count), words, is_declared=False)


def recipe_claims(plan: Plan, spec: ModelSpec, given: Declaration) -> list[Claim]:
    """The claims of a recipe on a model, ties and depth factors among them."""
    claims = plan_claims(plan, spec, says_ties=False)
    return [
        replace(claim, tied=_tie(claim.param, spec, given), depth=_depth(claim.param, given) or claim.depth)
        for claim in claims
    ]


def _tie(p: ParamSpec, spec: ModelSpec, given: Declaration) -> str | None:
    """The first parameter that the recipe ties this one to; empty where it ties it to none that it shares with."""
    if not (given.ties or given.may_tie):
        return None
    for first in spec.params:
        if first.path == p.path:
            break
        if first.tied_to is None and are_named(first, p, given.ties):
            return first.path
    if p.tied_to is None:
        return None
    together = [q for q in spec.params if p.tied_to in (q.path, q.tied_to) and q.path != p.path]
    return None if any(are_named(q, p, (*given.ties, *given.may_tie)) for q in together) else ""


def _depth(p: ParamSpec, given: Declaration) -> DepthScale | None:
    return next((scale for glob, scale in given.depth.items() if matches(p, glob)), None)


def check_same(shapes: Mapping[str, tuple[int, ...]], spec: ModelSpec, *, source: str) -> None:
    """Nothing, if the names and shapes are the model's.

    Raises:
        OptionError: They are another model's; the first difference is named.
    """
    found = {p.path: p for p in spec.params}
    for path, shape in shapes.items():
        if path not in found:
            raise _other(source, f"'{path}' of shape {shape}", "no such parameter")
        if found[path].shape != shape:
            raise _other(source, f"'{path}' of shape {shape}", f"shape {found[path].shape}")
    added = _first(path for path in found if path not in shapes)
    if added:
        raise _other(source, f"no '{found[added].native or added}'", f"one of shape {found[added].shape}")


def _first(paths: Iterable[str]) -> str:
    return next(iter(paths), "")


def _other(source: str, theirs: str, ours: str) -> OptionError:
    return OptionError(
        f"the {source} is of another model: it has {theirs}, the model has {ours}",
        fix=f"make a {source} of this model",
    )
