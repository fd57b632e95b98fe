"""Runs trained in this process: for a model, or an activation, that no other process could find."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from initlab.core.errors import InitlabError
from initlab.core.factories import exits_raise
from initlab.core.training.live import Epoch, Listener, heard_by
from initlab.core.training.protocol import Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.frameworks import FRAMEWORKS
from initlab.study.supervise import Failure, Live, Results
from initlab.study.trainers import TrainerName
from initlab.study.worker import reason_of


def train_here(
    chunks: Sequence[Sequence[int]],
    start: Callable[[int], Start],
    setup: TrainingSetup | UserTrainingSetup,
    *,
    trainer: TrainerName,
    timeout: float | None = None,
    live: Live | None = None,
    wants_variables: bool = False,
) -> Generator[Results, None, None]:
    """Every run's result, chunk after chunk; the runs of a chunk that raises are tried one by one.

    Args:
        chunks: Runs that train together, as numbers that ``start`` takes.
        start: The seed and weights of a run.
        setup: What all runs share.
        trainer: The trainer.
        timeout: Seconds that one training call may take, as far as it is Python code in the main thread; None waits
            for ever.
        live: Is told of epochs as they end.
        wants_variables: Whether it is told of variables too.

    Yields:
        By number, what training gave, or why it gave nothing: a run that raises alone is ``failed``.

    Raises:
        InitlabError: The trainer refused its input: no other run would be accepted either.
    """
    if isinstance(setup, TrainingSetup):
        for name, value in FRAMEWORKS[trainer.framework].environment.items():
            os.environ.setdefault(name, value)
    train: Callable[..., list[Trained]] = trainer.load()

    def attempt(runs: Sequence[int]) -> Results:
        starts: dict[int, int] = {}

        def told(epoch: Epoch) -> None:
            assert live is not None
            live([starts[id(start)] for start in epoch.starts], epoch)

        def starting(run: int) -> Start:
            made = start(run)
            starts[id(made)] = run
            return made

        with heard_by(None if live is None else Listener(told, wants_variables)):
            return _try(train, setup, runs, starting, timeout)

    for chunk in chunks:
        found = attempt(chunk)
        if len(chunk) == 1 or not any(isinstance(result, Failure) for result in found.values()):
            yield found
        else:
            yield from (attempt([run]) for run in chunk)


def _try(
    train: Callable[..., list[Trained]],
    setup: TrainingSetup | UserTrainingSetup,
    runs: Sequence[int],
    start: Callable[[int], Start],
    timeout: float | None,
) -> Results:
    """What training runs together gives, or for each of them why it raised."""
    try:
        starts = [start(run) for run in runs]
        with exits_raise(), _interrupted_after(timeout):
            return dict(zip(runs, train(setup, starts), strict=True))
    except (InitlabError, KeyboardInterrupt):
        raise
    except _TooLongError:
        return dict.fromkeys(runs, Failure("timeout", f"it took longer than {timeout:g} s"))
    except BaseException as error:  # the user's code may raise anything, and all of it is a reason
        return dict.fromkeys(runs, Failure("failed", reason_of(error)))


class _TooLongError(BaseException):
    """A training call took too long; no ``except Exception`` of the user's takes it for its own."""


@contextmanager
def _interrupted_after(seconds: float | None) -> Iterator[None]:
    """Within it, the main thread is interrupted after so many seconds, where the platform has a timer for that."""
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
