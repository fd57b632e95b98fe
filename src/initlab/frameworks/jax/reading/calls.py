"""The graph of a program while it is read, and where in the program its values are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import jax.numpy as jnp
import numpy as np

from initlab.frameworks.jax.reading.forms import facts_of, form_of
from initlab.frameworks.jax.reading.jaxprs import Slot, Step
from initlab.frameworks.jax.reading.module_calls import ModuleCall
from initlab.frameworks.jax.reading.recognition import run_equation
from initlab.frameworks.reading.graph import Graph, Home, Kind, Node
from initlab.frameworks.reading.operation import Operation, part_of


@dataclass(eq=False)
class ProgramGraph:
    """A graph, and where in the program its values are.

    Attributes:
        calls: The module calls of the trace, by number.
        inside_of: Numbers of module calls in a name stack.
        opens_loops: Whether the body of a ``scan`` is read, once; else a loop is one value.
        graph: The graph.
        slots: Of a value, the slot that holds it whole, its bias added.
        steps: Of a value, the step that made it; of a mean, the sum that it divides.
        taken: Values that something was made of.
        times: How often the body that is being read is run.
    """

    calls: Sequence[ModuleCall]
    inside_of: Callable[[object], tuple[int, ...]]
    opens_loops: bool = True
    graph: Graph = field(default_factory=Graph)
    slots: dict[Node, Slot] = field(default_factory=dict)
    steps: dict[Node, Step] = field(default_factory=dict)
    taken: set[Node] = field(default_factory=set)
    times: int = 1

    def made(
        self,
        step: Step,
        kind: Kind,
        inputs: Iterable[Node],
        params: Iterable[str] = (),
        name: str = "",
        *,
        origin: Step | None = None,
        **rest: Any,
    ) -> Node:
        """A node of this kind for what a step made; of a mean, ``origin`` is the sum that it divides."""
        kept, names, word = tuple(node for node in inputs if node.kind != "constant"), tuple(params), name or step.name
        self.taken.update(kept)
        call = self.calls[step.inside[-1]] if step.inside else None
        module = None if call is None else call.module
        form, facts = form_of(kind, word, names, module), facts_of(kind, word, origin or step, kept, module)
        node = Node(kind, word, kept, names, step.shape, times=self.times, form=form, facts=facts, **rest)
        return self.keep(self.graph.add(node), step, origin or step)

    def keep(self, node: Node, step: Step, origin: Step) -> Node:
        """Note where a value of the graph is in the program; returns it."""
        self.steps[node], self.slots[node] = origin, step.outputs[step.whole]
        if step.inside:
            call = self.calls[step.inside[-1]]
            self.graph.homes[node] = Home(call.path, call.is_leaf)
        return node

    def parts(self, step: Step, whole: Node) -> list[Node]:
        """The values that a step returned, each a part of one."""
        if len(step.outputs) == 1:
            return [whole]
        outputs: list[Any] = list(step.equation.outvars)
        found = [self.graph.add(part_of(whole, tuple(one.aval.shape))) for one in outputs]
        for part, slot in zip(found, step.outputs, strict=True):
            self.steps[part], self.slots[part] = step, slot
        return found

    def operation(self, step: Step, given: Sequence[Node]) -> Operation:
        """A step as the rules that all frameworks share see it."""

        def add(kind: Kind, inputs: Iterable[Node], params: Iterable[str] = (), *, name: str = "", **rest: Any) -> Node:
            origin = next((self.steps[n] for n in given if n in self.steps), None) if name in _MEANS else None
            return self.made(step, kind, inputs, params, name, origin=origin, **rest)

        def again(value: Callable[[Node], Any]) -> Any:
            return run_equation(step.equation, [value(node) for node in given])

        word = "add" if step.name == "add_any" else step.name
        return Operation(self.graph, word, tuple(given), add, again, step.shape)


_MEANS = ("mean", "avg_pool")


def constant(value: Any) -> Node:
    """A number or array that the program holds itself."""
    shape = tuple(np.shape(value))
    known = prod(shape) == 1 and jnp.issubdtype(jnp.result_type(value), jnp.number)
    return Node("constant", shape=shape, tensor=np.asarray(value).reshape(()) if known else None)
