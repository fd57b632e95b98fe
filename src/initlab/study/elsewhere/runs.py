"""What is known of a run that another program made, and how much of someone else's folder is looked at."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from initlab.core.errors import DataError, as_text

MOST_FILES, MOST_RUNS, MOST_METRICS, MOST_BYTES = 200_000, 20_000, 2_000, 1 << 30
_LARGEST = 1e100
SEED_KEYS = ("seed", "random_seed", "random_state", "rng_seed")
_SEED_IN_NAME = re.compile(r"[\W_]*(?:random_)?seed[\W_]*(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Last:
    """The last value of a metric.

    Attributes:
        value: NaN or infinite where the run diverged.
        step: Where it was written; 0 where the source has no steps.
        highest: Of all its finite values; minus infinity without.
        lowest: The same; infinity without.
    """

    value: float
    step: int
    highest: float
    lowest: float


def later(known: Last | None, value: float, step: int) -> Last:
    """The last value after one more: of equal steps the one that is read later.

    Example:
        >>> later(later(None, 0.9, 2), 0.7, 1)
        Last(value=0.9, step=2, highest=0.9, lowest=0.7)
    """
    if known is None:
        known = Last(math.nan, step, -math.inf, math.inf)
    ends = (max(known.highest, value), min(known.lowest, value)) if math.isfinite(value) else None
    highest, lowest = ends or (known.highest, known.lowest)
    return Last(value, step, highest, lowest) if step >= known.step else Last(known.value, known.step, highest, lowest)


@dataclass(frozen=True)
class ForeignRun:
    """A run that another program made.

    Attributes:
        name: Of its place in the source, for messages.
        config: What it was made with, as text, without the seed.
        seed: As the source writes it; empty where it says none.
        metrics: The last value of each.
        unfinished: Why the run is none to count: it failed, or still runs; empty for a run that ended.
    """

    name: str
    config: Mapping[str, str]
    seed: str
    metrics: dict[str, Last] = field(default_factory=dict)
    unfinished: str = ""

    def note(self, metric: str, value: float, step: int) -> None:
        """Take in one value of a metric.

        Raises:
            DataError: The run has more metrics than anybody compares, or a number too large to be squared.
        """
        if math.isfinite(value) and abs(value) > _LARGEST:
            raise DataError(
                f"{as_text(metric)} is {value:g} at step {step}, too large to compare",
                where=self.name,
                fix="leave it out",
            )
        if metric not in self.metrics and len(self.metrics) >= MOST_METRICS:
            raise DataError(f"a run has more than {MOST_METRICS:,} metrics", where=self.name, fix="export fewer")
        self.metrics[metric] = later(self.metrics.get(metric), value, step)


def by_config(name: str, config: Mapping[str, str], *, unfinished: str = "") -> ForeignRun:
    """A run of a tracker: the seed is the first of ``seed``, ``random_seed``, ``random_state`` and ``rng_seed``.

    A run without configuration is one of its name, in which ``seed 3`` or ``_seed=3`` is the seed.

    Example:
        >>> by_config("r1", {"lr": "0.1", "seed": "3"})
        ForeignRun(name='r1', config={'lr': '0.1'}, seed='3', metrics={}, unfinished='')
        >>> by_config("he_normal-seed3", {}).config, by_config("he_normal-seed3", {}).seed
        ({'scheme': 'he_normal'}, '3')
    """
    places = [key for seed in SEED_KEYS for key in config if key.lower().rpartition(".")[2] == seed]
    rest = {as_text(key): as_text(value) for key, value in config.items() if key not in places[:1]}
    if rest:
        return ForeignRun(as_text(name), rest, as_text(config[places[0]]) if places else "", unfinished=unfinished)
    found = _SEED_IN_NAME.search(name)
    left = name if found is None else name[: found.start()] + name[found.end() :]
    seed = as_text(config[places[0]]) if places else "" if found is None else found[1]
    return ForeignRun(as_text(name), {"scheme": as_text(left.strip("/\\")) or "."}, seed, unfinished=unfinished)


def files_under(folder: Path) -> Iterator[Path]:
    """Every plain file of a folder, sorted within each folder; no link is followed.

    Raises:
        DataError: There are more than anybody keeps in a store of runs.
    """
    seen = 0
    for at, folders, names in os.walk(folder, onerror=_raise, followlinks=False):
        folders.sort()
        for name in sorted(names):
            seen += 1
            if seen > MOST_FILES:
                raise DataError(f"more than {MOST_FILES:,} files", where=str(folder), fix="name a folder of runs")
            path = Path(at, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                yield path


def _raise(error: OSError) -> None:
    raise error


def counted(runs: Iterable[ForeignRun], where: Path) -> list[ForeignRun]:
    """The runs.

    Raises:
        DataError: There are too many.
    """
    found: list[ForeignRun] = []
    for run in runs:
        if len(found) >= MOST_RUNS:
            raise DataError(f"more than {MOST_RUNS:,} runs", where=str(where), fix="name a part of them")
        found.append(run)
    return found
