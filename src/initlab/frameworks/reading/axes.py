"""Which axes of a parameter stand behind the axes of what was made of it, and what a product does with each.

A native axis behind no axis of the view is one along which single entries were taken: by a number, a list of numbers, a
loop, a scan. Each entry is a weight of its own, so that axis is a stack.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import prod
from typing import Literal, TypeAlias

from initlab.core.facts.spec import Axes
from initlab.frameworks.reading.graph import Node, Use, ViewAxes

Pick: TypeAlias = Literal["whole", "part", "one", "many", "new"]  # all, a slice, one entry, several; a new axis
_Kind = Literal["input", "output", "stack"]


def own_axes(shape: Sequence[int]) -> ViewAxes:
    """The axes of a parameter as it is held.

    Example:
        >>> own_axes((4, 6))
        ((0,), (1,))
    """
    return tuple((axis,) for axis in range(len(shape)))


def native_shape(view: Node) -> tuple[int, ...] | None:
    """The shape of the parameter that a value made of parameters alone is a view of."""
    while view.inputs:
        view = view.inputs[0]
    return view.shape


def reshaped(view: Node, shape: Sequence[int] | None) -> ViewAxes | None:
    """The axes behind those of another shape of the same entries in the same order.

    Example:
        >>> w = Node("parameter", shape=(6, 4, 5), axes=own_axes((6, 4, 5)))
        >>> reshaped(w, (2, 3, 1, 20))      # axis 0 split, an axis put in, axes 1 and 2 merged
        ((0,), (0,), (), (1, 2))
    """
    if view.axes is None or view.shape is None or shape is None or prod(shape) != prod(view.shape):
        return None
    found: list[tuple[int, ...]] = []
    at, to, before = 0, 0, view.shape
    while at < len(before) or to < len(shape):
        ends = (at + 1, to + 1)
        if at < len(before) and (to == len(shape) or (before[at] == 1 and shape[to] != 1)):
            at += 1
        elif to < len(shape) and (at == len(before) or (shape[to] == 1 and before[at] != 1)):
            found.append(())
            to += 1
        else:
            ends = _group(before, shape, at, to)
            behind = tuple(dict.fromkeys(axis for one in view.axes[at : ends[0]] for axis in one))
            group = shape[to : ends[1]]
            found += [behind if n > 1 or len(group) == 1 else () for n in group]
            at, to = ends
    return tuple(found)


def _group(before: Sequence[int], after: Sequence[int], at: int, to: int) -> tuple[int, int]:
    """The ends of the shortest runs of two shapes that hold as many entries."""
    left, right, ends = before[at], after[to], [at + 1, to + 1]
    while left != right:
        if left < right:
            left *= before[ends[0]]
            ends[0] += 1
        else:
            right *= after[ends[1]]
            ends[1] += 1
    return ends[0], ends[1]


def spread(view: Node, shape: Sequence[int] | None) -> ViewAxes | None:
    """The axes behind those of a shape to which a view was broadcast."""
    if view.axes is None or view.shape is None or shape is None or len(shape) < len(view.shape):
        return None
    fresh = len(shape) - len(view.shape)
    kept = (one if n == m else () for one, n, m in zip(view.axes, view.shape, shape[fresh:], strict=True))
    return (*((),) * fresh, *kept)


def picked(view: Node, picks: Sequence[Pick], shape: Sequence[int] | None) -> ViewAxes | None:
    """The axes of what an index leaves of a view; axes that nothing picks from stay whole.

    Args:
        view: The view.
        picks: What is taken of each axis, in order.
        shape: The shape of what is left.

    Example:
        >>> w = Node("parameter", shape=(6, 4, 5), axes=own_axes((6, 4, 5)))
        >>> picked(w, ["one"], (4, 5)), picked(w, ["many"], (8, 4, 5))      # w[e], w[index]
        (((1,), (2,)), ((), (1,), (2,)))
    """
    ways = _ways(view, picks)
    if view.axes is None or ways is None:
        return None
    found, left, at = list[tuple[int, ...]](), list(view.axes), list[int]()
    for way in ways:
        behind = () if way == "new" else left.pop(0)
        if way == "many":
            at.append(len(found))
        elif way != "one":
            found.append(behind)
    if at and shape is not None:  # the axes of numbers that stand apart come first, as in NumPy
        place = at[0] if len(set(at)) == 1 else 0
        found[place:place] = [()] * (len(shape) - len(found))
    is_known = len(found) == len(shape) if shape is not None else not at
    return tuple(found) if is_known else None


def _ways(view: Node, picks: Sequence[Pick]) -> list[Pick] | None:
    """What is taken of every axis; None where more is said to be taken than there is."""
    rest = len(view.axes or view.shape or ()) - sum(way != "new" for way in picks)
    whole: list[Pick] = ["whole"] * rest
    return [*picks, *whole] if rest >= 0 else None


def index_picks(index: object, rank: int) -> list[Pick]:
    """What an index in brackets takes of each of so many axes.

    Example:
        >>> index_picks((0, slice(None), slice(2)), 3), index_picks((..., None, 1), 3)
        (['one', 'whole', 'part'], ['whole', 'whole', 'new', 'one'])
    """
    parts = index if isinstance(index, tuple) else (index,)
    at = next((place for place, one in enumerate(parts) if one is Ellipsis), None)
    known = [pick_of(one) for one in parts if one is not Ellipsis]
    if at is not None:
        known[at:at] = ["whole"] * (rank - sum(one != "new" for one in known))
    return known


def pick_of(index: object) -> Pick:
    """What one part of an index takes."""
    if index is None:
        return "new"
    if isinstance(index, slice):
        return "whole" if index == slice(None) else "part"
    shape = index.shape if isinstance(index, Node) else getattr(index, "shape", None)
    return "one" if isinstance(index, int) or shape == () else "many"


def is_stack(view: Node, picks: Sequence[Pick]) -> bool:
    """Whether what an index leaves of a view is a matrix for each number, rather than a row."""
    ways = [way for way in _ways(view, picks) or () if way != "new"]
    return sum(n > 1 for n, way in zip(view.shape or (), ways, strict=False) if way in ("whole", "part")) > 1


def factor_use(weight: Node, *, inputs: Collection[int], stacked: Collection[int] = ()) -> Use:
    """The use of a weight in a sum of products.

    Args:
        weight: A parameter, or a view of one.
        inputs: Its axes that are contracted.
        stacked: Its axes that both factors share and the result keeps.

    Example:
        >>> w = Node("parameter", shape=(5, 4), axes=own_axes((5, 4)))
        >>> factor_use(w, inputs=[1])      # (out, in)
        Use(role='dense', axes=None, groups=1, stride=(), clear=True)
        >>> experts = Node("parameter", shape=(8, 5, 4))
        >>> expert = viewed(experts, ((1,), (2,)), (5, 4), "getitem")
        >>> factor_use(expert, inputs=[1]).axes      # w[e] of (experts, out, in)
        Axes(inputs=(2,), outputs=(1,), batch=(0,))
    """
    native, axes = native_shape(weight), weight.axes
    if axes is None or len(axes) < 2:
        return Use("dense", clear=False)
    places = {n % len(axes): "input" for n in inputs} | {n % len(axes): "stack" for n in stacked}
    kinds: dict[int, set[str]] = {}
    for place, behind in enumerate(axes):
        for axis in behind:
            kinds.setdefault(axis, set()).add(places.get(place, "output"))
    rank = max(kinds, default=-1) + 1 if native is None else len(native)
    if any(len(several) > 1 for several in kinds.values()) or not _is_whole(weight, places, kinds, native):
        return Use("dense", clear=False)

    def of(kind: _Kind) -> tuple[int, ...]:
        order = dict.fromkeys(axis for one in axes for axis in one) if kind != "input" else _in_order(axes, inputs)
        return tuple(axis for axis in order if kinds[axis] == {kind})

    lost = (axis for axis in range(rank) if axis not in kinds)
    found = Axes(of("input"), of("output"), (*lost, *of("stack")))
    if rank == 2 and found == Axes((1,), (0,)):
        return Use("dense")
    return Use("dense", found, clear=bool(found.inputs and found.outputs))


def _in_order(axes: ViewAxes, places: Collection[int]) -> dict[int, None]:
    return dict.fromkeys(axis for n in places for axis in axes[n])


def _is_whole(weight: Node, places: dict[int, str], kinds: dict[int, set[str]], native: tuple[int, ...] | None) -> bool:
    """Whether the sum goes over all of the parameter's entries along its contracted axes, and not over a slice."""
    if native is None or weight.shape is None or weight.axes is None:
        return True
    summed = prod(n for i, n in enumerate(weight.shape) if places.get(i) == "input" and weight.axes[i])
    return summed == prod(native[axis] for axis, kind in kinds.items() if kind == {"input"})


def units_of(weight: Node, use: Use) -> tuple[int, ...]:
    """The sizes of a weight's stacked and output axes: a bias has a number for each."""
    native = native_shape(weight) if weight.kind == "parameter" else None
    if native is None or use.axes is None:
        return ()
    return tuple(native[axis] for axis in sorted((*use.axes.batch, *use.axes.outputs)))


def viewed(view: Node, axes: ViewAxes | None, shape: tuple[int, ...] | None, name: str) -> Node:
    """What was made of a view by moving its entries."""
    return Node("parameter", name, (view,), view.params, shape, axes=axes)
