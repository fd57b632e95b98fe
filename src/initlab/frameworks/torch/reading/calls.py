"""A call to torch in which nodes stand for tensors, and the nodes that follow from any call alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch

from initlab.frameworks.reading.axes import reshaped, spread
from initlab.frameworks.reading.graph import Graph, Kind, Node, ViewAxes
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
    return Operation(graph, call.name, given, add, again, call.shape)


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
    shape = call.shape or _shape_of(call)
    axes = _moved_axes(first, replace(call, shape=shape)) if len(sources) == 1 else first.axes
    replay = operation_of(Graph(), call).replay if call.name in function_names.ELEMENTWISE else {}
    return Node("parameter", call.name, tuple(sources), params_of(sources), shape, axes=axes, **replay)


def _shape_of(call: Call) -> tuple[int, ...] | None:
    """The shape of what a call makes of parameters alone, where it was followed without numbers."""
    if call.name in _SEVERAL or any(node.shape is None for node in call.nodes):
        return None

    def empty(value: Any) -> Any:
        if isinstance(value, LISTS):
            return type(value)(map(empty, value))
        return torch.empty(value.shape or (), device="meta") if isinstance(value, Node) else value

    try:
        result = call.function(*map(empty, call.args), **{key: empty(value) for key, value in call.kwargs.items()})
    except (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError):
        return None  # of a function that asks for the numbers
    return tuple(result.shape) if isinstance(result, torch.Tensor) else None


_SEVERAL = frozenset({"split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk", "unbind"})
_RESHAPES = frozenset(
    {"view", "reshape", "view_as", "reshape_as", "flatten", "unflatten", "squeeze", "unsqueeze", "ravel", "atleast_2d"}
)


def is_one_of_several(node: Node) -> bool:
    """Whether a value stands for the tuple that a function returned, as it does where no tensor is at hand."""
    return node.name in _SEVERAL and node.shape is None


def _moved_axes(node: Node, call: Call) -> ViewAxes | None:
    axes = node.axes
    if axes is None or call.name in function_names.ELEMENTWISE:
        return axes
    if call.name in _RESHAPES:
        return reshaped(node, call.shape)
    if call.name in ("expand", "expand_as", "broadcast_to"):
        return spread(node, call.shape)
    if call.name in _SEVERAL or call.name == "narrow":
        dim = call.get(1 if call.name in ("unbind", "narrow") else 2, "dim", 0)
        if not isinstance(dim, int) or call.name != "unbind":
            return axes
        return tuple(behind for place, behind in enumerate(axes) if place != dim % len(axes))
    if call.name in ("t", "T", "mT", "adjoint", "H", "mH") and len(axes) >= 2:
        return (*axes[:-2], axes[-1], axes[-2]) if call.name != "T" else axes[::-1]
    order = _order(len(axes), call)
    return None if order is None else tuple(axes[n] for n in order)


def _order(rank: int, call: Call) -> list[int] | None:
    """The axes in the order in which a transposition puts them."""
    if call.name in ("transpose", "swapaxes", "swapdims"):
        a, b = call.get(1, "dim0", 0), call.get(2, "dim1", 1)
        if isinstance(a, int) and isinstance(b, int):
            order = list(range(rank))
            order[a], order[b] = order[b], order[a]
            return order
    if call.name == "permute":
        given = call.args[1] if len(call.args) == 2 else call.args[1:] or call.kwargs.get("dims")
        if isinstance(given, list | tuple) and all(isinstance(n, int) for n in given):
            return [n for n in given if isinstance(n, int)]
    return None
