"""Facts that the user gives about parameters, in place of what a trace saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from fnmatch import fnmatchcase
from typing import Any

from initlab.core.adapter import Overrides
from initlab.core.errors import OptionError
from initlab.core.spec import ParamSpec
from initlab.theory import activation

_KEYS = tuple(f.name for f in fields(ParamSpec) if f.name not in ("path", "shape", "native"))


def overridden(params: Sequence[ParamSpec], overrides: Overrides | None) -> tuple[ParamSpec, ...]:
    """The parameters with the facts that patterns give them; the last pattern that matches wins.

    A pattern is a glob over Keras' own names and the canonical paths. One that matches a layer's name applies to the
    layer's weights.

    Raises:
        OptionError: A pattern that matches nothing, an unknown fact, or a value that the fact cannot have.
        UnknownNameError: An unknown activation.

    Example:
        >>> p = ParamSpec(path="0/weight", shape=(3, 2), native="dense/kernel")
        >>> overridden([p], {"dense": {"f_in": "gelu"}})[0].f_in
        'gelu'
    """
    changed = list(params)
    for pattern, facts in (overrides or {}).items():
        _check(pattern, facts)
        hits = [i for i, p in enumerate(changed) if _matches(pattern, p)]
        if not hits:
            names = params[0].native if params else ""
            raise OptionError(f"the pattern '{pattern}' matches no parameter", where="overrides", fix=f"e.g. '{names}'")
        for i in hits:
            given: dict[str, Any] = dict(facts)
            changed[i] = replace(changed[i], **given)
    return tuple(changed)


def _matches(pattern: str, p: ParamSpec) -> bool:
    layers = (name.rpartition("/")[0] for name in (p.native, p.path))
    return any(fnmatchcase(name, pattern) for name in (p.native, p.path)) or (
        p.is_weight and any(fnmatchcase(layer, pattern) for layer in layers)
    )


def _check(pattern: str, facts: object) -> None:
    if not isinstance(facts, dict):
        raise OptionError(
            f"facts {facts!r}", where=f"overrides '{pattern}'", fix='give a dict such as {"f_in": "gelu"}'
        )
    for key, value in facts.items():
        if key not in _KEYS:
            raise OptionError(f"unknown fact '{key}'", where=f"overrides '{pattern}'", fix=f"one of {', '.join(_KEYS)}")
        if key in ("f_in", "f_out") and value is not None:
            if not isinstance(value, str):
                raise OptionError(
                    f"{key} is {value!r}", where=f"overrides '{pattern}'", fix="give an activation's name"
                )
            activation(value)
