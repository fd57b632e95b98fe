"""The verb of models that become larger and compute the same: grow."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import combinations, islice, product
from typing import Generic, TypeAlias, TypeVar

import numpy as np

from initlab.core.adapter import Adapter
from initlab.core.errors import InitlabError, OptionError, ShapeError
from initlab.core.growth.stated import Stated, stated
from initlab.core.growth.tape import Array
from initlab.core.growth.units import units
from initlab.core.growth.widening import Split, Widths, restated, told, widened, widths
from initlab.frameworks import FRAMEWORKS, adapter_for

M = TypeVar("M")
Factor: TypeAlias = "float | Mapping[str, int]"

_BOUNDS = {"float64": 1e-10, "float32": 1e-5}
_TRIES = 200
_AXES = 4  # of a shape that is stated, which may grow


@dataclass(frozen=True, eq=False)
class Growth(Generic[M]):
    """A larger model that computes the same.

    Attributes:
        model: The new model.
        error: The largest difference of an output on the example, over the largest output.
        bound: What it may be.
        rows: What grew, in words.
        stated: Numbers that the model's own objects state and that were set: ``name: before to after``.
        unsure: Numbers that may state a size as well, and that neither the outputs nor a model built anew from its
            configuration need: they stay as they were.
    """

    model: M
    error: float
    bound: float
    rows: tuple[str, ...]
    stated: tuple[str, ...]
    unsure: tuple[str, ...]

    def __str__(self) -> str:
        lines = [*self.rows, *(f"set {one}" for one in self.stated), *(f"left {one}" for one in self.unsure)]
        return "\n".join([*lines, f"largest difference of an output: {self.error:.2g} (bound {self.bound:.0e})"])


def grow(model: M, width: Factor = 1, *, example: object, split: Split = "unequal") -> Growth[M]:
    """A new, wider model that computes the same; the old one stays as it is.

    Each new unit is a copy of an old one, and what takes it shares its weights between the copies (Net2Net, Chen,
    Goodfellow & Shlens 2015, arXiv 1511.05641). Which axes grow together is read off one pass of the example: units of
    a residual stream with all that reads and writes it, channels through norms and pools, heads of attention as a
    whole. Where a mean is taken over units, as by layer norm, only multiples of their number are exact. The new model
    is checked on the example before it is returned.

    Args:
        model: A PyTorch or Flax model, or a Keras model on JAX.
        width: A factor for all hidden units and heads; or by glob of parameters, how many units the matched layers are
            to have, with all that goes along.
        example: An input, or a tuple of inputs: the pass is read and checked on it.
        split: ``"unequal"``: copies give 1/3 and 2/3 of what a unit gave, so that they get unequal gradients and part.
            ``"equal"``: halves, whose copies stay copies for ever (Chen et al. add noise instead).

    Returns:
        The new model, its error on the example, and what grew.

    Raises:
        OptionError: A width that is none, a pattern that nothing matches, units that cannot grow, or a pass that cannot
            be followed.
        ShapeError: What was made is not exact. Nothing is half made: there is no new model then.

    Example:
        >>> from torch import nn, ones
        >>> net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        >>> grown = grow(net, {"0.weight": 9}, example=ones(1, 3))
        >>> grown.model[0], grown.error < 1e-6
        (Linear(in_features=3, out_features=9, bias=True), True)
    """
    if split not in ("unequal", "equal"):
        raise OptionError(f"unknown split '{split}'", where="split", fix="'unequal' or 'equal'")
    adapter = adapter_for(model)
    before = adapter.evaluated(model, example)
    found = widths(units(adapter.tape(model, example)))
    wanted = _wanted(found, width)
    if not wanted:
        raise OptionError("nothing is to grow", where="width", fix="give a factor above 1, e.g. width=2")
    bound = max(_BOUNDS.get(str(one.dtype), 1e-2) for one in before)
    attempt = _Attempt(model, adapter, found, wanted, split, example, before, bound)
    made, error, said, unsure = attempt.exact()
    rows = tuple(f"{told(found.groups[n])}: {size}" for n, size in wanted.items())
    return Growth(made, error, bound, rows, said, unsure)


def _wanted(found: Widths, width: Factor) -> dict[int, int]:
    """By the number of a group, the units that it is to have."""
    if isinstance(width, Mapping):
        return _by_pattern(found, width)
    if isinstance(width, bool) or not isinstance(width, int | float) or not math.isfinite(width) or width < 1:
        raise OptionError(f"a width grows by a factor of 1 or more, got {width!r}", where="width", fix="e.g. width=2")
    sizes = {n: round(group.size * width) for n, group in enumerate(found.groups) if not group.refusal}
    spare = _inside_heads(found)
    return {n: _evened(found, n, s) for n, s in sizes.items() if s > found.groups[n].size and n not in spare}


def _inside_heads(found: Widths) -> set[int]:
    """Groups of a second axis that a parameter makes beside a wider group: entries of a head, where heads grow."""
    made: dict[str, set[int]] = {}
    for place in found.units.made:
        made.setdefault(place[0], set()).update(run.group for run in found.runs[place] if run.group is not None)
    apart = [
        {n for n in groups if not found.groups[n].refusal}
        for name, groups in made.items()
        if sum(name == other for other, _ in found.units.made) > 1
    ]
    return {n for groups in apart for n in groups if n != max(groups, key=lambda n: len(found.groups[n].axes))}


def _by_pattern(found: Widths, width: Mapping[str, int]) -> dict[int, int]:
    wanted: dict[int, int] = {}
    for pattern, size in width.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise OptionError(f"a layer has 1 or more units, got {size!r}", where=pattern, fix="give a whole number")
        places = [place for place in found.runs if fnmatchcase(place[0], pattern)]
        made = [place for place in places if place in found.units.made and len(found.runs[place]) == 1]
        if not places:
            raise OptionError(f"the pattern '{pattern}' matches no parameter", where="width")
        grown = [(place, run, n) for place in made for run in found.runs[place] if (n := run.group) is not None]
        if not grown:
            why = next((w for p in places for u in found.units.of[p].tolist() if (w := found.units.fixed.get(u))), "")
            raise OptionError(f"the units of '{pattern}' cannot grow: {why or 'they were not followed'}", where="width")
        for place, run, n in grown:
            group, one = found.groups[n], run.outer * run.inner
            if group.refusal:
                raise OptionError(f"{told(group)} cannot grow: {group.refusal}", where=pattern)
            if size % one or size // one < group.size:
                least, step = group.size * one, one
                raise OptionError(
                    f"{place[0]} takes {least} units or more, in steps of {step}; got {size}", where="width"
                )
            if wanted.setdefault(n, size // one) != size // one:
                raise OptionError(f"{told(group)} are to be {wanted[n]} and {size // one}", where=pattern)
            _evened(found, n, size // one)
    return {n: size for n, size in wanted.items() if size > found.groups[n].size}


def _evened(found: Widths, n: int, size: int) -> int:
    group = found.groups[n]
    if group.is_evened and size % group.size:
        raise OptionError(
            f"a mean is taken over {told(group)}, as by layer norm, and {size} is no multiple of {group.size}: some"
            f" would count {size // group.size + 1} times and others {size // group.size}",
            where="width",
            fix=f"give {math.ceil(size / group.size) * group.size}",
        )
    return size


Numbers: TypeAlias = "int | tuple[int, ...]"
_Choice: TypeAlias = "dict[tuple[str, Numbers], Numbers]"


@dataclass(frozen=True)
class _Attempt(Generic[M]):
    model: M
    adapter: Adapter
    found: Widths
    wanted: Mapping[int, int]
    split: Split
    example: object
    before: Sequence[Array]
    bound: float

    def exact(self) -> tuple[M, float, tuple[str, ...], tuple[str, ...]]:
        """The first model that computes the same, its error, and the numbers that it states anew, and that it may."""
        best, said = math.inf, ""
        for packages, dividers in product((self.packages, ()), self._dividers()):
            made = deepcopy(self.model)
            numbers = list(stated(made, but=packages))
            names = dict(zip(self._held, self.adapter.state(made), strict=True))
            arrays = widened(self.found, self.wanted, self._held, self.split, dividers)
            self.adapter.resize(made, {names[name]: array for name, array in arrays.items()})
            trial = _Trial(self, made, [one for one in numbers if getattr(one.holder, one.name) == one.value])
            for choice in trial.choices():
                error, why = trial.error(choice)
                if error <= self.bound:
                    return made, error, *trial.settle(choice)
                best, said = min(best, error), why or said
        told_error = f"the outputs differ by {best:.2g} of their size" if math.isfinite(best) else said
        raise ShapeError(
            f"this growth is not exact: {told_error}; the bound is {self.bound:.0e}",
            where="width",
            fix="name the layers that may grow, as width={'*.mlp.fc.weight': 512}",
        )

    @property
    def packages(self) -> set[str]:
        """The framework's own, whose layers are rebuilt by its adapter."""
        roots = FRAMEWORKS[self.adapter.framework].roots
        return {root.partition(":")[0].partition(".")[0] for root in roots}

    @property
    def _held(self) -> Mapping[str, Array]:
        return self.adapter.state(self.model)

    def _dividers(self) -> Iterator[Sequence[str]]:
        """What gives copies their shares before a table that is its own head: each norm, the last first."""
        shared = [
            place for place in self.found.shared if any(run.group in self.wanted for run in self.found.runs[place])
        ]
        if not shared:
            yield ()
            return
        groups = {run.group for place in shared for run in self.found.runs[place]}
        lines = [
            name
            for (name, axis), runs in self.found.runs.items()
            if len(self._held[name].shape) == 1 and any(run.group in groups for run in runs)
        ]
        homes = dict.fromkeys(name.rpartition(".")[0] or name.rpartition("/")[0] for name in lines)
        for home in reversed(homes):
            yield [name for name in lines if home in (name.rpartition(".")[0], name.rpartition("/")[0])]

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
class _Trial(Generic[M]):
    """A model of the new sizes, whose own objects may still state the old ones."""

    attempt: _Attempt[M]
    made: M
    numbers: Sequence[Stated]

    def choices(self) -> Iterator[_Choice]:
        """What numbers are set to: all that a grown size may be, then all but a few of one name and value."""
        after = restated(self.attempt.found, self.attempt.wanted)
        options = {(one.name, one.value): made for one in self.numbers if (made := _options(one.value, after))}
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
        for holder in {id(one.holder): one.holder for one in self.numbers if (one.name, one.value) in spare}.values():
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

        for count in range(min(3, len(spare))):
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
