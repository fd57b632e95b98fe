"""One tracker's runs: which it has had, up to which epoch, and what it is given of them."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from initlab.core.files import make_folder, write_whole
from initlab.core.training.dataset import Dataset
from initlab.core.training.live import Epoch
from initlab.core.training.outcomes import CURVES, LAYER_METRICS
from initlab.core.training.protocol import Histogram
from initlab.frameworks import FRAMEWORKS
from initlab.study.records import Analysis, RunRecord, RunSpec
from initlab.study.trackers.pictures import example_grid, weight_grid
from initlab.study.trackers.protocol import TRACKERS, ModelTracker, TrackedRun, Tracker, path_part

MOST_OPEN = 64
"""Runs that a tracker has open at once, where it says nothing else."""

_STATE = "tracked.json"
_PAUSE = 1.0
"""Seconds from one note of how far runs are to the next; what ends in between is written anyway."""


@dataclass(frozen=True, eq=False)
class FinishedStudy:
    """What trackers are told of.

    Attributes:
        records: The study's runs.
        analysis: What they say.
        dataset: Their data, for pictures of examples.
        folder: The study's folder.
        picture: The study's curves, the bytes of a PNG file.
    """

    records: Sequence[RunRecord]
    analysis: Analysis
    dataset: Dataset
    folder: Path
    picture: bytes | None = None


@dataclass(frozen=True, eq=False)
class RunsEpoch:
    """An epoch of runs that train together.

    Attributes:
        specs: The runs.
        names: What their records will be stored under.
        env: Versions and machine facts.
        epoch: Its numbers; its first axis are these runs.
    """

    specs: Sequence[RunSpec]
    names: Sequence[str]
    env: Mapping[str, str]
    epoch: Epoch


@dataclass(eq=False)
class TrackerRuns:
    """What one tracker has been told, kept beside what it writes, so that every epoch is told once.

    Attributes:
        tracker: Its registered name.
        study: The study's name.
        dataset: The study's data.
        folder: The study's folder.
        done: Runs that it has had whole, by the names of their records.
        steps: The last epoch that it has had of each other run, and the run's name there.
        summed_up: How many runs were done when it was told of the study as a whole.
    """

    tracker: str
    study: str
    dataset: Dataset
    folder: Path
    done: list[str] = field(default_factory=list)
    steps: dict[str, tuple[int, str]] = field(default_factory=dict)
    summed_up: int = 0
    _open: dict[str, Tracker] = field(default_factory=dict)
    _models: dict[str, int] = field(default_factory=dict)
    _noted: float = 0.0

    def __post_init__(self) -> None:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            steps = {str(name): (int(step), str(there)) for name, (step, there) in found.get("steps", {}).items()}
            self.done, self.summed_up, self.steps = [str(n) for n in found["runs"]], int(found["summed_up"]), steps

    @property
    def _file(self) -> Path:
        return self.folder / path_part(self.tracker) / _STATE

    def note(self) -> None:
        """Write down what the tracker has had, if anything."""
        self._noted = time.monotonic()
        if not (self.done or self.steps):
            return
        make_folder(self._file.parent)
        told = {"runs": self.done, "summed_up": self.summed_up, "steps": self.steps}
        write_whole(self._file, json.dumps(told).encode())

    def forget(self, names: Iterable[str]) -> None:
        """Runs that are made anew are told anew."""
        again = set(names)
        self.done = [name for name in self.done if name not in again]
        self.steps = {name: step for name, step in self.steps.items() if name not in again}
        self.summed_up = 0

    def train(self, told: RunsEpoch) -> None:
        """An epoch of runs that still train: of each the next one that it has not had.

        What comes twice, as of a chunk that is tried again, is left out; so is all of a run that is not open, or of
        which an epoch was left out before: its record has these numbers.
        """
        for model, (spec, name) in enumerate(zip(told.specs, told.names, strict=True)):
            last, _ = self.steps.get(name, (-1, ""))
            if name in self.done or told.epoch.number != last + 1:
                continue
            if name not in self._open and len(self._open) >= getattr(TRACKERS[self.tracker], "MOST_OPEN", MOST_OPEN):
                continue
            tracker = self._opened(spec, name, told.env)
            if isinstance(tracker, ModelTracker) and (told.epoch.variables or told.epoch.graph):
                held = {variable: values[model] for variable, values in told.epoch.variables.items()}
                tracker.log_model(told.epoch.number, held, told.epoch.graph)
                self._models[name] = self._models.get(name, 0) + bool(held)
            scalars = dict(zip(CURVES, told.epoch.curves[model].tolist(), strict=True))
            for metric, values in zip(LAYER_METRICS, told.epoch.layers[model].tolist(), strict=True):
                scalars |= {f"{metric}/layer_{i}": value for i, value in enumerate(values)}
            self._log(tracker, name, told.epoch.number, scalars, told.epoch.histograms[model : model + 1])
        if time.monotonic() - self._noted > _PAUSE:
            self.note()

    def finish(self, record: RunRecord, check: Callable[[], None]) -> None:
        """A run that has ended: the epochs that the tracker has not had, pictures, and the final numbers.

        Args:
            record: The run.
            check: Is called between parts; what it raises ends it.
        """
        if record.name in self.done or not (record.curves or record.name in self._open):
            return
        tracker = self._opened(record.spec, record.name, record.env)
        last, _ = self.steps.get(record.name, (-1, ""))
        for epoch in range(last + 1, max((len(values) for values in record.curves.values()), default=0)):
            check()
            self._log(tracker, record.name, epoch, _scalars(record, epoch), [_bars(record, epoch)])
        final = {name: record.final(name) for name in record.curves}
        check()
        tracker.show(_pictures(record, self.dataset), self._said(record, tracker))
        finite = {name: value for name, value in final.items() if np.isfinite(value)}
        check()
        tracker.close({"status": record.status, "reason": record.reason, "wall_seconds": record.wall, **finite})
        del self._open[record.name]
        if record.curves:
            self.done.append(record.name)
            self.steps.pop(record.name, None)
        self.note()

    def sum_up(self, study: FinishedStudy) -> None:
        """The study as a whole, where any of its runs is new."""
        if self.summed_up == len(self.done):
            return
        words = study.analysis.conclusion
        tracker = TRACKERS[self.tracker](
            TrackedRun(self.study, f"{self.study}, all runs", ("all-runs",), {"study": self.study}, self.folder)
        )
        tracker.show({} if study.picture is None else {"curves": study.picture}, words)
        means = {f"test_accuracy/{row.scheme}": row.test_accuracy.mean for row in study.analysis.rows}
        tracker.close({"conclusion": words, **{key: mean for key, mean in means.items() if mean is not None}})
        self.summed_up = len(self.done)
        self.note()

    def _opened(self, spec: RunSpec, name: str, env: Mapping[str, str]) -> Tracker:
        """The run there; opened now where it is not."""
        if name not in self._open:
            last, there = self.steps.get(name, (-1, secrets.token_hex(8)))
            place = (path_part(spec.scheme), f"seed-{spec.seed}")
            config = {**json.loads(spec.to_json()), "study": self.study, "run_id": spec.run_id, **env}
            rows, batch = len(self.dataset.x_train), spec.budget.batch_size
            self._open[name] = TRACKERS[self.tracker](
                TrackedRun(
                    self.study,
                    _name(spec),
                    place,
                    config,
                    self.folder,
                    id=there,
                    sent=last,
                    learning_rate=spec.optimizer.learning_rate,
                    steps_an_epoch=-(-rows // batch),
                    channels_last=FRAMEWORKS[spec.framework].channels_last,
                )
            )
            self.steps[name] = last, there
        return self._open[name]

    def _log(
        self,
        tracker: Tracker,
        name: str,
        epoch: int,
        scalars: Mapping[str, float],
        histograms: Sequence[Sequence[Histogram]],
    ) -> None:
        bars = {f"{bar.quantity}/layer_{bar.layer}": bar for bars in histograms for bar in bars}
        tracker.log(epoch, {key: value for key, value in scalars.items() if np.isfinite(value)}, bars)
        self.steps[name] = epoch, self.steps[name][1]

    def _said(self, record: RunRecord, tracker: Tracker) -> str:
        """How a run ended, and what is not there of it."""
        text = f"{_name(record.spec)}: {record.status}" + (f", {record.reason}" if record.reason else "")
        due = sum(epoch < max(map(len, record.curves.values()), default=0) for epoch in record.spec.histogram_epochs)
        if isinstance(tracker, ModelTracker) and self._models.get(record.name, 0) < due:
            text += f"; of {due - self._models.get(record.name, 0)} of {due} histogram epochs there are no weights"
            text += " by name: those are told while a run trains alone"
        return text


def _name(spec: RunSpec) -> str:
    return f"{spec.scheme}, seed {spec.seed}"


def _bars(record: RunRecord, epoch: int) -> list[Histogram]:
    return [bar for bar in record.histograms if bar.epoch == epoch]


def _scalars(record: RunRecord, epoch: int) -> dict[str, float]:
    """One epoch's numbers: the curves, and every statistic of every layer."""
    curves = {name: float(values[epoch]) for name, values in record.curves.items()}
    layers = {
        f"{name}/layer_{i}": float(value)
        for name, values in record.layers.items()
        for i, value in enumerate(values[epoch])
    }
    return curves | layers


def _pictures(record: RunRecord, dataset: Dataset) -> Mapping[str, bytes]:
    """Of images: the first layer before and after training, and examples; nothing that the record does not hold."""
    if dataset.image_shape is None:
        return {}
    name, pictures = _name(record.spec), {}
    weights: Any = () if record.first_weights is None else record.first_weights
    for when, weight in zip(("at initialization", "after training"), weights, strict=False):
        title = f"{name}\nfirst layer {when}" + ("" if np.isfinite(weight).all() else f" ({record.status})")
        pictures[f"first_layer_{when.replace(' ', '_')}"] = weight_grid(weight, dataset.image_shape, title=title)
    if record.predictions is not None and dataset.kind == "classification":
        pictures["examples_true_and_predicted"] = example_grid(dataset, record.predictions, title=name)
    return pictures
