"""The recorded graph of a pass as the framework-neutral places that a probe reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from initlab.core.signals.readings import FactValue, Place, PlaceKind
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.torch.probing.recorder import DROPOUTS, POOLS, Ear
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.calls import Call, nodes_in, params_of

Facts = dict[str, FactValue]

_NORM_NAMES = {"batch_norm": "batch", "layer_norm": "layer", "group_norm": "group", "instance_norm": "instance",
               "rms_norm": "rms"}  # fmt: skip
_EPS_AT = {"batch_norm": 7, "instance_norm": 7, "layer_norm": 4, "group_norm": 4, "rms_norm": 3}
_REDUCTIONS = frozenset(
    {"sum", "nansum", "median", "var", "std", "norm", "linalg_norm", "linalg_vector_norm", "vector_norm", "matrix_norm"}
    | {"logsumexp"}
)
_SOFTMAX: Final = "softmax"


@dataclass(frozen=True)
class Placed:
    """Places and where they came from.

    Attributes:
        places: In the order in which they were made.
        of: The index of each node's place.
        shares: The index of the weights of each fused attention.
    """

    places: tuple[Place, ...]
    of: Mapping[Node, int]
    shares: Mapping[Node, int]


def places(graph: Graph, ear: Ear) -> Placed:
    """The places of a graph: what leads to no output, no weight and no parameter is left out."""
    return _Placing(graph, ear).placed()


class _Placing:
    """Turns one graph into places."""

    def __init__(self, graph: Graph, ear: Ear) -> None:
        self.graph, self.ear = graph, ear
        self.consumers = graph.consumers()
        self.made: list[Place] = []
        self.of: dict[Node, int] = {}
        self.shares: dict[Node, int] = {}
        self.times: dict[str, int] = {}

    def placed(self) -> Placed:
        for node in _wanted(self.graph):
            source = node.root if node.kind == "elementwise" and not self._is_whole(node) else _moved_from(node)
            if source is None:
                self._add(node)
            elif source in self.of:
                self.of[node] = self.of[source]
        return Placed(tuple(self.made), self.of, self.shares)

    def _is_whole(self, node: Node) -> bool:
        takers = self.consumers.get(node, ())
        return not takers or node in self.graph.outputs or any(taker.root is not node.root for taker in takers)

    def _add(self, node: Node) -> None:
        call = self.ear.calls.get(node)
        if node.name == "scaled_dot_product_attention" and len(node.inputs) == 3:
            value, query, key = node.inputs
            shape = (*(query.shape or ())[:-1], *(key.shape or ())[-2:-1])
            found = Place(_SOFTMAX, self._named(node, _SOFTMAX), self._indices((query, key)), shape)
            self.shares[node] = self._keep(found)
            inputs = (self.shares[node], *self._indices((value,)))
            self.of[node] = self._keep(Place("mix", self._named(node, "attention"), inputs, *self._shape(node)))
            return
        kind, name, facts, f = self._kind(node, call)
        path, inputs, (shape, units) = self._path(node, kind, name), self._inputs(node, kind), self._shape(node)
        self.of[node] = self._keep(Place(kind, path, inputs, shape, units, _params(node, call), f, facts))

    def _keep(self, place: Place) -> int:
        self.made.append(place)
        return len(self.made) - 1

    def _indices(self, nodes: tuple[Node, ...]) -> tuple[int, ...]:
        return tuple(self.of[node] for node in nodes if node in self.of)

    def _inputs(self, node: Node, kind: PlaceKind) -> tuple[int, ...]:
        if node.kind == "elementwise" and node.root is not None:
            return self._indices((node.root,))
        if kind == "mix" and len(node.inputs) == 2:
            return self._indices(node.inputs[::-1])
        alone = kind in ("norm", "pool", "dropout", "pass", "scale")
        return self._indices(node.inputs[:1] if alone else node.inputs)

    def _shape(self, node: Node) -> tuple[tuple[int, ...], int]:
        """The shape of a node's place, samples first, and the axis of units."""
        measured = self.ear.forward.get(node)
        if measured is not None:
            return measured.shape, measured.axis
        layout = self.ear.layouts.get(node)
        if node.shape is None:
            return (), -1
        return batch_first(node.shape, layout.batch if layout else 0, layout.units if layout else -1)

    def _kind(self, node: Node, call: Call | None) -> tuple[PlaceKind, str, Facts, str | None]:
        """What a place is, the word for it in a path, its facts, and its activation."""
        if node.kind == "elementwise":
            found = self.ear.recognised(node)
            if found.slope is not None:
                return "scale", "scale", {"factor": found.slope}, None
            return "activation", found.f.partition("(")[0] if found.f else node.name, {}, found.f
        if node.kind == "weight" and node.name not in function_names.RECURRENT:
            return "weighted", node.name, _weight_facts(node, call), None
        if node.kind == "norm":
            return _norm(node, call)
        if node.kind == "pass":
            return _moved(node, call)
        if node.kind == "unknown" and node.name == _SOFTMAX:
            return _SOFTMAX, _SOFTMAX, {}, None
        plain: dict[str, tuple[PlaceKind, str]] = {
            "input": ("input", "input"), "add": ("sum", "add"), "mul": ("product", "mul"),
            "concat": ("concat", "concat"),
        }  # fmt: skip
        if node.kind in plain:
            return *plain[node.kind], {}, None
        return "unknown", node.name, {"name": node.name}, None

    def _path(self, node: Node, kind: PlaceKind, name: str) -> str:
        if kind == "input":
            return self._unique("input")
        home = self.ear.homes.get(node, "")
        if kind in ("weighted", "norm", "dropout", "pool", "unknown") and home in self.ear.leaves:
            return self._unique(home)
        if kind in ("weighted", "norm") and node.params:
            return self._unique(self.ear.owners.get(node.params[0], "") or name)
        return self._named(node, name)

    def _named(self, node: Node, name: str) -> str:
        home = self.ear.homes.get(node, "")
        return self._unique(f"{home}:{name}" if home else name)

    def _unique(self, path: str) -> str:
        self.times[path] = self.times.get(path, 0) + 1
        return path if self.times[path] == 1 else f"{path}#{self.times[path]}"


def _wanted(graph: Graph) -> list[Node]:
    """The values that lead to an output, a weighted sum or a parameter, in order; a norm's statistics lead to none."""
    stack = [node for node in graph.nodes if node.kind == "weight" or node.params] + list(graph.outputs)
    seen = set[Node]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        alone = node.kind == "norm" or (node.kind == "pass" and node.name in ("sub", "rsub", "mul", "div"))
        stack += node.inputs[:1] if alone else node.inputs
        stack += [node.root] if node.root is not None else []
    return [node for node in graph.nodes if node.kind == "input" or (node in seen and node.is_data)]


def _moved_from(node: Node) -> Node | None:
    """The value whose entries these are, in another order or some of them; None where they were changed."""
    moved = node.kind == "pass" and node.name in function_names.MOVES and not node.params and len(node.inputs) == 1
    return node.inputs[0] if moved and node.name not in POOLS and node.name not in _REDUCTIONS else None


def batch_first(shape: tuple[int, ...], batch: int, units: int) -> tuple[tuple[int, ...], int]:
    """A shape with its samples first, and the axis of units then."""
    units %= max(len(shape), 1)
    if batch in (0, units) or batch >= len(shape):
        return shape, units
    return (shape[batch], *shape[:batch], *shape[batch + 1 :]), units if units > batch else units + 1


def _params(node: Node, call: Call | None) -> tuple[str, ...]:
    """The weight before the bias."""
    others = params_of(call.nodes) if call is not None and node.kind in ("weight", "norm") else ()
    return tuple(dict.fromkeys((*node.params, *others)))


def _weight_facts(node: Node, call: Call | None) -> Facts:
    if node.name not in function_names.CONVOLUTIONS:
        return {"table": 1.0} if node.name in ("embedding", "embedding_bag", "getitem") else {}
    if call is None:
        return {}
    rank = int(node.name[-2])
    transposed = "transpose" in node.name
    at = {"stride": (3, 1), "padding": (4, 0), "dilation": (7 if transposed else 5, 1)}
    facts: Facts = {}
    for name, (place, usual) in at.items():
        given = call.get(place, name, usual)
        facts[name] = given if isinstance(given, str) else _each(given, rank)
    groups = call.get(6, "groups", 1)
    return {**facts, "groups": groups if isinstance(groups, int) else 1}


def _each(value: object, rank: int) -> tuple[int, ...]:
    values = tuple(int(n) for n in value) if isinstance(value, list | tuple) else (int(str(value)),)
    return values * rank if len(values) == 1 else values


def _norm(node: Node, call: Call | None) -> tuple[PlaceKind, str, Facts, None]:
    how = _NORM_NAMES.get(node.name)
    if how is None and node.name in ("mul", "div"):
        return "norm", "norm", {"norm": _written_out(node), "eps": 0.0}, None
    if how is None or call is None:
        return "unknown", node.name, {"name": node.name}, None
    by_own_batch = call.get(5, "training" if how == "batch" else "use_input_stats", how != "batch")
    if how in ("batch", "instance") and not by_own_batch:
        return "unknown", node.name, {"name": f"{node.name} with running statistics"}, None
    eps = call.get(_EPS_AT[node.name], "eps")
    usual = torch.finfo(torch.float32).eps if how == "rms" else 1e-5
    facts: Facts = {"norm": how, "eps": float(eps) if isinstance(eps, int | float) else usual}
    if how == "group":
        groups = call.get(1, "num_groups")
        facts["groups"] = groups if isinstance(groups, int) else 1
    return "norm", node.name, facts, None


def _written_out(node: Node) -> str:
    """Which norm a quotient of a value by its own spread is."""
    spread = node.inputs[1].shape or ()
    if len(spread) > 1 and spread[0] == 1:
        return "batch"
    centred = node.inputs[0].name in ("sub", "rsub")
    return "layer" if centred else "rms"


def _moved(node: Node, call: Call | None) -> tuple[PlaceKind, str, Facts, None]:
    if node.name in DROPOUTS and call is not None:
        rate = call.get(1, "p", 0.5)
        return "dropout", "dropout", {"rate": float(rate) if isinstance(rate, int | float) else 0.0}, None
    if node.name in POOLS:
        return "pool", node.name, _pool(node, call), None
    if node.params:
        return ("sum", "add", {}, None) if node.name in ("add", "sub", "rsub") else ("product", "mul", {}, None)
    if node.name in function_names.PRODUCTS and len(node.inputs) == 2:
        return "mix", "attention", {}, None
    if node.name in _REDUCTIONS:
        return "unknown", node.name, {"name": node.name}, None
    return "pass", node.name, {"multiplied": 1.0} if node.name in ("mul", "div") else {}, None


def _pool(node: Node, call: Call | None) -> Facts:
    how = "max" if "max" in node.name or "min" in node.name else "mean"
    before, after = (node.inputs[0].shape or () if node.inputs else ()), node.shape or ()
    size = float(np.prod(before)) / max(float(np.prod(after)), 1.0) if before else 1.0
    if "pool" in node.name and "adaptive" not in node.name and call is not None:
        window = call.get(1, "kernel_size", 1)
        if not next(nodes_in((window,)), None):
            rank = int(node.name[-2]) if node.name[-2].isdigit() else 2
            size = float(np.prod(_each(window, rank)))
    return {"how": how, "size": float(size)}
