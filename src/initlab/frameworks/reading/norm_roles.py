"""A norm told by its use: which parameters multiply a normalised value, and which are added to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from math import isnan, nan, prod, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.core.facts.spec import Role
from initlab.frameworks.reading.gaussian import Evaluate, values_at
from initlab.frameworks.reading.graph import Graph, Node, Use
from initlab.frameworks.reading.norms import NORMS, STATISTICS
from initlab.frameworks.reading.operation import SUMS

_OPEN: frozenset[Role] = frozenset({"scale", "bias", "norm_bias"})  # what one operation alone tells of a parameter
_AT = np.array([0.0, 1.0, 2.0])  # of a value and of a parameter: a straight line goes through all three
_NEAR = 0.1  # of the plain normalisation, by how much an epsilon may move it
_DEEPEST = 100  # operations between a value and what is made of it


@dataclass(frozen=True)
class _Normed:
    """A value that is normalised, and what was done to it since.

    Attributes:
        base: The value that was normalised, or a norm's own output where a function made it.
        leaves: The parameters between the two.
        depth: The operations between them.
    """

    base: Node
    leaves: frozenset[Node] = frozenset()
    depth: int = 0


def settle_norms(graph: Graph, evaluate: Evaluate) -> None:
    """The uses of parameters, in which a norm's scale and shift are known as such, however anything is called.

    A scale multiplies a value that is divided by its root mean square, its deviation or its length, anywhere in the
    product, so that the value has mean square 1 where the scale is 1: a ``norm_scale``. One that is kept as its
    distance from 1 has the constant 0 there, as what is added to such a value: a ``norm_bias``.

    Args:
        graph: The graph of a pass.
        evaluate: What a function of the framework's arrays makes of numbers.
    """
    made = _normed_values(graph)
    roles: dict[Node, Role] = {}
    bases: dict[Node, set[Node]] = {}
    for node, one in made.items():
        if node.kind not in ("norm", "pass", "add", "mul"):
            continue
        for leaf in one.leaves:
            role = _role(_Values(evaluate, leaf), node, one, leaf)
            is_second = leaf not in roles and any(roles.get(other) == "norm_scale" for other in one.leaves)
            if role is not None and not (role == "norm_scale" and is_second):  # the norm has a scale of its own
                roles[leaf] = role
                bases.setdefault(leaf, set()).add(one.base)
    _settle(graph, made, roles, bases)


def _settle(graph: Graph, made: dict[Node, _Normed], roles: dict[Node, Role], bases: dict[Node, set[Node]]) -> None:
    """Note the roles of parameters that are used nowhere else."""
    inside = {node: one.base for node, one in made.items()}
    for node, one in made.items():
        if node.kind == "norm":
            inside |= dict.fromkeys(_between(node, one.base), one.base)
    users: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in dict.fromkeys(_names(node)):
            users.setdefault(name, []).append(node)
    for leaf, role in roles.items():
        (name,) = leaf.params
        uses = graph.uses.get(name, [])
        if all(inside.get(node) in bases[leaf] for node in users[name]) and all(use.role in _OPEN for use in uses):
            graph.uses[name] = [Use(role) for _ in uses]


def _names(node: Node) -> Iterator[str]:
    yield from node.params
    for one in node.given:
        if one.kind == "parameter":
            yield from one.params


# What each value is made of


def _normed_values(graph: Graph) -> dict[Node, _Normed]:
    """The normalised values and what is made of them entry by entry, in order."""
    above: dict[Node, tuple[Node, ...]] = {}  # the values through which all ways to a value lead, the last first
    made: dict[Node, _Normed] = {}
    for node in graph.nodes:
        parts = _parts(node)
        above[node] = (node, *_shared([above.get(one, (one,)) for one in parts]))[:_DEEPEST]
        if (node.kind == "norm" and len(node.inputs) == 1) or _is_by_stored_moments(node):
            made[node] = _Normed(node)
        elif node.kind == "norm" and len(above[node]) > 1:
            base = above[node][1]
            made[node] = _Normed(base, frozenset(leaf for one in _between(node, base) for leaf in _leaves_of(one)))
        elif parts and not _is_statistic(node) and all(one in made for one in parts):
            before = [made[one] for one in parts]
            depth = 1 + max(one.depth for one in before)
            if len({one.base for one in before}) == 1 and depth < _DEEPEST:
                leaves = frozenset(_leaves_of(node)).union(*(one.leaves for one in before))
                made[node] = _Normed(before[0].base, leaves, depth)
    return made


def _is_by_stored_moments(node: Node) -> bool:
    """Whether stored numbers are taken off a value and it is divided by others, as a batch norm does in evaluation."""
    steps = [node, *node.inputs]
    bare = all(one.kind == "pass" and not one.params and len(one.inputs) == 1 for one in steps)
    return bare and [one.form for one in steps] == ["scaled", "shifted"]


def _shared(chains: list[tuple[Node, ...]]) -> tuple[Node, ...]:
    """The values that are in all chains, the last first."""
    if not chains:
        return ()
    others = [set(chain) for chain in chains[1:]]
    return tuple(node for node in chains[0] if all(node in other for other in others))


def _between(node: Node, base: Node) -> dict[Node, None]:
    """The values from a base to one that is made of it, that one included."""
    found, stack = dict[Node, None](), [node]
    while stack:
        at = stack.pop()
        if at is not base and at not in found:
            found[at] = None
            stack += _parts(at)
    return found


def _parts(node: Node) -> tuple[Node, ...]:
    """The values of which this one is made entry by entry, or by a statistic; none where it is another's."""
    if node.kind == "norm" and len(node.inputs) == 2 and node.name in ("mul", "div"):
        return node.inputs
    if node.kind == "pass" and len(node.inputs) == 2 and node.name in SUMS and node.again is None:
        return node.inputs[:1]  # less a mean
    is_moved = node.kind == "pass" and node.form in ("moved", "dropout") and len(node.inputs) == 1
    return node.inputs if is_moved or _is_statistic(node) or node.again is not None else ()


def _is_statistic(node: Node) -> bool:
    return (
        node.kind == "pass"
        and node.form != "moved"
        and len(node.inputs) == 1
        and node.name.removeprefix("reduce_") in STATISTICS
    )


def _leaves_of(node: Node) -> Iterator[Node]:
    """The parameters that an operation was given."""
    for one in node.given:
        yield from _leaves(one)


def _leaves(node: Node) -> Iterator[Node]:
    if node.kind == "parameter":
        if not node.inputs:
            yield node
        for one in node.inputs:
            yield from _leaves(one)


# What a parameter does to a value


def _role(values: _Values, node: Node, one: _Normed, leaf: Node) -> Role | None:
    """What a parameter does in a value that is a straight line in a normalised one; None where it is none."""
    at = values.table(node, one.base)
    if at is None or (np.abs(at[:, 0] - 2 * at[:, 1] + at[:, 2]) > 1e-4 * np.abs(at).max(axis=1)).any():
        return None
    slope, start = at[:, 1] - at[:, 0], at[:, 0]
    own = len(one.base.params) if one.base.kind == "norm" else 0  # what a norm by a function has of its own
    if np.ptp(slope) <= 1e-6 * np.abs(slope).max():
        is_shift = own < 2 and np.ptp(start) > 0.0 and abs(start[0] - 2 * start[1] + start[2]) <= 1e-4 * np.ptp(start)
        return "norm_bias" if is_shift else None
    gain = values.size_of(one.base)
    if own or not np.allclose(np.diff(slope) * gain, 1.0, atol=_NEAR):
        return None
    first = abs(slope[0]) * gain
    return "norm_scale" if first < 1e-6 else "norm_bias" if abs(first - 1.0) < _NEAR else None


class _Values:
    """The numbers of values for a base of mean square 1.

    Args:
        evaluate: What a function of the framework's arrays makes of numbers.
        leaf: The parameter that varies; the others are 1.
    """

    def __init__(self, evaluate: Evaluate, leaf: Node) -> None:
        self._evaluate, self._leaf = evaluate, leaf
        size = prod(leaf.shape or (1,))
        self._units = float(size) if size > 1 else nan  # of one number nothing tells how many entries it scales
        self._numbers: dict[Node, float | None] = {}

    def table(self, node: Node, base: Node) -> NDArray[np.float64] | None:
        """The value where the parameter is 0, 1 and 2, a row each, and its base is."""
        made = self._at(node, base, np.tile(_AT, len(_AT)), np.repeat(_AT, len(_AT)))
        return None if made is None else made.reshape(len(_AT), len(_AT))

    def size_of(self, base: Node) -> float:
        """The root mean square of a base: of rows of length 1 it is small."""
        return 1.0 / sqrt(self._units) if base.kind == "norm" and base.name == "normalize" else 1.0

    def _at(self, node: Node, base: Node, *places: NDArray[np.float64]) -> NDArray[np.float64] | None:
        statistics = [self._number(one, base) for one in self._statistics(node, base)]
        if None in statistics:
            return None
        return values_at(partial(self._value, node, base), self._evaluate, places)

    def _value(self, node: Node, base: Node, x: Any, p: Any = 1.0) -> Any:
        """A value anew, with arrays in place of its base and of the parameter."""

        def of(one: Node) -> Any:
            if one is base:
                return x
            if one.kind == "parameter" and one.again is None:
                return of(one.inputs[0]) if one.inputs else x * 0.0 + (p if one is self._leaf else 1.0)
            if one in self._numbers:
                return x * 0.0 + self._numbers[one]
            if one.kind == "norm":
                value, spread = map(of, one.inputs)
                return value * spread if one.name == "mul" else value / spread
            return one.tensor if one.kind == "constant" else of(one.inputs[0]) if one.again is None else one.again(of)

        return of(node)

    def _statistics(self, node: Node, base: Node) -> Iterator[Node]:
        """The statistics in a value, not those within them."""
        if node is base:
            return
        if _is_statistic(node):
            yield node
            return
        for one in _parts(node):
            yield from self._statistics(one, base)

    def _number(self, node: Node, base: Node) -> float | None:
        """What a statistic is of a base whose entries are 1 and -1."""
        if node not in self._numbers:
            inner = self._at(node.inputs[0], base, np.array([1.0, -1.0]))
            before, after = node.inputs[0].shape, node.shape
            many = self._units if before is None or after is None else prod(before) / max(prod(after), 1)
            rule = _STATISTICS.get(node.name.removeprefix("reduce_"))
            number = nan if inner is None or rule is None else float(rule(inner, many))
            self._numbers[node] = None if isnan(number) else number
        return self._numbers[node]


_Statistic = Callable[[NDArray[np.float64], float], Any]
_STATISTICS: dict[str, _Statistic] = {
    **dict.fromkeys(NORMS, lambda a, n: sqrt(n * np.mean(a**2))),
    **dict.fromkeys(("mean", "average"), lambda a, n: np.mean(a)),
    "sum": lambda a, n: n * np.mean(a),
    **dict.fromkeys(("var", "var_mean"), lambda a, n: np.var(a)),
    **dict.fromkeys(("std", "std_mean"), lambda a, n: np.std(a)),
}
