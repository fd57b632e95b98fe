"""Finished records fed to trackers; whatever a tracker does, the records stay and the other trackers go on."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from initlab.core.dataset import Dataset
from initlab.core.errors import InitlabError
from initlab.study.records import Analysis, RunRecord
from initlab.study.run import initial_weights
from initlab.study.trackers.pictures import example_grid, weight_grid
from initlab.study.trackers.protocol import TRACKERS, Opener, TrackedRun, path_part

PATIENCE = 120.0
"""Seconds that a tracker has for one run."""

_TRACKED = "tracked.json"
Logging: TypeAlias = dict[str, str]


def check_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """The registered names, each once.

    Raises:
        UnknownNameError: No tracker has that name; the nearest is offered.
    """
    return tuple(dict.fromkeys(TRACKERS.canonical(name) for name in names))


def track(
    names: Sequence[str],
    records: Sequence[RunRecord],
    analysis: Analysis,
    dataset: Dataset,
    folder: Path,
    *,
    picture: bytes | None = None,
    patience: float = PATIENCE,
) -> Logging:
    """By tracker ``ok``, or ``degraded`` and why; never an error, as the study itself is done and stored.

    Each run that a tracker has not been given yet becomes a run of its own there, and the study's picture and
    conclusion one more. A tracker that is missing, raises, or takes longer than its patience is left alone from then
    on.

    Args:
        names: Registered trackers.
        records: Of one study.
        analysis: What they say.
        dataset: Their data, for pictures of examples.
        folder: The study's folder.
        picture: The study's curves, the bytes of a PNG file.
        patience: Seconds that a tracker has for one run.
    """
    jobs = [_Job(TRACKERS[name], name, records, analysis, dataset, folder, picture) for name in names]
    for job in jobs:
        job.start()
    return {job.tracker: job.outcome(patience) for job in jobs}


class _Job(threading.Thread):
    """One tracker at work, in a thread of its own, which the process does not wait for."""

    def __init__(
        self,
        opener: Opener,
        tracker: str,
        records: Sequence[RunRecord],
        analysis: Analysis,
        dataset: Dataset,
        folder: Path,
        picture: bytes | None,
    ) -> None:
        super().__init__(name=f"tracker-{tracker}", daemon=True)
        self.opener, self.tracker, self.records, self.analysis = opener, tracker, records, analysis
        self.dataset, self.folder, self.picture = dataset, folder, picture
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()  # "" a run, then the outcome

    def run(self) -> None:
        """Feed every run, then the study."""
        try:
            self._feed()
            self.told.put("ok")
        except InitlabError as error:
            self.told.put(f"degraded: {error}")
        except Exception as error:  # a tracker may raise anything, and none of it is worth a study
            first_line = (str(error).splitlines() or [""])[0]
            self.told.put(f"degraded: {type(error).__name__}: {first_line}".rstrip(": "))

    def outcome(self, patience: float) -> str:
        """Wait as long as runs are finished in time."""
        while True:
            try:
                told = self.told.get(timeout=patience)
            except queue.Empty:
                return f"degraded: took longer than {patience:g} s for one run"
            if told:
                return told

    def _feed(self) -> None:
        seen = self.folder / path_part(self.tracker) / _TRACKED
        done = _read(seen)
        for record in self.records:
            if record.run_id not in done and record.curves:
                _track_run(self.opener, record, self.analysis.study, self.dataset, self.folder)
                done.append(record.run_id)
                self.told.put("")
        _track_study(self.opener, self.analysis, self.folder, self.picture)
        seen.parent.mkdir(parents=True, exist_ok=True)
        seen.write_text(json.dumps(done), encoding="utf-8")


def _read(seen: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return [str(run_id) for run_id in json.loads(seen.read_text(encoding="utf-8"))]
    return []


def _track_run(opener: Opener, record: RunRecord, study: str, dataset: Dataset, folder: Path) -> None:
    spec = record.spec
    place = (path_part(spec.scheme), f"seed-{spec.seed}")
    config = {**json.loads(spec.to_json()), "study": study, "run_id": record.run_id, **record.env}
    tracker = opener(TrackedRun(study, f"{spec.scheme}, seed {spec.seed}", place, config, folder))
    for epoch in range(max(len(values) for values in record.curves.values())):
        bars = {f"{h.quantity}/layer_{h.layer}": h for h in record.histograms if h.epoch == epoch}
        tracker.log(epoch, _scalars(record, epoch), bars)
    final = {name: record.final(name) for name in record.curves}
    text = f"{spec.scheme}, seed {spec.seed}: {record.status}" + (f", {record.reason}" if record.reason else "")
    tracker.show(_pictures(record, dataset), text)
    finite = {name: value for name, value in final.items() if np.isfinite(value)}
    tracker.close({"status": record.status, "reason": record.reason, "wall_seconds": record.wall, **finite})


def _scalars(record: RunRecord, epoch: int) -> dict[str, float]:
    """One epoch's finite numbers: the curves, and every statistic of every layer."""
    curves = {name: float(values[epoch]) for name, values in record.curves.items()}
    layers = {
        f"{name}/layer_{i}": float(value)
        for name, values in record.layers.items()
        for i, value in enumerate(values[epoch])
    }
    return {name: value for name, value in (curves | layers).items() if np.isfinite(value)}


def _pictures(record: RunRecord, dataset: Dataset) -> Mapping[str, bytes]:
    if dataset.image_shape is None:
        return {}
    first = initial_weights(record.spec)["0/weight"]
    pictures = {"first_layer_at_initialization": weight_grid(first, dataset.image_shape)}
    if record.predictions is not None and dataset.kind == "classification":
        pictures["examples_true_and_predicted"] = example_grid(dataset, record.predictions)
    return pictures


def _track_study(opener: Opener, analysis: Analysis, folder: Path, picture: bytes | None) -> None:
    name = analysis.study
    tracker = opener(TrackedRun(name, f"{name}, all runs", ("all-runs",), {"study": name}, folder))
    tracker.show({} if picture is None else {"curves": picture}, analysis.conclusion)
    means = {f"test_accuracy/{row.scheme}": row.test_accuracy.mean for row in analysis.rows}
    tracker.close({"conclusion": analysis.conclusion, **{k: v for k, v in means.items() if v is not None}})
