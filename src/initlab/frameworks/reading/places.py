"""The graph of a pass as the places that a probe reads: one value each on the way from the input to the output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from initlab.core.signals.readings import FactValue, Place, PlaceKind
from initlab.frameworks.reading.graph import Graph, Home, Node
from initlab.frameworks.reading.norms import norm_facts
from initlab.frameworks.reading.recognition import Recognised

SignalFacts = Mapping[str, FactValue]
Shape = tuple[int, ...]
Laid = Callable[[Node], tuple[Shape, int]]
_Found = tuple[PlaceKind, str, SignalFacts, str | None]

_SOFTMAX: Final = "softmax"
_ALONE = frozenset({"norm", "pool", "dropout", "pass", "scale"})  # their other inputs only measure or pick
_OF_A_LAYER = frozenset({"weighted", "norm", "dropout", "pool", "unknown"})
_PLAIN: Mapping[str, tuple[PlaceKind, str]] = {
    "input": ("input", "input"),
    "add": ("sum", "add"),
    "mul": ("product", "mul"),
    "concat": ("concat", "concat"),
}
_PASSED: Mapping[str, tuple[PlaceKind, str]] = {"dropout": ("dropout", "dropout"), "mix": ("mix", "attention"),
                                                "joined": ("concat", "concat")}  # fmt: skip


@dataclass(frozen=True)
class Placed:
    """Places and where they came from.

    Attributes:
        places: In the order in which they were made.
        of: The index of each value's place; what only moves the entries of another has that one's.
        whole: The values that are a place themselves, with its index.
        shares: The index of the weights of each attention that is one call.
    """

    places: tuple[Place, ...]
    of: Mapping[Node, int]
    whole: Mapping[Node, int]
    shares: Mapping[Node, int]


def places(
    graph: Graph,
    *,
    recognise: Callable[[Node], Recognised],
    owners: Mapping[str, str],
    laid: Laid,
    outputs: Iterable[Node],
) -> Placed:
    """The places of a graph: what leads to no output, no weight and no parameter is left out.

    Args:
        graph: The graph.
        recognise: The activation that an element-wise value is of its root.
        owners: The name of the module that holds each parameter, by the parameter's native name.
        laid: The shape of a value, samples first, and its axis of units.
        outputs: What the model returned that has samples.
    """
    return _Placing(graph, recognise, owners, laid, frozenset(outputs)).placed()


class _Placing:
    """Turns one graph into places."""

    def __init__(
        self,
        graph: Graph,
        recognise: Callable[[Node], Recognised],
        owners: Mapping[str, str],
        laid: Laid,
        outputs: frozenset[Node],
    ) -> None:
        self.graph, self.recognise, self.owners, self.laid = graph, recognise, owners, laid
        self.outputs, self.consumers = outputs, graph.consumers()
        self.made: list[Place] = []
        self.of: dict[Node, int] = {}
        self.whole: dict[Node, int] = {}
        self.shares: dict[Node, int] = {}
        self.times: dict[str, int] = {}

    def placed(self) -> Placed:
        for node in _wanted(self.graph, self.outputs):
            source = node.root if node.kind == "elementwise" and not self._is_whole(node) else _moved_from(node)
            if source is None:
                self._add(node)
            elif source in self.of:
                self.of[node] = self.of[source]
        return Placed(tuple(self.made), self.of, self.whole, self.shares)

    def _is_whole(self, node: Node) -> bool:
        """Whether a function of each entry ends here."""
        takers = self.consumers.get(node, ())
        return not takers or node in self.outputs or any(taker.root is not node.root for taker in takers)

    def _add(self, node: Node) -> None:
        if node.form == "mix" and len(node.inputs) == 3:
            value, query, key = node.inputs
            shape = (*(query.shape or ())[:-1], *(key.shape or ())[-2:-1])
            shares = Place(_SOFTMAX, self._named(node, _SOFTMAX), self._indices((query, key)), shape)
            self.shares[node] = self._keep(shares)
            inputs = (self.shares[node], *self._indices((value,)))
            found = Place("mix", self._named(node, "attention"), inputs, *self.laid(node))
        else:
            kind, name, facts, f = self._kind(node)
            path, (shape, units) = self._path(node, kind, name), self.laid(node)
            params = tuple(dict.fromkeys((*node.params, *self.graph.biases.get(node, ()))))
            found = Place(kind, path, self._inputs(node, kind), shape, units, params, f, facts)
        self.of[node] = self.whole[node] = self._keep(found)

    def _keep(self, place: Place) -> int:
        self.made.append(place)
        return len(self.made) - 1

    def _indices(self, nodes: Iterable[Node]) -> tuple[int, ...]:
        return tuple(self.of[node] for node in nodes if node in self.of)

    def _inputs(self, node: Node, kind: PlaceKind) -> tuple[int, ...]:
        if node.kind == "elementwise" and node.root is not None:
            return self._indices((node.root,))
        if kind == "mix":
            return self._indices(node.inputs[::-1])
        return self._indices(node.inputs[:1] if kind in _ALONE else node.inputs)

    def _kind(self, node: Node) -> _Found:
        """What a place is, the word for it in a path, its facts, and its activation."""
        if node.kind == "elementwise":
            found = self.recognise(node)
            if found.slope is not None:
                return "scale", "scale", {"factor": found.slope}, None
            return "activation", found.f.partition("(")[0] if found.f else node.name, {}, found.f
        if node.kind == "weight" and node.form != "recurrent":
            return "weighted", node.name, {"table": 1.0} if node.form == "table" else node.facts, None
        if node.kind == "norm":
            return _normed(node)
        if node.kind == "pass":
            return _passed(node)
        if node.form == _SOFTMAX:
            return _SOFTMAX, _SOFTMAX, {}, None
        if node.kind in _PLAIN:
            return *_PLAIN[node.kind], {}, None
        return _unknown(node)

    def _path(self, node: Node, kind: PlaceKind, name: str) -> str:
        if kind == "input":
            return self._unique("input")
        home = self.graph.homes.get(node, Home())
        if kind in _OF_A_LAYER and home.is_leaf and home.path:
            return self._unique(home.path)
        if kind in ("weighted", "norm") and node.params:
            return self._unique(self.owners.get(node.params[0], "") or name)
        return self._named(node, name)

    def _named(self, node: Node, name: str) -> str:
        home = self.graph.homes.get(node, Home()).path
        return self._unique(f"{home}:{name}" if home else name)

    def _unique(self, path: str) -> str:
        self.times[path] = self.times.get(path, 0) + 1
        return path if self.times[path] == 1 else f"{path}#{self.times[path]}"


def _wanted(graph: Graph, outputs: Iterable[Node]) -> list[Node]:
    """The values that lead to an output, a weighted sum or a parameter, in order; a norm's statistics lead to none."""
    stack = [node for node in graph.nodes if node.kind == "weight" or node.params] + list(outputs)
    seen = set[Node]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        alone = node.kind == "norm" or node.form in ("shifted", "scaled")
        stack += node.inputs[:1] if alone else node.inputs
        stack += [node.root] if node.root is not None else []
    return [node for node in graph.nodes if node.kind == "input" or (node in seen and node.is_data)]


def _moved_from(node: Node) -> Node | None:
    """The value whose entries these are, in another order or some of them; None where they were changed."""
    return node.inputs[0] if node.form == "moved" and not node.params and len(node.inputs) == 1 else None


def _normed(node: Node) -> _Found:
    if node.form == "running":
        return "unknown", node.name, {"name": f"{node.name} with running statistics"}, None
    facts = norm_facts(node)
    return ("norm", node.name if node.facts else "norm", facts, None) if "norm" in facts else _unknown(node)


def _passed(node: Node) -> _Found:
    if node.form in _PASSED:
        return *_PASSED[node.form], node.facts, None
    if node.form == "pool":
        return "pool", node.name, {name: node.facts[name] for name in ("how", "size")}, None
    if node.form == "reduced":
        return _unknown(node)
    if node.params:
        return ("sum", "add", {}, None) if node.form == "shifted" else ("product", "mul", {}, None)
    return "pass", node.name, {"multiplied": 1.0} if node.form == "scaled" else {}, None


def _unknown(node: Node) -> _Found:
    return "unknown", node.name, {"name": node.name, **node.facts}, None


def upstream(places: Sequence[Place], at: int) -> frozenset[int]:
    """The places that a value was made of, and its own.

    Example:
        >>> chain = (Place("input", "x"), Place("weighted", "a", (0,)), Place("weighted", "b", (0,)))
        >>> sorted(upstream(chain, 2))
        [0, 2]
    """
    found, stack = set[int](), [at]
    while stack:
        one = stack.pop()
        if one not in found:
            found.add(one)
            stack.extend(places[one].inputs)
    return frozenset(found)


def batch_first(shape: Shape, batch: int, units: int) -> tuple[Shape, int]:
    """A shape with its samples first, and the axis of units then.

    Example:
        >>> batch_first((7, 2, 5), 1, 2)      # seven tokens, two samples, five features
        ((2, 7, 5), 2)
    """
    units %= max(len(shape), 1)
    if batch in (0, units) or batch >= len(shape):
        return shape, units
    return (shape[batch], *shape[:batch], *shape[batch + 1 :]), units if units > batch else units + 1
