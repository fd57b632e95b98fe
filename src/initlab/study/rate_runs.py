"""A study carried out at every learning rate of its grid."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from initlab.core.identity.walk import Code
from initlab.core.training.dataset import Dataset
from initlab.study.rates import at_rate
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.resuming import Changed
from initlab.study.run import Progress, run_study
from initlab.study.sweep import Onward


def run_rates(
    design: StudyDesign,
    dataset: Dataset,
    folder: str | Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    timeout: float | None = None,
    build: Callable[[], object] | None = None,
    code: Code | None = None,
    changed: Changed = "refuse",
    store: str | Path | None = None,
) -> list[RunRecord]:
    """The records of all runs at all rates, rate by rate; of a study without a grid those of ``run_study``.

    Args:
        design: A checked design.
        dataset: Its data.
        folder: As in ``run_study``; the runs of all rates lie side by side.
        jobs: As in ``run_study``.
        progress: Is told how far the whole grid is.
        timeout: As in ``run_study``.
        build: As in ``run_study``.
        code: As in ``run_study``.
        changed: As in ``run_study``.
        store: As in ``run_study``.

    Raises:
        InitlabError: As ``run_study``.
    """
    run = partial(run_study, jobs=jobs, timeout=timeout, build=build, code=code, changed=changed, store=store)
    if not design.learning_rates:
        return run(design, dataset, folder, progress=progress)
    total = len(design.learning_rates) * len(design.schemes) * design.seeds
    found: list[RunRecord] = []
    for rate in design.learning_rates:
        onward = None if progress is None else Onward(progress, found, total)
        found += run(at_rate(design, rate), dataset, folder, progress=onward)
    return found
