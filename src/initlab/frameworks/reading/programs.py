"""A traced program as a list of operations on arrays: of any back end whose programs are jaxprs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from initlab.core.growth.tape import Array, Form, Step, Tape

_FORMS: dict[str, Form] = {"gather": "table"}


def tape_of(closed: Any, names: Sequence[str], given: Sequence[Array]) -> Tape:
    """The tape of a closed jaxpr; calls within it are written out.

    Args:
        closed: The jaxpr with its constants.
        names: What the first arguments are called: parameters and buffers; an empty name is a constant.
        given: All arguments, in order.
    """
    return _Writer().write(closed, names, given)


class _Writer:
    def __init__(self) -> None:
        self._values: dict[int, Array] = {}
        self._steps: list[Step] = []
        self._count = 0

    def write(self, closed: Any, names: Sequence[str], given: Sequence[Array]) -> Tape:
        """See ``tape_of``."""
        numbers = [self._constant(value) for value in given]
        held = {number: name for number, name in zip(numbers, names, strict=False) if name}
        outputs = self._walk(closed.jaxpr, [self._constant(value) for value in closed.consts], numbers)
        return Tape(held, self._values, tuple(numbers[len(names) :]), tuple(self._steps), tuple(outputs))

    def _constant(self, value: Any) -> int:
        number = self._new()
        self._values[number] = np.asarray(value)
        return number

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _walk(self, jaxpr: Any, constants: Sequence[int], given: Sequence[int]) -> list[int]:
        at: dict[Any, int] = dict(zip(jaxpr.constvars, constants, strict=True))
        at |= dict(zip(jaxpr.invars, given, strict=True))

        def number(atom: Any) -> int:
            return self._constant(atom.val) if hasattr(atom, "val") else at[atom]

        for equation in jaxpr.eqns:
            taken = [number(atom) for atom in equation.invars]
            inner = _called(equation.params)
            if inner is None:
                made = [self._new() for _ in equation.outvars]
                name = equation.primitive.name
                self._steps.append(Step(name, tuple(taken), tuple(made), _Again(equation), _FORMS.get(name, "")))
            else:
                body, constants_of = inner
                made = self._walk(body, [self._constant(value) for value in constants_of], taken[: len(body.invars)])
            at |= dict(zip(equation.outvars, made, strict=True))
        return [number(atom) for atom in jaxpr.outvars]


def _called(params: Mapping[str, Any]) -> tuple[Any, Sequence[Any]] | None:
    """The body of a call of one program, which is no loop and no branch, with its constants."""
    inner = params.get("jaxpr", params.get("call_jaxpr", params.get("fun_jaxpr")))
    if inner is None or "num_carry" in params or "length" in params:
        return None
    return (inner.jaxpr, inner.consts) if hasattr(inner, "consts") else (inner, ())


class _Again:
    """An equation once more, on arrays."""

    def __init__(self, equation: Any) -> None:
        self._equation = equation

    def __call__(self, given: Sequence[Array]) -> list[Array]:
        primitive = self._equation.primitive
        bound = primitive.get_bind_params(self._equation.params)
        functions, params = bound if isinstance(bound, tuple) else ((), bound)  # before and since JAX 0.9
        made = primitive.bind(*functions, *given, **params)
        return [np.asarray(one) for one in (made if primitive.multiple_results else [made])]
