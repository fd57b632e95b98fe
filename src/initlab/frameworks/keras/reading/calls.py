"""A call to Keras in which nodes stand for tensors, and the nodes that follow from any call alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import keras

from initlab.frameworks.keras.reading.forms import facts_of, form_of
from initlab.frameworks.keras.reading.parameters import Entry
from initlab.frameworks.reading.graph import Graph, Kind, Node
from initlab.frameworks.reading.operation import Operation


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a layer, an operation or an operator, in which nodes stand for tensors.

    Attributes:
        name: What was called, spelled as ``function_names`` spells it; empty for a function that is not Keras'.
        function: What was called.
        args: Its arguments.
        kwargs: Its arguments by name; masks are left as they are.
        shape: The shape of what it returned, where known.
        layer: The layer; None for a function.
        held: The parameters that the layer holds.
        given: The arguments as they were given, and those by name.
        home: The path of the layer, or of the layer in whose own code the call stands.
    """

    name: str
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int, ...] | None
    layer: Any = None
    held: tuple[Entry, ...] = ()
    given: tuple[Any, Any] = ((), {})
    home: str = ""

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes among the arguments, lists looked into."""
        return tuple(x for x in keras.tree.flatten((self.args, dict(self.kwargs))) if isinstance(x, Node))

    @cached_property
    def data(self) -> tuple[Node, ...]:
        """Those that depend on the model's input."""
        return tuple(node for node in self.nodes if node.is_data)

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)


def operation_of(graph: Graph, call: Call) -> Operation:
    """A call as the rules that all frameworks share see it."""

    def add(kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = "", **rest: Any) -> Node:
        return made(graph, replace(call, name=name) if name else call, kind, inputs, params, **rest)

    numbers = (Node("constant", shape=(), tensor=x) for x in call.args if isinstance(x, int | float))
    given = call.nodes if len(call.nodes) > 1 else (*call.nodes, *numbers)
    return Operation(graph, call.name, given, add, lambda value: again(call, value), call.shape)


def made(graph: Graph, call: Call, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), **rest: Any) -> Node:
    """A node of this kind for what the call returned."""
    kept, names = tuple(node for node in inputs if node.kind != "constant"), tuple(params)
    form, facts = form_of(kind, call, kept, names), facts_of(kind, call, kept)
    node = graph.add(Node(kind, call.name, kept, names, call.shape, form=form, facts=facts, **rest))
    if kind == "weight":
        graph.biases[node] = tuple(entry.native for entry in call.held)
    return node


def again(call: Call, value: Callable[[Node], Any]) -> Any:
    """What the call returns with a value in the place of each node."""
    args, kwargs = keras.tree.map_structure(
        lambda x: value(x) if isinstance(x, Node) else x, (call.args, dict(call.kwargs))
    )
    return call.function(*args, **kwargs)
