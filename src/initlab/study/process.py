"""The parent's side of one worker process."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, cast

from numpy.typing import NDArray

from initlab.study.trainers import TrainerName
from initlab.study.wire import Message, Readable, read_message, write_message
from initlab.tasks.places import cache_folder

IN_WORKER = "INITLAB_WORKER"
"""A variable of the environment that only workers, and what they start, have."""

MOST_EVENTS = 256
"""Messages that wait for the study, beyond which epochs are left out."""

LONGEST_LOG = 1 << 16
"""Bytes of a worker's last words that a failed run keeps."""

# The parent's import path, so that the worker finds what the parent found (-P keeps the current folder out of the very
# first import), and one core, before NumPy or a framework counts the threads it may start.
_BOOT = """
import json, sys
path, core, trainer, compiled = sys.argv[1:]
sys.path[:] = json.loads(path)
from initlab.study.pinning import pin_to_core
pin_to_core(int(core))
from initlab.study.worker import main
main(trainer, compiled)
"""


class Worker:
    """A worker process that was started; what it says arrives in a queue, as (worker, message), or None for its end.

    Args:
        core: The worker's number, counted from 0, which picks its core.
        trainer: What it trains with.
        events: The queue that all workers of a study share.
    """

    def __init__(
        self, core: int, trainer: TrainerName, events: queue.SimpleQueue[tuple[Worker, Message | None]]
    ) -> None:
        self.core, self.has_answered = core, False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # closed by stop(), as the process is
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-c",
                _BOOT,
                json.dumps(sys.path),
                str(core),
                trainer.message(),
                str(cache_folder() / "jax"),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
        )
        self._thread = threading.Thread(target=self._listen, args=(events,), daemon=True)
        self._thread.start()

    def send(self, body: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None) -> None:
        """Send a message; a worker that is gone says so by its end in the queue, not here."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            write_message(cast("Any", self._process.stdin), body, arrays)

    def reason(self) -> str:
        """How a worker ended that closed its channel: by which signal or code, and the last line it printed."""
        try:
            code = self._process.wait(timeout=10)  # the channel closes a moment before the process is gone
        except subprocess.TimeoutExpired:
            return "the worker closed its channel"
        lines = [line for line in self.log(4096).splitlines() if line.strip()]
        return _ending(code) + (f": {lines[-1].strip()}" if lines else "")

    def log(self, most: int = LONGEST_LOG) -> str:
        """The last of what the worker printed.

        Args:
            most: Bytes of it.
        """
        handle = self._stderr.fileno()
        size = os.fstat(handle).st_size
        start = max(0, size - most)
        # The worker writes at the place that the file stands at, which reading must not move.
        return os.pread(handle, size - start, start).decode(errors="replace")

    def stop(self) -> None:
        """Kill the process, if it still runs, and free what it held."""
        self._process.kill()
        self._process.wait()
        self._thread.join(timeout=5)
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            with contextlib.suppress(OSError):  # what was still to be sent to a dead process
                if stream is not None:
                    stream.close()

    def _listen(self, events: queue.SimpleQueue[tuple[Worker, Message | None]]) -> None:
        stdout = cast(Readable, self._process.stdout)
        with contextlib.suppress(EOFError):
            while True:
                message = read_message(stdout)
                self.has_answered = message[0]["kind"] != "epoch"
                # An epoch may be left out: its numbers are in the chunk's answer too.
                if self.has_answered or events.qsize() < MOST_EVENTS:
                    events.put((self, message))
        events.put((self, None))


def _ending(code: int) -> str:
    if code >= 0:
        return f"the worker exited with code {code}"
    name = signal.Signals(-code).name
    return f"the worker was killed by {name}" + (" (often: out of memory)" if name == "SIGKILL" else "")
