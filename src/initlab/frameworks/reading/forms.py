"""The form of a value that an operation passes on: what its kind leaves open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from initlab.frameworks.reading.graph import Form

_SHIFTS = frozenset({"add", "add_any", "sub", "rsub"})


@dataclass(frozen=True)
class Passes:
    """What a framework calls the operations that pass a signal on.

    Attributes:
        pools: Whether a name is that of a mean or an extreme.
        joins: Of what lays values beside each other.
        reductions: Of another statistic over axes.
        moves: Of what moves entries and leaves them as they are.
    """

    pools: Callable[[str], bool]
    joins: Callable[[str], bool]
    reductions: Callable[[str], bool]
    moves: Callable[[str], bool]


def passed_form(name: str, params: Sequence[str], names: Passes) -> Form:
    """The form of what an operation of this name passes on.

    Args:
        name: The operation.
        params: The parameters in it.
        names: The framework's.
    """
    if names.pools(name):
        return "pool"
    if names.joins(name) and params:
        return "joined"
    if names.reductions(name):
        return "reduced"
    if name in _SHIFTS:
        return "shifted"
    if params or name in ("mul", "div"):
        return "scaled"
    return "moved" if names.moves(name) else ""
