"""Norm layers on the way of a value: which one takes a weighted sum's output, and which one ends a residual branch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from initlab.core.facts.spec import NormKind
from initlab.frameworks.reading.flow import Flow
from initlab.frameworks.reading.graph import Node

_OVER_ROWS = re.compile("batch|instance", re.IGNORECASE)
_OVER_UNITS = re.compile("layer|group|rms", re.IGNORECASE)
_NORMS = frozenset({"norm", "linalg_norm", "linalg_vector_norm", "vector_norm", "matrix_norm"})
_SPREADS = _NORMS | {"sqrt", "rsqrt", "var", "std", "pow", "integer_pow", "square"}  # tell a spread from a mean
_STATISTICS = _NORMS | {"mean", "average", "sum", "var", "std", "amax", "max", "logsumexp"}


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
        owners: The class of the module that holds each norm's scale, by the scale's native name.
    """

    def __init__(self, flow: Flow, owners: Mapping[str, str]) -> None:
        self._flow = flow
        self._owners = owners

    def carried(self, node: Node) -> tuple[Node, ...]:
        """The values whose size a value's own size follows."""
        return self._flow.carried(node)

    def behind(self, node: Node) -> NormKind | None:
        """The norm that alone takes a weighted sum's output, before any function or sum of it."""
        kind: NormKind | None = None
        stack = [node]
        while stack:
            for taker in self._flow.carriers(stack.pop()):
                scale = self._scale(taker)
                if taker.kind == "norm" or scale:
                    kind = self._kind(taker, scale or self._scale_after(taker))
                elif taker.kind == "pass":
                    stack.append(taker)
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
        return next((name for name in node.params if name in self._owners), "") if node.kind != "weight" else ""

    def _scale_after(self, norm: Node) -> str:
        """The factor that a norm which is written out gives its value at once."""
        takers = self._flow.carriers(norm)
        return self._scale(takers[0]) if len(takers) == 1 else ""

    def _kind(self, node: Node, scale: str) -> NormKind:
        """By the name of the function, or of the module for a norm that is written out."""
        for name in (node.name, self._owners.get(scale, "")):
            if _OVER_ROWS.search(name):
                return "batch"
            if _OVER_UNITS.search(name):
                return "layer"
        return "unknown"


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
    return not names.isdisjoint(_SPREADS) if found and not statistics.isdisjoint(_STATISTICS) else None
