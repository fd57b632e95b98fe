"""One operation while it is written into a graph: what a framework's recorder hands to the rules that all share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from initlab.frameworks.reading.graph import Graph, Kind, Node

SUMS = frozenset({"add", "sub", "rsub"})


class Add(Protocol):
    """Writes the value of the operation at hand into the graph, with its form, its facts and its home."""

    def __call__(
        self, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = "", **rest: Any
    ) -> Node:
        """The value.

        Args:
            kind: How it was made.
            inputs: What it was made of; constants are left out.
            params: The parameters in it.
            name: What made it, where that is not the operation's own name.
            rest: Further fields of the ``Node``.
        """
        ...


@dataclass(frozen=True, eq=False)
class Operation:
    """A call of a function on values.

    Attributes:
        graph: Takes what the operation makes.
        name: The function, in one spelling: ``add``, ``sub``, ``rsub`` (the second less the first), ``mul`` and
            ``div`` for the arithmetic of two values; any other function by the framework's name.
        given: The values it was given, in order.
        add: Writes what it made.
        again: The operation once more, with an array in place of each value.
        shape: The shape of what it returns, where known.
    """

    graph: Graph
    name: str
    given: tuple[Node, ...]
    add: Add
    again: Callable[[Callable[[Node], Any]], Any]
    shape: tuple[int, ...] | None = None

    @property
    def data(self) -> list[Node]:
        """The values that depend on the model's input or on a weighted sum."""
        return [node for node in self.given if node.is_data]

    @property
    def parameters(self) -> list[Node]:
        """The values that are made of parameters alone."""
        return [node for node in self.given if node.kind == "parameter"]

    @property
    def replay(self) -> dict[str, Any]:
        """The fields of a node that make its value once more; none where a constant is not known."""
        is_known = all(node.tensor is not None for node in self.given if node.kind == "constant")
        return {"again": self.again, "given": self.given} if is_known else {}


def params_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The parameters behind the nodes that are made of parameters alone."""
    return tuple(dict.fromkeys(name for node in nodes if node.kind == "parameter" for name in node.params))


def part_of(whole: Node, shape: tuple[int, ...] | None) -> Node:
    """One of several values that an operation returned: a value of its own, for one of them may open another."""
    return Node("pass", whole.name, (whole,), shape=shape, times=whole.times, form="moved", is_part=True)


def comes_from(node: Node, name: str) -> bool:
    """Whether a value is what a function of that name returned, moved about or changed entry by entry."""
    while node.kind in ("elementwise", "pass") and node.inputs:
        node = node.inputs[0]
    return node.name == name
