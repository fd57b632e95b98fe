"""Which activation made the input of each weighted sum and which takes its output, read off the graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from initlab.frameworks.torch.activations import Recognised, recognise, second_moment
from initlab.frameworks.torch.graph import Graph, Node


@dataclass(frozen=True)
class Source:
    """What is known of the entries of a value.

    Attributes:
        f: The activation that made them.
        moment: Their mean square, where the activation does not say it.
        unknown: What made them, where nothing is known of their size.
        normed: Whether a norm layer made them.
        hidden: Whether what made them is an operation that is not known, rather than a layer with a size of its own.
    """

    f: str | None = None
    moment: float | None = None
    unknown: str = ""
    normed: bool = False
    hidden: bool = False

    @property
    def second(self) -> float:
        """The mean square; 1 for a plain signal."""
        return second_moment(self.f) if self.f is not None else 1.0 if self.moment is None else self.moment


class Flow:
    """Answers about one graph; what was answered once is kept."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sources: dict[Node, Source] = {}
        self._recognised: dict[Node, Recognised] = {}

    @cached_property
    def _consumers(self) -> dict[Node, list[Node]]:
        return self._graph.consumers()

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
            return _mixture(below)
        if node.kind == "unknown":
            return Source(unknown=node.name, hidden=node.name != "softmax")
        if node.kind == "weight" and node.name in _OWN_SIZE:
            return Source(unknown=_OWN_SIZE[node.name])
        return Source()

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
            self._recognised[node] = recognise(node.function)
        return self._recognised[node]

    def carriers(self, node: Node) -> list[Node]:
        """What takes a value as its signal, rather than to measure it."""
        return [taker for taker in self._consumers.get(node, ()) if not self._is_statistic(taker)]

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


_OWN_SIZE = {
    "embedding": "an embedding",
    "embedding_bag": "an embedding",
    "getitem": "a table",
    **dict.fromkeys(("lstm", "gru", "lstm_cell", "gru_cell"), "a gated recurrent layer"),
}


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


def _mixture(parts: list[Source]) -> Source:
    if len(set(parts)) == 1:
        return parts[0]
    known = [part for part in parts if not part.unknown]
    if len(known) < len(parts):
        return next(part for part in parts if part.unknown)
    return Source(moment=sum(part.second for part in parts) / len(parts))
