"""Residual branches: where a sum takes back a value that one of its summands was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from heapq import heapify, heappop, heappush

from initlab.core.facts.spec import Branch
from initlab.frameworks.reading.graph import Graph, Node
from initlab.frameworks.reading.norms import Norms

_WHOLE = frozenset({"", "moved", "dropout"})  # what leaves entries as they are; a pool makes others of them
_FARTHEST = 10_000  # values looked at behind one sum; two ways that part before that belong to no common block


def branches(graph: Graph, norms: Norms) -> dict[str, Branch]:
    """The place of each weight in its innermost residual branch, and of the norm's scale that ends it, by native name.

    A sum of two values of one shape is residual where one of them is an ancestor of the other, or where both come from
    one value and the shortcut holds fewer weighted sums than the branch (a projection).
    """
    place = {node: at for at, node in enumerate(graph.nodes)}
    ways = _Ways(place, norms.carried)
    found = [
        (branch, norms.at_end(end), node.times)
        for node in _sums(graph)
        for end, branch in _branch(node, ways)
        if branch
    ]
    total = sum(times for _, _, times in found)
    placed: dict[str, Branch] = {}
    index = 1
    for layers, ends_in, times in found:
        deepest = max(depth for depth, _ in layers.values())
        last = Branch(deepest, deepest, total, True, ends_in.f, ends_in.is_normed, index)
        index += times
        for node, (depth, is_last) in layers.items():
            mine = replace(last, layer=depth) if is_last else Branch(depth, deepest, total, False, index=last.index)
            for name in node.params:
                placed.setdefault(name, mine)
        if ends_in.scale:
            placed.setdefault(ends_in.scale, last)
    return placed


def summed(node: Node, placed: Mapping[str, Branch]) -> int:
    """How many residual branches end in the sums that a weighted sum takes: their parts are of its input's size.

    Args:
        node: The weighted sum.
        placed: What ``branches`` found.
    """
    ends, seen, stack = 0, set[Node](), list(node.inputs[:1])
    while stack:
        at = stack.pop()
        if at in seen:
            continue
        seen.add(at)
        if at.kind == "add":
            stack.extend(at.inputs)
        elif at.kind == "pass" and at.form in _WHOLE:
            stack.extend(at.inputs[:1])
        elif at.kind in ("weight", "norm") and any(name in placed and placed[name].is_last for name in at.params):
            ends += 1
    return ends


def _sums(graph: Graph) -> Iterable[Node]:
    return (node for node in graph.nodes if node.kind == "add" and len(node.inputs) == 2)


@dataclass(frozen=True)
class _Ways:
    """How to go back through a graph.

    Attributes:
        place: The place of each value in the order of the pass.
        carried: The values whose size a value's own size follows.
    """

    place: Mapping[Node, int]
    carried: Callable[[Node], tuple[Node, ...]]


def _branch(node: Node, ways: _Ways) -> list[tuple[Node, dict[Node, tuple[int, bool]]]]:
    """The branch that ends in a sum: its last value, and its weighted sums, each with its place and whether it is last.

    Returns:
        One branch, or none.
    """
    a, b = node.inputs
    if a.shape is not None and b.shape is not None and a.shape != b.shape:
        return []
    fork = _fork(a, b, ways.place)
    if fork is None:
        return []
    if fork in (a, b):
        end = b if fork is a else a
        return [(end, _layers(end, fork, ways))]
    sides = [(end, _layers(end, fork, ways)) for end in (a, b)]
    (_, shortcut), branch = sorted(sides, key=lambda side: len(side[1]))
    twice = [name for _, layers in sides for one in layers for name in one.params]
    return [] if len(shortcut) == len(branch[1]) or len(twice) != len(set(twice)) else [branch]


def _fork(a: Node, b: Node, place: Mapping[Node, int]) -> Node | None:
    """The last value that both were made of, which may be one of them; None where there is none nearby."""
    sides: dict[Node, set[int]] = {a: {0}}
    sides.setdefault(b, set()).add(1)
    queue = [(-place[one], id(one), one) for one in sides if one in place]
    heapify(queue)
    for _ in range(_FARTHEST):
        if not queue:
            return None
        at = heappop(queue)[2]
        if len(sides[at]) == 2:
            return at
        for one in at.inputs:
            if one in place and one not in sides:
                heappush(queue, (-place[one], id(one), one))
            sides.setdefault(one, set()).update(sides[at])
    return None


def _layers(end: Node, fork: Node, ways: _Ways) -> dict[Node, tuple[int, bool]]:
    """The weighted sums on the ways from ``end`` back to ``fork``, by their place counted from 1.

    A sum of something else that the branch mixes in, as cross-attention does with the encoder's output, is in place 1;
    what lies behind it is not in the branch.
    """
    inside = _inside(end, fork, ways.place)
    depth: dict[Node, int] = {}
    for at in inside:
        reached = [depth[one] for one in at.inputs if one in depth]
        if reached or fork in at.inputs:
            depth[at] = max(reached, default=0) + (at.kind == "weight")
    last = set(_nearest([end], fork, ways.place, ways.carried))
    layers = {at: (rank, at in last) for at, rank in depth.items() if at.kind == "weight"}
    sides = _nearest([one for at in layers for one in at.inputs], fork, ways.place, _all)
    return {at: (1, False) for at in sides if at not in layers and at.inputs} | layers if layers else {}


def _inside(end: Node, fork: Node, place: Mapping[Node, int]) -> list[Node]:
    """What was made after ``fork`` on the way to ``end``, in order."""
    seen, stack = set[Node](), [end]
    while stack:
        at = stack.pop()
        if at not in seen and place.get(at, -1) > place[fork]:
            seen.add(at)
            stack.extend(at.inputs)
    return sorted(seen, key=place.__getitem__)


def _all(node: Node) -> tuple[Node, ...]:
    return node.inputs


def _nearest(
    ends: Iterable[Node], fork: Node, place: Mapping[Node, int], behind: Callable[[Node], tuple[Node, ...]]
) -> list[Node]:
    """The weighted sums after ``fork`` that reach one of ``ends`` with no other in between, going by ``behind``."""
    found, seen, stack = list[Node](), set[Node](), list(ends)
    while stack:
        at = stack.pop()
        if at in seen or place.get(at, -1) <= place[fork]:
            continue
        seen.add(at)
        if at.kind == "weight":
            found.append(at)
        else:
            stack.extend(behind(at))
    return found
