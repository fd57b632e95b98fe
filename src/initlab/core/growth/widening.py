"""Layers of more units that compute the same: each new unit is a copy, and what takes it shares between copies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from initlab.core.growth.units import Place, Units, names_of

Split: TypeAlias = Literal["unequal", "equal"]
Arrays: TypeAlias = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Run:
    """Neighbouring entries of an axis that belong to one group: ``outer`` times all its units, each ``inner`` long.

    Attributes:
        group: The group's number; None for entries that stay as they are.
        start: The first entry.
        size: How many.
        outer: How often all units come.
        inner: Neighbouring entries of one unit.
    """

    group: int | None
    start: int
    size: int
    outer: int = 1
    inner: int = 1


@dataclass(frozen=True, eq=False)
class Group:
    """Units that stand for each other: all lie on the same axes, equally often.

    Attributes:
        size: How many there are.
        axes: Where they lie, in the order of the parameters.
        is_evened: Whether a mean is taken over them, so that each is copied equally often.
        refusal: Why they cannot be copied; empty where they can.
    """

    size: int
    axes: tuple[Place, ...]
    is_evened: bool
    refusal: str = ""


@dataclass(frozen=True, eq=False)
class Widths:
    """The groups of a model's units, and where they lie.

    Attributes:
        groups: The groups.
        runs: By parameter and axis, its entries.
        units: What was read.
    """

    groups: tuple[Group, ...]
    runs: Mapping[Place, tuple[Run, ...]]
    units: Units

    @cached_property
    def shared(self) -> frozenset[Place]:
        """Axes along which one parameter makes units and adds them up as well: a table that is its own head."""
        return self.units.made & self.units.taken


def widths(read: Units) -> Widths:
    """The groups of units, and how they lie along every axis.

    Args:
        read: The units.
    """
    places: dict[int, Counter[Place]] = {}
    for place, marks in read.of.items():
        for unit in marks.tolist():
            places.setdefault(unit, Counter())[place] += 1
    grown = {unit for place in read.made for unit in read.of[place].tolist()} - read.fixed.keys()
    by_kind: dict[frozenset[tuple[Place, int]], list[int]] = {}
    for unit, where in places.items():
        if unit in grown:
            by_kind.setdefault(frozenset(where.items()), []).append(unit)
    known = {unit: (n, at) for n, units in enumerate(by_kind.values()) for at, unit in enumerate(units)}
    sizes = [len(units) for units in by_kind.values()]
    runs: dict[Place, tuple[Run, ...]] = {}
    lost: dict[int, str] = {}
    for place, marks in read.of.items():
        runs[place] = tuple(_runs([known.get(unit) for unit in marks.tolist()], sizes))
        for run in runs[place]:
            if run.group is not None and run.inner == 0:
                lost[run.group] = f"its units lie in {place[0]} in an order that is not followed"
    groups = []
    for n, (kind, units) in enumerate(by_kind.items()):
        axes = sorted((place for place, _ in kind), key=list(read.of).index)
        is_evened = any(unit in read.evened for unit in units)
        groups.append(
            Group(len(units), tuple(axes), is_evened, lost.get(n, "" if len(units) > 1 else "it is one unit"))
        )
    return Widths(tuple(groups), runs, read)


def _runs(units: Sequence[tuple[int, int] | None], sizes: Sequence[int]) -> Iterator[Run]:
    start = 0
    while start < len(units):
        first = units[start]
        group = None if first is None else first[0]
        end = start
        while end < len(units) and (None if (one := units[end]) is None else one[0]) == group:
            end += 1
        if group is None:
            yield Run(None, start, end - start)
        else:
            order = [one[1] for one in units[start:end] if one is not None]
            yield _laid(group, start, order, sizes[group])
        start = end


def _laid(group: int, start: int, order: list[int], size: int) -> Run:
    """A run of units, which lie in their order; one with ``inner`` 0 where they do not."""
    inner = next((n for n, unit in enumerate(order) if unit != order[0]), len(order))
    outer, rest = divmod(len(order), inner * size)
    is_laid = rest == 0 and order == np.tile(np.repeat(np.arange(size), inner), outer).tolist()
    return Run(group, start, len(order), outer if is_laid else 1, inner if is_laid else 0)


def sources(size: int, wanted: int) -> NDArray[np.int64]:
    """The old unit behind each new one: all of them over and over.

    Example:
        >>> sources(3, 7).tolist()
        [0, 1, 2, 0, 1, 2, 0]
    """
    return np.arange(wanted) % size


def shares(behind: NDArray[np.int64], split: Split) -> NDArray[np.float64]:
    """What each new unit gives of what the old one gave; those of one old unit add up to 1.

    Copies that share equally get equal gradients and stay copies; those that do not, part.

    Example:
        >>> shares(sources(2, 5), "unequal").round(3).tolist()
        [0.167, 0.333, 0.333, 0.667, 0.5]
    """
    made = np.empty(len(behind))
    for unit in np.unique(behind):
        at = np.flatnonzero(behind == unit)
        parts = np.arange(1.0, len(at) + 1) if split == "unequal" else np.ones(len(at))
        made[at] = parts / parts.sum()
    return made


def widened(
    found: Widths, wanted: Mapping[int, int], held: Arrays, split: Split, dividers: Collection[str] = ()
) -> dict[str, NDArray[Any]]:
    """The arrays of a model in which groups have more units.

    Args:
        found: The groups.
        wanted: By the number of a group, how many units it is to have.
        held: What the model holds.
        split: How copies share what one unit gave.
        dividers: Parameters that give each copy its share in place of a table that is its own head: a norm before it.
    """
    behind = {group: sources(found.groups[group].size, size) for group, size in wanted.items()}
    given = {group: shares(one, split) for group, one in behind.items()}
    made: dict[str, NDArray[Any]] = {}
    for (name, axis), runs in found.runs.items():
        if not any(run.group in wanted for run in runs):
            continue
        is_taken = (name, axis) in found.units.taken and (name, axis) not in found.shared
        array = made.get(name, held[name])
        index, share = _line(runs, behind, given)
        array = array.take(index, axis)
        if is_taken or name in dividers:
            along = [-1 if n == axis else 1 for n in range(array.ndim)]
            array = (array * share.reshape(along)).astype(array.dtype)
        made[name] = array
    return made


def _line(
    runs: Sequence[Run], behind: Mapping[int, NDArray[np.int64]], given: Mapping[int, NDArray[np.float64]]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The old entry behind each new one of an axis, and its share."""
    index: list[NDArray[np.int64]] = []
    share: list[NDArray[np.float64]] = []
    for run in runs:
        if run.group not in behind:
            index.append(np.arange(run.start, run.start + run.size))
            share.append(np.ones(run.size))
            continue
        assert run.group is not None
        units = behind[run.group]
        block = run.size // run.outer
        one = (units[:, None] * run.inner + np.arange(run.inner)).ravel()
        index += [run.start + n * block + one for n in range(run.outer)]
        share += [np.repeat(given[run.group], run.inner)] * run.outer
    return np.concatenate(index), np.concatenate(share)


def restated(found: Widths, wanted: Mapping[int, int]) -> dict[int, list[int]]:
    """By each size of a grown axis, of its parts and of its units, what it may be afterwards."""
    numbers: dict[int, list[int]] = {}

    def note(before: int, after: int) -> None:
        if after != before and after not in numbers.setdefault(before, []):
            numbers[before].append(after)

    for runs in found.runs.values():
        grown = [(run, wanted[run.group]) for run in runs if run.group in wanted and run.group is not None]
        if not grown:
            continue
        ends = [run.outer * size * run.inner for run, size in grown]
        rest = sum(run.size for run in runs) - sum(run.size for run, _ in grown)
        note(sum(run.size for run in runs), sum(ends) + rest)
        for (run, size), end in zip(grown, ends, strict=True):
            note(run.size, end)
            note(run.size // run.outer, end // run.outer)
            old = run.size // (run.outer * run.inner)
            for part in range(1, run.inner + 1):
                if run.inner % part == 0:  # as query heads that share one head of keys
                    note(old * part, size * part)
    return numbers


def told(group: Group) -> str:
    """A group by the parameters that it lies in."""
    return f"{group.size} units of {names_of(group.axes)}"
