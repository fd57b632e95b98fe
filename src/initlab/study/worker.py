"""A worker process: trains the chunks it is sent, one at a time, until its parent closes the pipe or dies.

Its standard input and output are the channel to the parent (``wire``); what any library prints goes to its standard
error, whose last line explains a crash.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from initlab.core.errors import InitlabError
from initlab.core.factories import named, said
from initlab.core.training.live import Epoch, Listener, Told, heard_by
from initlab.core.training.protocol import Start, Trained, TrainingSetup, UserTrainingSetup
from initlab.study.process import IN_WORKER
from initlab.study.same_code import check_code
from initlab.study.trainers import TrainerName, trainer_named
from initlab.study.wire import (
    Message,
    Readable,
    epoch_messages,
    read_message,
    setup_of,
    starts_of,
    trained_message,
    write_message,
)

PAUSE = 0.05
"""Seconds from one sending of epochs to the next."""

MOST_EPOCHS, MOST_BYTES = 10_000, 1 << 26
"""Epochs that wait to be sent, and the bytes of their variables, unless one alone has more."""


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
        outbox = _Outbox(out)
        outbox.answer(_answer(lambda: _ready(name)))
        trainer, message = name.load(), inbox.get()
        setup, live, check = setup_of(*message), message[0]["live"], _checked(message[0])
        while True:
            starts, here = starts_of(*inbox.get()), os.getpid()
            with heard_by(None if live is None else Listener(outbox.epochs_of(starts), wants_variables=live)):
                answer = _answer(lambda: _train(trainer, setup, starts, check))  # noqa: B023  # called at once
            if os.getpid() != here:  # a child that the user's code forked, and that came back from it
                os._exit(0)
            outbox.answer(answer)


class _Outbox:
    """What is to be sent, by a thread of its own: training never waits for the parent, but for a chunk's answer.

    Epochs are sent a few times a second, those that ended in between as one message; one that does not fit in any more
    is left out, as its numbers are in the answer too.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._epochs: deque[tuple[Epoch, list[int]]] = deque()
        self._bytes = 0
        self._answers: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._due, self._sent = threading.Event(), threading.Event()
        threading.Thread(target=self._send, args=(out,), daemon=True).start()

    def answer(self, message: Message) -> None:
        """Send a message after all epochs; returns when it is sent."""
        self._sent.clear()
        self._answers.put(message)
        self._due.set()
        self._sent.wait()

    def epochs_of(self, starts: list[Start]) -> Told:
        """What sends the epochs of models that train together."""
        places = {id(start): place for place, start in enumerate(starts)}

        def told(epoch: Epoch) -> None:
            size = sum(array.nbytes for array in epoch.variables.values())
            if len(self._epochs) < MOST_EPOCHS and (not self._bytes or self._bytes + size <= MOST_BYTES):
                self._bytes += size  # what the other thread has sent is set back to 0 there
                self._epochs.append((epoch, [places[id(start)] for start in epoch.starts]))

        return told

    def _send(self, out: BinaryIO) -> None:
        while True:
            self._due.wait(PAUSE)
            self._due.clear()
            answer = None if self._answers.empty() else self._answers.get()
            waiting = [self._epochs.popleft() for _ in range(len(self._epochs))]
            try:
                for message in epoch_messages(waiting):
                    write_message(out, *message)
                self._bytes = 0
                if answer is not None:
                    write_message(out, *answer)
                    self._sent.set()
            except OSError:  # the parent is gone
                os._exit(0)


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


def _checked(body: Mapping[str, Any]) -> Callable[[], None]:
    """What imports the user's code, and checks once that it is the parent's."""
    call = json.loads(body["spec"])["arch"].get("activation", "")

    @cache
    def check() -> None:
        if body["activation"]:
            named(body["activation"])
        if body["code"] is not None:
            check_code(body["code"], build=body["build"], activation=call if body["activation"] else "")

    return check


def _train(
    trainer: Callable[..., list[Trained]],
    setup: TrainingSetup | UserTrainingSetup,
    starts: list[Start],
    check: Callable[[], None],
) -> Message:
    check()
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
