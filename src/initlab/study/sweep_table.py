"""What a sweep says: of every cell the gradient before training beside the accuracy after it, and what follows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite, log10
from statistics import median

import numpy as np

from initlab.core.training.dataset import Dataset
from initlab.study.analysis import TARGET_SHARE, analyse
from initlab.study.design import expand
from initlab.study.records import Estimate, RunRecord, SchemeRow, StudyDesign
from initlab.study.start_gradients import gradient_ratio, predicted_ratio
from initlab.study.sweep import Sweep, Variant

HEALTHY = 1e3
"""A gradient ratio from one over this to this is one that has neither vanished nor exploded."""


@dataclass(frozen=True)
class SweepRow:
    """One variant under one scheme.

    Attributes:
        variant: The variant's name.
        group: Its group.
        label: What sets it apart in its group.
        depth: Hidden layers, or steps.
        scheme: The scheme.
        ratio: ``gradient_ratio``, the median over seeds; None where it has no value.
        predicted: ``predicted_ratio``; None where theory says nothing.
        accuracy: On the test set after training, of the runs that finished.
        score: Mean accuracy, a run that diverged counted as one that guesses; None where no run says anything.
        runs: Planned.
        diverged: Of those.
        failed: Failed or timed out, of those.
        trains: Whether the score reaches 90 % of the best score that any cell of the sweep has on the same data, and
            is above that of every net that gives all rows one class.
    """

    variant: str
    group: str
    label: str
    depth: int
    scheme: str
    ratio: float | None
    predicted: float | None
    accuracy: Estimate
    score: float | None
    runs: int
    diverged: int
    failed: int
    trains: bool


@dataclass(frozen=True)
class SweepTable:
    """A sweep's numbers, ready to print.

    Attributes:
        name: The sweep's name.
        title: One line for people.
        seeds: Of every cell.
        has_remedies: As in ``Sweep``.
        rows: Group by group.
        verdict: Sentences that the rows bear out.
    """

    name: str
    title: str
    seeds: int
    has_remedies: bool
    rows: tuple[SweepRow, ...]
    verdict: tuple[str, ...]

    def of(self, group: str) -> tuple[SweepRow, ...]:
        """The rows of one group."""
        return tuple(row for row in self.rows if row.group == group)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups, in order."""
        return tuple(dict.fromkeys(row.group for row in self.rows))


def tabulate(
    sweep: Sweep, records: Mapping[str, Sequence[RunRecord]], load: Callable[[StudyDesign], Dataset]
) -> SweepTable:
    """The table of a sweep whose every run has a record.

    Args:
        sweep: The sweep.
        records: By variant.
        load: What gives a study's data.

    Raises:
        StoreError: A planned run has no record.
    """
    rows: list[SweepRow] = []
    best: dict[str, float] = {}
    blind: dict[str, float] = {}
    tasks: list[str] = []
    for variant in sweep.variants:
        dataset = load(variant.design)
        bare = _variant_rows(variant, records[variant.name], dataset)
        scores = [row.score for row in bare if row.score is not None]
        best[dataset.digest] = max([best.get(dataset.digest, 0.0), *scores])
        blind[dataset.digest] = float(np.bincount(dataset.y_test).max()) / len(dataset.y_test)
        rows += bare
        tasks += [dataset.digest] * len(bare)

    def trains(score: float | None, task: str) -> bool:
        return score is not None and score >= TARGET_SHARE * best[task] and score > blind[task]

    found = tuple(replace(row, trains=trains(row.score, task)) for row, task in zip(rows, tasks, strict=True))
    verdict = remedies_verdict(found) if sweep.has_remedies else depth_verdict(found)
    seeds = max(variant.design.seeds for variant in sweep.variants)
    return SweepTable(sweep.name, sweep.title, seeds, sweep.has_remedies, found, verdict)


def _variant_rows(variant: Variant, records: Sequence[RunRecord], dataset: Dataset) -> list[SweepRow]:
    runs = expand(variant.design, dataset)
    found = []
    for row in analyse(variant.design, records).rows:
        specs = [run for run in runs if run.scheme == row.scheme]
        ratios = [ratio for run in specs if (ratio := gradient_ratio(run, dataset)) is not None]
        found.append(
            SweepRow(
                variant=variant.name,
                group=variant.group,
                label=variant.label,
                depth=variant.depth,
                scheme=row.scheme,
                ratio=median(ratios) if ratios else None,
                predicted=predicted_ratio(specs[0], dataset),
                accuracy=row.test_accuracy,
                score=_score(row, 1.0 / dataset.outputs),
                runs=row.runs,
                diverged=row.diverged,
                failed=row.failed,
                trains=False,
            )
        )
    return found


def _score(row: SchemeRow, chance: float) -> float | None:
    """The mean over the runs that say something about their scheme; of a row of ``analyse`` or of its parts."""
    finished = [value for value in row.test_accuracy.per_seed if value is not None]
    said = [*finished, *[chance] * row.diverged]
    return sum(said) / len(said) if said else None


def depth_verdict(rows: Sequence[SweepRow]) -> tuple[str, ...]:
    """How deep each scheme trains, a sentence an activation, and how far the gradient ratio foretells it.

    Example:
        >>> def row(depth: int, scheme: str, ratio: float, trains: bool) -> SweepRow:
        ...     none = Estimate(None, None, None, ())
        ...     return SweepRow("", "tanh", "", depth, scheme, ratio, None, none, None, 3, 0, 0, trains)
        >>> rows = [row(4, "a", 1.0, True), row(50, "a", 0.5, True), row(4, "b", 0.1, True), row(50, "b", 1e-9, False)]
        >>> for sentence in depth_verdict(rows):
        ...     print(sentence)
        tanh: a still trains at depth 50, b at 4.
        Of 3 cells whose gradient ratio lies within 1e-3 and 1e3, 3 train; of 1 outside, none.
    """
    sentences = []
    for group in dict.fromkeys(row.group for row in rows):
        own = [row for row in rows if row.group == group]
        reach = {row.scheme: 0 for row in own}
        for row in own:
            if row.trains:
                reach[row.scheme] = max(reach[row.scheme], row.depth)
        sentences.append(_reach_text(group, reach))
    return (*sentences, forecast(rows))


def _reach_text(group: str, reach: Mapping[str, int]) -> str:
    """Schemes by the depth that they reach, deepest first."""
    depths = sorted({depth for depth in reach.values() if depth}, reverse=True)
    parts: list[str] = []
    for depth in depths:
        names = [scheme for scheme, reached in reach.items() if reached == depth]
        verb = "" if parts else (" still trains" if len(names) == 1 else " still train")
        parts.append(f"{_all(names)}{verb} at {'' if parts else 'depth '}{depth}")
    lost = [scheme for scheme, reached in reach.items() if not reached]
    if not parts:
        return f"{group}: none trains at any depth."
    return f"{group}: {', '.join(parts)}{f'; {_all(lost)} at none' if lost else ''}."


def remedies_verdict(rows: Sequence[SweepRow]) -> tuple[str, ...]:
    """What helps each ill network, and what does not, a sentence a group.

    Example:
        >>> def row(label: str, ratio: float, score: float, trains: bool) -> SweepRow:
        ...     none = Estimate(score, None, None, (score,))
        ...     return SweepRow("", "sigmoid", label, 9, "glorot_normal", ratio, None, none, score, 1, 0, 0, trains)
        >>> ill, mended = row("plain", 1e-12, 0.1, False), row("batch norm", 2.0, 0.9, True)
        >>> rows = [ill, mended, row("clipping", 1e-12, 0.1, False)]
        >>> print(remedies_verdict(rows)[0])
        sigmoid: plain reaches 10 % at a gradient ratio of 1e-12. Cured by batch norm; not by clipping.
    """
    return (*(_cures(group, rows) for group in dict.fromkeys(row.group for row in rows)), forecast(rows))


def _cures(group: str, rows: Sequence[SweepRow]) -> str:
    own = [row for row in rows if row.group == group]
    plain, rest = own[0], own[1:]
    score = "no accuracy" if plain.score is None else f"{100 * plain.score:.0f} %"
    told = f"{group}: {plain.label} reaches {score} at a gradient ratio of {power(plain.ratio)}."
    if plain.trains:
        return f"{told} It needs no cure."
    halfway = 0.5 * ((plain.score or 0.0) + max((row.score or 0.0) for row in own))
    cured = [row.label for row in rest if row.trains]
    helped = [row.label for row in rest if not row.trains and (row.score or 0.0) > halfway]
    useless = [row.label for row in rest if not row.trains and row.label not in helped]
    parts = [f"cured by {_all(cured)}" if cured else "nothing cures it"]
    parts += [f"helped by {_all(helped)}"] if helped else []
    parts += [f"not by {_all(useless)}"] if useless and (cured or helped) else []
    said = "; ".join(parts)
    return f"{told} {said[0].upper()}{said[1:]}."


def forecast(rows: Sequence[SweepRow]) -> str:
    """How many cells train whose gradient ratio is near 1 at the start, and how many whose ratio is not."""
    near = [row.trains for row in rows if _is_near_one(row.ratio)]
    far = [row.trains for row in rows if not _is_near_one(row.ratio)]
    return (
        f"Of {len(near)} cells whose gradient ratio lies within 1e-3 and 1e3, {sum(near) or 'none'} train; "
        f"of {len(far)} outside, {sum(far) or 'none'}."
    )


def _is_near_one(ratio: float | None) -> bool:
    return ratio is not None and 1.0 / HEALTHY <= ratio <= HEALTHY


def power(ratio: float | None) -> str:
    """A ratio of any size: plain between 0.01 and 100, else the nearest power of ten; an en dash where there is none.

    Example:
        >>> power(1.234), power(0.02), power(3.2e-31), power(2e15), power(0.0), power(None)
        ('1.2', '0.02', '1e-30', '1e15', '0', '–')
    """
    if ratio is None or not isfinite(ratio):
        return "–" if ratio is None or ratio != ratio else "∞"
    if ratio == 0.0:
        return "0"
    if 0.01 <= ratio < 100.0:
        return f"{ratio:.2g}"
    return f"1e{round(log10(ratio))}"


def _all(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]
