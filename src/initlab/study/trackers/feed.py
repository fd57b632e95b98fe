"""Finished records fed to trackers; whatever a tracker does, the records stay and the other trackers go on."""

from __future__ import annotations

import contextlib
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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


def check_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """The registered names, each once.

    Raises:
        UnknownNameError: No tracker has that name; the nearest is offered.
    """
    return tuple(dict.fromkeys(TRACKERS.canonical(name) for name in names))


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


def track(names: Sequence[str], study: FinishedStudy, *, patience: float = PATIENCE) -> dict[str, str]:
    """By tracker ``ok``, or ``degraded`` and why; never an error, as the study itself is done and stored.

    Each run that a tracker has not been given yet becomes a run of its own there, and the study's picture and
    conclusion one more. A tracker that is missing, raises, or takes longer than its patience is left alone from then
    on.

    Args:
        names: Registered trackers.
        study: What they are told of.
        patience: Seconds that a tracker has for one run.
    """
    said = {name: _started(name, study) for name in names}
    return {name: _outcome(told, patience) for name, told in said.items()}


def _started(name: str, study: FinishedStudy) -> queue.SimpleQueue[str]:
    """Start a tracker in a thread that the process does not wait for; it says "" after each run, then the outcome."""
    told: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_work, args=(name, study, told), name=f"tracker-{name}", daemon=True).start()
    return told


def _outcome(told: queue.SimpleQueue[str], patience: float) -> str:
    while True:
        try:
            said = told.get(timeout=patience)
        except queue.Empty:
            return f"degraded: took longer than {patience:g} s for one run"
        if said:
            return said


def _work(name: str, study: FinishedStudy, told: queue.SimpleQueue[str]) -> None:
    try:
        _feed(name, study, told)
        told.put("ok")
    except InitlabError as error:
        told.put(f"degraded: {error}")
    except Exception as error:  # a tracker may raise anything, and none of it is worth a study
        first_line = (str(error).splitlines() or [""])[0]
        told.put(f"degraded: {type(error).__name__}: {first_line}".rstrip(": "))


def _feed(name: str, study: FinishedStudy, told: queue.SimpleQueue[str]) -> None:
    """Every run that the tracker has not had, then the study as a whole."""
    opener, seen = TRACKERS[name], study.folder / path_part(name) / _TRACKED
    done = _read(seen)
    for record in study.records:
        if record.run_id not in done and record.curves:
            _track_run(opener, record, study)
            done.append(record.run_id)
            told.put("")
    _track_study(opener, study)
    seen.parent.mkdir(parents=True, exist_ok=True)
    seen.write_text(json.dumps(done), encoding="utf-8")


def _read(seen: Path) -> list[str]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        return [str(run_id) for run_id in json.loads(seen.read_text(encoding="utf-8"))]
    return []


def _track_run(opener: Opener, record: RunRecord, study: FinishedStudy) -> None:
    spec, name = record.spec, study.analysis.study
    place = (path_part(spec.scheme), f"seed-{spec.seed}")
    config = {**json.loads(spec.to_json()), "study": name, "run_id": record.run_id, **record.env}
    tracker = opener(TrackedRun(name, f"{spec.scheme}, seed {spec.seed}", place, config, study.folder))
    for epoch in range(max(len(values) for values in record.curves.values())):
        bars = {f"{h.quantity}/layer_{h.layer}": h for h in record.histograms if h.epoch == epoch}
        tracker.log(epoch, _scalars(record, epoch), bars)
    final = {name: record.final(name) for name in record.curves}
    text = f"{spec.scheme}, seed {spec.seed}: {record.status}" + (f", {record.reason}" if record.reason else "")
    tracker.show(_pictures(record, study.dataset), text)
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


def _track_study(opener: Opener, study: FinishedStudy) -> None:
    name, said = study.analysis.study, study.analysis.conclusion
    tracker = opener(TrackedRun(name, f"{name}, all runs", ("all-runs",), {"study": name}, study.folder))
    tracker.show({} if study.picture is None else {"curves": study.picture}, said)
    means = {f"test_accuracy/{row.scheme}": row.test_accuracy.mean for row in study.analysis.rows}
    tracker.close({"conclusion": said, **{key: mean for key, mean in means.items() if mean is not None}})
