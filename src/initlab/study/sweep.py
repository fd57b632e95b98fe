"""Sweeps: one study in named variants, each an ordinary study with records of its own."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

from initlab.core.errors import OptionError, UnknownNameError
from initlab.core.training.dataset import Dataset
from initlab.study.design import check_design, with_overrides
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.resuming import Changed
from initlab.study.run import Progress, run_study
from initlab.study.table import build

WIDTH_FIX = "hidden = [64], say: its first width is repeated"


@dataclass(frozen=True)
class Variant:
    """One study of a sweep.

    Attributes:
        name: As in ``runs/SWEEP/NAME``.
        group: What it is compared with: the rows of one group stand together.
        label: What sets it apart within its group, in words.
        depth: Hidden layers, or steps of a recurrent net.
        design: The study.
    """

    name: str
    group: str
    label: str
    depth: int
    design: StudyDesign


@dataclass(frozen=True)
class Sweep:
    """Studies that are told in one table.

    Attributes:
        name: The sweep's name.
        title: One line for people.
        variants: Its studies, group by group.
        has_remedies: Whether the first variant of each group is ill, and the others are what may help it; else the
            variants of a group differ in depth alone.
    """

    name: str
    title: str
    variants: tuple[Variant, ...]
    has_remedies: bool

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in order."""
        return tuple(dict.fromkeys(variant.group for variant in self.variants))


def list_sweeps() -> list[str]:
    """The names of the ready-made sweeps, sorted.

    Example:
        >>> list_sweeps()
        ['depth', 'depth-remedies']
    """
    folder = resources.files("initlab.study") / "sweeps"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_sweep(name: str) -> Sweep:
    """A ready-made sweep by its name.

    Raises:
        UnknownNameError: No sweep has the name.

    Example:
        >>> sweep = load_sweep("depth")
        >>> sweep.groups, sweep.variants[0].name, len(sweep.variants[-1].design.hidden)
        (('tanh', 'sigmoid', 'relu'), 'tanh-4', 50)
    """
    if name not in list_sweeps():
        raise UnknownNameError("sweep", name, list_sweeps(), listing="initlab list studies")
    file = resources.files("initlab.study") / "sweeps" / f"{name}.toml"
    return parse_sweep(file.read_text(encoding="utf-8"), where=f"{name}.toml")


def parse_sweep(text: str, *, where: str) -> Sweep:
    """The sweep that a TOML text describes.

    It has a table ``study``, whose keys are those of a study's file but for ``name``, and either a table ``grid`` of
    ``activation`` and ``depth``, every pair of which is a variant, or a list ``variants``. A variant has a ``name``, a
    ``label``, a ``group`` where it begins another, and any key of a study in place of the study's own; ``depth`` is the
    number of hidden layers of the first width. What the first variant of a group changes holds for all of the group.

    Args:
        text: The TOML.
        where: The file, for errors.

    Raises:
        OptionError: It is no TOML, or has a key or value that a sweep has not.
        InitlabError: A value outside its range, or an unknown scheme.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"not a TOML file: {error}", where=where, fix="mend its spelling") from error
    for key in ("name", "title", "study"):
        if key not in table:
            raise OptionError(f"the key '{key}' is missing", where=where, fix="add it")
    if ("grid" in table) == ("variants" in table):
        raise OptionError("a sweep has either a grid or variants", where=where, fix="give one of them")
    found = _of_grid(table["study"], table["grid"]) if "grid" in table else _of_list(table["study"], table["variants"])
    variants = tuple(_variant(table["name"], *parts, where=where) for parts in found)
    names = [variant.name for variant in variants]
    if len(set(names)) != len(names):
        raise OptionError("two variants share a name", where=where, fix="give each its own")
    return Sweep(table["name"], table["title"], variants, has_remedies="variants" in table)


def _of_grid(
    study: Mapping[str, Any], grid: Mapping[str, Any]
) -> Iterator[tuple[str, str, str, Mapping[str, Any], int | None]]:
    for activation, depth in product(grid["activation"], grid["depth"]):
        yield f"{activation}-{depth}", activation, str(depth), {**study, "activation": activation}, depth


def _of_list(
    study: Mapping[str, Any], variants: list[dict[str, Any]]
) -> Iterator[tuple[str, str, str, Mapping[str, Any], int | None]]:
    group, base, deep = "", study, None
    for given in variants:
        own = {key: value for key, value in given.items() if key not in ("name", "group", "label", "depth")}
        changed = _merge(base, own)
        depth = given.get("depth", deep)
        if "group" in given:
            group, base, deep = given["group"], _merge(study, own), given.get("depth")
            changed, depth = base, deep
        yield given["name"], group, given["label"], changed, depth


def _merge(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The base's keys with the variant's in their place; within a table, such as ``optimizer``, key by key."""
    both = {key: {**base[key], **own[key]} for key in base.keys() & own.keys() if isinstance(base[key], dict)}
    return {**base, **own, **both}


def _variant(
    sweep: str, name: str, group: str, label: str, table: Mapping[str, Any], depth: int | None, *, where: str
) -> Variant:
    place = f"{where}, variant {name}"
    design = build(StudyDesign, {**table, "name": f"{sweep}-{name}"}, place)
    if depth is not None:
        if not design.hidden:
            raise OptionError("depth needs a width", where=place, fix=WIDTH_FIX)
        design = replace(design, hidden=design.hidden[:1] * depth)
    return Variant(name, group, label, design.steps or len(design.hidden), check_design(design, where=place))


def with_sweep_overrides(sweep: Sweep, **changes: Any) -> Sweep:
    """The sweep with the same values replaced in all of its studies.

    Args:
        sweep: A sweep.
        **changes: As in ``with_overrides``; None keeps a value.

    Raises:
        InitlabError: A value outside its range.

    Example:
        >>> {variant.design.seeds for variant in with_sweep_overrides(load_sweep("depth"), seeds=2).variants}
        {2}
    """
    variants = tuple(replace(v, design=with_overrides(v.design, **changes)) for v in sweep.variants)
    return replace(sweep, variants=variants)


def run_sweep(
    sweep: Sweep,
    load: Callable[[StudyDesign], Dataset],
    folder: Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
    trainer: str | None = None,
    changed: Changed = "refuse",
    store: str | Path | None = None,
) -> dict[str, list[RunRecord]]:
    """The records of every variant, by its name; finished runs are taken from ``folder/VARIANT/records``.

    Args:
        sweep: A sweep.
        load: What gives a study's data.
        folder: The sweep's folder.
        jobs: As in ``run_study``.
        progress: Is told how far the whole sweep is.
        timeout: As in ``run_study``.
        trainer: As in ``run_study``.
        changed: As in ``run_study``.
        store: As in ``run_study``.

    Raises:
        InitlabError: As ``run_study``.
        KeyboardInterrupt: Ctrl-C or SIGTERM; what was committed stays.
    """
    total = sum(len(v.design.schemes) * v.design.seeds for v in sweep.variants)
    found: dict[str, list[RunRecord]] = {}
    for variant in sweep.variants:
        before = [record for records in found.values() for record in records]
        found[variant.name] = run_study(
            variant.design,
            load(variant.design),
            folder / variant.name,
            jobs=jobs,
            progress=None if progress is None else Onward(progress, before, total),
            timeout=timeout,
            trainer=trainer,
            changed=changed,
            store=store,
        )
    return found


class Onward:
    """A study's progress as that of the sweep: its numbers on top of those of the studies before it."""

    def __init__(self, progress: Progress, before: list[RunRecord], total: int) -> None:
        self._progress, self._total = progress, total
        self._done = len(before)
        self._diverged = sum(record.status == "diverged" for record in before)
        self._failed = sum(record.status in ("failed", "timeout", "skipped") for record in before)

    def __call__(self, *, done: int, total: int, diverged: int, failed: int) -> None:
        """Take the numbers of the study that is at work."""
        self._progress(
            done=self._done + done,
            total=self._total,
            diverged=self._diverged + diverged,
            failed=self._failed + failed,
        )
