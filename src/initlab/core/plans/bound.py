"""A plan bound to its model: written in place, and drawn anew."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import SupportsIndex
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from initlab.core.adapter import Adapter, WeightSource
from initlab.core.draws.seeding import seed_of_draw
from initlab.core.draws.streams import check_seed
from initlab.core.errors import InitlabError, OptionError, UnwrittenError
from initlab.core.factories import exits_refused
from initlab.core.facts.garbage import garbage
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Calibrated, LowRank
from initlab.core.laws.complex import halves
from initlab.core.plans.account import Account, Kept
from initlab.core.plans.low_rank import forgotten
from initlab.core.plans.open_rows import are_open, check_example, closed_rows
from initlab.core.plans.plan import Plan, PlanEntry


@dataclass(frozen=True)
class Written:
    """What initlab last wrote into a model.

    Attributes:
        seed: The seed of the last draw.
        entries: By canonical path, the rows that were initialised.
    """

    seed: int
    entries: Mapping[str, PlanEntry]


# The user answers for these values, or they are checked under another name.
_ANSWERED_FOR: frozenset[Kept] = frozenset({"tied", "excluded", "loaded"})

# What a user who initialises a part of a model may have trained or loaded before.
_MAY_BE_TRAINED: frozenset[Kept | None] = frozenset({"frozen", "unnamed"})

# Beside the model and not in it; the memory ends with the model.
_WRITTEN: WeakKeyDictionary[object, Written] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class BoundPlan:
    """The plan of a framework's model, with the model: ``print`` it, ``apply`` it.

    Attributes:
        plan: A row for every parameter.
        model: The framework's model.
        adapter: The framework's side.
        example: What data-driven rows are to look at; None where there is nothing.
    """

    plan: Plan
    model: object
    adapter: Adapter
    example: object = None

    def __iter__(self) -> Iterator[PlanEntry]:
        return iter(self.applied)

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, path: str) -> PlanEntry:
        """The row of a parameter, by its canonical path or the framework's own name."""
        return self.applied[path]

    @property
    def applied(self) -> Plan:
        """The plan, whose data-driven rows say what was last seen in this model, where they were applied to it."""
        before = _last_written(self.model)
        if before is None or not are_open(self.plan.entries):
            return self.plan
        return replace(self.plan, entries=tuple(_as_seen(entry, before.entries) for entry in self.plan))

    def __str__(self) -> str:
        return self.text()

    def text(self, *, width: int | None = None) -> str:
        """The rows, the notes, the last seed and the account within ``width`` columns; see ``Plan.text``."""
        return self.applied.text(width=width, seed=self.seed)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return self.applied.html(seed=self.seed)

    @property
    def entries(self) -> tuple[PlanEntry, ...]:
        """A row a parameter, in the model's order."""
        return self.applied.entries

    @property
    def account(self) -> Account:
        """The shares of the model's numbers that are initialised and kept."""
        return self.plan.account

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be seen, and what theory says will fail, in words."""
        return self.plan.notes

    @property
    def seed(self) -> int | None:
        """The seed under which initlab last wrote into the model; None where it never did."""
        return seed_of(self.model)

    def to_dict(self) -> dict[str, object]:
        """The rows, the notes and the last seed as plain JSON data."""
        return {**self.applied.to_dict(), "seed": self.seed}

    def draw(self, seed: SupportsIndex) -> dict[str, NDArray[np.float32]]:
        """Float32 arrays of all initialised parameters, in the canonical layout; the model stays as it is."""
        number = check_seed(seed)
        rows = {entry.param.path: entry for entry in self.plan.entries if entry.action == "initialise"}
        seen = closed_rows(self.model, self.adapter, rows, number, self.example)
        return replace(self.plan, entries=tuple(seen.get(e.param.path, e) for e in self.plan)).draw(number)

    def diff(self, other: Plan | BoundPlan) -> list[str]:
        """One line for each parameter whose action or law differs."""
        return self.plan.diff(other.plan if isinstance(other, BoundPlan) else other)

    def apply(self, seed: SupportsIndex | None = None, *, model: object = None) -> object:
        """The model, with every initialised row drawn into it in place.

        Everything is checked before the first write. Values are not copied aside, so no more memory is needed than
        one chunk; a write that fails on the way (a device that is full) says how many came before it, and the same
        call with the same seed carries it through.

        Args:
            seed: A whole number of 0 or more; left out, one that is made of one draw of 64 bits from the framework's
                own generator. With a seed no generator is touched.
            model: Another model of the same parameters, in place of the plan's own.

        Returns:
            The model.

        Raises:
            ShapeError: A row of the plan is refused; nothing was written.
            OptionError: A bad seed, or another model whose parameters are not the plan's; nothing was written.
            InitlabError: Parameters without memory; nothing was written.
            UnwrittenError: A parameter would be kept that holds what no weight holds; nothing was written.
            InitlabError: A write failed.

        Warns:
            IncompleteWarning: As ``initialize``.
        """
        written = write_plan(self, seed, model=model)
        self.account.warn(stacklevel=2)
        return written


def write_plan(bound: BoundPlan, seed: SupportsIndex | None, *, model: object = None) -> object:
    """What ``BoundPlan.apply`` does, without a warning of what is kept."""
    bound.plan.check()
    rows = {entry.param.path: entry for entry in bound.plan.entries if entry.action == "initialise"}
    kept = [entry for entry in bound.plan.entries if entry.kept is not None and entry.kept not in _ANSWERED_FOR]
    if model is None or model is bound.model:
        if not all(entry.param.has_memory for entry in bound.plan.entries):  # it may have been given some since
            with exits_refused():
                _check_memory(bound.adapter.describe(bound.model).params)
        check_written(bound.model, bound.adapter, [(entry.param, entry.kept) for entry in kept])
        return _write_rows(bound.model, bound, rows, seed)
    with exits_refused():
        theirs = {p.path: p for p in bound.adapter.describe(model).params}
    _check_same(bound.plan, theirs)
    _check_memory(theirs.values())
    check_written(model, bound.adapter, [(theirs[entry.param.path], entry.kept) for entry in kept])
    # Names that a framework makes up, as dense_7, are another model's own.
    rows = {path: replace(entry, param=theirs[path]) for path, entry in rows.items()}
    return _write_rows(model, bound, rows, seed)


def _check_memory(params: Iterable[ParamSpec]) -> None:
    bare = [p.native or p.path for p in params if not p.has_memory]
    if bare:
        fix = "initlab.materialize(model, ...) gives the model memory and draws"
        raise InitlabError("these parameters have no memory", where=", ".join(bare), fix=fix)


def _write_rows(model: object, bound: BoundPlan, rows: Mapping[str, PlanEntry], seed: SupportsIndex | None) -> object:
    if not are_open(rows.values()):
        return write_entries(model, bound.adapter, rows, seed)
    check_example(rows.values(), bound.example)
    number = seed_of_draw(bound.adapter.random_bits(model)) if seed is None else check_seed(seed)
    seen = closed_rows(model, bound.adapter, rows, number, bound.example)
    write_entries(model, bound.adapter, seen, number)
    _remember(model, number, forgotten(seen))
    return model


def _as_seen(entry: PlanEntry, seen: Mapping[str, PlanEntry]) -> PlanEntry:
    """The row as it was applied, where it is a data-driven one of the same law."""
    last = seen.get(entry.param.path)
    if not isinstance(entry.law, Calibrated | LowRank) or last is None or type(last.law) is not type(entry.law):
        return entry
    return last if replace(last.law, scale=entry.law.scale) == entry.law else entry


def check_written(model: object, adapter: Adapter, kept: Iterable[tuple[ParamSpec, Kept | None]]) -> None:
    """Nothing, where each of these parameters holds what a weight may hold; see ``garbage``.

    Raises:
        UnwrittenError: Some do not; it names them all.
    """
    found = []
    for p, why in kept:
        values = halves(adapter.read(model, p))
        number = garbage(values, is_written=p.is_written, frozen=p.frozen, may_be_trained=why in _MAY_BE_TRAINED)
        if number is not None:
            found.append(f"{p.native or p.path} ({number:.3g})")
    if found:
        what = "a parameter" if len(found) == 1 else f"{len(found)} parameters"
        raise UnwrittenError(
            f"{what} would be kept with numbers that no weight holds, as memory that nobody wrote: {', '.join(found)}",
            fix="write them first, have them drawn by overrides= or a scheme by name, or exclude= what is meant",
        )


def write_entries(
    model: object, adapter: Adapter, entries: Mapping[str, PlanEntry], seed: SupportsIndex | None
) -> object:
    """The model with these rows drawn into it, remembered for ``reset``."""
    number = seed_of_draw(adapter.random_bits(model)) if seed is None else check_seed(seed)
    _try_computed(model, adapter, entries.values(), number)
    done: list[str] = []
    for entry in entries.values():
        if entry.law is None:
            continue
        try:
            adapter.write(model, entry.param, WeightSource(entry.law, entry.param, number))
        except (Exception, SystemExit) as error:
            if not done and isinstance(error, InitlabError):
                raise
            raise InitlabError(
                f"writing stopped after {len(done)} of {len(entries)} parameters: {error}",
                where=entry.param.native or entry.param.path,
                fix=f"mend the cause and apply the plan again with seed={number}",
            ) from error
        done.append(entry.param.native)
    adapter.mark(model, done, number)
    _remember(model, number, entries)
    return model


def _remember(model: object, seed: int, entries: Mapping[str, PlanEntry]) -> None:
    before = _last_written(model)
    # A model that cannot be referred to weakly is not remembered.
    with suppress(TypeError):
        _WRITTEN[model] = Written(seed, {**(before.entries if before else {}), **entries})


def _try_computed(model: object, adapter: Adapter, entries: Iterable[PlanEntry], seed: int) -> None:
    """Nothing is changed by it, and it raises what writing a weight will raise that is computed from others."""
    drawn = [(entry.param, entry.law) for entry in entries if entry.param.parts and entry.law is not None]
    if drawn:
        with adapter.holding(model, [param for param, _ in drawn]):
            for param, law in drawn:
                adapter.write(model, param, WeightSource(law, param, seed))


def redraw(model: object, adapter: Adapter, seed: SupportsIndex | None) -> object:
    """The model with a new draw of all that initlab initialised in it, and nothing else changed.

    Raises:
        OptionError: initlab has not initialised this model, or by what a batch showed.
    """
    before = _last_written(model)
    if before is None:
        raise OptionError(
            f"initlab has initialised nothing in this {type(model).__name__}", fix="call initialize(model) first"
        )
    if are_open(before.entries.values()):
        raise OptionError(
            f"weights of this {type(model).__name__} were made from a batch or one another, and no seed makes others",
            fix="call initialize(model, scheme, example=batch) again",
        )
    return write_entries(model, adapter, before.entries, seed)


def seed_of(model: object) -> int | None:
    """The seed under which initlab last wrote into a model; None where it never did."""
    before = _last_written(model)
    return None if before is None else before.seed


def _last_written(model: object) -> Written | None:
    try:
        return _WRITTEN.get(model)
    except TypeError:
        return None


def _check_same(plan: Plan, theirs: Mapping[str, ParamSpec]) -> None:
    for entry in plan:
        path, shape = entry.param.path, entry.param.shape
        if path not in theirs or theirs[path].shape != shape:
            found = f"shape {theirs[path].shape}" if path in theirs else "no such parameter"
            raise OptionError(
                f"the plan has '{path}' of shape {shape}, the model has {found}",
                fix="plan the model that the plan is applied to",
            )
