"""Which activation made the input of each weighted sum and which takes its output, read off the graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

from initlab.frameworks.reading.graph import Function, Graph, Node
from initlab.frameworks.reading.recognition import Recognised, second_moment


@dataclass(frozen=True)
class Source:
    """What is known of the entries of a value.

    Attributes:
        f: The activation that made them.
        moment: Their mean square, where the activation does not say it.
        unknown: What made them, where nothing is known of their size.
        normed: Whether a norm layer made them.
        hidden: Whether what made them is an operation that is not known, rather than a layer with a size of its own.
        tables: Of how many tables of mean square 1 they are the sum; 0 where of something else.
    """

    f: str | None = None
    moment: float | None = None
    unknown: str = ""
    normed: bool = False
    hidden: bool = False
    tables: int = 0

    @property
    def second(self) -> float:
        """The mean square; 1 for a plain signal."""
        return second_moment(self.f) if self.f is not None else 1.0 if self.moment is None else self.moment


class Flow:
    """Answers about one graph; what was answered once is kept.

    Args:
        graph: The graph.
        recognise: What a function of each entry is, of the arrays that the graph's functions take.
    """

    def __init__(self, graph: Graph, recognise: Callable[[Function], Recognised]) -> None:
        self._graph = graph
        self._recognise = recognise
        self._sources: dict[Node, Source] = {}
        self._recognised: dict[Node, Recognised] = {}

    @cached_property
    def _consumers(self) -> dict[Node, list[Node]]:
        """What was made of each value; what leads to no output and no weight counts only where nothing else does.

        A condition, as in ``if z.abs().max() > 1``, and a statistic for a log only look at a value.
        """
        useful, outputs = self._graph.useful(), set(self._graph.outputs)
        return {
            node: [taker for taker in takers if taker in useful] or ([] if node in outputs else takers)
            for node, takers in self._graph.consumers().items()
        }

    def source(self, node: Node) -> Source:
        """What made the entries of a value."""
        pending = [node]  # not by recursion: a graph may be deeper than Python's stack
        while pending:
            at = pending[-1]
            missing = [one for one in _needed(at) if one not in self._sources]
            if at in self._sources or not missing:
                pending.pop()
                self._sources.setdefault(at, Source())
                self._sources[at] = self._source(at)
            else:
                pending += missing
        return self._sources[node]

    def _source(self, node: Node) -> Source:
        below = [self._sources[one] for one in _needed(node)]
        if node.kind == "norm":
            return Source(moment=1.0, normed=True)
        if node.kind == "elementwise":
            return self._of_function(node, below[0])
        if node.kind == "pass":
            return below[0] if below else Source()
        if node.kind == "add":
            return _sum(below)
        if node.kind == "mul":
            return _product(below)
        if node.kind == "concat":
            return _mixture(below, _sizes(node))
        if node.kind == "unknown":
            return Source(unknown=node.name, hidden=node.name != "softmax")
        if node.form == "table":
            return Source(tables=1)
        return _of_cell(node) if node.form == "recurrent" else Source()

    def _of_function(self, node: Node, below: Source) -> Source:
        what = self.recognised(node)
        if what.slope is not None:
            if below.unknown or what.slope in (1.0, -1.0, 0.0):
                return below
            return Source(moment=what.slope**2 * below.second)
        if what.f is not None:
            return Source(f=what.f)
        return Source(moment=what.moment) if what.moment is not None else Source(unknown=node.name, hidden=True)

    def recognised(self, node: Node) -> Recognised:
        """The activation that an element-wise value is of its root."""
        if node not in self._recognised:
            assert node.function is not None
            self._recognised[node] = self._recognise(node.function)
        return self._recognised[node]

    def carried(self, node: Node) -> tuple[Node, ...]:
        """The values whose size a value's own size follows: of a product with gates, the factors that are none."""
        if node.kind in ("pass", "norm"):
            return node.inputs[:1]
        if node.kind == "mul":
            return tuple(one for one in node.inputs if not self._is_gate(one)) or node.inputs
        return node.inputs

    def _is_gate(self, node: Node) -> bool:
        """Whether a value is an activation's: a scale of what the activation takes is not one of the value."""
        while node.kind in ("pass", "elementwise"):
            if node.kind == "elementwise" and self.recognised(node).slope is None:
                return True
            if not node.inputs:
                return False
            node = node.inputs[0]
        return node.name == "softmax"

    def carriers(self, node: Node) -> list[Node]:
        """What takes a value as its signal, rather than to measure it."""
        return [taker for taker in self._consumers.get(node, ()) if not self._is_statistic(taker)]

    def goes_on(self, node: Node) -> bool:
        """Whether a weighted sum takes a value, or something that was made of it."""
        seen, stack = set[Node](), [node]
        while stack:
            for taker in self._consumers.get(stack.pop(), ()):
                if taker.kind == "weight":
                    return True
                if taker not in seen:
                    seen.add(taker)
                    stack.append(taker)
        return False

    def takers(self, node: Node) -> tuple[str, ...]:
        """The activations that take a value, on every way from it up to the next weighted sum."""
        found: dict[str, None] = {}
        seen, stack = set[tuple[Node, bool]](), [(node, False)]
        while stack:
            at, summed = stack.pop()
            for taker in self._consumers.get(at, ()):
                for reached, is_summed in self._step(at, taker, summed, found):
                    if (reached, is_summed) not in seen:
                        seen.add((reached, is_summed))
                        stack.append((reached, is_summed))
        return tuple(found)

    def _step(self, at: Node, taker: Node, summed: bool, found: dict[str, None]) -> list[tuple[Node, bool]]:
        """Where a value goes on to, after one taker; an activation is put into ``found`` and ends the way."""
        if self._is_statistic(taker):
            return []
        if taker.kind == "elementwise":
            if not self._is_whole(taker):
                return [(taker, summed)]
            what = self.recognised(taker)
            if what.slope is not None:
                return [(taker, summed)]
            found[what.f or ""] = None
            return []
        if not taker.inputs or taker.inputs[0] is not at:
            return [(taker, True)] if taker.kind == "add" else [(taker, summed)] if taker.kind == "concat" else []
        if taker.kind == "add":
            return [(taker, True)]
        if taker.kind == "norm":
            return [] if summed else [(taker, summed)]
        return [(taker, summed)] if taker.kind in ("pass", "concat") else []

    def _is_statistic(self, node: Node) -> bool:
        """Whether a value only measures others, as the mean square does in a norm that is written out."""
        stack, measures = [node], False
        while stack:
            at = stack.pop()
            takers = self._consumers.get(at, ())
            if at.kind not in ("elementwise", "pass") or not takers:
                return False
            for taker in takers:
                if taker.kind in ("norm", "pass") and at is not taker.inputs[0]:
                    measures = True
                else:
                    stack.append(taker)
        return measures

    def _is_whole(self, node: Node) -> bool:
        """Whether a function ends here: something other than a further function of the same root takes its value."""
        takers = self._consumers.get(node, ())
        return not takers or any(taker.root is not node.root for taker in takers)


def _of_cell(node: Node) -> Source:
    """What a recurrent layer returns is what its own activation makes; of gates, the product has a size of its own."""
    f = node.facts.get("f")
    return Source(f=f) if isinstance(f, str) else Source(unknown="a recurrent layer")


def _needed(node: Node) -> tuple[Node, ...]:
    """The values whose sources decide that of a value."""
    if node.kind == "elementwise":
        return (node.root,) if node.root is not None else ()
    if node.kind == "pass":
        return node.inputs[:1]
    return node.inputs if node.kind in ("add", "mul", "concat") else ()


def _sum(parts: list[Source]) -> Source:
    """A sum keeps the activation of a summand where the others are a plain stream, as in ``x + f(W x)``."""
    functions = {part.f for part in parts if part.f is not None}
    unknown = [part for part in parts if part.unknown]
    if unknown and len(unknown) == len(parts):
        return unknown[0]
    if len(functions) == 1:
        return Source(f=functions.pop())
    if all(part.tables for part in parts):
        tables = sum(part.tables for part in parts)
        return Source(moment=float(tables), tables=tables)
    return Source(unknown="a sum of different signals") if functions else Source()


def _product(parts: list[Source]) -> Source:
    """Independent factors: the mean square of a product is the product of the mean squares."""
    for part in parts:
        if part.unknown:
            return part
    moment = 1.0
    for part in parts:
        moment *= part.second
    return Source(moment=moment)


def _mixture(parts: list[Source], sizes: Sequence[int]) -> Source:
    """Parts beside each other: each counts by its size."""
    if len(set(parts)) == 1:
        return parts[0]
    known = [part for part in parts if not part.unknown]
    if len(known) < len(parts):
        return next(part for part in parts if part.unknown)
    return Source(moment=sum(n * part.second for n, part in zip(sizes, parts, strict=True)) / sum(sizes))


def _sizes(node: Node) -> list[int]:
    """The entries of each part that a value is made of; 1 for all where one is not known."""
    shapes = [one.shape for one in node.inputs]
    sizes = [prod(shape) for shape in shapes if shape is not None]
    return sizes if len(sizes) == len(shapes) and all(sizes) else [1] * len(shapes)
