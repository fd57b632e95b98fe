"""The registry of schemes: a scheme is a pure function, facts about one weight in, a law out."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints, overload

from initlab.core.calls import OptionValue, format_call, parse_call
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.factories import said
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Blocks, Law
from initlab.core.registry import Registry, summary

SchemeFunction = Callable[..., Law]
F = TypeVar("F", bound=SchemeFunction)


@dataclass(frozen=True)
class Scheme:
    """An entry of the registry: the function of a scheme and what people want to know about it.

    Attributes:
        name: The registered name.
        function: ``function(p, *, option=...) -> Law``.
        family: The heading it is listed under.
        formula: The law in one line.
        source: The paper or code it comes from.
        when: When to use it.
        avoid: When not to.
        aliases: Other names, those of the frameworks among them.
        named: Options that a label always shows, with the number in force.
        dialect_defaults: A framework's own numbers for options left out, where they differ from initlab's.
        with_biases: Whether the scheme says how biases and embeddings are drawn too.
        takes_packed: Whether packed blocks are given to the function together, and not one at a time.

    Raises:
        OptionError: An option has no default.
    """

    name: str
    function: SchemeFunction
    family: str = "other"
    formula: str = ""
    source: str = ""
    when: str = ""
    avoid: str = ""
    aliases: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    dialect_defaults: Mapping[str, Mapping[str, OptionValue]] = field(default_factory=dict)
    with_biases: bool = False
    takes_packed: bool = False

    def __post_init__(self) -> None:
        for option, parameter in self.options.items():
            if parameter.default is inspect.Parameter.empty:
                raise OptionError(f"option '{option}' has no default", where=self.name, fix="give it one")

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return summary(self.function)

    @property
    def options(self) -> Mapping[str, inspect.Parameter]:
        """The keyword-only parameters, without the dialect."""
        parameters = inspect.signature(self.function).parameters
        return {
            name: p for name, p in parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY and name != "dialect"
        }

    @property
    def takes_dialect(self) -> bool:
        """Whether the frameworks' own forms differ from initlab's."""
        return "dialect" in inspect.signature(self.function).parameters


SCHEMES = Registry[Scheme]("scheme", listing="initlab list schemes", group="initlab.schemes")


@overload
def register_scheme(function: F, /) -> F: ...
@overload
def register_scheme(
    *,
    name: str = "",
    family: str = "other",
    formula: str = "",
    source: str = "",
    when: str = "",
    avoid: str = "",
    aliases: tuple[str, ...] = (),
    named: tuple[str, ...] = (),
    dialect_defaults: Mapping[str, Mapping[str, OptionValue]] | None = None,
    with_biases: bool = False,
    takes_packed: bool = False,
) -> Callable[[F], F]: ...
def register_scheme(
    function: F | None = None,
    /,
    *,
    name: str = "",
    family: str = "other",
    formula: str = "",
    source: str = "",
    when: str = "",
    avoid: str = "",
    aliases: tuple[str, ...] = (),
    named: tuple[str, ...] = (),
    dialect_defaults: Mapping[str, Mapping[str, OptionValue]] | None = None,
    with_biases: bool = False,
    takes_packed: bool = False,
) -> F | Callable[[F], F]:
    """Make a function a scheme, known by its name to the API, the command line and the reports.

    Args:
        function: ``function(p: ParamSpec, *, option=default) -> Law``; options are keyword-only, with defaults.
        name: The scheme's name; the function's own where empty.
        family: The heading it is listed under.
        formula: The law in one line.
        source: The paper or code it comes from.
        when: When to use it.
        avoid: When not to.
        aliases: Other names.
        named: Options that a label always shows, with the number in force.
        dialect_defaults: A framework's own numbers for options left out, e.g. ``{"torch": {"std": 1.0}}``.
        with_biases: Whether the function takes biases and embeddings too, and rules them.
        takes_packed: Whether the function takes packed blocks together; else each block is a weight to it.

    Returns:
        The function, unchanged.

    Raises:
        OptionError: The name is taken, or an option has no default.

    Example:
        >>> from initlab.core.laws import Normal
        >>> @register_scheme(family="doctest", formula="N(0, 1 / fan_in^2)")
        ... def doctest_tiny(p, *, scale: float = 1.0):
        ...     return Normal(scale / p.shape[1])
        >>> scheme("doctest_tiny", scale=2.0)(ParamSpec(shape=(3, 8))).std((3, 8))
        0.25
    """

    def register(function: F) -> F:
        item = Scheme(
            name=name or function.__name__,
            function=function,
            family=family,
            formula=formula,
            source=source,
            when=when,
            avoid=avoid,
            aliases=aliases,
            named=named,
            dialect_defaults=dialect_defaults or {},
            with_biases=with_biases,
            takes_packed=takes_packed,
        )
        SCHEMES.add(item.name, item, aliases=aliases)
        return function

    return register if function is None else register(function)


@dataclass(frozen=True)
class BoundScheme:
    """A scheme with its options: a function of a ``ParamSpec`` that returns a law.

    Attributes:
        scheme: The registry's entry.
        options: The options that were given.
        dialect: The framework whose form is taken.
    """

    scheme: Scheme
    options: Mapping[str, OptionValue]
    dialect: Dialect | None = None

    @property
    def label(self) -> str:
        """The canonical call: options that were given and those always named, in the order of the signature.

        Example:
            >>> scheme("RandomNormal").label
            'normal(std=0.05)'
        """
        shown = {*self.scheme.named, *self.options}
        return format_call(self.scheme.name, {o: self.in_force(o) for o in self.scheme.options if o in shown})

    def in_force(self, option: str) -> OptionValue:
        """The value of an option: the one given, else the dialect's, else initlab's default."""
        if option in self.options:
            return self.options[option]
        default: OptionValue = self.scheme.options[option].default
        return self.scheme.dialect_defaults.get(self.dialect or "", {}).get(option, default)

    def __call__(self, p: ParamSpec) -> Law:
        """The law of one parameter; packed blocks get a law each, unless the scheme takes them together.

        Raises:
            ShapeError: The scheme cannot take the parameter's shape or role.
        """
        if p.role == "bias" and len(p.shape) >= 2 and not self.scheme.with_biases:
            raise ShapeError(f"a bias of shape {p.shape}", where=p.path, fix="biases have one axis")
        if self.scheme.takes_packed:
            return self._law(p)
        laws = tuple(self._law(block) for block in p.block_specs())
        if len(laws) == 1 or (all(law == laws[0] for law in laws) and laws[0].elementwise):
            return laws[0]
        return Blocks(laws, p.blocks, p.block_axis)

    def _law(self, p: ParamSpec) -> Law:
        options = {option: self.in_force(option) for option in self.scheme.options}
        if self.scheme.takes_dialect:
            options["dialect"] = self.dialect
        try:
            law = self.scheme.function(p, **options)
        except InitlabError:
            raise
        except (Exception, SystemExit) as error:  # the function is anyone's
            raise OptionError(f"the scheme '{self.label}' raised {said(error)}", where=p.path, fix="mend it") from error
        if not (hasattr(law, "check") and hasattr(law, "draw")):
            if inspect.iscoroutine(law):
                law.close()  # one that is dropped warns that nobody awaited it
            told = "None" if law is None else f"a {type(law).__name__}"
            fix = "return a law of initlab.core.laws, e.g. Normal(0.01)"
            raise OptionError(f"the scheme '{self.label}' returned {told} and no law", where=p.path, fix=fix)
        law.check(p.shape)
        return law


def scheme(name: str, *, dialect: Dialect | None = None, **options: OptionValue) -> BoundScheme:
    """The scheme of a name, bound to its options: a pure function from ``ParamSpec`` to ``Law``.

    Args:
        name: A name, an alias, or a call such as ``"normal(std=0.01)"``; case and underscores do not matter.
        dialect: ``"torch"``, ``"keras"`` or ``"jax"`` for that framework's own truncation, fans and defaults; None for
            initlab's own: untruncated, true fans.
        **options: The scheme's options; they win over those in the call.

    Returns:
        A function of a ``ParamSpec``.

    Raises:
        UnknownNameError: No scheme has the name.
        OptionError: The scheme has no such option, or its value has the wrong type; the options are listed.

    Example:
        >>> law = scheme("he_normal")(ParamSpec(shape=(64, 200)))      # sqrt(2 / 200)
        >>> law.std((64, 200))
        0.1
    """
    if dialect not in (None, *get_args(Dialect)):
        raise OptionError(f"unknown dialect '{dialect}'", fix="torch, keras or jax")
    stem, inside = parse_call(name)
    found = SCHEMES[stem]
    given = {**inside, **options}
    for option, value in given.items():
        _check_option(found, option, value)
    return BoundScheme(found, {option: _as_number(found, option, value) for option, value in given.items()}, dialect)


@cache
def _hints(function: SchemeFunction) -> dict[str, object]:
    """What each option may be: its annotation, or the type of its default where names in annotations are not global."""
    try:
        return get_type_hints(function)
    except NameError:
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
        return {name: type(default) for name, default in defaults.items() if default is not None}


def _check_option(item: Scheme, option: str, value: OptionValue) -> None:
    if option not in item.options:
        valid = ", ".join(item.options) or "it takes none"
        raise OptionError(f"{item.name} has no option '{option}'", fix=f"its options: {valid}")
    hint = _hints(item.function).get(option)
    if hint is not None and not _fits(value, hint):
        choices = " or ".join(str(c) for c in _choices(hint))
        raise OptionError(f"{option}={value!r} is not allowed", where=item.name, fix=f"give {choices}")


def _fits(value: OptionValue, hint: object) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint)


def _choices(hint: object) -> list[str]:
    if get_origin(hint) in (Union, UnionType):
        return [choice for part in get_args(hint) if part is not NoneType for choice in _choices(part)]
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return ["a number" if hint is float else "a whole number" if hint is int else getattr(hint, "__name__", str(hint))]


def _as_number(item: Scheme, option: str, value: OptionValue) -> OptionValue:
    """An integer given for a real option is that real number, so ``std=1`` and ``std=1.0`` are one scheme."""
    wants_float = _hints(item.function).get(option) in (float, float | None)
    return float(value) if wants_float and isinstance(value, int) and not isinstance(value, bool) else value
