"""The rules of a plan from the names of schemes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from initlab.core.errors import OptionError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Law
from initlab.core.plans.plan import Consent, Initializer, Rule, matches
from initlab.schemes.auto import AutoPlan, auto_rules
from initlab.schemes.base import BoundScheme, scheme


def make_rules(
    model: ModelSpec,
    schemes: str | Mapping[str, str],
    *,
    dialect: Dialect | None = None,
    consent: Consent | None = None,
) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules that a scheme, or schemes by pattern, make for a model, and what is to be said about them.

    Args:
        model: Every parameter of the model.
        schemes: A scheme for all weights, or a scheme by glob of paths, the last match winning.
        dialect: The framework whose truncation and fans are taken.
        consent: What may be written, and what may not: ``auto`` builds on no bias that is to stay.

    Returns:
        The rules in rising order of precedence, and notes.

    Raises:
        UnknownNameError: An unknown scheme; the nearest is offered.
        OptionError: Neither a name nor names by pattern.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> rules, notes = make_rules(Mlp((4, 8, 3)).spec(), {"*": "he_normal", "1/*": "zeros"})
        >>> [(rule.pattern, rule.label) for rule in rules]
        [('*', 'he_normal'), ('1/*', 'zeros')]
    """
    named = [(pattern, scheme(call, dialect=dialect)) for pattern, call in _by_pattern(schemes).items()]
    rules, notes = [_plain(pattern, bound) for pattern, bound in named], list[str]()
    for at, (pattern, bound) in enumerate(named):
        if bound.scheme.name == "auto":
            later = {path for rule in rules[at + 1 :] for path in rule.ruled(model)}
            made = auto_rules(model, dialect=dialect, kept=_out_of_reach(pattern, later, consent or Consent()))
            rules[at] = Rule(pattern, _looked_up(made, bound), bound.label, reasons=made.reasons, left=made.left)
            notes += made.notes
    return rules, tuple(notes)


def _plain(pattern: str, bound: BoundScheme) -> Rule:
    return Rule(pattern, bound, bound.label, bound.scheme.with_biases)


def _out_of_reach(pattern: str, later: Set[str], consent: Consent) -> Callable[[ParamSpec], bool]:
    """Whether a parameter is not the rule's: it is to stay, its pattern does not match, or a later rule takes it."""

    def kept(p: ParamSpec) -> bool:
        is_matched = pattern == "*" or matches(p, pattern)
        return not is_matched or p.path in later or consent.reason_to_keep(p) is not None

    return kept


def _by_pattern(schemes: object) -> dict[str, str]:
    """The schemes by pattern, of one scheme or of several; both come from the user's hand."""
    given = schemes if isinstance(schemes, Mapping) else {"*": schemes}
    for pattern, call in given.items():
        if not isinstance(pattern, str) or not isinstance(call, str):
            found = (
                f"{call!r} is not the name of a scheme" if isinstance(pattern, str) else f"{pattern!r} is no pattern"
            )
            raise OptionError(found, where="schemes", fix='give a name such as "he_normal", or {pattern: name}')
    return dict(given)


def _looked_up(made: AutoPlan, alone: BoundScheme) -> Initializer:
    def law(p: ParamSpec) -> Law:
        return made.laws[p.path] if p.path in made.laws else alone(p)

    return law
