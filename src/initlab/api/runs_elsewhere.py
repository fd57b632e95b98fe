"""Runs that other programs made, compared with initlab's statistics: ``compare_runs``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from initlab.core.errors import OptionError, as_text
from initlab.study.elsewhere.judging import (
    Floor,
    Trial,
    Worth,
    choose_baseline,
    compare_trials,
    is_paired,
    noise_floor,
    worth_of,
)
from initlab.study.elsewhere.metric import Better, choose_better, choose_metric
from initlab.study.elsewhere.reading import check_repeats, name_configs, read_runs
from initlab.study.elsewhere.runs import ForeignRun
from initlab.study.elsewhere.said import caveats, conclude_runs
from initlab.study.records import Pair


@dataclass(frozen=True)
class RunsComparison:
    """What runs that were made elsewhere say.

    Attributes:
        source: What they were kept by, e.g. ``"a table"``.
        metric: What was compared.
        better: Whether more of it is better.
        trials: The configurations, the best first; scores have their sign turned where less is better.
        baseline: The one that the best is held against; None where none was named and several have the most runs.
        paired: Whether runs of equal seeds were paired.
        pairs: Tested pairs; none where no two configurations have repeats.
        floor: The noise floor; None without repeats.
        worth: What the best is worth; None without a noise floor.
        conclusion: In words.
        notes: What a reader must know of how the runs were made, peeking among it.
    """

    source: str
    metric: str
    better: Better
    trials: tuple[Trial, ...]
    baseline: str | None
    paired: bool
    pairs: tuple[Pair, ...]
    floor: Floor | None
    worth: Worth | None
    conclusion: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, object]:
        """All of it as plain values; a number that is not finite is None."""
        rows: list[dict[str, object]] = []
        for trial in self.trials:
            scores = [self._sign * score if math.isfinite(score) else None for score in trial.scores]
            told = trial.estimate if self._sign > 0 else trial.estimate.negated()
            rows.append(
                {"name": trial.name, "mean": told.mean, "low": told.low, "high": told.high, "values": scores}
                | {"seeds": list(trial.seeds)}
            )
        no_effect: dict[str, object] = {"difference": None}
        pairs = [asdict(pair) | ({} if math.isfinite(pair.difference) else no_effect) for pair in self.pairs]
        return {
            "source": self.source,
            "metric": self.metric,
            "better": self.better,
            "configurations": rows,
            "baseline": self.baseline,
            "paired": self.paired,
            "pairs": pairs,
            "noise_floor": None if self.floor is None else asdict(self.floor),
            "worth": None if self.worth is None else asdict(self.worth),
            "conclusion": self.conclusion,
            "notes": list(self.notes),
        }

    @property
    def _sign(self) -> int:
        return -1 if self.better == "lower" else 1

    def print(self) -> None:
        """Print a table, the conclusion, and the notes."""
        from initlab.report.study.elsewhere import print_runs

        print_runs(
            self.trials, self.pairs, sign=self._sign, title=f"{self.metric} of runs from {self.source}",
            texts=(self.conclusion, *self.notes), baseline=self.baseline or self.trials[0].name,
        )  # fmt: skip


def compare_runs(
    path: str | Path,
    *,
    metric: str | None = None,
    better: str | None = None,
    baseline: str | None = None,
    by: Sequence[str] = (),
) -> RunsComparison:
    r"""What runs say that other programs made: who is better, how sure that is, and what a winner of many is worth.

    Runs of equal seeds are paired; else each pair is a studentised two-sample test. A configuration that was run once
    is part of no claim. Nothing is downloaded, no pickle is opened, nothing in the folder is changed.

    Args:
        path: A CSV or Parquet file, long (scheme, seed, metric, value, perhaps step) or wide (scheme, seed, a column a
            metric); a folder of TensorBoard's event files (a folder a run), of W&B's offline files, of an MLflow store
            (files or SQLite), or of initlab.
        metric: What to compare, by its last step; may be left out where there is one.
        better: ``"higher"`` or ``"lower"``; may be left out where the metric's name says it (accuracy, loss).
        baseline: The configuration that the best is held against; the one with the most runs
            where left out.
        by: Keys or columns that tell configurations apart: a column ``scheme``, or all keys but the seed,
            where left out.

    Raises:
        OptionError: There is nothing to compare, or something must be said first.
        DataError: What is there is damaged, or larger than anything that is read.

    Example:
        >>> import tempfile
        >>> rows = [f"{scheme},{seed},{base}" for scheme, base in (("a", 0.8), ("b", 0.5)) for seed in range(6)]
        >>> with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        ...     _ = file.write("scheme,seed,accuracy\n" + "\n".join(rows))
        ...     file.flush()
        ...     compare_runs(file.name).pairs[0].p
        0.03125
    """
    path = Path(path)
    source, every = read_runs(path, by=by)
    runs = [run for run in every if not run.unfinished]
    if not runs:
        raise OptionError("no run finished", where=as_text(str(path)), fix="name a folder of finished runs")
    metric = choose_metric(runs, metric)
    direction = choose_better(metric, better)
    sign = -1 if direction == "lower" else 1
    having = [run for run in runs if metric in run.metrics]
    names = name_configs(having)
    check_repeats(names, having, path)
    trials = _trials(names, having, metric, sign)
    known = [trial.name for trial in trials]
    if baseline is not None and baseline not in known:
        some = ", ".join(known[:12])
        raise OptionError(f"no configuration is '{baseline}', but {some}", where="--baseline", fix="name one of them")
    baseline = choose_baseline(trials) if baseline is None else baseline
    paired, floor = is_paired(trials), noise_floor(trials)
    pairs = compare_trials(trials, baseline=baseline, paired=paired)
    worth = worth_of(trials, floor, pairs, baseline=baseline)
    notes = caveats(
        trials,
        steps=[run.metrics[metric].step for run in having],
        unfinished=[run.unfinished for run in every if run.unfinished],
        without=len(runs) - len(having),
        peaks=_other_by_peaks(names, having, metric, sign, trials[0].name),
    )
    return RunsComparison(
        source, metric, direction, tuple(trials), baseline, paired, pairs, floor, worth,
        conclude_runs(trials, pairs, floor, worth, sign=sign, paired=paired), tuple(notes),
    )  # fmt: skip


def _trials(names: Sequence[str], runs: Sequence[ForeignRun], metric: str, sign: int) -> list[Trial]:
    """The configurations, the highest mean first."""
    groups: dict[str, list[ForeignRun]] = {}
    for name, run in zip(names, runs, strict=True):
        groups.setdefault(name, []).append(run)
    trials = []
    for name, group in groups.items():
        finals = [run.metrics[metric].value for run in group]
        scores = tuple(sign * value if math.isfinite(value) else -math.inf for value in finals)
        trials.append(Trial(name, scores, tuple(run.seed for run in group)))
    return sorted(trials, key=lambda t: -math.inf if t.estimate.mean is None else t.estimate.mean, reverse=True)


def _other_by_peaks(names: Sequence[str], runs: Sequence[ForeignRun], metric: str, sign: int, best: str) -> str:
    """The configuration with the best mean of each run's best step, where that is not the best by the last one."""
    peaks: dict[str, list[float]] = {}
    for name, run in zip(names, runs, strict=True):
        last = run.metrics[metric]
        peaks.setdefault(name, []).append(last.highest if sign > 0 else -last.lowest)
    means = {name: math.fsum(values) / len(values) for name, values in peaks.items() if all(map(math.isfinite, values))}
    top = max(means, key=lambda name: means[name], default=best)
    return "" if best not in means or means[top] <= means[best] else top
