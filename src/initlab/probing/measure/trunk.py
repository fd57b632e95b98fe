"""The trunk of a model: the layers and residual sums that every way from the input to the output goes through.

A signal that shrinks or grows along the trunk does so for the whole model; what a branch does to its own values is
judged where the branch meets the trunk again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from initlab.core.signals.readings import Place, Reading

_PASSING = frozenset({"pass", "dropout", "scale"})


@dataclass(frozen=True)
class Station:
    """A place of the trunk at which signal and gradient are judged.

    Attributes:
        index: The weighted sum, or the residual sum.
        norm: The norm behind it, which undoes its scale; None where there is none.
        is_residual: Whether it is a residual sum.
        is_stream: Whether its own scale goes on beside the norm, along the residual stream.
    """

    index: int
    norm: int | None = None
    is_residual: bool = False
    is_stream: bool = False


def trunk(reading: Reading) -> tuple[Station, ...]:
    """The stations that every way from the input to the output passes, in order; those of the last weights too.

    Example:
        >>> places = (Place("input", "x"), Place("weighted", "a", (0,)), Place("weighted", "b", (1,)),
        ...           Place("sum", "add", (1, 2)), Place("weighted", "c", (3,)))
        >>> reading = Reading(places, (4,), {}, {}, {}, 0.0, 0.0, "random")
        >>> [(places[s.index].path, s.is_residual) for s in trunk(reading)]      # a skip leads past b
        [('a', False), ('add', True), ('c', False)]
    """
    from_inputs, from_weights = (_stations(reading, inputs=carry) for carry in (True, False))
    return from_inputs if len(from_inputs) > 1 else from_weights


def _stations(reading: Reading, *, inputs: bool) -> tuple[Station, ...]:
    """Those of the trunk from the first input on, or from the first weights on.

    What is done to inputs and undone behind the last weights, as means and scales of a series, leads past all of them.
    """
    places = reading.places
    wanted = _on_a_way_out(reading)
    carried = _carriers(places, wanted, inputs=inputs)
    takers = takers_of(places, wanted)
    found: list[Station] = []
    furthest, before = -1, -1
    for index in sorted(carried):
        if furthest <= index:
            place = places[index]
            is_residual = place.kind == "sum" and _meets(places, index, before, carried)
            if is_residual or (place.kind == "weighted" and not place.facts.get("table")):
                found.append(_station(index, places, takers, is_residual=is_residual))
            before = index
        furthest = max([furthest, *takers.get(index, ())])
    return tuple(found)


def writers(reading: Reading, index: int, *, before: int = -1) -> tuple[int, ...]:
    """The layers that write into a residual sum: the last weighted ones of its longest term behind the sum before it.

    Args:
        reading: The places.
        index: The sum.
        before: The sum before it on the trunk; -1 for none, where the term that was made last is taken.

    Example:
        >>> places = (Place("input", "x"), Place("weighted", "up", (0,)), Place("weighted", "down", (1,)),
        ...           Place("weighted", "shortcut", (0,)), Place("sum", "add", (3, 2)))
        >>> [places[at].path for at in writers(Reading(places, (4,), {}, {}, {}, 0.0, 0.0, "random"), 4, before=0)]
        ['down']
    """
    places = reading.places
    terms = {
        term: [at for at in _behind(places, term, before + 1) if places[at].kind == "weighted"]
        for term in dict.fromkeys(places[index].inputs)
    }
    if not terms:
        return ()
    longest = max(terms) if before < 0 else max(terms, key=lambda term: len(terms[term]))
    is_writer = places[longest].kind == "weighted"
    return (longest,) if is_writer else nearest_weighted(places, longest, before=before)


def nearest_weighted(places: Sequence[Place], index: int, *, before: int = -1) -> tuple[int, ...]:
    """The weighted sums behind a place ``before`` that a value is made of, and none that those are made of.

    Example:
        >>> places = (Place("input", "x"), Place("weighted", "up", (0,)), Place("weighted", "down", (1,)),
        ...           Place("weighted", "gate", (0,)), Place("product", "mul", (3, 2)))
        >>> [places[at].path for at in nearest_weighted(places, 4)]
        ['down', 'gate']
    """
    found, seen, stack = list[int](), set[int](), list(places[index].inputs)
    while stack:
        at = stack.pop()
        if at > before and at not in seen:
            seen.add(at)
            if places[at].kind == "weighted":
                found.append(at)
            else:
                stack += places[at].inputs
    return tuple(sorted(found))


def takers_of(places: Sequence[Place], wanted: frozenset[int] | None = None) -> dict[int, list[int]]:
    """By place, the places that take its value, in order."""
    found: dict[int, list[int]] = {}
    for index, place in enumerate(places):
        if wanted is None or index in wanted:
            for source in dict.fromkeys(place.inputs):
                found.setdefault(source, []).append(index)
    return found


def downstream(places: Sequence[Place], index: int) -> frozenset[int]:
    """The places that are made of a value, directly or not; its own left out.

    Example:
        >>> places = (Place("input", "x"), Place("weighted", "a", (0,)), Place("weighted", "b", (0,)),
        ...           Place("sum", "add", (1, 2)))
        >>> sorted(downstream(places, 1))
        [3]
    """
    found = {index}
    for at in range(index + 1, len(places)):
        if found.intersection(places[at].inputs):
            found.add(at)
    return frozenset(found - {index})


def _on_a_way_out(reading: Reading) -> frozenset[int]:
    found, stack = set[int](), list(reading.outputs[:1])
    while stack:
        at = stack.pop()
        if at not in found:
            found.add(at)
            stack += reading.places[at].inputs
    return frozenset(found)


def _carriers(places: Sequence[Place], wanted: frozenset[int], *, inputs: bool) -> frozenset[int]:
    """The places that carry the signal: masks and tables of rotations reach many layers and carry none."""
    found = set[int]()
    first = next((i for i, place in enumerate(places) if inputs and place.kind == "input"), -1)
    for index, place in enumerate(places):
        if index in wanted and (index == first or place.kind == "weighted" or found.intersection(place.inputs)):
            found.add(index)
    return frozenset(found)


def _meets(places: Sequence[Place], index: int, before: int, carried: frozenset[int]) -> bool:
    """Whether two terms of a sum both come from the trunk's place before it."""
    terms = [i for i in dict.fromkeys(places[index].inputs) if i in carried]
    return before >= 0 and len(terms) > 1 and all(before in set(_behind(places, term, before)) for term in terms)


def _behind(places: Sequence[Place], start: int, lowest: int) -> Iterator[int]:
    seen, stack = set[int](), [start]
    while stack:
        at = stack.pop()
        if at >= lowest and at not in seen:
            seen.add(at)
            stack += places[at].inputs
            yield at


def _station(index: int, places: Sequence[Place], takers: Mapping[int, Sequence[int]], *, is_residual: bool) -> Station:
    ends = [_end(taker, places, takers) for taker in takers.get(index, ())]
    norm = next((end for end in ends if places[end].kind == "norm"), None)
    return Station(index, norm, is_residual, norm is not None and len(ends) > 1)


def _end(at: int, places: Sequence[Place], takers: Mapping[int, Sequence[int]]) -> int:
    """The first place that does more than move entries about."""
    while places[at].kind in _PASSING and len(takers.get(at, ())) == 1:
        at = takers[at][0]
    return at
