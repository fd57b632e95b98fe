"""Which values of a pass are measured, and what is looked at in each: one rule for all frameworks."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import TypeVar

from initlab.core.errors import InitlabError
from initlab.frameworks.reading.graph import Node
from initlab.theory import activation
from initlab.theory.slopes import open_range

_MEASURED = frozenset({"input", "weight", "norm", "elementwise", "add", "mul", "concat", "unknown"})
_WHOLE = frozenset({"input", "weight", "add", "elementwise"})
_FOLLOWED = frozenset({"weight", "add"})

Range = tuple[float, float]
Kept = TypeVar("Kept")


def is_measured(node: Node) -> bool:
    """Whether a value that is a place is summed: entries that are only moved, dropped or multiplied are not."""
    return node.kind in _MEASURED or bool(node.params) or node.form in ("pool", "mix")


def is_whole(node: Node) -> bool:
    """Whether samples, tokens and units of a value are looked at; else its size alone is."""
    return node.kind in _WHOLE


def is_followed(node: Node) -> bool:
    """Whether the loss's gradient by a value is summed."""
    return node.kind in _FOLLOWED


def unmoved(node: Node) -> Node:
    """The value that all these entries are of, in another order at most; a part of a value is its own."""
    while node.form == "moved" and node.inputs and prod(node.shape or ()) == prod(node.inputs[0].shape or ()):
        node = node.inputs[0]
    return node


@lru_cache(maxsize=256)
def flat_beyond(f: str) -> Range | None:
    """The values that a bounded activation takes at the ends of the range in which it has a slope.

    Returns:
        What is below the first or above the second comes of a saturated input; None for an activation without bounds.

    Example:
        >>> [round(end, 3) for end in flat_beyond("tanh")], flat_beyond("relu")      # tanh' is 5 % there
        ([-0.975, 0.975], None)
    """
    try:
        reach = open_range(f)
    except InitlabError:
        return None
    if reach is None:
        return None
    low, high = reach
    ends = [float(n) for n in activation(f)([low, high, low - 1.0, high + 1.0])]
    # A flat end is reached by all that is beyond it; the float below stands for "or equal".
    flat = [ends[2] == ends[0], ends[3] == ends[1]]
    return ends[0] + flat[0] * 1e-6, ends[1] - flat[1] * 1e-6


def let_go(heads: dict[Node, Kept], node: Node) -> None:
    """Of weighted sums that are kept, those go of which this one is made: they are no heads.

    Example:
        >>> first = Node("weight", "dense")
        >>> heads = {first: "its numbers"}
        >>> let_go(heads, Node("weight", "dense", (Node("add", "add", (first,)),)))
        >>> heads
        {}
    """
    stack = list(node.inputs)
    seen = set[Node]()
    while stack and heads:
        one = stack.pop()
        if one in heads:
            del heads[one]
        elif one not in seen and one.kind != "weight":
            seen.add(one)
            stack += one.inputs
