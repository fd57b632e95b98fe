"""A worker process: trains the chunks it is sent, one at a time, until its parent closes the pipe or dies.

Its standard input and output are the channel to the parent (``wire``); what any library prints goes to its standard
error, whose last line explains a crash.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from initlab.core.errors import InitlabError
from initlab.core.factories import named, said
from initlab.core.training.protocol import Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.study.process import IN_WORKER
from initlab.study.trainers import TrainerName, trainer_named
from initlab.study.wire import Message, Readable, read_message, setup_of, starts_of, trained_message, write_message


def main(told: str, compiled: str) -> None:
    """Serve the parent at the other end of standard input and output; never returns.

    Args:
        told: The trainer's name, as ``TrainerName.message`` tells it.
        compiled: The folder in which workers keep compiled code.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides what it means
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, inbox), daemon=True).start()
    os.environ[IN_WORKER] = "1"
    name = trainer_named(told)
    name.settle(Path(compiled))
    with os.fdopen(os.dup(1), "wb") as out:
        os.dup2(2, 1)
        write_message(out, *_answer(lambda: _ready(name)))
        trainer, message = name.load(), inbox.get()
        setup, activation = setup_of(*message), message[0]["activation"]
        while True:
            starts = starts_of(*inbox.get())
            write_message(out, *_answer(lambda: _train(trainer, setup, starts, activation)))  # noqa: B023  # called at once


def _listen(stream: Readable, inbox: queue.SimpleQueue[Message]) -> None:
    """Hand on messages; end the process when the parent is gone, even in the middle of training."""
    while True:
        try:
            inbox.put(read_message(stream))
        except EOFError:
            os._exit(0)


def _ready(name: TrainerName) -> Message:
    name.load()
    return {"kind": "ready"}, {}


def _train(
    trainer: Callable[..., list[Trained]],
    setup: TrainingSetup | UserTrainingSetup,
    starts: list[Start],
    activation: str,
) -> Message:
    if activation:
        named(activation)
    results = trainer(setup, starts)
    if len(results) != len(starts):
        raise ValueError(f"the trainer was given {len(starts)} models and gave back {len(results)}")
    return trained_message(results)


def _answer(work: Callable[[], Message]) -> Message:
    """What the work gave, or what it raised: bad input (``refused``) ends the study, all else (``error``) a chunk."""
    try:
        return work()
    except InitlabError as error:
        told = {"error": type(error).__name__, "what": error.what, "where": error.where, "fix": error.fix}
        return {"kind": "refused", **told}, {}
    except (Exception, SystemExit) as error:  # whatever it was, it becomes the reason of a failed run
        return {"kind": "error", "reason": reason_of(error)}, {}


def reason_of(error: BaseException) -> str:
    r"""What a run failed of, in one line.

    Example:
        >>> reason_of(ValueError("no such row\nand more"))
        'ValueError: no such row'
    """
    return said(error).splitlines()[0].rstrip(": ")
