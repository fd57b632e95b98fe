"""A TOML table as a frozen record: every key a field, every value of the field's type, nothing else."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.user_model import OwnModel

T = TypeVar("T")


def build(kind: type[T], table: Mapping[str, Any], where: str) -> T:
    """The record of type ``kind`` that a table describes.

    Args:
        kind: A dataclass whose fields are texts, numbers, Booleans, literals, tuples, mappings or dataclasses.
        table: What the TOML parser gave.
        where: The file, for errors.

    Raises:
        OptionError: An unknown or missing key, or a value of the wrong type or outside its range.

    Example:
        >>> from initlab.core.training.protocol import Budget
        >>> build(Budget, {"epochs": 50, "batch_size": 32}, "iris.toml")
        Budget(epochs=50, batch_size=32)
    """
    hints = {name: hint for name, hint in get_type_hints(kind).items() if not _is_made_by_code(hint)}
    for key in table:
        if key not in hints:
            near = difflib.get_close_matches(key, hints, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"known keys: {', '.join(hints)}"
            raise OptionError(f"unknown key '{key}'", where=where, fix=hint)
    for f in fields(cast(Any, kind)):
        if f.name not in table and f.default is MISSING and f.default_factory is MISSING:
            raise OptionError(f"the key '{f.name}' is missing", where=where, fix="add it")
    values = {key: _value(hints[key], value, f"{where}, key {key}") for key, value in table.items()}
    try:
        return kind(**values)
    except InitlabError as error:
        raise OptionError(error.what, where=error.where or where, fix=error.fix) from error


def _is_made_by_code(hint: Any) -> bool:
    """Whether values of this type come from a model, and never from a file."""
    return OwnModel in get_args(hint)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (hint,) = (part for part in parts if part is not NoneType)  # TOML has no null: an absent key is None
        return _value(hint, value, where)
    if origin is Literal:
        if value in parts:
            return value
        raise OptionError(f"unknown value {value!r}", where=where, fix=f"one of {', '.join(map(str, parts))}")
    if origin is tuple:
        return tuple(_value(parts[0], item, where) for item in _of_type(list, "a list", value, where))
    if is_dataclass(hint):
        return build(cast("type[Any]", hint), _of_type(dict, "a table", value, where), where)
    if origin is not None:  # a mapping of options, whose names the task knows
        table = _of_type(dict, "a table", value, where)
        return {key: _of_type((str, int, float, bool), "one value", v, f"{where}.{key}") for key, v in table.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)  # 1 and 1.0 are one learning rate, and must be one run_id
    names = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    return _of_type(hint, names[hint], value, where)


def _of_type(kind: type[T] | tuple[type[T], ...], words: str, value: Any, where: str) -> T:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind in (int, float)):
        raise OptionError(f"{value!r} is not {words}", where=where, fix=f"give {words}")
    return value
