"""Facts that the user gives about parameters, in place of what a trace saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from functools import cache
from math import inf
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints

from initlab.core.adapter import Overrides
from initlab.core.errors import OptionError, ShapeError, UnknownNameError
from initlab.core.facts.spec import ParamSpec
from initlab.theory import activation

_FIXED = (
    "path",
    "native",
    "shape",
    "tied_to",
    "padding_row",
    "is_drawable",
    "is_written",
    "parts",
    "has_memory",
    "is_divided",
    "is_complex",
)
_FORM = 'give facts by pattern, as {"blocks.*.fc": {"f_in": "gelu"}}'


def overridden(params: Sequence[ParamSpec], overrides: Overrides | None) -> list[ParamSpec]:
    """The parameters with the facts that patterns give them; the last pattern that matches wins.

    A pattern is a glob over the framework's own names and the canonical paths. One that matches a layer's name applies
    to the layer's weights.

    Args:
        params: Every parameter of a model.
        overrides: Facts by pattern; the keys of the facts are fields of ``ParamSpec``.

    Raises:
        OptionError: Overrides that are no facts by pattern, a pattern that matches nothing, or a value that the fact
            cannot have.
        UnknownNameError: An unknown fact or activation; the nearest is offered.

    Example:
        >>> p = ParamSpec(path="0/weight", shape=(3, 2), native="dense.weight")
        >>> overridden([p], {"dense": {"f_in": "gelu"}})[0].f_in
        'gelu'
    """
    changed = list(params)
    for pattern, facts in _checked(overrides).items():
        hits = [i for i, p in enumerate(changed) if _matches(pattern, p)]
        if not hits:
            fix = f"names look like '{changed[0].native}'" if changed else "the model has no parameters"
            raise OptionError(f"the pattern '{pattern}' matches no parameter", where="overrides", fix=fix)
        for i in hits:
            try:
                told: dict[str, object] = {"unfollowed": ""} if facts.keys() & {"f_in", "in_moment"} else {}
                changed[i] = replace(changed[i], **told | facts)  # type: ignore[arg-type]
            except (ShapeError, OptionError) as error:
                text = f"{dict(facts)} does not fit: {error.what}"
                raise OptionError(text, where=f"overrides '{pattern}' of {changed[i].native}") from None
    return changed


def _matches(pattern: str, p: ParamSpec) -> bool:
    if any(fnmatchcase(name, pattern) for name in (p.native, p.path)):
        return True
    # "encoder.0.weight" in PyTorch, "encoder/kernel" in Keras and in canonical paths.
    layers = (name[: max(name.rfind("."), name.rfind("/"), 0)] for name in (p.native, p.path))
    return p.is_weight and any(fnmatchcase(layer, pattern) for layer in layers)


def _checked(overrides: object) -> dict[str, dict[str, object]]:
    """The overrides, which come from the user's hand, with sequences as tuples."""
    if overrides is None:
        return {}
    if not isinstance(overrides, Mapping):
        raise OptionError(f"{overrides!r} is no mapping", where="overrides", fix=_FORM)
    found: dict[str, dict[str, object]] = {}
    for pattern, facts in overrides.items():
        if not isinstance(pattern, str):
            raise OptionError(f"{pattern!r} is no pattern", where="overrides", fix=_FORM)
        if not isinstance(facts, Mapping):
            raise OptionError(f"{facts!r} is no mapping of facts", where=f"overrides '{pattern}'", fix=_FORM)
        found[pattern] = {name: _fact(pattern, name, value) for name, value in facts.items()}
    return found


def _fact(pattern: str, name: object, value: object) -> object:
    kinds = _kinds()
    if name not in kinds:
        raise UnknownNameError("fact", str(name), kinds)
    given = tuple(value) if isinstance(value, list) else value
    if not _fits(given, kinds[str(name)]):
        fix = "one of the names of an activation" if name in ("f_in", "f_out") else f"it is {_words(kinds[str(name)])}"
        raise OptionError(f"{name} cannot be {value!r}", where=f"overrides '{pattern}'", fix=fix)
    if name in ("f_in", "f_out") and isinstance(given, str):
        activation(given)
    if name == "in_moment" and isinstance(given, float | int) and not 0.0 < given < inf:
        raise OptionError(f"in_moment cannot be {value!r}", where=f"overrides '{pattern}'", fix="E[x^2] is above 0")
    return given


@cache
def _kinds() -> dict[str, object]:
    """What each fact may be, by its name."""
    hints = get_type_hints(ParamSpec)
    return {field.name: hints[field.name] for field in fields(ParamSpec) if field.name not in _FIXED}


def _fits(value: object, kind: object) -> bool:
    if get_origin(kind) in (Union, UnionType):
        return any(_fits(value, part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(_fits(n, int) for n in value)
    if kind in (int, float):
        wanted = int if kind is int else int | float
        return isinstance(value, wanted) and not isinstance(value, bool)
    return isinstance(kind, type) and isinstance(value, kind)


def _words(kind: object) -> str:
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_words(part) for part in get_args(kind))
    if get_origin(kind) is Literal:
        return ", ".join(map(str, get_args(kind)))
    if get_origin(kind) is tuple:
        return "a tuple of whole numbers"
    names: dict[object, str] = {int: "a whole number", float: "a number", str: "a text", bool: "True or False"}
    names[NoneType] = "None"
    return names.get(kind) or f"an initlab.core.facts.spec.{getattr(kind, '__name__', kind)}"
