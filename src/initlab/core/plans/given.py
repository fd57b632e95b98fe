"""Weights that come from elsewhere: which of a model's arrays they are, and what is left to draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from initlab.core.errors import DataError
from initlab.core.facts.spec import ModelSpec
from initlab.core.plans.plan import Plan

Arrays = Mapping[str, NDArray[np.generic]]

_LISTED = 3


@dataclass(frozen=True)
class Given:
    """Which of a model's arrays are given.

    Attributes:
        parameters: Native names of the parameters whose numbers are given, under any of their names.
        missing: Native names of those whose are not.
        buffers: Names of what else the model holds, and is not given.
    """

    parameters: tuple[str, ...]
    missing: tuple[str, ...]
    buffers: tuple[str, ...]

    def told(self, plan: Plan, source: str) -> Plan:
        """A plan that keeps the given parameters, with rows and notes that say where they are from."""
        given = set(self.parameters)
        entries = [
            replace(e, why=f"from {source}", kept="loaded") if e.param.native in given and e.kept == "excluded" else e
            for e in plan.entries
        ]
        left = (f"not in {source}, kept as the model was built: {_listed(self.buffers)}",) if self.buffers else ()
        return Plan(tuple(entries), (*plan.notes, *left))


def matched(spec: ModelSpec, state: Arrays, given: Arrays) -> Given:
    """What of a model is given, once every given array is known to be one of the model's, in its own shape.

    Args:
        spec: The model's parameters.
        state: All that the model holds, by the framework's names.
        given: What is to be put there.

    Raises:
        DataError: A name that the model does not have, a shape or a type that is not its own, or two names of one
            shared parameter that hold different numbers; all of a kind are named.

    Example:
        >>> from initlab.core.facts.spec import ParamSpec
        >>> spec = ModelSpec((ParamSpec("0/weight", (2, 3), native="fc.weight"),))
        >>> matched(spec, {"fc.weight": np.ones((2, 3))}, {"fc.weight": np.ones((3, 2))})
        Traceback (most recent call last):
        initlab.core.errors.DataError: 1 array is transposed: fc.weight (3, 2), the model has (2, 3): ...
    """
    _check(state, given)
    groups: dict[str, list[str]] = {}
    parts = {p.native: p.parts for p in spec.params if p.parts}
    for p in spec.params:
        groups.setdefault(p.tied_to or p.path, []).append(p.native)
    parameters: list[str] = []
    missing: list[str] = []
    for names in groups.values():
        there = [name for name in names if name in given]
        if any(not np.array_equal(given[there[0]], given[name], equal_nan=True) for name in there[1:]):
            raise DataError(f"{_listed(there)} are one parameter, and differ", fix="leave one of them out")
        is_there = there or any(name in parts and all(part in given for part in parts[name]) for name in names)
        (parameters if is_there else missing).extend(names)
    known = {*parameters, *missing, *(part for several in parts.values() for part in several)}
    return Given(tuple(parameters), tuple(missing), tuple(n for n in state if n not in known and n not in given))


def counted(names: Sequence[str]) -> str:
    """How many parameters, and the first of them.

    Example:
        >>> counted(["a", "b", "c", "d", "e"])
        '5 parameters, a, b, c, and 2 more'
    """
    return f"{len(names)} parameter{'' if len(names) == 1 else 's'}, {_listed(names)}"


def _check(state: Arrays, given: Arrays) -> None:
    extra = [name for name in given if name not in state]
    if extra:
        like = f"names look like '{next(iter(state))}'" if state else "the model holds nothing"
        _refuse(extra, "that the model does not have", like, verb="")
    other = {name: array for name, array in given.items() if array.shape != state[name].shape}
    turned = [_shapes(n, a, state) for n, a in other.items() if a.shape == state[n].shape[::-1]]
    if turned and len(turned) == len(other):
        _refuse(turned, "transposed", "transpose these; the other arrays may be in another layout too")
    if other:
        rest = [_shapes(n, a, state) for n, a in other.items()]
        _refuse(rest, "of another shape", "leave these out, and what is missing is drawn")
    kinds = [f"{n} {a.dtype}, the model has {state[n].dtype}" for n, a in given.items() if not _fits(a, state[n])]
    if kinds:
        _refuse(kinds, "of another type", "give real numbers where the model has real numbers")


def _fits(array: NDArray[np.generic], held: NDArray[np.generic]) -> bool:
    return _kind(array) == _kind(held)


def _kind(array: NDArray[np.generic]) -> str:
    return "f" if array.dtype.name == "bfloat16" else array.dtype.kind.replace("u", "i")


def _shapes(name: str, array: NDArray[np.generic], state: Arrays) -> str:
    return f"{name} {array.shape}, the model has {state[name].shape}"


def _refuse(what: Sequence[str], how: str, fix: str, *, verb: str = "is ") -> None:
    many = len(what) > 1
    told = f"{len(what)} array{'s' if many else ''} {'are ' if verb and many else verb}{how}"
    raise DataError(f"{told}: {_listed(what)}", fix=fix)


def _listed(names: Sequence[str]) -> str:
    between = "; " if any(", " in name for name in names) else ", "
    more = [f"and {len(names) - _LISTED} more"] if len(names) > _LISTED else []
    return between.join([*names[:_LISTED], *more])
