"""A call in which nodes stand for arrays, and the nodes that follow from any call alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

from initlab.core.signals.readings import FactValue
from initlab.frameworks.reading.axes import Pick
from initlab.frameworks.reading.elementwise import gated
from initlab.frameworks.reading.graph import Form, Function, Graph, Kind, Node, ViewAxes
from initlab.frameworks.reading.operation import Operation, params_of
from initlab.frameworks.reading.weighted_sums import join, look_up, normalise

LISTS = (list, tuple)  # written out, a union of types is made anew at every question
_NOT_GIVEN_AGAIN = frozenset({"inplace", "out"})


@dataclass(frozen=True, eq=False)
class Call:
    """A call of a function, an operator or a layer, in which nodes stand for arrays.

    Attributes:
        function: What was called.
        args: Its arguments.
        kwargs: Its arguments by name.
        shape: The shape of what it returned, where known.
        name: The function's name, spelled one way; empty for a function that is not the framework's.
        layer: The layer, where a layer is one call; None for a function.
        held: The parameters that such a layer holds, each with its ``native`` name.
        given: The arguments as they were given, and those by name.
        home: The path of the layer, or of the layer in whose own code the call stands.
    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int, ...] | None
    name: str
    layer: Any = None
    held: tuple[Any, ...] = ()
    given: tuple[Any, Any] = ((), {})
    home: str = ""

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes among the arguments, lists looked into."""
        return tuple(nodes_in((*self.args, *self.kwargs.values())))

    @cached_property
    def data(self) -> tuple[Node, ...]:
        """Those that depend on the model's input."""
        return tuple(node for node in self.nodes if node.is_data)

    def get(self, place: int, name: str, default: Any = None) -> Any:
        """An argument by place or by name."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def again(self, value: Callable[[Node], Any]) -> Any:
        """What the call returns with a value in the place of each node."""

        def filled(argument: Any) -> Any:
            if isinstance(argument, LISTS):
                items = map(filled, argument)
                return list(items) if isinstance(argument, list) else tuple(items)
            return value(argument) if isinstance(argument, Node) else argument

        kwargs = {key: filled(item) for key, item in self.kwargs.items() if key not in _NOT_GIVEN_AGAIN}
        return self.function(*map(filled, self.args), **kwargs)


CallRule: TypeAlias = Callable[[Graph, Call], Node]


def nodes_in(values: Iterable[object]) -> Iterator[Node]:
    """The nodes among values, lists looked into."""
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, LISTS):
            yield from nodes_in(value)
        elif isinstance(value, Mapping):
            yield from nodes_in(value.values())


@dataclass(frozen=True)
class Language:
    """How the calls of a framework are read.

    Attributes:
        identity: Names of functions that give back what they were given.
        elementwise: Names of functions of each entry.
        form_of: Of a value of this kind what its kind leaves open: of the call, what it was made of, its parameters.
        facts_of: What decides the size of the signal in it.
        moved_axes: The native axes behind those of a parameter of known axes that a call has moved.
        shape_of: The shape of what a call makes of parameters alone, where the call itself does not say it.
        sigmoid: The framework's.
        copied: An array that a function may work on in place; where arrays cannot change, itself.
    """

    identity: Collection[str]
    elementwise: Collection[str]
    form_of: Callable[[Kind, Call, Sequence[Node], Sequence[str]], Form]
    facts_of: Callable[[Kind, Call, Sequence[Node]], dict[str, FactValue]]
    moved_axes: Callable[[Node, Call], ViewAxes | None]
    sigmoid: Function
    copied: Function = lambda array: array
    shape_of: Callable[[Call], tuple[int, ...] | None] = lambda call: None

    def operation(self, graph: Graph, call: Call) -> Operation:
        """A call as the rules that all frameworks share see it."""

        def add(kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = "", **rest: Any) -> Node:
            return self.made(graph, replace(call, name=name) if name else call, kind, inputs, params, **rest)

        numbers = (Node("constant", shape=(), tensor=x) for x in call.args if isinstance(x, int | float))
        given = call.nodes if len(call.nodes) > 1 else (*call.nodes, *numbers)

        def again(value: Callable[[Node], Any]) -> Any:
            return call.again(lambda node: self.copied(value(node)))

        return Operation(graph, call.name, given, add, again, call.shape)

    def made(
        self, graph: Graph, call: Call, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), **rest: Any
    ) -> Node:
        """A node of this kind for what the call returned."""
        kept = tuple(node for node in inputs if node.kind != "constant")
        names = tuple(params)
        form, facts = self.form_of(kind, call, kept, names), self.facts_of(kind, call, kept)
        node = graph.add(Node(kind, call.name, kept, names, call.shape, form=form, facts=facts, **rest))
        if kind == "weight":
            graph.biases[node] = (*params_of(call.nodes), *(entry.native for entry in call.held))
        return node

    def made_of_parameters(self, call: Call) -> Node:
        """The node of what a call returned that was given no data: made of parameters, or a constant."""
        sources = [node for node in call.nodes if node.kind == "parameter"]
        if not sources:
            return Node("constant", call.name, shape=call.shape)
        first = sources[0]
        if call.name in self.identity:
            return first
        axes, shape = first.axes, call.shape or self.shape_of(call)
        if axes is not None and len(sources) == 1 and call.name not in self.elementwise:
            axes = self.moved_axes(first, replace(call, shape=shape))
        replay = self.operation(Graph(), call).replay if call.name in self.elementwise else {}
        return Node("parameter", call.name, tuple(sources), params_of(sources), shape, axes=axes, **replay)

    # Calls that are the same thing in every framework

    def passed(self, graph: Graph, call: Call) -> Node:
        """Entries of the data, moved about."""
        return self.made(graph, call, "pass", call.data) if call.data else self.made_of_parameters(call)

    def entries(self, graph: Graph, call: Call, picks: Sequence[Pick] = ()) -> Node:
        """Rows of a table, or entries that are moved; ``picks`` says what is taken of each axis."""
        found = look_up(self.operation(graph, call), call.nodes[0], call.nodes[1:], picks) if call.nodes else None
        return self.passed(graph, call) if found is None else found

    def norm(self, graph: Graph, call: Call) -> Node:
        """A norm by a function, with its scale and its shift."""
        return normalise(self.operation(graph, call))

    def softmax(self, graph: Graph, call: Call) -> Node:
        """Shares along an axis, or their logarithms, which are none."""
        if not call.data:
            return self.made_of_parameters(call)
        name = "log_softmax" if call.name.startswith("log") else "softmax"
        return self.operation(graph, call).add("unknown", call.data[:1], name=name)

    def joined(self, graph: Graph, call: Call) -> Node:
        """Values beside each other."""
        return join(self.operation(graph, call)) if call.data else self.made_of_parameters(call)

    def gated(self, graph: Graph, call: Call) -> Node:
        """A gated linear unit."""
        return gated(self.operation(graph, call), call.data[0], self.sigmoid)
