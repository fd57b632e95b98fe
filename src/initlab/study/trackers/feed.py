"""Runs fed to trackers while they train and when they end; a study waits for a tracker at its end alone."""

from __future__ import annotations

import errno
import os
import queue
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias

from initlab.core.errors import InitlabError, ResourceError
from initlab.core.factories import said
from initlab.core.training.dataset import Dataset
from initlab.core.training.live import Epoch
from initlab.study.records import RunRecord, RunSpec
from initlab.study.trackers.protocol import TRACKERS
from initlab.study.trackers.runs import FinishedStudy, RunsEpoch, TrackerRuns

PATIENCE = 60.0
"""Seconds that a tracker has for one run, once all have ended."""

PACE = 10.0
"""Seconds that a tracker has for a run on average, once it has used up its patience."""

MOST_WAITING, MOST_BYTES = 1_000, 1 << 27
"""Epochs that wait for a tracker, and the bytes of them, beyond which epochs are left out; records have them too."""

_GAVE_OUT = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_Job: TypeAlias = Callable[[TrackerRuns], object]
"""What a tracker's thread does next."""

LEAVING = 3.0
"""Seconds that a study which ends early waits for a tracker to note how far its runs are."""

NICE = 10
"""How much a tracker's thread gives way to training."""


def check_trackers(names: Sequence[str]) -> tuple[str, ...]:
    """The registered names, each once.

    Raises:
        UnknownNameError: No tracker has that name; the nearest is offered.
    """
    return tuple(dict.fromkeys(TRACKERS.canonical(name) for name in names))


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
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        outcome.gave_out = isinstance(cause, ResourceError) or getattr(cause, "errno", None) in _GAVE_OUT
        return outcome


class _LeftAloneError(Exception):
    """The tracker was too slow, or the study is over; nobody waits for it any more."""


class _Line:
    """A tracker's thread with what waits for it; it says "" after each run that ended, and in the end the outcome."""

    def __init__(self, runs: TrackerRuns) -> None:
        self.hung_up = threading.Event()
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._waiting: deque[tuple[_Job | None, int]] = deque()
        self._epochs = self._bytes = 0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, args=(runs,), name=f"tracker-{runs.tracker}", daemon=True)
        self._thread.start()

    def put(self, job: _Job | None) -> None:
        """Do this after all else that waits; None is the end."""
        with self._changed:
            self._waiting.append((job, -1))
            self._changed.notify()

    def offer(self, job: _Job, size: int) -> None:
        """Do this too, unless too much waits already.

        Args:
            job: What to do.
            size: Its bytes.
        """
        with self._changed:
            if self._epochs < MOST_WAITING and (not self._bytes or self._bytes + size <= MOST_BYTES):
                self._epochs, self._bytes = self._epochs + 1, self._bytes + size
                self._waiting.append((job, size))
                self._changed.notify()

    def check(self) -> None:
        """Raise where nobody waits any more."""
        if self.hung_up.is_set():
            raise _LeftAloneError

    def end(self, record: RunRecord, runs: TrackerRuns) -> None:
        """Give the tracker a run that has ended, and say so."""
        runs.finish(record, self.check)
        self._said.put("")

    def leave(self) -> None:
        """End, a little later at most, without an outcome."""
        self.hung_up.set()
        self.put(lambda runs: None)
        self._thread.join(LEAVING)

    def outcome(self, patience: float) -> str:
        """``ok``, or ``degraded`` and why, as soon as that is known.

        Args:
            patience: Seconds for one run.
        """
        left = patience
        while True:
            began = time.monotonic()
            try:
                told = self._said.get(timeout=left)
            except queue.Empty:
                self.hung_up.set()
                limit = f"{patience:g} s for one run" if left == patience else f"{PACE:g} s a run on average"
                return f"degraded: took longer than {limit}"
            if told:
                return told
            left = min(patience, max(0.0, left - (time.monotonic() - began)) + PACE)

    def _take(self) -> _Job | None:
        with self._changed:
            while not self._waiting:
                self._changed.wait()
            job, size = self._waiting.popleft()
            if size >= 0:
                self._epochs, self._bytes = self._epochs - 1, self._bytes - size
        return job

    def _work(self, runs: TrackerRuns) -> None:
        _give_way()
        try:
            while (job := self._take()) is not None:
                self.check()
                job(runs)
            self._said.put("ok")
        except _LeftAloneError:
            runs.note()
        except InitlabError as error:
            self._said.put(Outcome.of(error, str(error)))
        except BaseException as error:  # a tracker may raise anything, SystemExit too, and none of it is worth a study
            self._said.put(Outcome.of(error, (said(error).splitlines() or [""])[0].rstrip(": ")))


def _give_way() -> None:
    """This thread computes where no other process wants to, as far as the platform tells threads apart."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


class Tracking:
    """The trackers of a study, each in a thread of its own that the process does not wait for.

    Each run becomes a run of its own in each tracker, opened when its first epoch ends, and the study's picture and
    conclusion one more. A tracker that is missing or raises is left alone from then on.

    Args:
        names: Registered trackers.
        study: The study's name.
        dataset: Its data.
        folder: Its folder.
    """

    def __init__(self, names: Sequence[str], study: str, dataset: Dataset, folder: Path) -> None:
        self._env: Mapping[str, str] = {}
        self._lines = {name: _Line(TrackerRuns(name, study, dataset, folder)) for name in names}
        self.wants_variables = any(hasattr(TRACKERS[name], "log_model") for name in names)

    def begin(self, env: Mapping[str, str], names: Iterable[str]) -> None:
        """Runs are about to be trained.

        Args:
            env: Versions and machine facts.
            names: The records of runs that are made anew.
        """
        self._env, again = env, tuple(names)
        for line in self._lines.values() if again else ():
            line.put(lambda runs: runs.forget(again))

    def epoch(self, specs: Sequence[RunSpec], names: Sequence[str], epoch: Epoch) -> None:
        """An epoch of runs that train together has ended; returns at once, and leaves it out where too many wait.

        Args:
            specs: The runs.
            names: What their records will be stored under.
            epoch: Its numbers.
        """
        told = RunsEpoch(specs, names, self._env, epoch)
        size = sum(values.nbytes for values in epoch.variables.values())
        for line in self._lines.values():
            line.offer(lambda runs: runs.train(told), size)

    def record(self, record: RunRecord) -> None:
        """A run has ended; returns at once."""
        for line in self._lines.values():
            line.put(partial(line.end, record))

    def finish(self, study: FinishedStudy, *, patience: float = PATIENCE) -> dict[str, str]:
        """By tracker ``ok``, or ``degraded`` and why; never an error, as the study itself is done and stored.

        A tracker that takes longer than its patience, or than ``PACE`` on average, is left alone from then on.

        Args:
            study: The study, done.
            patience: Seconds that a tracker has for one run.
        """
        for line in self._lines.values():
            for record in study.records:
                line.put(partial(line.end, record))
            line.put(lambda runs: runs.sum_up(study))
            line.put(None)
        return {name: line.outcome(patience) for name, line in self._lines.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """A study that ends without records leaves runs open there; the next session continues them."""
        for line in self._lines.values() if kind is not None else ():
            line.leave()


def track(names: Sequence[str], study: FinishedStudy, *, patience: float = PATIENCE) -> dict[str, str]:
    """By tracker ``ok``, or ``degraded`` and why, of a study that is done.

    Args:
        names: Registered trackers.
        study: What they are told of.
        patience: Seconds that a tracker has for one run.
    """
    tracking = Tracking(names, study.analysis.study, study.dataset, study.folder)
    return tracking.finish(study, patience=patience)
