"""Which biases set the step of a state-space recurrence, known by what becomes of their sums."""

from __future__ import annotations

from collections.abc import Iterable

from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.graph import Graph, Node

_MOVED = ("pass", "mul", "weight")


def step_biases(graph: Graph, flow: Flow) -> frozenset[str]:
    """The native names of biases of which softplus makes a step, and a power of e the decay over that step.

    Gu and Dao 2023, arXiv:2312.00752, section 3.2: ``h' = exp(step A) h + step B x`` with
    ``step = softplus(bias + W x)``.

    Args:
        graph: The graph of the pass.
        flow: The same, read.
    """
    found = set[str]()
    for node in graph.weights():
        names, at = {*graph.biases.get(node, ())}, node
        while (one := _next(flow, at)) is not None:
            names, at = names | {*(one.params if one.form == "shifted" else ())}, one
        if names and _decays(flow, (one for one in flow.carriers(at) if _is_softplus(flow, one))):
            found |= names
    return frozenset(found)


def _next(flow: Flow, node: Node) -> Node | None:
    """The only value that takes another whole, moved or with a bias; None where there is none or there are more."""
    takers = flow.carriers(node)
    return takers[0] if len(takers) == 1 and takers[0].kind == "pass" and takers[0].inputs[:1] == (node,) else None


def _is_softplus(flow: Flow, node: Node) -> bool:
    return node.kind == "elementwise" and flow.recognised(node).f == "softplus"


def _decays(flow: Flow, steps: Iterable[Node]) -> bool:
    """Whether a power of e is taken of the steps, times whatever."""
    stack = list(steps)
    seen = set(stack)
    while stack:
        for taker in flow.carriers(stack.pop()):
            if taker.kind == "elementwise" and taker.name == "exp":
                return True
            if taker not in seen and (taker.kind in _MOVED or _is_linear(flow, taker)):
                seen.add(taker)
                stack.append(taker)
    return False


def _is_linear(flow: Flow, node: Node) -> bool:
    return node.kind == "elementwise" and flow.recognised(node).slope is not None
