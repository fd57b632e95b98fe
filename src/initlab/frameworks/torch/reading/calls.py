"""A call to torch in which nodes stand for tensors, and the nodes that follow from any call alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from initlab.frameworks.reading.graph import Graph, Kind, Node
from initlab.frameworks.reading.operation import Operation, params_of
from initlab.frameworks.torch.reading import function_names
from initlab.frameworks.torch.reading.forms import facts_of, form_of


@dataclass(frozen=True, eq=False)
class Call:
    """A call in which nodes stand for tensors.

    Attributes:
        function: What was called.
        args: Its arguments.
        kwargs: Its arguments by name.
        shape: The shape of what it returned, where known.
        name: The function's name, spelled one way.
    """

    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: Mapping[str, object]
    shape: tuple[int, ...] | None
    name: str

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes among the arguments, lists looked into."""
        return tuple(nodes_in((*self.args, *self.kwargs.values())))

    def get(self, place: int, name: str, default: object = None) -> object:
        """An argument by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


CallRule = Callable[["Graph", Call], Node]
LISTS = (list, tuple)  # written out, a union of types is made anew at every question


def nodes_in(values: Iterable[object]) -> Iterator[Node]:
    """The nodes among values, lists looked into."""
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, LISTS):
            yield from nodes_in(value)


def operation_of(graph: Graph, call: Call) -> Operation:
    """A call as the rules that all frameworks share see it."""

    def add(kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = "", **rest: Any) -> Node:
        return made(graph, replace(call, name=name) if name else call, kind, inputs, params, **rest)

    def again(value: Callable[[Node], Any]) -> Any:
        def filled(argument: object) -> object:  # a copy, for the function may work in place
            given = value(argument) if isinstance(argument, Node) else argument
            return given.clone() if isinstance(given, torch.Tensor) else given

        kwargs = {key: filled(item) for key, item in call.kwargs.items() if key not in ("inplace", "out")}
        return call.function(*map(filled, call.args), **kwargs)

    numbers = (Node("constant", shape=(), tensor=x) for x in call.args if isinstance(x, int | float))
    given = call.nodes if len(call.nodes) > 1 else (*call.nodes, *numbers)
    return Operation(graph, call.name, given, add, again)


def made(graph: Graph, call: Call, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), **rest: Any) -> Node:
    """A node of this kind for what the call returned."""
    kept = tuple(node for node in inputs if node.kind != "constant")
    names = tuple(params)
    form, facts = form_of(kind, call, kept, names), facts_of(kind, call, kept)
    node = graph.add(Node(kind, call.name, kept, names, call.shape, form=form, facts=facts, **rest))
    if kind == "weight":
        graph.biases[node] = params_of(call.nodes)
    return node


def made_of_parameters(call: Call) -> Node:
    """The node of what a call returned that was given no data: made of parameters, or a constant."""
    sources = [node for node in call.nodes if node.kind == "parameter"]
    if not sources:
        return Node("constant", call.name, shape=call.shape)
    first = sources[0]
    if call.name in function_names.IDENTITY:
        return first
    axes = _moved_axes(first, call) if len(sources) == 1 else first.axes
    replay = operation_of(Graph(), call).replay if call.name in function_names.ELEMENTWISE else {}
    return Node("parameter", call.name, tuple(sources), params_of(sources), call.shape, axes=axes, **replay)


def _moved_axes(node: Node, call: Call) -> tuple[int, ...] | None:
    axes = node.axes
    if axes is None or call.name in function_names.ELEMENTWISE:
        return axes
    if call.name in ("t", "T", "mT", "adjoint", "H", "mH") and len(axes) >= 2:
        return (*axes[:-2], axes[-1], axes[-2]) if call.name != "T" else axes[::-1]
    if call.name in ("transpose", "swapaxes", "swapdims"):
        a, b = call.get(1, "dim0", 0), call.get(2, "dim1", 1)
        if isinstance(a, int) and isinstance(b, int):
            order = list(axes)
            order[a], order[b] = order[b], order[a]
            return tuple(order)
    if call.name == "permute":
        given = call.args[1] if len(call.args) == 2 else call.args[1:] or call.kwargs.get("dims")
        if isinstance(given, list | tuple) and all(isinstance(n, int) for n in given):
            return tuple(axes[n] for n in given if isinstance(n, int))
    return None
