"""Where a weight may start at zero: wherever its sums go, something else carries the signal on."""

from __future__ import annotations

from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.graph import Graph, Node

_CUT = "cut"  # a weighted sum takes nothing but zeros, or numbers that are the same for every sample
_BESIDE = "beside"  # the signal goes on without them

Step = str | tuple[Node, bool]


def may_be_zero(graph: Graph, flow: Flow, node: Node) -> bool:
    """Whether zeros in place of a weighted sum cut the signal off nowhere.

    They do not where the model returns them, where something else is added, where they pick or weigh other values (a
    gate, a softmax, a grid), and where a residual branch ends; they do where the next weights take them alone.

    Args:
        graph: The graph of the pass.
        flow: The same, read.
        node: A weighted sum.
    """
    if len(node.params) != 1 or node.form:
        return False
    outputs = set(graph.outputs)
    seen, stack, found = {(node, True)}, [(node, True)], False
    while stack:
        at, is_zero = stack.pop()
        found |= at in outputs
        for taker in flow.carriers(at):
            # A function written in several steps is one of its root.
            step = _step(flow, at, taker, is_zero=is_zero if taker.root is None else (taker.root, True) in seen)
            if step == _CUT:
                return False
            if isinstance(step, str):
                found = True
            elif step not in seen:
                seen.add(step)
                stack.append(step)
    return found


def _step(flow: Flow, at: Node, taker: Node, *, is_zero: bool) -> Step:
    """What a value that is zero, or the same for every sample, makes of the one that takes it."""
    is_first = bool(taker.inputs) and taker.inputs[0] is at
    others = [one for one in taker.inputs if one is not at and one.is_data]
    if taker.kind == "weight":
        return _CUT if is_first else _BESIDE
    if taker.kind == "add":
        return _BESIDE if others else (taker, False)
    if taker.kind == "mul":
        return (taker, is_zero) if is_zero or not others else _BESIDE
    if taker.kind == "elementwise":
        return taker, is_zero and flow.recognised(taker).at_zero == 0.0
    if taker.form == "softmax":
        return taker, False
    if not is_first and taker.kind in ("pass", "norm", "unknown"):
        return _BESIDE
    return taker, is_zero and taker.kind != "unknown" and taker.form not in ("shifted", "joined")
