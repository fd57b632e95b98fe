"""Norm layers on the way of a value: which one takes a weighted sum's output, and which one ends a residual branch."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from initlab.core.facts.spec import NormKind
from initlab.core.signals.readings import FactValue
from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.graph import Node

NORMS = frozenset({"norm", "linalg_norm", "linalg_vector_norm", "vector_norm", "matrix_norm"})
# They tell a spread from a mean.
_SPREADS = NORMS | {"sqrt", "rsqrt", "var", "std", "var_mean", "std_mean", "pow", "integer_pow", "square"}
STATISTICS = NORMS | {"mean", "average", "sum", "var", "std", "var_mean", "std_mean", "amax", "max", "logsumexp"}
# What each norm takes its moments over: rows or places of each unit, or the units of each row.
_KINDS: dict[FactValue, NormKind] = {"batch": "batch", "instance": "batch", "layer": "layer", "group": "layer",
                                     "rms": "layer"}  # fmt: skip


@dataclass(frozen=True)
class BranchEnd:
    """What stands between the last weight of a branch and its sum.

    Attributes:
        f: The activation that the sum takes; None where it takes none.
        is_normed: Whether there is a norm layer.
        scale: The native name of the last norm's scale; empty where it has none.
    """

    f: str | None = None
    is_normed: bool = False
    scale: str = ""


class Norms:
    """Answers about the norm layers of one graph.

    Args:
        flow: What is known of its values.
        scales: The native names of the norms' scales.
    """

    def __init__(self, flow: Flow, scales: Collection[str]) -> None:
        self._flow = flow
        self._scales = scales

    def carried(self, node: Node) -> tuple[Node, ...]:
        """The values whose size a value's own size follows."""
        return self._flow.carried(node)

    def behind(self, node: Node) -> NormKind | None:
        """The norm that alone takes a weighted sum's output, before any function or sum of it.

        One that divides by stored numbers, an array that no sample decides, has its moments from rows seen before.
        """
        kind: NormKind | None = None
        stack = [(node, False)]
        while stack:
            at, is_stored = stack.pop()
            for taker in self._flow.carriers(at):
                if taker.kind == "norm" or (is_stored and self._scale(taker)):
                    known = _KINDS.get(norm_facts(taker).get("norm", ""), "unknown")
                    kind = "batch" if known == "unknown" and is_stored else known
                elif taker.kind == "pass":
                    stack.append((taker, is_stored or (taker.form == "scaled" and not taker.params)))
                else:
                    return None
        return kind

    def at_end(self, node: Node) -> BranchEnd:
        """What ends a branch whose last value is ``node``."""
        at, scale = node, ""
        while at.kind in ("pass", "norm", "elementwise", "mul"):
            parts = self.carried(at)
            if not parts or (at.kind == "mul" and len(parts) > 1):
                break
            scale = scale or self._scale(at)
            if at.kind == "norm" or scale:
                return BranchEnd(self._flow.source(node).f, is_normed=True, scale=scale)
            at = parts[0]
        return BranchEnd(self._flow.source(node).f)

    def _scale(self, node: Node) -> str:
        """The scale of a norm in a value: its own parameter, or a factor behind a norm that is written out."""
        return next((name for name in node.params if name in self._scales), "") if node.kind != "weight" else ""


def norm_facts(node: Node) -> Mapping[str, FactValue]:
    """Which norm a value is and its eps; of one that is written out, by the axes that its spread was taken over.

    Example:
        >>> x = Node("weight", shape=(8, 5))
        >>> norm_facts(Node("norm", "div", (x, Node("pass", shape=(1, 5)))))["norm"]      # over the samples
        'batch'
        >>> norm_facts(Node("norm", "div", (x, Node("pass", shape=(8, 1)))))["norm"]      # over the units, no mean off
        'rms'
    """
    if node.facts or node.kind != "norm" or len(node.inputs) < 2:
        return node.facts
    over_rows = _is_over_rows(*node.inputs[:2])
    if over_rows is None:
        return {}
    return {"norm": "batch" if over_rows else "layer" if node.inputs[0].form == "shifted" else "rms", "eps": 0.0}


def _is_over_rows(value: Node, spread: Node) -> bool | None:
    """Whether a spread was taken over rows, and not over units; None where neither shapes nor calls tell."""
    if value.shape is not None and spread.shape is not None:
        aligned = (1,) * (len(value.shape) - len(spread.shape)) + tuple(spread.shape)
        # Of a batch of one sample only the units tell.
        return aligned[0] == 1 < max(aligned) and (value.shape[0] > 1 or aligned[-1] > 1)
    at = spread
    while "over" not in at.facts and at.inputs:
        at = at.inputs[0]
    over = at.facts.get("over")
    return 0 in over if isinstance(over, tuple) else None


def spread_of(x: Node, other: Node) -> bool | None:
    """Whether ``other`` measures the spread of ``x``; None if it is not computed from ``x`` without weights at all."""
    bases, at = {x}, x
    while at.kind in ("elementwise", "pass", "norm") and at.inputs:
        at = at.inputs[0]
        bases.add(at)
    names, statistics, stack, found = set[str](), set[str](), [other], False
    while stack:
        node = stack.pop()
        if node in bases and node is not other:
            found = True
        elif node.kind in ("elementwise", "pass"):
            name = node.name.removeprefix("reduce_")
            names.add(name)
            if node.kind == "pass":
                statistics.add(name)
            stack.extend(node.inputs)
        else:
            return None
    return not names.isdisjoint(_SPREADS) if found and not statistics.isdisjoint(STATISTICS) else None
