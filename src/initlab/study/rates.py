"""Learning rates: each scheme gets its own best of a grid, with the same budget at every rate, tuned elsewhere.

The rate is chosen by tuning runs, on seeds of their own and on a validation part of the training rows: of the rates at
which the fewest runs of a scheme were lost, the one with the best mean validation score at the last epoch, then the
least validation loss. The reported runs train afterwards, on all training rows, at that rate alone. So neither a test
row nor a reported seed has a say in the choice; choosing on the reported seeds lets a scheme of noisy runs pick the
rate at which its seeds were lucky (``docs/statistics.md``).

Older studies have no tuning runs: theirs chose by the train loss of the reported seeds, and are read so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from initlab.core.errors import OptionError
from initlab.study.records import RunRecord, StudyDesign

FIRST_TUNING_SEED = 1_000_000
"""Seeds from here on are those of tuning runs."""
MOST_TUNING_SEEDS = 5
"""Of a scheme, at each rate."""


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


def tuning(design: StudyDesign, rate: float) -> StudyDesign:
    """The tuning runs of a study of one split at one rate, with seeds of their own.

    Example:
        >>> from initlab.study.design import load_study
        >>> runs = tuning(load_study("iris"), 0.01)
        >>> runs.seeds, runs.first_seed, runs.optimizer.learning_rate
        (5, 1000000, 0.01)
    """
    seeds = min(design.seeds, MOST_TUNING_SEEDS)
    first = FIRST_TUNING_SEED + design.first_seed
    return replace(at_rate(design, rate), seeds=seeds, first_seed=first, histogram_epochs=())


def planned_runs(design: StudyDesign) -> int:
    """All runs of a study, those that tune among them."""
    tuned = len(design.learning_rates) * min(design.seeds, MOST_TUNING_SEEDS) if len(design.learning_rates) > 1 else 0
    companions = 0 if design.vary == "both" else design.seeds
    return design.splits * len(design.schemes) * (design.seeds + companions + tuned)


def is_tuning(run: RunRecord) -> bool:
    """Whether a run of a study with a grid was made to choose a rate."""
    return run.spec.seed >= FIRST_TUNING_SEED


def tuned_rates(design: StudyDesign, records: Sequence[RunRecord]) -> dict[str, float]:
    """Each scheme's learning rate by the tuning runs of one split, by the rule above.

    Args:
        design: A checked design.
        records: The tuning runs at all rates.
    """
    found = {}
    for scheme in design.schemes:
        runs = [run for run in records if run.spec.scheme == scheme]
        found[scheme] = min(design.learning_rates, key=lambda rate: _validated(_at(runs, rate)))
    return found


def chosen_rates(design: StudyDesign, records: Sequence[RunRecord]) -> dict[str, float]:
    """The learning rate of each scheme's reported runs; empty for a study without a grid.

    Over several splits, each of which chose for itself, the commonest, and of equally common ones the least.

    Args:
        design: A checked design.
        records: All runs at all rates.
    """
    if not design.learning_rates:
        return {}
    reported = at_chosen_rates(design, records)
    counts = {scheme: Counter(_rate(run) for run in reported if run.spec.scheme == scheme) for scheme in design.schemes}
    return {scheme: max(sorted(count), key=lambda rate: count[rate]) for scheme, count in counts.items() if count}


def at_chosen_rates(design: StudyDesign, records: Sequence[RunRecord]) -> list[RunRecord]:
    """The reported runs: of every scheme at its own rate; of a study without a grid all but companions of its runs."""
    if not design.learning_rates:
        return [run for run in records if design.vary == "both" or run.spec.is_held]
    reported = [run for run in records if not is_tuning(run)]
    if len(reported) < len(records) or len({(run.spec.scheme, run.spec.seed) for run in reported}) == len(reported):
        return reported
    chosen = _by_train_loss(design, reported)
    return [run for run in reported if _rate(run) == chosen[run.spec.scheme]]


def _by_train_loss(design: StudyDesign, records: Sequence[RunRecord]) -> dict[str, float]:
    """How older studies chose: by the reported seeds' train loss."""
    found = {}
    for scheme in design.schemes:
        runs = [run for run in records if run.spec.scheme == scheme]
        found[scheme] = min(design.learning_rates, key=lambda rate: _badness(_at(runs, rate)))
    return found


@dataclass(frozen=True)
class RateCell:
    """One scheme at one learning rate.

    Attributes:
        scheme: The call.
        rate: The learning rate.
        is_chosen: Whether the scheme is compared at it; of several splits, on most of them.
        runs: Those that the choice is made by, in the order of the seeds.
    """

    scheme: str
    rate: float
    is_chosen: bool
    runs: tuple[RunRecord, ...]


def rate_cells(design: StudyDesign, records: Sequence[RunRecord]) -> tuple[RateCell, ...]:
    """Every scheme at every rate of the grid, scheme by scheme; none for a study without a grid."""
    chosen = chosen_rates(design, records)
    records = [run for run in records if is_tuning(run)] or records
    cells = []
    for scheme in design.schemes if design.learning_rates else ():
        runs = sorted((run for run in records if run.spec.scheme == scheme), key=lambda run: run.spec.seed)
        for rate in sorted(design.learning_rates):
            cells.append(RateCell(scheme, rate, rate == chosen.get(scheme), tuple(_at(runs, rate))))
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


def _validated(runs: Sequence[RunRecord]) -> tuple[float, float, float]:
    """Runs lost, minus the mean validation score, and the mean validation loss; a rate without runs is never chosen."""
    if not runs:
        return math.inf, math.inf, math.inf
    ended = [run for run in runs if run.status == "ok" and math.isfinite(run.final("test_loss"))]
    if not ended:
        return len(runs), math.inf, math.inf
    accuracies = [found for run in ended if math.isfinite(found := run.final("test_accuracy"))]
    score = math.fsum(accuracies) / len(accuracies) if accuracies else 0.0
    return len(runs) - len(ended), -score, math.fsum(run.final("test_loss") for run in ended) / len(ended)
