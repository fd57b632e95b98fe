"""Recipes: what the public implementation of a model draws for each of its parameters, with its source."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from glob import escape
from typing import TypeVar

from initlab.core.calls import OptionValue, parse_call
from initlab.core.errors import OptionError
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Law
from initlab.core.plans.plan import Consent, Plan, Rule, make_plan, matches
from initlab.core.registry import Registry, summary
from initlab.schemes.rules import make_rules


@dataclass(frozen=True)
class DepthScale:
    """A factor that a law got for the depth of the model.

    Attributes:
        factor: The factor, e.g. 0.25.
        words: How it is made, e.g. ``"1/sqrt(2L), L = 8"``.
        is_declared: Whether the law is known to have it; else its place alone suggests it.
    """

    factor: float
    words: str
    is_declared: bool = True


@dataclass(frozen=True)
class Declaration:
    """What a recipe declares of one model.

    Attributes:
        schemes: A scheme by glob of names; the last match wins.
        dialect: The framework whose truncation and fans are taken.
        ties: Pairs of globs: parameters of the second share the memory of one of the first.
        may_tie: The same, where both ways are usual.
        depth: Depth factors by glob.
        only: Whether all else is left as it is.
        laws: Laws by canonical path, where no scheme has them.
        reasons: Why, by the same paths.
    """

    schemes: Mapping[str, str]
    dialect: Dialect | None = None
    ties: Sequence[tuple[str, str]] = ()
    may_tie: Sequence[tuple[str, str]] = ()
    depth: Mapping[str, DepthScale] = field(default_factory=dict)
    only: bool = False
    laws: Mapping[str, Law] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


RecipeFunction = Callable[..., Declaration]
F = TypeVar("F", bound=RecipeFunction)


@dataclass(frozen=True)
class Recipe:
    """An entry of the registry.

    Attributes:
        name: The registered name.
        function: ``function(model, *, option=...) -> Declaration``.
        source: The implementation whose constants it has.
    """

    name: str
    function: RecipeFunction
    source: str

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.function)

    @property
    def options(self) -> Mapping[str, inspect.Parameter]:
        """The keyword-only parameters."""
        parameters = inspect.signature(self.function).parameters
        return {name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


RECIPES = Registry[Recipe]("recipe", listing="initlab list recipes", group="initlab.recipes")


def register_recipe(*, source: str, aliases: tuple[str, ...] = ()) -> Callable[[F], F]:
    """Make a function a recipe, known by its name.

    Args:
        source: The implementation whose constants it has.
        aliases: Other names.

    Returns:
        A decorator of ``function(model: ModelSpec, *, option=default) -> Declaration``.
    """

    def register(function: F) -> F:
        name = function.__name__
        RECIPES.add(name, Recipe(name, function, source), aliases=aliases)
        return function

    return register


def declaration(model: ModelSpec, recipe: str) -> Declaration:
    """What a recipe declares of a model.

    Args:
        model: Every parameter.
        recipe: A name or call, e.g. ``"gpt2"`` or ``"siren(omega=10.0)"``.

    Raises:
        UnknownNameError: No recipe has the name.
        OptionError: An option that it has not, or a model in which it does not find its places.

    Example:
        >>> from initlab.recipes.book import declaration
        >>> model = ModelSpec((ParamSpec(path="lora_A", shape=(4, 64)), ParamSpec(path="lora_B", shape=(64, 4))))
        >>> sorted(declaration(model, "lora").schemes.values())
        ['torch_default', 'zeros']
    """
    name, options = parse_call(recipe)
    found = RECIPES[name]
    for option, value in options.items():
        _check(found, option, value)
    return found.function(model, **options)


def _check(recipe: Recipe, option: str, value: OptionValue) -> None:
    if option not in recipe.options:
        valid = ", ".join(recipe.options) or "it takes none"
        raise OptionError(f"the recipe {recipe.name} has no option '{option}'", fix=f"its options: {valid}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise OptionError(f"{option}={value!r} is not allowed", where=recipe.name, fix="give a number above 0")


def declared_plan(model: ModelSpec, given: Declaration, *, consent: Consent | None = None) -> Plan:
    """The plan that a recipe makes of a model.

    What its patterns name is initialised, frozen or meant to stay or not; the rest follows its role, or is left as it
    is where the recipe rules nothing else.

    Example:
        >>> from initlab.core.facts.arch import Mlp
        >>> from initlab.recipes.book import declaration
        >>> model = Mlp((4, 8, 3)).spec()
        >>> [entry.why for entry in declared_plan(model, declaration(model, "keras")) if entry.param.is_weight]
        ['keras_default', 'keras_default']
    """
    named = tuple(pattern for pattern in given.schemes if pattern != "*")
    named += tuple(exact(p) for p in model.params if p.path in given.laws)
    others: tuple[str, ...] = ()
    if given.only:
        others = tuple(exact(p) for p in model.params if not any(matches(p, pattern) for pattern in named))
    asked = consent or Consent()
    consent = Consent((*named, *asked.include), (*others, *asked.exclude), asked.reinit)
    rules, notes = make_rules(model, given.schemes, dialect=given.dialect, consent=consent)
    if given.laws:
        rules.append(Rule("*", lambda p: given.laws[p.path], "", reasons=given.reasons))
    opens_forget_gates = given.dialect == "keras"  # of the frameworks' own layers, Keras' alone do
    return make_plan(model, rules, consent=consent, notes=notes, opens_forget_gates=opens_forget_gates)


def recipe_plan(model: ModelSpec, recipe: str, *, consent: Consent | None = None) -> Plan:
    """Law and reason for every parameter as the public implementation draws it.

    Args:
        model: Every parameter.
        recipe: A recipe's name or call.
        consent: What the model's owner wants included, kept or drawn anew besides.

    Raises:
        UnknownNameError: No recipe has the name.
        OptionError: An option that it has not, or a model in which it does not find its places.
    """
    return declared_plan(model, declaration(model, recipe), consent=consent)


# What the recipes are made of


def exact(p: ParamSpec) -> str:
    """A glob that matches one parameter's name and no other.

    Example:
        >>> exact(ParamSpec(native="blocks[0].w"))
        'blocks[[]0].w'
    """
    return escape(p.native or p.path)


def present(model: ModelSpec, patterns: Sequence[str]) -> list[ParamSpec]:
    """The parameters, each once and no second name of a tied one, that any of the globs matches."""
    return [p for p in model.params if p.tied_to is None and any(matches(p, glob) for glob in patterns)]


def rows(model: ModelSpec, schemes: Mapping[str, str]) -> dict[str, str]:
    """The schemes whose glob matches something in the model."""
    return {glob: call for glob, call in schemes.items() if glob == "*" or present(model, [glob])}


def places(model: ModelSpec, recipe: str, patterns: Sequence[str]) -> list[ParamSpec]:
    """The parameters that any of the globs matches.

    Raises:
        OptionError: None does; the globs are listed.
    """
    found = present(model, patterns)
    if not found:
        names = ", ".join(f"'{glob}'" for glob in patterns)
        traced = "" if model.fidelity in ("exact", "traced") else "; give example=, an input, to see residual sums"
        raise OptionError(
            f"the recipe '{recipe}' does not find its places in this model",
            fix=f"it looked for {names}; names look like '{_name_of_first(model)}'{traced}",
        )
    return found


def _name_of_first(model: ModelSpec) -> str:
    return (model.params[0].native or model.params[0].path) if model.params else "nothing, the model is empty"


def are_named(first: ParamSpec, second: ParamSpec, pairs: Sequence[tuple[str, str]]) -> bool:
    """Whether one of the pairs of globs names the two parameters, in this order or the other."""
    return any(
        (matches(first, a) and matches(second, b)) or (matches(second, a) and matches(first, b)) for a, b in pairs
    )
