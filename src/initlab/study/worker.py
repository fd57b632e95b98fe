"""A worker process: trains the chunks it is sent, one at a time, until its parent closes the pipe or dies.

Its standard input and output are the channel to the parent (``wire``); what any library prints goes to its standard
error, whose last line explains a crash.
"""

from __future__ import annotations

import os
import queue
import signal
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

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
    channel, answers = _private_channel()
    inbox: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, inbox), daemon=True).start()
    os.environ[IN_WORKER] = "1"
    name = trainer_named(told)
    name.settle(Path(compiled))
    with answers as out:
        write_message(out, *_answer(lambda: _ready(name)))
        trainer, message = name.load(), inbox.get()
        setup, activation = setup_of(*message), message[0]["activation"]
        while True:
            starts, here = starts_of(*inbox.get()), os.getpid()
            answer = _answer(lambda: _train(trainer, setup, starts, activation))  # noqa: B023  # called at once
            if os.getpid() != here:  # a child that the user's code forked, and that came back from it
                os._exit(0)
            write_message(out, *answer)


def _private_channel() -> tuple[BinaryIO, BinaryIO]:
    """The channel from and to the parent, out of reach of the user's code.

    What reads standard input finds its end, what prints prints to standard error, and a child that is forked has no
    part of the channel: it cannot answer in its parent's place, nor keep it open when that is dead.
    """
    channel, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)

    def part() -> None:
        for stream in (channel, answers):
            os.dup2(2, stream.fileno())

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=part)
    return channel, answers


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
    except BaseException as error:  # whatever it was, it becomes the reason of a failed run; no Ctrl-C arrives here
        traceback.print_exc()
        return {"kind": "error", "reason": reason_of(error)}, {}


def reason_of(error: BaseException) -> str:
    r"""What a run failed of, in one line.

    Example:
        >>> reason_of(ValueError("no such row\nand more"))
        'ValueError: no such row'
    """
    return said(error).splitlines()[0].rstrip(": ")
