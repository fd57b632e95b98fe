"""The graph of a traced pass as the framework-neutral places that a probe reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Final

from flax import nnx

from initlab.core.errors import ShapeError
from initlab.core.signals.readings import FactValue, Place, PlaceKind
from initlab.frameworks.jax.reading.calls import Walk
from initlab.frameworks.jax.reading.layers import NORMS
from initlab.frameworks.jax.reading.module_calls import ModuleCall
from initlab.frameworks.reading.graph import Node
from initlab.frameworks.reading.recognition import Recognised

Facts = dict[str, FactValue]
Found = tuple[PlaceKind, str, Facts, str | None]

_NORM_NAMES = {"batch_norm": "batch", "layer_norm": "layer", "group_norm": "group", "instance_norm": "instance",
               "rms_norm": "rms"}  # fmt: skip
_POOLS = {"mean": "mean", "avg_pool": "mean", "reduce_max": "max", "reduce_min": "max", "reduce_window_max": "max",
          "reduce_window_min": "max"}  # fmt: skip
_REDUCTIONS = frozenset({"reduce_sum", "reduce_window_sum", "reduce_window", "reduce_prod", "cumsum"})
_RECURRENT = frozenset({"lstm", "gru"})
_SOFTMAX: Final = "softmax"


@dataclass(frozen=True)
class Placed:
    """Places and where they came from.

    Attributes:
        places: In the order in which they were made.
        of: The index of each node's place.
        whole: The nodes that are a place themselves, with their place.
    """

    places: tuple[Place, ...]
    of: Mapping[Node, int]
    whole: Mapping[Node, int]


def places(made: Walk, recognised: Callable[[Node], Recognised], owners: Mapping[str, str]) -> Placed:
    """The places of a graph: what leads to no output, no weight and no parameter is left out.

    Args:
        made: The graph.
        recognised: The activation that a value is of its root.
        owners: The name of the module that holds each parameter.

    Raises:
        ShapeError: A batch norm in training that is given one value a channel.
    """
    return _Placing(made, recognised, owners).placed()


class _Placing:
    """Turns one graph into places."""

    def __init__(self, made: Walk, recognised: Callable[[Node], Recognised], owners: Mapping[str, str]) -> None:
        self.walk, self.recognised, self.owners = made, recognised, owners
        self.consumers = made.graph.consumers()
        self.made: list[Place] = []
        self.of: dict[Node, int] = {}
        self.whole: dict[Node, int] = {}
        self.times: dict[str, int] = {}

    def placed(self) -> Placed:
        for node in _wanted(self.walk):
            source = node.root if node.kind == "elementwise" and not self._is_whole(node) else _moved_from(node)
            if source is None:
                self.of[node] = self.whole[node] = len(self.made)
                self.made.append(self._place(node))
            elif source in self.of:
                self.of[node] = self.of[source]
        return Placed(tuple(self.made), self.of, self.whole)

    def _is_whole(self, node: Node) -> bool:
        """Whether a function of each entry ends here."""
        takers = self.consumers.get(node, ())
        return not takers or node in self.walk.graph.outputs or any(taker.root is not node.root for taker in takers)

    def _place(self, node: Node) -> Place:
        kind, name, facts, f = self._kind(node)
        shape = node.shape or ()
        params = (*node.params, *self.walk.biases.get(node, ()))
        path = self._unique(self._path(node, kind, name))
        return Place(kind, path, self._inputs(node, kind), shape, len(shape) - 1, params, f, facts)

    def _inputs(self, node: Node, kind: PlaceKind) -> tuple[int, ...]:
        taken = node.inputs
        if node.kind == "elementwise" and node.root is not None:
            taken = (node.root,)
        elif kind == "mix":
            taken = node.inputs[::-1]
        elif kind in ("norm", "pool", "dropout", "pass", "scale"):
            taken = node.inputs[:1]
        return tuple(self.of[one] for one in taken if one in self.of)

    def _kind(self, node: Node) -> Found:
        """What a place is, the word for it in a path, its facts, and its activation."""
        if node.kind == "elementwise":
            found = self.recognised(node)
            if found.slope is not None:
                return "scale", "scale", {"factor": found.slope}, None
            return "activation", found.f.partition("(")[0] if found.f else node.name, {}, found.f
        if node.kind == "weight" and node.name not in _RECURRENT:
            return "weighted", node.name, self._weight_facts(node), None
        if node.kind == "norm":
            return _norm(node, self.walk.call_of(node))
        if node.kind == "pass":
            return _moved(node, self.walk)
        plain: dict[str, tuple[PlaceKind, str]] = {
            "input": ("input", "input"), "add": ("sum", "add"), "mul": ("product", "mul"),
            "concat": ("concat", "concat"),
        }  # fmt: skip
        if node.kind in plain:
            return *plain[node.kind], {}, None
        if node.name == _SOFTMAX:
            return _SOFTMAX, _SOFTMAX, {}, None
        return "unknown", node.name, {"name": node.name}, None

    def _weight_facts(self, node: Node) -> Facts:
        if node.name == "embedding":
            return {"table": 1.0}
        if node.name != "convolution":
            return {}
        call, told = self.walk.call_of(node), self.walk.steps[node].equation.params
        is_transposed = any(n != 1 for n in told["lhs_dilation"])
        stride = told["lhs_dilation" if is_transposed else "window_strides"]
        dilation = tuple(int(n) for n in told["rhs_dilation"])
        padding = _padding(told["padding"], getattr(call.module if call else None, "padding", None))
        return {"stride": tuple(map(int, stride)), "padding": padding, "dilation": dilation,
                "groups": int(told["feature_group_count"])}  # fmt: skip

    def _path(self, node: Node, kind: PlaceKind, name: str) -> str:
        if kind == "input":
            return "input"
        call = self.walk.call_of(node)
        home = call.path if call is not None else ""
        is_unit = call is not None and isinstance(call.module, (nnx.Dropout, nnx.RNN, nnx.RNNCellBase, *NORMS))
        if is_unit and kind in ("norm", "dropout", "unknown") and home:
            return home
        if kind in ("weighted", "norm") and node.params:
            return self.owners.get(node.params[0], "") or name
        return f"{home}:{name}" if home else name

    def _unique(self, path: str) -> str:
        self.times[path] = self.times.get(path, 0) + 1
        return path if self.times[path] == 1 else f"{path}#{self.times[path]}"


def _wanted(made: Walk) -> list[Node]:
    """The values that lead to an output, a weighted sum or a parameter, in order; a norm's statistics lead to none."""
    graph = made.graph
    stack = [node for node in graph.nodes if node.kind == "weight" or node.params] + list(graph.outputs)
    seen = set[Node]()
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        alone = node.kind == "norm" or (node.kind == "pass" and node.name in ("sub", "mul", "div"))
        stack += node.inputs[:1] if alone else node.inputs
        stack += [node.root] if node.root is not None else []
    return [node for node in graph.nodes if node.kind == "input" or (node in seen and node.is_data)]


def _moved_from(node: Node) -> Node | None:
    """The value whose entries these are, in another order or some of them; None where they were changed."""
    is_other = node.name in _POOLS or node.name in _REDUCTIONS or node.name == "dropout"
    return (
        node.inputs[0] if node.kind == "pass" and not node.params and len(node.inputs) == 1 and not is_other else None
    )


def _padding(given: Any, stated: object) -> FactValue:
    """Zeros before an axis, where there are as many behind it; else the rule by its name."""
    if all(low == high for low, high in given):
        return tuple(int(low) for low, _ in given)
    return stated.lower() if isinstance(stated, str) and stated.lower() in ("same", "valid") else tuple(
        int(max(pair)) for pair in given)  # fmt: skip


def _norm(node: Node, call: ModuleCall | None) -> Found:
    how = _NORM_NAMES.get(node.name)
    if how is None or call is None:
        return "norm", "norm", {"norm": _written_out(node), "eps": 0.0}, None
    module: Any = call.module
    if how == "batch":
        if module.use_running_average:
            return "unknown", node.name, {"name": "batch_norm with running statistics"}, None
        if prod((node.shape or ())[:-1]) == 1:
            what = "a batch norm in training needs more than one value a channel"
            raise ShapeError(what, where="batch", fix="give two samples or more")
    facts: Facts = {"norm": how, "eps": float(module.epsilon)}
    if how == "group":
        facts["groups"] = int(module.num_groups)
    return "norm", node.name, facts, None


def _written_out(node: Node) -> str:
    """Which norm a quotient of a value by its own spread is."""
    spread = node.inputs[1].shape or ()
    if len(spread) > 1 and spread[0] == 1:
        return "batch"
    return "layer" if node.inputs[0].name == "sub" else "rms"


def _moved(node: Node, made: Walk) -> Found:
    call = made.call_of(node)
    if node.name == "dropout" and call is not None:
        return "dropout", "dropout", {"rate": float(getattr(call.module, "rate", 0.0))}, None
    if node.name in _POOLS:
        return "pool", node.name, {"how": _POOLS[node.name], "size": _pool_size(node, made)}, None
    if node.params:
        return ("sum", "add", {}, None) if node.name in ("add", "add_any", "sub") else ("product", "mul", {}, None)
    if node.name == "attention":
        return "mix", "attention", {}, None
    if node.name in _REDUCTIONS:
        return "unknown", node.name, {"name": node.name}, None
    return "pass", node.name, {"multiplied": 1.0} if node.name in ("mul", "div") else {}, None


def _pool_size(node: Node, made: Walk) -> float:
    """Entries that one mean or maximum is over."""
    source = made.steps[node]
    window = source.equation.params.get("window_dimensions")
    if window is not None:
        return float(prod(window))
    before = prod(node.inputs[0].shape or ()) if node.inputs else 1
    return before / max(prod(node.shape or ()), 1)


def batched(place: Place, shape: tuple[int, ...]) -> Place:
    """The place with the shape that was measured."""
    return replace(place, shape=shape, units=len(shape) - 1)
