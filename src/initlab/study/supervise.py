"""Chunks of runs trained by worker processes, whatever happens to those: a crash costs the run that caused it alone."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal, TypeAlias

from initlab.core import errors
from initlab.core.errors import InitlabError, ResourceError
from initlab.core.training.live import Epoch
from initlab.core.training.protocol import Start, Trained
from initlab.study.process import Worker
from initlab.study.trainers import TrainerName
from initlab.study.wire import Message, epochs_of, starts_message, trained_of

STARTS = 3
MOST_TIMEOUTS = 2
"""Runs of a scheme that may take too long, each alone, before its rest is not tried."""


@dataclass(frozen=True)
class Failure:
    """A run that gave no result.

    Attributes:
        status: ``skipped`` is a run that was not tried.
        reason: Why, in words.
        log: The last that its worker printed.
    """

    status: Literal["failed", "timeout", "skipped"]
    reason: str
    log: str = ""


Results: TypeAlias = dict[int, Trained | Failure]

Live: TypeAlias = Callable[[Sequence[int], Epoch], None]
"""Is told of the runs, by number, of which an epoch ended, and of the epoch; it returns at once."""


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
    kinds: Mapping[int, str] | None = None,
    live: Live | None = None,
) -> Generator[Results, None, None]:
    """Every run's result, in the order in which chunks finish; each run is yielded once.

    A chunk whose worker crashes, is killed, raises or takes too long is taken apart, and its runs are tried alone; a
    run that was alone from the start is tried once more. So only a run that fails alone ends as ``failed`` or
    ``timeout``, with the last that its worker printed, and as many workers go on as there were.

    Args:
        chunks: Runs that train together, as numbers that ``start`` takes.
        start: The seed and weights of a run; called in this thread, when a worker has room for it.
        setup: What all runs share (``wire.setup_message``).
        trainer: The trainer.
        jobs: Number of worker processes, 1 or more.
        timeout: Seconds that one training call may take, whatever it holds; None waits for ever.
        kinds: By run what it has in common with others: after ``MOST_TIMEOUTS`` of a kind that took too long alone, its
            rest is not tried, and ends as ``skipped``.
        live: Is told of epochs as they end, of those runs that ``setup`` says so of.

    Yields:
        By number, what training gave, or why it gave nothing.

    Raises:
        InitlabError: The trainer refused its input: no other run would be accepted either.
        ResourceError: Workers die before they are ready.
    """
    pending = deque(_Chunk(tuple(runs)) for runs in chunks)
    crew = _Crew(start, setup, trainer, jobs, timeout, kinds or {}, pending, live)
    try:
        crew.staff()
        while crew.pending or crew.busy:
            results = crew.next_event()
            results |= crew.untried()
            crew.dispatch()  # before the results are looked at, so that no worker waits for the disk
            crew.staff()
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
    jobs: int
    timeout: float | None
    kinds: Mapping[int, str]
    pending: deque[_Chunk]
    live: Live | None = None
    workers: list[Worker] = field(default_factory=list)
    idle: list[Worker] = field(default_factory=list)
    busy: dict[Worker, _Chunk] = field(default_factory=dict)
    deadlines: dict[Worker, float] = field(default_factory=dict)
    events: queue.SimpleQueue[tuple[Worker, Message | None]] = field(default_factory=queue.SimpleQueue)
    false_starts: int = 0
    timeouts: Counter[str] = field(default_factory=Counter)

    def staff(self) -> None:
        """Start workers as long as there is work for them and room."""
        starting = len(self.workers) - len(self.idle) - len(self.busy)
        wanted = min(self.jobs - len(self.workers), len(self.pending) - len(self.idle) - starting)
        if wanted > 0:
            self.hire(wanted)

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
            worker.has_answered = False
            worker.send(*starts_message([self.start(run) for run in chunk.runs]))
            if self.timeout is not None:
                self.deadlines[worker] = time.monotonic() + self.timeout

    def next_event(self) -> Results:
        """Wait until a worker says something, ends, or runs out of time; the results that this gives."""
        wait = min(self.deadlines.values(), default=None)
        try:
            seconds = None if wait is None else max(0.0, wait - time.monotonic())
            if seconds == 0.0 and self.late():  # a worker that tells of its epochs is late all the same
                return self._expire()
            worker, message = self.events.get(timeout=seconds)
        except queue.Empty:
            return self._expire()
        if worker not in self.workers:  # the end of a worker that was stopped
            return {}
        if message is None:
            return self._replace(worker)
        body = message[0]
        if body["kind"] == "epoch":
            return self._tell(worker, message)
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
            return self._again(chunk, Failure("failed", body["reason"], worker.log()))
        return dict(zip(chunk.runs, trained_of(*message), strict=True))

    def _tell(self, worker: Worker, message: Message) -> Results:
        """An epoch of a chunk ended; that is no result yet."""
        if self.live is not None and worker in self.busy:
            runs = self.busy[worker].runs
            for epoch in epochs_of(*message):
                self.live([runs[place] for place in message[0]["places"]], epoch)
        return {}

    def _release(self, worker: Worker) -> _Chunk | None:
        self.deadlines.pop(worker, None)
        return self.busy.pop(worker, None)

    def _dismiss(self, worker: Worker) -> None:
        self.workers.remove(worker)
        if worker in self.idle:
            self.idle.remove(worker)
        worker.stop()

    def _replace(self, worker: Worker) -> Results:
        """A worker died: its chunk goes back."""
        chunk, reason, log = self._release(worker), worker.reason(), worker.log()
        self._dismiss(worker)
        self.false_starts += chunk is None
        if self.false_starts >= STARTS:
            raise ResourceError(f"workers do not start: {reason}", fix="free memory, or give fewer --jobs")
        return self._again(chunk, Failure("failed", reason, log)) if chunk is not None else {}

    def _again(self, chunk: _Chunk, failure: Failure) -> Results:
        """Nothing, where what failed is tried again; else the one run that failed alone, twice."""
        if len(chunk.runs) == 1 and chunk.failures:
            if failure.status == "timeout":
                self.timeouts[self.kinds.get(chunk.runs[0], "")] += 1
            return {chunk.runs[0]: failure}
        self.pending.extend(_Chunk((run,), failures=1) for run in chunk.runs)
        return {}

    def late(self) -> list[Worker]:
        """Workers whose time is over and who have not answered."""
        over = [worker for worker, deadline in self.deadlines.items() if deadline <= time.monotonic()]
        return [worker for worker in over if not worker.has_answered]

    def _expire(self) -> Results:
        results: Results = {}
        for worker in self.late():
            chunk, log = self._release(worker), worker.log()
            self._dismiss(worker)
            if chunk is not None:
                results |= self._again(chunk, Failure("timeout", f"it took longer than {self.timeout:g} s alone", log))
        return results

    def untried(self) -> Results:
        """The runs that are not tried, as runs like them took too long."""
        spent = {kind for kind, count in self.timeouts.items() if count >= MOST_TIMEOUTS}
        results: Results = {}
        for chunk in list(self.pending) if spent else []:
            given_up = [run for run in chunk.runs if self.kinds.get(run, "") in spent]
            if given_up:
                self.pending.remove(chunk)
                reason = f"not tried: {MOST_TIMEOUTS} runs of its scheme took longer than {self.timeout:g} s alone"
                results |= dict.fromkeys(given_up, Failure("skipped", reason))
                rest = tuple(run for run in chunk.runs if run not in given_up)
                if rest:
                    self.pending.append(_Chunk(rest, chunk.failures))
        return results


def _refusal(body: Mapping[str, Any]) -> InitlabError:
    kind = getattr(errors, body["error"], InitlabError)
    if kind is errors.UnknownNameError:  # its text is composed from other arguments
        kind = errors.OptionError
    refused: InitlabError = kind(body["what"], where=body["where"], fix=body["fix"])
    return refused
