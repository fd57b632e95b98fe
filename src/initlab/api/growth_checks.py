"""Whether a model that was made larger computes the same, and which sizes its own objects then have to state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from initlab.core.adapter import Adapter
from initlab.core.errors import InitlabError, ShapeError
from initlab.core.growth.stated import Stated, stated
from initlab.core.growth.tape import Array
from initlab.frameworks import FRAMEWORKS

M = TypeVar("M")

_TRIES = 200
_AXES = 4  # of a shape that is stated, which may grow

Numbers: TypeAlias = "int | tuple[int, ...]"
_Choice: TypeAlias = "dict[tuple[str, Numbers], Numbers]"


@dataclass(frozen=True)
class Attempt(Generic[M]):
    """A growth that is to be exact: the old model, what it returns, and how far a new one may be off."""

    model: M
    adapter: Adapter
    example: object
    before: Sequence[Array]
    bound: float

    def exact(
        self, variants: Iterable[Callable[[M], None]], after: Mapping[int, Sequence[int]], where: str
    ) -> tuple[M, float, tuple[str, ...], tuple[str, ...]]:
        """The first copy that computes the same, its error, and the numbers that it states anew, and that it may.

        Args:
            variants: Ways to enlarge a copy.
            after: By each number that may state a size, what it may be afterwards.
            where: The option.
        """
        best, said = math.inf, "a weight makes units and adds them up as well, and no norm before it can share them out"
        for packages, enlarge in product((self.packages, ()), tuple(variants)):
            made = deepcopy(self.model)
            numbers = list(stated(made, but=packages))
            enlarge(made)
            same = [one for one in numbers if getattr(one.holder, one.name) == one.value]
            trial = Trial(self, made, same, after)
            for choice in trial.choices():
                error, why = trial.error(choice)
                if error <= self.bound:
                    return made, error, *trial.settle(choice)
                best, said = min(best, error), why or said
        told_error = f"the outputs differ by {best:.2g} of their size" if math.isfinite(best) else said
        raise ShapeError(
            f"this growth is not exact: {told_error}; the bound is {self.bound:.0e}",
            where=where,
            fix="name what may grow, as width={'*.mlp.fc.weight': 512} or depth={'blocks': 6}",
        )

    @property
    def packages(self) -> set[str]:
        """The framework's own, whose layers are rebuilt by its adapter."""
        roots = FRAMEWORKS[self.adapter.framework].roots
        return {root.partition(":")[0].partition(".")[0] for root in roots}

    def error_of(self, made: M) -> tuple[float, str]:
        """How far a model's outputs are off, and what it says where it has none."""
        try:
            after = self.adapter.evaluated(made, self.example)
        except Exception as error:  # the model's own code, with a number that does not fit
            return math.inf, error.what if isinstance(error, InitlabError) else str(error).split("\n")[0]
        if [one.shape for one in after] != [one.shape for one in self.before]:
            return math.inf, "outputs of other shapes"
        return max((_apart(a, b) for a, b in zip(self.before, after, strict=True)), default=0.0), ""


@dataclass(frozen=True)
class Trial(Generic[M]):
    """A model of the new sizes, whose own objects may still state the old ones."""

    attempt: Attempt[M]
    made: M
    numbers: Sequence[Stated]
    after: Mapping[int, Sequence[int]]

    def choices(self) -> Iterator[_Choice]:
        """What numbers are set to: all that a grown size may be, then all but a few of one name and value."""
        options = {(one.name, one.value): made for one in self.numbers if (made := _options(one.value, self.after))}
        first: _Choice = {key: made[0] for key, made in options.items()}
        yield first
        others = [(key, value) for key, made in options.items() for value in (*made[1:], key[1])]
        several = (some for count in (1, 2, 3) for some in combinations(others, count))
        yield from islice(({**first, **dict(some)} for some in several if len(dict(some)) == len(some)), _TRIES)

    def error(self, choice: _Choice) -> tuple[float, str]:
        """How far the model is off when it states these numbers."""
        self._put(choice)
        return self.attempt.error_of(self.made)

    def _put(self, choice: _Choice) -> None:
        for one in self.numbers:
            one.put(choice.get((one.name, one.value), one.value))

    def settle(self, choice: _Choice) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The model with the numbers that are needed, and those of a model that is built from its configuration.

        Returns:
            What was set, and what may state a size and was left.
        """
        needed = self._needed(choice, lambda less: self.error(less)[0])
        spare = {key: after for key, after in choice.items() if key not in needed and after != key[1]}
        self._put(needed)
        for holder in {id(one.holder): one.holder for one in self.numbers if (one.name, one.value) in choice}.values():
            mine = {k: after for k, after in spare.items() if k in {(n.name, n.value) for n in self._of(holder)}}
            again = self._configured(holder, needed, mine)
            if again is not None:
                self._take(again)
                break
        now = {(one.name, one.value, getattr(one.holder, one.name)) for one in self.numbers}
        unsure = {key: after for key, after in spare.items() if (*key, key[1]) in now}
        return _told({(name, was): after for name, was, after in sorted(now, key=str)}), _told(unsure)

    def _of(self, holder: object) -> list[Stated]:
        return [one for one in self.numbers if one.holder is holder]

    def _needed(self, choice: _Choice, error: Callable[[_Choice], float]) -> _Choice:
        """What is left of a choice when all is taken from it without which the outputs are the same."""
        kept = {key: after for key, after in choice.items() if after != key[1]}
        for key in list(kept):
            less = {other: after for other, after in kept.items() if other != key}
            if error(less) <= self.attempt.bound:
                kept = less
        return kept

    def _configured(self, holder: object, needed: _Choice, spare: _Choice) -> M | None:
        """A model that is built from a configuration which states what it needs; the configuration states it then."""

        def error(choice: _Choice) -> float:
            for one in self._of(holder):
                one.put({**needed, **choice}.get((one.name, one.value), one.value))
            again = self._rebuilt(holder)
            return math.inf if again is None else self.attempt.error_of(again)[0]

        for count in range(min(3, len(spare) + 1)):
            for without in combinations(spare, count):
                mine = {key: after for key, after in spare.items() if key not in without}
                if error(mine) <= self.attempt.bound:
                    error(self._needed(mine, error))
                    return self._rebuilt(holder)
        error({})
        return None

    def _rebuilt(self, configuration: object) -> M | None:
        """A model of the same class that is built from a configuration and holds the same numbers."""
        adapter = self.attempt.adapter
        try:
            with adapter.seeded(0):
                again = type(self.made)(configuration)  # type: ignore[call-arg]
            held, own = adapter.state(self.made), adapter.state(again)
            if {name: array.shape for name, array in held.items()} != {n: array.shape for n, array in own.items()}:
                return None
            adapter.load(again, held)
        except Exception:  # a class that is not built from this object, or not with these numbers
            return None
        return again

    def _take(self, again: M) -> None:
        """State what a model of the same parts states."""
        theirs = list(stated(again, but=self.attempt.packages))
        mine = list(stated(self.made, but=self.attempt.packages))
        if [one.name for one in mine] == [one.name for one in theirs]:
            for own, other in zip(mine, theirs, strict=True):
                own.put(other.value)


def _options(value: Numbers, after: Mapping[int, Sequence[int]]) -> list[Numbers]:
    if isinstance(value, int):
        return list(after.get(value, ()))
    made = [tuple(some) for some in product(*((*after.get(n, ()), n) for n in value[:_AXES]))]
    return [(*some, *value[_AXES:]) for some in made if some != value[:_AXES]]


def _apart(before: Array, after: Array) -> float:
    if before.dtype.kind != "f" or not before.size:
        return 0.0 if np.array_equal(before, after) else math.inf
    size = float(np.abs(before).max()) or 1.0
    worst = float(np.abs(before.astype(np.float64) - after).max()) / size
    return worst if math.isfinite(worst) else math.inf


def _told(choice: _Choice) -> tuple[str, ...]:
    return tuple(f"{name}: {before} to {after}" for (name, before), after in choice.items() if after != before)
