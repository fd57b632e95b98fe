"""Learning rates: each scheme gets its own best of a grid, with the same budget at every rate.

The rate is chosen by the train loss, so that no test row has a say in it: of the rates at which the fewest runs of a
scheme diverged, the one with the least mean train loss at the last epoch, over the study's own seeds. What that costs:
where small train loss means overfitting, another rate might have tested better; the report shows every rate's test
score beside the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from initlab.core.errors import OptionError
from initlab.study.records import RunRecord, StudyDesign


def check_rates(rates: Sequence[float], *, where: str = "") -> None:
    """Refuse a grid with a rate that is not above 0 and finite, or that is there twice.

    Raises:
        OptionError: Such a grid.
    """
    for rate in rates:
        if not (math.isfinite(rate) and rate > 0):
            raise OptionError(f"a learning rate must be above 0, got {rate:g}", where=where, fix="e.g. 0.001,0.01")
    if len(set(rates)) < len(rates):
        raise OptionError("a learning rate is given twice", where=where, fix="give it once")


def at_rate(design: StudyDesign, rate: float) -> StudyDesign:
    """The study at one learning rate.

    Example:
        >>> from initlab.study.design import load_study
        >>> at_rate(load_study("iris"), 0.01).optimizer.learning_rate
        0.01
    """
    return replace(design, optimizer=replace(design.optimizer, learning_rate=rate), learning_rates=())


def chosen_rates(design: StudyDesign, records: Sequence[RunRecord]) -> dict[str, float]:
    """Each scheme's learning rate, by the rule above; empty for a study without a grid.

    Args:
        design: A checked design.
        records: All runs at all rates.
    """
    chosen = {}
    for scheme in design.schemes if design.learning_rates else ():
        runs = [run for run in records if run.spec.scheme == scheme]
        chosen[scheme] = min(design.learning_rates, key=lambda rate: _badness(_at(runs, rate)))
    return chosen


def at_chosen_rates(design: StudyDesign, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs of every scheme at its own rate; all runs of a study without a grid."""
    chosen = chosen_rates(design, records)
    return [run for run in records if run.spec.optimizer.learning_rate == chosen.get(run.spec.scheme, _rate(run))]


@dataclass(frozen=True)
class RateCell:
    """One scheme at one learning rate.

    Attributes:
        scheme: The call.
        rate: The learning rate.
        is_chosen: Whether the scheme is compared at it.
        runs: In the order of the seeds.
    """

    scheme: str
    rate: float
    is_chosen: bool
    runs: tuple[RunRecord, ...]


def rate_cells(design: StudyDesign, records: Sequence[RunRecord]) -> tuple[RateCell, ...]:
    """Every scheme at every rate of the grid, scheme by scheme; none for a study without a grid."""
    chosen = chosen_rates(design, records)
    cells = []
    for scheme in design.schemes if design.learning_rates else ():
        runs = sorted((run for run in records if run.spec.scheme == scheme), key=lambda run: run.spec.seed)
        for rate in sorted(design.learning_rates):
            cells.append(RateCell(scheme, rate, rate == chosen[scheme], tuple(_at(runs, rate))))
    return tuple(cells)


def _rate(run: RunRecord) -> float:
    return run.spec.optimizer.learning_rate


def _at(runs: Sequence[RunRecord], rate: float) -> list[RunRecord]:
    return [run for run in runs if _rate(run) == rate]


def _badness(runs: Sequence[RunRecord]) -> tuple[float, float]:
    """Runs that did not end well, then the mean train loss of those that did; a rate without runs is never chosen."""
    if not runs:
        return math.inf, math.inf
    losses = [loss for run in runs if run.status == "ok" and math.isfinite(loss := run.final("train_loss"))]
    return len(runs) - len(losses), math.fsum(losses) / len(losses) if losses else math.inf
