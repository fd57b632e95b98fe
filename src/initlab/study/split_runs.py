"""A study carried out on every one of its splits, with fresh seeds on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from initlab.core.training.dataset import Dataset
from initlab.study.rates import planned_runs
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.run import Progress
from initlab.study.sweep import Onward

SPLIT_SEED = 42
"""The first split is that of ``train_test_split(random_state=42)``, the next that of 43, and so on."""


class Carry(Protocol):
    """Carries out a study of one split."""

    def __call__(self, design: StudyDesign, dataset: Dataset, *, progress: Progress | None) -> list[RunRecord]:
        """The records."""
        ...


def at_split(design: StudyDesign, split: int) -> StudyDesign:
    """The study on one of its splits, counted from 0, with that split's own seeds.

    Example:
        >>> from initlab.study.design import load_study
        >>> one = at_split(replace(load_study("iris"), splits=5, seeds=3), 2)
        >>> one.first_seed, one.seeds, one.splits, dict(one.task_options)
        (6, 3, 1, {'split': 44})
    """
    options = dict(design.task_options)
    if split and "split" not in options:
        options["split"] = SPLIT_SEED + split
    first = design.first_seed + split * design.seeds
    return replace(design, splits=1, first_seed=first, held_seed=design.held, task_options=options)


def run_splits(
    design: StudyDesign,
    dataset: Dataset,
    others: Callable[[int], Dataset] | None,
    carry: Carry,
    *,
    progress: Progress | None = None,
) -> list[RunRecord]:
    """The records of all splits, split by split; of a study of one split those of that one.

    Args:
        design: A checked design.
        dataset: The data of the first split.
        others: Gives those of another, counted from 0.
        carry: Carries out one.
        progress: Is told how far all splits are.

    Raises:
        InitlabError: As ``run_study``.
    """
    if design.splits == 1 or others is None:
        return carry(design, dataset, progress=progress)
    total = planned_runs(design)
    found: list[RunRecord] = []
    for split in range(design.splits):
        onward = None if progress is None else Onward(progress, found, total)
        data = dataset if split == 0 else others(split)
        found += carry(at_split(design, split), data, progress=onward)
    return found
