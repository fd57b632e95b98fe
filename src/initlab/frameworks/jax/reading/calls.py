"""The graph of a program while it is read, and where in the program its values are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from initlab.frameworks.jax.reading.jaxprs import Slot, Step
from initlab.frameworks.jax.reading.module_calls import ModuleCall
from initlab.frameworks.reading.graph import Graph, Kind, Node


@dataclass(eq=False)
class Walk:
    """A graph, and where in the program its values are.

    Attributes:
        calls: The module calls of the trace, by number.
        inside_of: Numbers of module calls in a name stack.
        opens_loops: Whether the body of a ``scan`` is read, once; else a loop is one value.
        graph: The graph.
        slots: Of a value, the slot that holds it whole, its bias added.
        steps: Of a value, the step that made it.
        biases: Of a weighted sum, the parameters that were added to it.
        taken: Values that something was made of.
        times: How often the body that is being read is run.
    """

    calls: Sequence[ModuleCall]
    inside_of: Callable[[object], tuple[int, ...]]
    opens_loops: bool = True
    graph: Graph = field(default_factory=Graph)
    slots: dict[Node, Slot] = field(default_factory=dict)
    steps: dict[Node, Step] = field(default_factory=dict)
    biases: dict[Node, tuple[str, ...]] = field(default_factory=dict)
    taken: set[Node] = field(default_factory=set)
    times: int = 1

    def made(
        self, step: Step, kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), name: str = "", **rest: Any
    ) -> Node:
        """A node of this kind for what a step made."""
        kept = tuple(node for node in inputs if node.kind != "constant")
        shape = step.shape
        self.taken.update(kept)
        node = self.graph.add(Node(kind, name or step.name, kept, tuple(params), shape, times=self.times, **rest))
        self.steps[node], self.slots[node] = step, step.outputs[0]
        return node

    def call_of(self, node: Node) -> ModuleCall | None:
        """The innermost module call in which a value was made."""
        step = self.steps.get(node)
        return self.calls[step.inside[-1]] if step is not None and step.inside else None


def constant(value: Any) -> Node:
    """A number or array that the program holds itself."""
    shape = tuple(np.shape(value))
    known = prod(shape) == 1 and jnp.issubdtype(jnp.result_type(value), jnp.number)
    return Node("constant", shape=shape, tensor=np.asarray(value).reshape(()) if known else None)


def params_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The parameters behind the nodes that are made of parameters alone."""
    return tuple(dict.fromkeys(name for node in nodes if node.kind == "parameter" for name in node.params))
