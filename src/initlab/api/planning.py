"""The verbs of one model: plan, initialize, reset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from glob import escape
from typing import SupportsIndex, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter, Overrides
from initlab.core.calls import parse_call
from initlab.core.draws.streams import check_seed
from initlab.core.errors import DataError, OptionError
from initlab.core.factories import exits_refused
from initlab.core.facts.arch import Architecture
from initlab.core.facts.fans import Dialect
from initlab.core.facts.spec import ModelSpec
from initlab.core.plans.bound import BoundPlan, redraw, write_plan
from initlab.core.plans.given import Given, counted, matched
from initlab.core.plans.open_rows import check_example
from initlab.core.plans.plan import Consent, Plan, make_plan
from initlab.frameworks import adapter_for, constructed
from initlab.schemes.rules import make_rules

M = TypeVar("M")

Globs: TypeAlias = str | Sequence[str] | None


# An architecture is an object as well; its own signature comes first.
@overload
def plan(  # type: ignore[overload-overlap]
    model: Architecture | ModelSpec,
    schemes: str | Mapping[str, str] = ...,
    *,
    example: object = ...,
    overrides: Overrides | None = ...,
    include: Globs = ...,
    exclude: Globs = ...,
    reinit: bool = ...,
    dialect: Dialect | None = ...,
    strict: bool = ...,
) -> Plan: ...
@overload
def plan(
    model: object = ...,
    schemes: str | Mapping[str, str] = ...,
    *,
    build: Callable[[], object] | None = ...,
    example: object = ...,
    overrides: Overrides | None = ...,
    include: Globs = ...,
    exclude: Globs = ...,
    reinit: bool = ...,
    dialect: Dialect | None = ...,
    strict: bool = ...,
) -> BoundPlan: ...
def plan(
    model: object = None,
    schemes: str | Mapping[str, str] = "auto",
    *,
    build: Callable[[], object] | None = None,
    example: object = None,
    overrides: Overrides | None = None,
    include: Globs = None,
    exclude: Globs = None,
    reinit: bool = False,
    dialect: Dialect | None = None,
    strict: bool = False,
) -> Plan | BoundPlan:
    """Law and reason for every parameter, before any number is drawn.

    Args:
        model: A PyTorch, Keras or Flax model, which is left as it is; an architecture; or the description of a model.
        schemes: A scheme for all weights, or a scheme by glob of names; the last match wins, and what no glob matches
            is kept. A parameter's very name writes it though it is frozen or its value is meant to stay.
            ``"auto"`` chooses for each weight what holds signal, gradient and correlation at the model's depth. Or a
            recipe such as ``"gpt2"``: what a public implementation does with every parameter.
        build: In place of the model, a function that builds it, or the model with an example; it is watched while it
            does, so that a value which its author chose is known from one that was drawn. ``plan(...).model`` is it.
        example: An input, or a tuple of inputs, to trace a framework's model with. A data-driven scheme, as ``lsuv``,
            looks at it when the plan is applied, and is refused without.
        overrides: Facts by glob over names that win over what the trace saw, as ``{"blocks.*.fc": {"f_in": "gelu"}}``.
        include: Globs of parameters to initialise though they are frozen, or hold a value that is meant to stay.
        exclude: Globs of parameters to keep as they are.
        reinit: Whether to initialise all that is frozen or meant to stay.
        dialect: The framework whose truncation and fans are taken.
        strict: Whether to refuse a plan that keeps more than 1 % of the trainable numbers for reasons that neither the
            user nor the model's author gave.

    Returns:
        A plan; ``print`` it, ``draw(seed)`` it, ``diff`` it. That of a framework's model can be applied:
        ``apply(seed)``.

    Raises:
        UnknownNameError: An unknown scheme; the nearest is offered.
        OptionError: A pattern that matches no parameter; two schemes for one shared parameter; a recipe that does not
            find its places in the model; a data-driven scheme without an example.
        IncompleteError: Too much is kept, and ``strict``.
        InitlabError: Not a model of a framework that initlab knows, or a model that cannot be initialised.

    Example:
        >>> from initlab import Mlp
        >>> p = plan(Mlp((4, 200, 3)), "he_normal")
        >>> [(entry.param.path, entry.std, entry.why) for entry in p if entry.param.is_weight]
        [('0/weight', 0.7071067811865476, 'he_normal'), ('1/weight', 0.1, 'he_normal')]
    """
    adapter: Adapter | None = None
    if build is not None:
        if model is not None:
            raise OptionError("a model and a function that builds one", where="model, build", fix="give one of them")
        (model, given, _), _ = constructed(build, "build")
        example = given if example is None else example
    if isinstance(model, Architecture | ModelSpec):
        if example is not None or overrides is not None:
            raise OptionError("an architecture is not traced", where="example, overrides", fix="leave them out")
        spec = model if isinstance(model, ModelSpec) else model.spec()
    else:
        adapter = adapter_for(model)
        with exits_refused():
            spec = adapter.describe(model, example=example, overrides=overrides)
    consent = Consent(_globs(include), _globs(exclude), _flag(reinit, "reinit"))
    made = _make(spec, schemes, consent, dialect, holds_values=adapter is not None)
    if _flag(strict, "strict"):
        made.account.check()
    if adapter is None:
        return made
    check_example(made, example)
    return BoundPlan(made, model, adapter, example)


def _make(
    spec: ModelSpec,
    schemes: str | Mapping[str, str],
    consent: Consent,
    dialect: Dialect | None,
    *,
    holds_values: bool,
) -> Plan:
    if isinstance(schemes, str):
        from initlab.recipes.book import RECIPES, recipe_plan

        if parse_call(schemes)[0] in RECIPES:
            if dialect is not None:
                raise OptionError(f"the recipe '{schemes}' has its own dialect", where="dialect", fix="leave it out")
            return recipe_plan(spec, schemes, consent=consent)
    rules, notes = make_rules(spec, schemes, dialect=dialect, consent=consent)
    return make_plan(
        spec,
        rules,
        consent=consent,
        notes=notes,
        named_only=holds_values and isinstance(schemes, Mapping),
        opens_forget_gates=dialect in (None, "keras"),
    )


def initialize(
    model: M,
    schemes: str | Mapping[str, str] = "auto",
    *,
    seed: SupportsIndex | None = None,
    example: object = None,
    overrides: Overrides | None = None,
    include: Globs = None,
    exclude: Globs = None,
    reinit: bool = False,
    dialect: Dialect | None = None,
    strict: bool = False,
) -> M:
    """The model, initialised in place: ``plan`` and ``apply`` in one.

    Args:
        model: A PyTorch, Keras or Flax model.
        schemes: As for ``plan``.
        seed: A whole number of 0 or more; left out, one that is made of one draw from the framework's own generator, so
            that two calls in a row differ and ``torch.manual_seed``, or ``keras.utils.set_random_seed``, repeats
            them. ``plan(model).seed`` tells it. With a seed no generator is touched.
        example: As for ``plan``.
        overrides: As for ``plan``.
        include: As for ``plan``.
        exclude: As for ``plan``.
        reinit: As for ``plan``.
        dialect: As for ``plan``.
        strict: As for ``plan``; nothing is written then, where there is a warning else.

    Returns:
        The same model.

    Raises:
        InitlabError: What ``plan`` raises; a scheme that cannot take a parameter; or a parameter that would be kept and
            holds what no weight holds (NaN, denormals, numbers beyond 1e6). Nothing was written.
    """
    check_holds_weights(model)
    bound = plan(
        model,
        schemes,
        example=example,
        overrides=overrides,
        include=include,
        exclude=exclude,
        reinit=reinit,
        dialect=dialect,
        strict=strict,
    )
    write_plan(bound, seed)
    bound.account.warn(stacklevel=2)
    return model


def check_holds_weights(model: object) -> None:
    """Nothing, where a model is a framework's.

    Raises:
        OptionError: It is an architecture or a description.
    """
    if isinstance(model, Architecture | ModelSpec):
        raise OptionError(f"a {type(model).__name__} holds no weights", fix="plan(model, ...).draw(seed) gives arrays")


def reset(model: M, *, seed: SupportsIndex | None = None) -> M:
    """The model with a new draw of what initlab initialised in it, by the same laws; nothing else changes.

    Args:
        model: A model that ``initialize`` or ``apply`` wrote into, trained since or not.
        seed: As for ``initialize``.

    Returns:
        The same model.

    Raises:
        OptionError: initlab has not initialised this model, or scaled it to a batch.
    """
    redraw(model, adapter_for(model), seed)
    return model


def initial_state(
    made: Plan | BoundPlan, seed: SupportsIndex | None = None
) -> tuple[Mapping[str, NDArray[np.generic]], int]:
    """What a weights file of a planned model holds, and the seed it was drawn with.

    Args:
        made: A plan. A framework's model is initialised by this, and its buffers are in the file too; an architecture
            gives its parameters by canonical path.
        seed: A whole number of 0 or more; an architecture needs one.

    Returns:
        Arrays by the framework's own names and layout, and the seed.

    Raises:
        InitlabError: A scheme that cannot take a parameter, or a missing seed.

    Example:
        >>> from initlab import Mlp
        >>> arrays, seed = initial_state(plan(Mlp((4, 3)), "ones"), 7)
        >>> sorted(arrays), seed
        (['0/bias', '0/weight'], 7)
    """
    if isinstance(made, BoundPlan):
        write_plan(made, seed)
        made.account.warn(stacklevel=2)
        used = made.seed
        return made.adapter.state(made.model), 0 if used is None else used
    if seed is None:
        raise OptionError("an architecture has no generator to take a seed from", where="seed", fix="give one")
    return made.draw(check_seed(seed)), check_seed(seed)


def plan_around(
    model: object,
    arrays: Mapping[str, NDArray[np.generic]],
    source: str,
    *,
    missing: str | None = None,
    example: object = None,
    include: Globs = None,
    exclude: Globs = None,
    reinit: bool = False,
    strict: bool = False,
) -> BoundPlan:
    """The plan of what arrays from elsewhere leave open; they are put into the model first, all or none.

    Args:
        model: A framework's model.
        arrays: By the framework's own names and in its own layout.
        source: Where they are from, for the rows.
        missing: A scheme for the parameters that are not among them; None refuses where there are any.
        example: As for ``plan``.
        include: As for ``plan``.
        exclude: As for ``plan``.
        reinit: As for ``plan``, of what is missing.
        strict: As for ``plan``.

    Raises:
        DataError: Arrays that the model does not have, or has in another shape, or too few of them.
        InitlabError: What ``plan`` raises.
    """
    given = filled(model, arrays, source, missing=missing)
    kept = (*_globs(exclude), *map(escape, given.parameters))
    made = plan(
        model,
        "auto" if missing is None else missing,
        example=example,
        include=include,
        exclude=kept,
        reinit=reinit,
        strict=strict,
    )
    return replace(made, plan=given.told(made.plan, source))


def filled(
    model: object, arrays: Mapping[str, NDArray[np.generic]], source: str, *,
    missing: str | None = None, option: str = "--from",
) -> Given:  # fmt: skip
    """What of a model the arrays are, which it holds afterwards; all are put there, or none.

    Args:
        model: A framework's model.
        arrays: By the framework's own names and in its own layout.
        source: Where they are from, for errors.
        missing: What draws the parameters that are not among them; None refuses where there are any.
        option: By which they were given, for errors.

    Raises:
        DataError: Arrays that the model does not have, or has in another shape, or too few of them.
    """
    if isinstance(model, Architecture | ModelSpec):
        told = f"weights from {source} are for a framework's model"
        raise OptionError(told, where=option, fix="name a function that builds one")
    adapter = adapter_for(model)
    with exits_refused():
        spec = adapter.describe(model)
    given = matched(spec, adapter.state(model), arrays)
    if given.missing and missing is None:
        draw = f"initlab init --from {source} --missing auto"
        fix = "give the scheme that draws them, as --missing auto" if option == "--from" else f"draw them first: {draw}"
        raise DataError(f"{source} lacks {counted(given.missing)}", where=option, fix=fix)
    adapter.load(model, arrays)
    return given


def _flag(given: object, name: str) -> bool:
    if not isinstance(given, bool):  # a "no" would count as true
        raise OptionError(f"{given!r} is neither True nor False", where=name, fix="give True or False")
    return given


def _globs(given: Globs) -> tuple[str, ...]:
    globs = () if given is None else (given,) if isinstance(given, str) else given
    if not isinstance(globs, Sequence) or not all(isinstance(glob, str) for glob in globs):
        raise OptionError(f"{given!r} is no glob", where="include, exclude", fix="give a glob or a list of globs")
    return tuple(globs)
