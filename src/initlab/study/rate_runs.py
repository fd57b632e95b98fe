"""A study whose learning rates are tuned: on other seeds and a part of the training rows, and then carried out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from initlab.core.identity.walk import Code
from initlab.core.training.dataset import Dataset
from initlab.study.design import digest_of_rows
from initlab.study.rates import at_rate, planned_runs, tuned_rates, tuning
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.resuming import Changed
from initlab.study.run import Progress, Watcher, run_study
from initlab.study.sweep import Onward
from initlab.tasks.split import grouped_split

VALIDATION_SHARE = 0.2
"""Of the training rows."""


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
    watcher: Watcher | None = None,
) -> list[RunRecord]:
    """The records of the tuning runs, rate by rate, then of the reported ones; without a grid those of ``run_study``.

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
        watcher: Is told of the reported runs, which are neither companions nor made to choose a rate.

    Raises:
        InitlabError: As ``run_study``.
    """
    run = partial(run_study, jobs=jobs, timeout=timeout, build=build, code=code, changed=changed, store=store)
    if design.vary != "both":
        held = run(design, dataset, folder, watcher=watcher, progress=_onward(progress, [], planned_runs(design)))
        onward = _onward(progress, held, planned_runs(design))
        return held + run(replace(design, vary="both"), dataset, folder, progress=onward)
    if not design.learning_rates:
        return run(design, dataset, folder, watcher=watcher, progress=progress)
    if len(design.learning_rates) == 1:
        alone = at_rate(design, design.learning_rates[0])
        return run(alone, dataset, folder, watcher=watcher, progress=progress)
    total, part, found = planned_runs(design), validation_part(dataset), list[RunRecord]()
    for rate in design.learning_rates:
        found += run(tuning(design, rate), part, folder, progress=_onward(progress, found, total))
    rates = tuned_rates(design, found)
    for rate in dict.fromkeys(rates.values()):
        schemes = tuple(scheme for scheme in design.schemes if rates[scheme] == rate)
        chosen = replace(at_rate(design, rate), schemes=schemes)
        found += run(chosen, dataset, folder, watcher=watcher, progress=_onward(progress, found, total))
    return found


def _onward(progress: Progress | None, found: list[RunRecord], total: int) -> Progress | None:
    return None if progress is None else Onward(progress, found, total)


def validation_part(data: Dataset) -> Dataset:
    """The training rows alone, a fifth of them in the place of the test rows; copies of a row stay together.

    Example:
        >>> x, y = np.arange(10, dtype=np.float32)[:, None], np.zeros(10, np.int32)
        >>> part = validation_part(Dataset("toy", x, y, x + 90, y, class_names=("a", "b"), digest="ab"))
        >>> len(part.x_train), len(part.x_test), float(part.x_test.max()) < 10
        (8, 2, True)
    """
    first: dict[bytes, int] = {}
    rows = zip(data.x_train, data.y_train, strict=True)
    groups = [first.setdefault(x.tobytes() + np.asarray(y).tobytes(), i) for i, (x, y) in enumerate(rows)]
    train, test = grouped_split(np.array(groups, np.intp), test_size=VALIDATION_SHARE)
    x_train, y_train = data.x_train, data.y_train
    return replace(
        data,
        x_train=x_train[train],
        y_train=y_train[train],
        x_test=x_train[test],
        y_test=y_train[test],
        digest=hashlib.sha256(f"{data.digest or digest_of_rows(data)} validation".encode()).hexdigest(),
    )
