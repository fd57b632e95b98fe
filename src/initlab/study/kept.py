"""What the schemes of a comparison leave as the user's model holds it, though nobody asked for that."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

from initlab.core.errors import IncompleteWarning
from initlab.core.facts.user_model import OwnModel
from initlab.core.plans.account import MOST_UNASKED, percent
from initlab.study.records import RunSpec
from initlab.study.run import plan_of


def kept_by_schemes(specs: Iterable[RunSpec]) -> str:
    """One sentence for each account of schemes that leave too much of the user's model; empty where none does.

    Args:
        specs: Runs of one study; runs of initlab's own networks leave nothing.
    """
    found: dict[str, list[str]] = {}
    for scheme, spec in {spec.scheme: spec for spec in specs if isinstance(spec.arch, OwnModel)}.items():
        account = plan_of(spec).account
        if account.unasked_share > MOST_UNASKED:
            share, why = percent(account.unasked_share), account.reasons(account.unasked)
            found.setdefault(f"{share} of the trainable numbers start as build draws them: {why}.", []).append(scheme)
    return " ".join(f"{', '.join(schemes)}: {left}" for left, schemes in found.items())


def warn_of_kept(specs: Iterable[RunSpec], *, stacklevel: int) -> None:
    """An ``IncompleteWarning`` where ``kept_by_schemes`` has something to say.

    Args:
        specs: As there.
        stacklevel: As in ``warnings.warn``, counted from the caller.
    """
    if told := kept_by_schemes(specs):
        warnings.warn(told.removesuffix("."), IncompleteWarning, stacklevel + 1)
