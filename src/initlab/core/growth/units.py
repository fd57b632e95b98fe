"""Which entries of which parameters belong to one unit: they are copied together, or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from initlab.core.growth.tape import Array, Probe, Step, Tape

Marks = NDArray[np.int64]
Place = tuple[str, int]  # a parameter and one of its axes


@dataclass(frozen=True, eq=False)
class Units:
    """The units of a model.

    Attributes:
        of: By parameter and axis, the unit behind each entry of the axis.
        made: The axes along which a parameter makes units: a copy of a unit copies its entries.
        taken: The axes along which units are added up: copies share what the unit gave.
        fixed: Units that cannot be copied, and why: what the model is given or returns, or what was not followed.
        evened: Units of which a mean is taken, so that all are copied equally often.
    """

    of: Mapping[Place, Marks]
    made: frozenset[Place]
    taken: frozenset[Place]
    fixed: Mapping[int, str]
    evened: frozenset[int]


def units(tape: Tape) -> Units:
    """The units of a model, as the numbers flow in one pass.

    Each entry of each axis of a parameter begins as a unit of its own. Each operation is done again with marked
    numbers: what meets entry by entry is one unit, as in a sum of a residual stream, a norm's scale, the two halves
    of a gate. What a product with a parameter adds up is joined to the parameter's axis. What a product of two values
    adds up is one unit, as the entries of a head in its queries and keys. How the operation is called is not asked.

    Args:
        tape: The pass.
    """
    return _Reading(tape).read()


@dataclass(frozen=True, eq=False)
class _Track:
    """Marks on the entries of a value, and the axes that they come from where parameters alone made it."""

    marks: Marks
    places: frozenset[Place] = frozenset()


@dataclass(frozen=True, eq=False)
class _Seen:
    """What one track of one input of an operation is behind in each output: 0 for none, -1 for several units."""

    at: int
    track: _Track
    made: list[Marks]
    is_data: bool

    @property
    def is_mixed(self) -> bool:
        """Whether some entry is made of several units."""
        return any((one < 0).any() for one in self.made)


@dataclass
class _Value:
    """The tracks of a value: several where an entry has several units, as the row and the column of a matrix."""

    tracks: list[_Track] = field(default_factory=list)
    is_data: bool = False


class _Reading:
    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._array: dict[int, Array] = dict(tape.values)
        self._value: dict[int, _Value] = {}
        self._ids: dict[Place, Marks] = {}
        self._parent = [0]
        self._made: frozenset[Place] = frozenset()
        self._taken: frozenset[Place] = frozenset()
        self._fixed: dict[int, str] = {}
        self._evened: set[int] = set()
        self._rng = np.random.default_rng(1)

    def read(self) -> Units:
        """The units, after all steps."""
        for number, name in self._tape.held.items():
            self._value[number] = _Value([self._begin(name, axis, number) for axis in self._axes(number)])
        for number in self._tape.inputs:
            self._value[number] = _Value(is_data=True)
        for step in self._tape.steps:
            self._do(step)
        for number in self._tape.outputs:
            for track in self._value.get(number, _Value()).tracks:
                self._fix(track.marks, "the model returns it")
        of = {place: self._roots(ids) for place, ids in self._ids.items()}
        fixed = {int(self._root(unit)): why for unit, why in self._fixed.items()}
        evened = frozenset(int(self._root(unit)) for unit in self._evened)
        return Units(of, self._made, self._taken, fixed, evened)

    def _axes(self, number: int) -> list[int]:
        array = self._array[number]
        return [axis for axis, size in enumerate(array.shape) if size > 1] if array.dtype.kind == "f" else []

    def _begin(self, name: str, axis: int, number: int) -> _Track:
        shape = self._array[number].shape
        first, size = len(self._parent), shape[axis]
        self._parent += range(first, first + size)
        self._ids[name, axis] = np.arange(first, first + size)
        at = [-1 if n == axis else 1 for n in range(len(shape))]
        marks = np.array(np.broadcast_to(self._ids[name, axis].reshape(at), shape))
        return _Track(marks, frozenset({(name, axis)}))

    # Units that turn out to be one

    def _root(self, unit: int) -> int:
        while self._parent[unit] != unit:
            self._parent[unit] = self._parent[self._parent[unit]]
            unit = self._parent[unit]
        return unit

    def _roots(self, marks: Marks) -> Marks:
        known, back = np.unique(marks, return_inverse=True)
        return np.array([self._root(int(one)) for one in known], dtype=np.int64)[back].reshape(marks.shape)

    def _join(self, first: Marks, second: Marks) -> None:
        for a, b in np.unique(np.stack([first.ravel(), second.ravel()]), axis=1).T:
            if a > 0 and b > 0:
                low, high = sorted((self._root(int(a)), self._root(int(b))))
                self._parent[high] = low

    def _fix(self, marks: Marks, why: str) -> None:
        for unit in np.unique(marks[marks > 0]):
            self._fixed.setdefault(int(unit), why)

    # One operation

    def _do(self, step: Step) -> None:
        given = tuple(self._array[number] for number in step.inputs)
        values = [self._value.get(number, _Value()) for number in step.inputs]
        made = [np.asarray(one) for one in step.again(given)]
        for number, array in zip(step.outputs, made, strict=True):
            self._array[number] = array
        is_data = any(value.is_data for value in values)
        seen = self._seen(step, Probe(step, given), values, is_data=is_data)
        merged: list[tuple[list[_Track], set[int]]] = []
        is_sum = any(one.is_mixed and not one.is_data for one in seen)
        for one in sorted(seen, key=lambda one: not one.is_data):
            is_own = is_data and not one.is_data
            if is_own and any((marks > 0).any() for marks in one.made):
                self._made |= one.track.places
            if not (is_sum and one.is_data and len(_units_of(one.track.marks)) == 1):
                places = frozenset() if is_data else one.track.places
                new = [_Track(np.maximum(marks, 0), places) for marks in one.made]
                self._merge(merged, new, one.at, is_own=is_own)
        for n, number in enumerate(step.outputs):
            self._value[number] = _Value([tracks[n] for tracks, _ in merged if tracks[n].marks.any()], is_data)

    def _seen(self, step: Step, probe: Probe, values: list[_Value], *, is_data: bool) -> list[_Seen]:
        """What each track of each input is behind, once what the step adds up is joined."""
        seen: list[_Seen] = []
        for at, value in enumerate(values):
            if probe.given[at].dtype.kind != "f":
                continue
            for kept in value.tracks:
                track = _Track(self._roots(kept.marks), kept.places)
                if step.form == "table" and at == 0 and _is_along(track.marks, 0):
                    self._fix(track.marks, "rows are looked up")
                    continue
                seen.append(_Seen(at, track, list(probe.depends(at, track.marks)), value.is_data))
        if step.form == "norm":
            seen = [self._of_norm(one) if one.at == 0 else one for one in seen]
        mixed = [one for one in seen if one.is_mixed]
        if not is_data:
            for one in mixed:
                self._fix(one.track.marks, f"{step.name} of parameters alone")
            return seen
        self._mix(step, probe, mixed)
        return [self._seen_again(probe, one) for one in seen]

    def _seen_again(self, probe: Probe, one: _Seen) -> _Seen:
        marks = self._roots(one.track.marks)
        if not one.is_mixed or bool((marks == one.track.marks).all()):
            return one
        return _Seen(one.at, _Track(marks, one.track.places), list(probe.depends(one.at, marks)), one.is_data)

    def _of_norm(self, one: _Seen) -> _Seen:
        """A norm's units stay in their places, and a mean of them is taken where one depends on others."""
        marks = one.track.marks
        if one.is_mixed:
            self._evened.update(_units_of(marks))
        made = [marks if out.shape == marks.shape else np.zeros_like(out) for out in one.made]
        return _Seen(one.at, one.track, made, one.is_data)

    def _merge(self, merged: list[tuple[list[_Track], set[int]]], new: list[_Track], at: int, *, is_own: bool) -> None:
        """Join marks to those of a track that they go with, entry by entry; else they are a track of their own.

        A parameter with fewer marks than the value has is used for several of its units, which stay apart.
        """
        if not any(one.marks.any() for one in new):
            return
        for most in (0, 1):
            for tracks, inputs in merged:
                if at in inputs:  # two tracks of one value are two things
                    continue
                pairs = list(zip(tracks, new, strict=True))
                if max(_apart(old.marks, one.marks, is_own=is_own) for old, one in pairs) <= most:
                    for n, (old, one) in enumerate(pairs):
                        self._join(old.marks, one.marks)
                        tracks[n] = _Track(np.where(old.marks > 0, old.marks, one.marks), old.places | one.places)
                    inputs.add(at)
                    return
        merged.append((new, {at}))

    # Sums

    def _mix(self, step: Step, probe: Probe, mixed: list[_Seen]) -> None:
        """What a step adds up: pairs of a parameter's axis and a value's, entries of two values, or a mean."""
        weights = [one for one in mixed if not one.is_data]
        rest = {id(one): one for one in mixed if one.is_data}
        for weight in weights:
            paired = [one for one in mixed if one.is_data and self._pair(probe, weight, one)]
            for one in paired:
                rest.pop(id(one), None)
            if paired:
                self._taken |= weight.track.places
            else:
                self._fix(weight.track.marks, "it takes what the model is given")
        for one in rest.values():
            if weights:
                self._fix(one.track.marks, f"{step.name} could not be followed")
            elif len({other.at for other in rest.values()}) > 1:
                self._unite(probe, one)
            else:
                self._evened.update(_units_of(one.track.marks))

    def _pair(self, probe: Probe, weight: _Seen, data: _Seen) -> bool:
        axis, along = _axis_of(weight.track.marks), _axis_of(data.track.marks)
        if axis is None or along is None or not probe.is_sum_over(weight.at, data.at, (axis, along), self._rng):
            return False
        self._join(_line(weight.track.marks, axis), _line(data.track.marks, along))
        return True

    def _unite(self, probe: Probe, one: _Seen) -> None:
        """Entries of a value that are added up with another value's are one unit."""
        marks = one.track.marks
        for axis in range(marks.ndim):
            shape = [-1 if n == axis else 1 for n in range(marks.ndim)]
            places = np.broadcast_to(np.arange(1, marks.shape[axis] + 1).reshape(shape), marks.shape)
            if marks.shape[axis] > 1 and any((made < 0).any() for made in probe.depends(one.at, np.array(places))):
                self._join(np.array(np.broadcast_to(marks.take([0], axis), marks.shape)), marks)


def _units_of(marks: Marks) -> list[int]:
    return [int(unit) for unit in np.unique(marks[marks > 0])]


def _apart(old: Marks, new: Marks, *, is_own: bool) -> int:
    """0 for marks that go together one by one, 1 where several go with one of the others, 2 for marks that do not."""
    both = (old > 0) & (new > 0)
    if not both.any():
        return 0
    pairs = np.unique(np.stack([old[both], new[both]]), axis=1)
    there, here = (len(np.unique(line)) for line in pairs)
    if pairs.shape[1] > max(there, here):
        return 2
    return 0 if there == here else 1 if min(there, here) > 1 and not (is_own and here < there) else 2


def _line(marks: Marks, axis: int) -> Marks:
    return marks[tuple(slice(None) if n == axis else slice(0, 1) for n in range(marks.ndim))]


def _is_along(marks: Marks, axis: int) -> bool:
    """Whether marks change along this axis, and along no other."""
    line = _line(marks, axis)
    return bool((line == marks).all()) and bool((line != line.take([0], axis)).any())


def _axis_of(marks: Marks) -> int | None:
    return next((axis for axis in range(marks.ndim) if _is_along(marks, axis)), None)


def names_of(places: Iterable[Place]) -> str:
    """The parameters of some places, the first of them.

    Example:
        >>> names_of([("fc.weight", 0), ("fc.weight", 1), ("fc.bias", 0)])
        'fc.weight, fc.bias'
    """
    names = list(dict.fromkeys(name for name, _ in places))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
