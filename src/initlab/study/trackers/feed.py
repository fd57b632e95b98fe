"""Finished records fed to trackers; whatever a tracker does, the records stay and the other trackers go on."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from initlab.core.errors import InitlabError, ResourceError
from initlab.core.factories import said
from initlab.core.training.dataset import Dataset
from initlab.study.records import Analysis, RunRecord
from initlab.study.trackers.pictures import example_grid, weight_grid
from initlab.study.trackers.protocol import TRACKERS, Opener, TrackedRun, path_part

PATIENCE = 60.0
"""Seconds that a tracker has for one run."""

PACE = 10.0
"""Seconds that a tracker has for a run on average, once it has used up its patience."""

_TRACKED = "tracked.json"
_GAVE_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


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
    conclusion one more. A tracker that is missing, raises, or takes longer than its patience, or than ``PACE`` on
    average, is left alone from then on.

    Args:
        names: Registered trackers.
        study: What they are told of.
        patience: Seconds that a tracker has for one run.
    """
    lines = {name: _start(name, study) for name in names}
    return {name: _outcome(line, patience) for name, line in lines.items()}


class Outcome(str):
    """``ok``, or ``degraded`` and why, in words.

    Attributes:
        gave_out: Whether the disk is full, read-only or broken, so that nothing else can be written either.
    """

    gave_out: bool = False

    @classmethod
    def of(cls, error: BaseException, words: str) -> Outcome:
        """What a tracker that raised says."""
        outcome = cls(f"degraded: {words}")
        outcome.gave_out = isinstance(error, ResourceError) or getattr(error, "errno", None) in _GAVE_OUT
        return outcome


class _LeftAloneError(Exception):
    """The tracker was too slow; nobody waits for it any more."""


@dataclass(frozen=True, eq=False)
class _Line:
    """Between a tracker's thread, which says "" after each run and in the end the outcome, and who waits for it."""

    said: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    hung_up: threading.Event = field(default_factory=threading.Event)

    def check(self) -> None:
        if self.hung_up.is_set():
            raise _LeftAloneError


def _start(name: str, study: FinishedStudy) -> _Line:
    """Start a tracker in a thread that the process does not wait for."""
    line = _Line()
    threading.Thread(target=_work, args=(name, study, line), name=f"tracker-{name}", daemon=True).start()
    return line


def _outcome(line: _Line, patience: float) -> str:
    left = patience
    while True:
        began = time.monotonic()
        try:
            told = line.said.get(timeout=left)
        except queue.Empty:
            line.hung_up.set()
            limit = f"{patience:g} s for one run" if left == patience else f"{PACE:g} s a run on average"
            return f"degraded: took longer than {limit}"
        if told:
            return told
        left = min(patience, max(0.0, left - (time.monotonic() - began)) + PACE)


def _work(name: str, study: FinishedStudy, line: _Line) -> None:
    try:
        _feed(name, study, line)
        line.said.put("ok")
    except InitlabError as error:
        line.said.put(Outcome.of(error, str(error)))
    except BaseException as error:  # a tracker may raise anything, SystemExit too, and none of it is worth a study
        line.said.put(Outcome.of(error, (said(error).splitlines() or [""])[0].rstrip(": ")))


def _feed(name: str, study: FinishedStudy, line: _Line) -> None:
    """Every run that the tracker has not had, then the study as a whole where any of its runs is new."""
    opener, file = TRACKERS[name], study.folder / path_part(name) / _TRACKED
    runs, summed_up = _read(file)
    for record in study.records:
        if record.name not in runs and record.curves:
            line.check()
            _track_run(opener, record, study, line)
            runs.append(record.name)
            _write(file, runs, summed_up)
            line.said.put("")
    if summed_up != len(runs):
        line.check()
        _track_study(opener, study)
        _write(file, runs, len(runs))


def _read(file: Path) -> tuple[list[str], int]:
    """The runs that a tracker has had, and how many they were when it was told of the study as a whole."""
    with contextlib.suppress(FileNotFoundError, ValueError, KeyError, TypeError):
        found = json.loads(file.read_text(encoding="utf-8"))
        return [str(run_id) for run_id in found["runs"]], int(found["summed_up"])
    return [], 0


def _write(file: Path, runs: Sequence[str], summed_up: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(json.dumps({"runs": runs, "summed_up": summed_up}), encoding="utf-8")
    os.replace(temporary, file)


def _track_run(opener: Opener, record: RunRecord, study: FinishedStudy, line: _Line) -> None:
    spec, name = record.spec, study.analysis.study
    place = (path_part(spec.scheme), f"seed-{spec.seed}")
    config = {**json.loads(spec.to_json()), "study": name, "run_id": record.run_id, **record.env}
    tracker = opener(TrackedRun(name, _name(record), place, config, study.folder))
    for epoch in range(max(len(values) for values in record.curves.values())):
        line.check()
        bars = {f"{h.quantity}/layer_{h.layer}": h for h in record.histograms if h.epoch == epoch}
        tracker.log(epoch, _scalars(record, epoch), bars)
    final = {name: record.final(name) for name in record.curves}
    text = f"{_name(record)}: {record.status}" + (f", {record.reason}" if record.reason else "")
    line.check()
    tracker.show(_pictures(record, study.dataset), text)
    finite = {name: value for name, value in final.items() if np.isfinite(value)}
    line.check()
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
    """Of images: the first layer before and after training, and examples; nothing that the record does not hold."""
    if dataset.image_shape is None:
        return {}
    name, pictures = _name(record), {}
    weights = () if record.first_weights is None else record.first_weights
    for when, weight in zip(("at initialization", "after training"), weights, strict=False):
        title = f"{name}\nfirst layer {when}" + ("" if np.isfinite(weight).all() else f" ({record.status})")
        pictures[f"first_layer_{when.replace(' ', '_')}"] = weight_grid(weight, dataset.image_shape, title=title)
    if record.predictions is not None and dataset.kind == "classification":
        pictures["examples_true_and_predicted"] = example_grid(dataset, record.predictions, title=name)
    return pictures


def _name(record: RunRecord) -> str:
    return f"{record.spec.scheme}, seed {record.spec.seed}"


def _track_study(opener: Opener, study: FinishedStudy) -> None:
    name, words = study.analysis.study, study.analysis.conclusion
    tracker = opener(TrackedRun(name, f"{name}, all runs", ("all-runs",), {"study": name}, study.folder))
    tracker.show({} if study.picture is None else {"curves": study.picture}, words)
    means = {f"test_accuracy/{row.scheme}": row.test_accuracy.mean for row in study.analysis.rows}
    tracker.close({"conclusion": words, **{key: mean for key, mean in means.items() if mean is not None}})
