"""The operations on each entry between two weighted sums, composed into one function of the numbers they start from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from initlab.frameworks.reading.graph import Graph, Node

_ROWS = 64  # entries of parameters that stand for all: their quantiles
_MANY = 64  # numbers that a value depends on, beyond which it counts as one of its own
_SHIFTS = frozenset({"bias", "norm_bias"})
_RESHAPES = ("view", "reshape", "flatten", "squeeze", "transpose", "permute", "expand_dims", "contiguous")

Entries = NDArray[np.float64]


class Composition:
    """Of which numbers the values of one graph are functions, and which functions.

    Args:
        graph: The graph.
        scales: The native names of the norms' scales, which are 1 when a model starts.
    """

    def __init__(self, graph: Graph, scales: Collection[str]) -> None:
        self._uses = graph.uses
        self._scales = frozenset(scales)
        self._first: dict[object, Node] = {}
        self._same: dict[Node, Node] = {}
        self._base: dict[Node, frozenset[object]] = {}
        self._atoms: dict[Node, tuple[Node, ...] | None] = {}
        for node in graph.nodes:
            key = node if any(map(self._is_stack, node.params)) else _key(node, self._same)
            self._same[node] = self._first.setdefault(key, node)
            self._base[node] = self._made_base(node)
            self._atoms[node] = self._made_atoms(node)

    def atoms(self, node: Node) -> tuple[Node, ...] | None:
        """The independent values that an operation's value is a function of, entry by entry.

        A sum or a product of independent values is such a value itself, unless more is made of one of its parts.

        Returns:
            The values; the value itself where it is no such function, and None where they may depend on one another.
        """
        return self._atoms.get(node, (node,))

    def same(self, node: Node) -> Node:
        """The first value that holds the same numbers: of two equal calls of a layer, or of two equal moves."""
        return self._same.get(node, node)

    def functions(
        self, node: Node, atoms: Iterable[Node], *, shifted: bool = True
    ) -> Iterator[tuple[float, Callable[..., Any]]]:
        """A value as a function of its atoms, for the numbers that the parameters in it hold.

        Args:
            node: The value.
            atoms: What the functions take, in this order.
            shifted: Whether biases count by what they hold; else they are 0.

        Yields:
            The share of entries with these parameters, and the function of the framework's arrays; nothing where the
            parameters do not say.
        """
        order = tuple(atoms)
        params = self._parameters(node, frozenset(order))
        biases = () if shifted else tuple(one for one in params if self._is_shift(one))
        held = self._held(tuple(one for one in params if one not in biases))
        if held is None:
            return
        for share, row in held:
            yield share, _Replayed(self, node, order, row | dict.fromkeys(biases, 0.0))

    def inside(self, node: Node, atom: Node) -> list[Node]:
        """The values between a value and the one it is a function of through which all ways lead, the last first."""
        found, at = list[Node](), node
        while at is not atom:
            inner = {self.same(one) for one in at.inputs}
            if len(inner) != 1 or at.again is None:
                break
            (at,) = inner
            if at is not atom:
                found.append(at)
        return found

    def _made_base(self, node: Node) -> frozenset[object]:
        """What a value's numbers depend on: the weights of a sum, for the values behind it are mixed by them."""
        if node.kind == "weight":
            return frozenset(node if self._is_stack(name) else name for name in node.params) or frozenset({node})
        if node.kind in ("elementwise", "add", "mul", "concat", "norm") or node.again is not None:
            parts = node.inputs[:1] if node.kind == "norm" else node.inputs
            base = frozenset().union(*(self._base.get(one, frozenset({one})) for one in parts))
        elif node.kind == "pass" and node.form in ("moved", "dropout", "scaled", "shifted", "") and node.inputs:
            is_part = node.is_part or (node.form == "moved" and _size(node) != _size(node.inputs[0]))
            base = frozenset({node}) if is_part else self._base.get(node.inputs[0], frozenset({node.inputs[0]}))
        else:
            base = frozenset({node})
        return base if 0 < len(base) <= _MANY else frozenset({node})

    def _is_stack(self, name: str) -> bool:
        """Whether each use of a parameter takes another slice."""
        return any(use.axes is not None and use.axes.batch for use in self._uses.get(name, ()))

    def _made_atoms(self, node: Node) -> tuple[Node, ...] | None:
        if node.again is None:
            return (self.same(node),)
        parts = [self._atoms.get(one, (one,)) for one in node.inputs]
        if not parts or any(part is None for part in parts):
            return None if parts else (node,)
        found = list(dict.fromkeys(one for part in parts if part is not None for one in part))
        if len(found) == 1:
            return (found[0],)
        if node.kind in ("add", "mul") and self._are_apart(found) and sum(map(len, filter(None, parts))) == len(found):
            return (node,)
        return self._split(found)

    def _are_apart(self, values: Iterable[Node]) -> bool:
        """Whether no two values depend on the same numbers."""
        bases = [self._base.get(one, frozenset({one})) for one in values]
        return sum(map(len, bases)) == len(frozenset().union(*bases))

    def _split(self, values: list[Node]) -> tuple[Node, ...] | None:
        """Values that are apart, of which all of these are functions; None where there are none."""
        while not self._are_apart(values):
            shared = [
                one for one in values if not all(self._are_apart((one, other)) for other in values if other is not one)
            ]
            opened = next((one for one in reversed(shared) if one.again is not None), None)
            if opened is None:
                return None
            others = [one for one in values if one is not opened]
            inside = [atom for one in opened.inputs for atom in self._opened(one, others)]
            values = list(dict.fromkeys(atom for one in values for atom in (inside if one is opened else [one])))
        return tuple(values)

    def _opened(self, value: Node, others: list[Node]) -> tuple[Node, ...]:
        """What a value adds to a function: itself where others know nothing of it, as the state that a gate mixes."""
        atoms = self._atoms.get(value) or (value,)
        return (value,) if len(atoms) > 1 and self._are_apart((value, *others)) else atoms

    def _meets(self, value: Node, others: Iterable[Node]) -> bool:
        return any(other is not value and not self._are_apart((value, other)) for other in others)

    def _parameters(self, node: Node, atoms: frozenset[Node]) -> tuple[Node, ...]:
        """The parameters in a function of these atoms."""
        found: dict[Node, None] = {}
        seen, stack = set[Node](), [node]
        while stack:
            one = stack.pop()
            if one in seen or self.same(one) in atoms:
                continue
            seen.add(one)
            if one.kind == "parameter" and not one.inputs:
                found[one] = None
            stack.extend(one.given or one.inputs)
        return tuple(found)

    def _held(self, params: tuple[Node, ...]) -> list[tuple[float, dict[Node, float]]] | None:
        """What parameters hold together: shares of entries, each with a number for every parameter."""
        columns = {node: self._numbers(node) for node in params}
        wide = {node: numbers for node, numbers in columns.items() if len(numbers) > 1}
        fixed = {node: float(numbers[0]) for node, numbers in columns.items() if len(numbers) == 1}
        if not wide:
            return [(1.0, fixed)]
        if len({len(numbers) for numbers in wide.values()}) > 1:
            return None
        rows, times = np.unique(np.stack(list(wide.values()), axis=1), axis=0, return_counts=True)
        counts = times.astype(np.float64)
        if len(rows) > _ROWS:
            whole = np.repeat(rows, times, axis=0)
            rows = whole[((np.arange(_ROWS) + 0.5) * len(whole) / _ROWS).astype(int)]
            counts = np.ones(_ROWS)
        shares = counts / counts.sum()
        return [
            (float(share), fixed | {node: float(n) for node, n in zip(wide, row, strict=True)})
            for share, row in zip(shares, rows, strict=True)
        ]

    def _is_shift(self, node: Node) -> bool:
        return any(use.role in _SHIFTS for name in node.params[:1] for use in self._uses.get(name, ()))

    def _numbers(self, node: Node) -> Entries:
        """The numbers of a parameter when a model starts: one where all are equal."""
        name, is_shift = node.params[0] if node.params else "", self._is_shift(node)
        if name in self._scales:
            return np.ones(1)
        try:
            held = np.zeros(0) if node.numbers is None else np.asarray(node.numbers(), np.float64).reshape(-1)
        except (RuntimeError, NotImplementedError, TypeError, ValueError):  # of a model without memory
            held = np.zeros(0)
        if not held.size:
            return np.zeros(1) if is_shift else np.ones(1)
        if (held == held[0]).all():
            return held[:1]
        return np.zeros(1) if is_shift else held


class _Replayed:
    """A value computed anew from its atoms."""

    def __init__(self, owner: Composition, node: Node, atoms: tuple[Node, ...], row: Mapping[Node, float]) -> None:
        self._owner, self._node, self._atoms, self._row = owner, node, atoms, row

    def __call__(self, *arrays: Any) -> Any:
        given = dict(zip(self._atoms, arrays, strict=True))
        zero = arrays[0] * 0.0

        def value(one: Node) -> Any:
            known = self._owner.same(one)
            if known in given:
                return given[known]
            if one.kind == "parameter":
                return self._of_parameters(one, value, zero)
            if one.again is None:
                return one.tensor
            given[known] = one.again(value)
            return given[known]

        return value(self._node)

    def _of_parameters(self, one: Node, value: Callable[[Node], Any], zero: Any) -> Any:
        if one.again is not None:
            return one.again(value)
        return value(one.inputs[0]) if one.inputs else zero + self._row[one]


def _key(node: Node, same: Mapping[Node, Node]) -> object:
    """Equal for values that hold the same numbers."""
    is_moved = node.form == "moved" and len(node.inputs) == 1 and any(word in node.name for word in _RESHAPES)
    if (node.kind == "weight" and node.params) or (is_moved and _size(node) == _size(node.inputs[0])):
        inputs = tuple(same.get(one, one) for one in node.inputs)
        return (node.kind, node.name, node.params, node.shape, inputs)
    return node


def _size(node: Node) -> int:
    return prod(node.shape) if node.shape else 0
