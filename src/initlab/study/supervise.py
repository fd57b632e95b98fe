"""Chunks of runs trained by worker processes, whatever happens to those: a crash costs the run that caused it alone."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, TypeAlias

from initlab.core import errors
from initlab.core.errors import InitlabError, ResourceError
from initlab.core.training.protocol import Start, Trained
from initlab.study.process import Worker
from initlab.study.trainers import TrainerName
from initlab.study.wire import Message, starts_message, trained_of

TRIES = 2
STARTS = 3


@dataclass(frozen=True)
class Failure:
    """A run that gave no result: its status, and why in words."""

    status: Literal["failed", "timeout"]
    reason: str


Results: TypeAlias = dict[int, Trained | Failure]


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived; what is committed stays (exit code 143, where a plain KeyboardInterrupt has 130)."""


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Within it, SIGTERM raises ``Terminated``, unless the program handles SIGTERM itself."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _raise_on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _raise_on_signal(signum: int, frame: FrameType | None) -> None:
    raise Terminated("SIGTERM")


def supervise(
    chunks: Sequence[Sequence[int]],
    start: Callable[[int], Start],
    setup: Message,
    *,
    trainer: TrainerName,
    jobs: int,
    timeout: float | None = None,
) -> Generator[Results, None, None]:
    """Every run's result, in the order in which chunks finish; each run is yielded once.

    A chunk whose worker crashes, is killed or raises is tried a second time; if that fails too, its runs are tried one
    by one, each twice, so that only a run that fails alone ends as ``failed``.

    Args:
        chunks: Runs that train together, as numbers that ``start`` takes.
        start: The seed and weights of a run; called in this thread, when a worker has room for it.
        setup: What all runs share (``wire.setup_message``).
        trainer: The trainer.
        jobs: Number of worker processes, 1 or more.
        timeout: Seconds after which a chunk is given up, and all of its runs end as ``timeout``; None waits for ever.

    Yields:
        By number, what training gave, or why it gave nothing.

    Raises:
        InitlabError: The trainer refused its input: no other run would be accepted either.
        ResourceError: Workers die before they are ready.
    """
    crew = _Crew(start, setup, trainer, timeout, deque(_Chunk(tuple(runs)) for runs in chunks))
    try:
        crew.hire(min(jobs, len(chunks)))
        while crew.pending or crew.busy:
            results = crew.next_event()
            crew.dispatch()  # before the results are looked at, so that no worker waits for the disk
            if results:
                yield results
    finally:
        for worker in crew.workers:
            worker.stop()


@dataclass(frozen=True)
class _Chunk:
    runs: tuple[int, ...]
    failures: int = 0


@dataclass(eq=False)
class _Crew:
    """The workers of a study and what each is doing."""

    start: Callable[[int], Start]
    setup: Message
    trainer: TrainerName
    timeout: float | None
    pending: deque[_Chunk]
    workers: list[Worker] = field(default_factory=list)
    idle: list[Worker] = field(default_factory=list)
    busy: dict[Worker, _Chunk] = field(default_factory=dict)
    deadlines: dict[Worker, float] = field(default_factory=dict)
    events: queue.SimpleQueue[tuple[Worker, Message | None]] = field(default_factory=queue.SimpleQueue)
    false_starts: int = 0

    def hire(self, count: int) -> None:
        """Start workers, all of them before the first is told anything: their start-up runs side by side."""
        taken = {worker.core for worker in self.workers}
        cores = [core for core in range(len(taken) + count) if core not in taken][:count]
        new = []
        for core in cores:
            new.append(Worker(core, self.trainer, self.events))
            self.workers.append(new[-1])
        for worker in new:
            worker.send(*self.setup)

    def dispatch(self) -> None:
        """Give every idle worker a chunk."""
        while self.idle and self.pending:
            worker, chunk = self.idle.pop(), self.pending.popleft()
            self.busy[worker] = chunk
            worker.send(*starts_message([self.start(run) for run in chunk.runs]))
            if self.timeout is not None:
                self.deadlines[worker] = time.monotonic() + self.timeout

    def next_event(self) -> Results:
        """Wait until a worker says something, ends, or runs out of time; the results that this gives."""
        wait = min(self.deadlines.values(), default=None)
        try:
            seconds = None if wait is None else max(0.0, wait - time.monotonic())
            worker, message = self.events.get(timeout=seconds)
        except queue.Empty:
            return self._expire()
        if worker not in self.workers:  # the end of a worker that was stopped
            return {}
        if message is None:
            return self._replace(worker)
        body = message[0]
        if body["kind"] == "refused":
            raise _refusal(body)
        if body["kind"] == "ready":
            self.false_starts = 0
        elif worker not in self.busy:
            raise ResourceError(f"a worker could not load its trainer: {body['reason']}", where=str(self.trainer))
        self.idle.append(worker)
        chunk = self._release(worker)
        if chunk is None:
            return {}
        if body["kind"] == "error":
            return self._again(chunk, body["reason"])
        return dict(zip(chunk.runs, trained_of(*message), strict=True))

    def _release(self, worker: Worker) -> _Chunk | None:
        self.deadlines.pop(worker, None)
        return self.busy.pop(worker, None)

    def _dismiss(self, worker: Worker) -> None:
        self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        worker.stop()

    def _replace(self, worker: Worker) -> Results:
        """A worker died: its chunk goes back, and another worker takes its place where there is work for it."""
        chunk, reason = self._release(worker), worker.reason()
        self._dismiss(worker)
        self.false_starts += chunk is None
        if self.false_starts >= STARTS:
            raise ResourceError(f"workers do not start: {reason}", fix="free memory, or give fewer --jobs")
        results = self._again(chunk, reason) if chunk is not None else {}
        if self.pending:
            self.hire(1)
        return results

    def _again(self, chunk: _Chunk, reason: str) -> Results:
        if chunk.failures + 1 < TRIES:
            self.pending.append(_Chunk(chunk.runs, chunk.failures + 1))
        elif len(chunk.runs) > 1:
            self.pending.extend(_Chunk((run,)) for run in chunk.runs)
        else:
            return {chunk.runs[0]: Failure("failed", reason)}
        return {}

    def _expire(self) -> Results:
        results: Results = {}
        late = [worker for worker, deadline in self.deadlines.items() if deadline <= time.monotonic()]
        for worker in late:
            chunk = self._release(worker)
            self._dismiss(worker)
            runs = chunk.runs if chunk is not None else ()
            reason = f"its chunk of {len(runs)} took longer than {self.timeout:g} s"
            results |= dict.fromkeys(runs, Failure("timeout", reason))
        if self.pending:
            self.hire(min(len(late), len(self.pending)))
        return results


def _refusal(body: Mapping[str, Any]) -> InitlabError:
    kind = getattr(errors, body["error"], InitlabError)
    if kind is errors.UnknownNameError:  # its text is composed from other arguments
        kind = errors.OptionError
    refused: InitlabError = kind(body["what"], where=body["where"], fix=body["fix"])
    return refused
