"""The rules of a plan from the names of schemes."""

from __future__ import annotations

from collections.abc import Mapping

from initlab.core.errors import OptionError
from initlab.core.fans import Dialect
from initlab.core.laws import Law
from initlab.core.plan import Initializer, Rule
from initlab.core.spec import ModelSpec, ParamSpec
from initlab.schemes.auto import AutoPlan, auto_rules
from initlab.schemes.base import BoundScheme, scheme


def make_rules(
    model: ModelSpec, schemes: str | Mapping[str, str], *, dialect: Dialect | None = None
) -> tuple[list[Rule], tuple[str, ...]]:
    """The rules that a scheme, or schemes by pattern, make for a model, and what is to be said about them.

    Args:
        model: Every parameter of the model.
        schemes: A scheme for all weights, or a scheme by glob of paths, the last match winning.
        dialect: The framework whose truncation and fans are taken.

    Returns:
        The rules in rising order of precedence, and notes.

    Raises:
        UnknownNameError: An unknown scheme; the nearest is offered.
        OptionError: Neither a name nor names by pattern.

    Example:
        >>> from initlab.core.arch import Mlp
        >>> rules, notes = make_rules(Mlp((4, 8, 3)).spec(), {"*": "he_normal", "1/*": "zeros"})
        >>> [(rule.pattern, rule.label) for rule in rules]
        [('*', 'he_normal'), ('1/*', 'zeros')]
    """
    rules, notes = [], list[str]()
    for pattern, call in _by_pattern(schemes).items():
        bound = scheme(call, dialect=dialect)
        if bound.scheme.name == "auto":
            made = auto_rules(model, dialect=dialect)
            rules.append(Rule(pattern, _looked_up(made, bound), bound.label, reasons=made.reasons))
            notes += made.notes
        else:
            rules.append(Rule(pattern, bound, bound.label, bound.scheme.with_biases))
    return rules, tuple(notes)


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
