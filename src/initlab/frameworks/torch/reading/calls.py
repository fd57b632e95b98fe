"""A call to torch in which nodes stand for tensors, and the nodes that follow from any call alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from initlab.frameworks.reading.graph import Graph, Kind, Node, Use
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


Rule = Callable[["Graph", Call], Node]
LISTS = (list, tuple)  # written out, a union of types is made anew at every question


def nodes_in(values: Iterable[object]) -> Iterator[Node]:
    """The nodes among values, lists looked into."""
    for value in values:
        if isinstance(value, Node):
            yield value
        elif isinstance(value, LISTS):
            yield from nodes_in(value)


def made(graph: Graph, call: Call, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = ()) -> Node:
    """A node of this kind for what the call returned."""
    kept = tuple(node for node in inputs if node.kind != "constant")
    names = tuple(params)
    form, facts = form_of(kind, call, kept, names), facts_of(kind, call, kept)
    node = graph.add(Node(kind, call.name, kept, names, call.shape, form=form, facts=facts))
    if kind == "weight":
        graph.biases[node] = params_of(call.nodes)
    return node


def params_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The parameters behind the nodes that are made of parameters alone."""
    return tuple(dict.fromkeys(name for node in nodes if node.kind == "parameter" for name in node.params))


def comes_from(node: Node, name: str) -> bool:
    """Whether a value is what a function of that name returned, moved about or changed entry by entry."""
    while node.kind in ("elementwise", "pass") and node.inputs:
        node = node.inputs[0]
    return node.name == name


def made_of_parameters(graph: Graph, call: Call) -> Node:
    """The node of what a call returned that was given no data: made of parameters, a constant, or rows of a table."""
    sources = [node for node in call.nodes if node.kind == "parameter"]
    if not sources:
        return Node("constant", call.name, shape=call.shape)
    first = sources[0]
    if call.name in function_names.IDENTITY:
        return first
    if call.name == "getitem" and any(n.kind == "constant" and n.tensor is None for n in call.nodes):
        graph.use(first.params, Use("embedding"))  # rows picked by a tensor: a table
        return made(graph, call, "weight", (), first.params)
    axes = _moved_axes(first, call) if len(sources) == 1 else first.axes
    return Node("parameter", call.name, tuple(sources), params_of(sources), call.shape, axes=axes)


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
