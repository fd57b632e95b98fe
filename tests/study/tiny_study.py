"""A study that takes no time, and trainers that misbehave on demand: ``tests.study.tiny_study:NAME`` in a worker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from initlab.core.errors import OptionError
from initlab.core.training.dataset import Dataset
from initlab.core.training.protocol import Budget, Histogram, Optimizer, Start, Trained, TrainingSetup
from initlab.study.records import RunRecord, StudyDesign
from initlab.study.run import run_study

BAD_SEED = 2
MARK = "INITLAB_TEST_MARK"  # a folder in which a trainer remembers that it was called
ROOT = Path(__file__).parents[2]


def design(*, seeds: int = 4, schemes: tuple[str, ...] = ("zeros", "he_normal"), epochs: int = 3) -> StudyDesign:
    return StudyDesign("tiny", "custom", (4,), schemes, Optimizer(), Budget(epochs, 2), seeds=seeds)


def dataset() -> Dataset:
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    y = np.array([0, 1, 0, 1], np.int32)
    return Dataset("custom", x, y, x[:2], y[:2], class_names=("no", "yes"))


def trainer(name: str) -> str:
    return f"tests.study.tiny_study:{name}"


def fast(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    """Curves that are a function of the seed and the weights alone; he_normal diverges on seed 3."""
    return [_outcome(setup, start) for start in starts]


def _outcome(setup: TrainingSetup, start: Start) -> Trained:
    total = np.float64(sum(float(np.abs(w).sum()) for w in start.weights.values()))
    curve = total + start.seed + np.arange(setup.budget.epochs + 1, dtype=np.float64)
    diverged = start.seed == 3 and total > 0
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    bars = [Histogram(e, "0", "weight", -1.0, 1.0, np.arange(5, dtype=np.int32)) for e in setup.histogram_epochs]
    return Trained(
        status="diverged" if diverged else "ok",
        reason="loss became nan at step 1 (epoch 1)" if diverged else "",
        diverged_step=1 if diverged else None,
        curves={name: curve + i for i, name in enumerate(names)},
        layers={"dead": np.zeros((setup.budget.epochs + 1, setup.arch.depth))},
        histograms=bars,
        predictions=np.full(len(setup.dataset.x_test), start.seed, np.int32),
        wall=0.5,
    )


def slow(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    time.sleep(0.05 * len(starts))
    return fast(setup, starts)


def aborts(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    if any(start.seed == BAD_SEED for start in starts):
        os.abort()
    return fast(setup, starts)


def raises(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    if any(start.seed == BAD_SEED for start in starts):
        raise FloatingPointError("planted in seed 2\nand a second line")
    return fast(setup, starts)


def refuses(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    raise OptionError("no such activation", where="tiny", fix="take another")


def hangs(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    if any(start.seed == BAD_SEED for start in starts):
        time.sleep(60)
    return fast(setup, starts)


def _planted(setup: TrainingSetup, starts: Sequence[Start], fault: Callable[[], object]) -> list[Trained]:
    if any(start.seed == BAD_SEED for start in starts):
        print("the last words of seed 2", flush=True)
        fault()
    return fast(setup, starts)


class MuteError(Exception):
    """Has no text, and cannot be pickled."""

    def __init__(self) -> None:
        self.held = lambda: None

    def __str__(self) -> str:
        raise SystemExit("no text")


class Stop(BaseException):
    """What ``except Exception`` does not take."""


def _raise(error: BaseException) -> None:
    raise error


def segfaults(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: os.kill(os.getpid(), signal.SIGSEGV))


def leaves(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: os._exit(0))


def exits(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: sys.exit("bye"))


def asks(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, input)


def mute(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: _raise(MuteError()))


def stops(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: _raise(Stop("a base exception")))


def takes_all_memory(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    return _planted(setup, starts, lambda: _raise(MemoryError()))


def forks(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    os.fork()  # the child comes back from it too, and must not answer in its parent's place
    return fast(setup, starts)


def forks_and_dies(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    def fault() -> None:
        if os.fork() == 0:
            time.sleep(60)  # a child that outlives its parent, with all that it inherited
        os.kill(os.getpid(), signal.SIGKILL)

    return _planted(setup, starts, fault)


def hangs_always(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    Path(os.environ[MARK], str(os.getpid())).touch()
    time.sleep(60)
    return fast(setup, starts)


def killed_once(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    mark = Path(os.environ[MARK], "killed")
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return fast(setup, starts)


def counts(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    for start in starts:
        with open(Path(os.environ[MARK], "trained"), "a") as log:
            log.write(f"{start.seed}\n")
    return fast(setup, starts)


def tells_its_cores(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    folder = Path(os.environ[MARK])
    (folder / f"{os.getpid()}.cores").write_text(str(sorted(os.sched_getaffinity(0))))
    for _ in range(200):  # until the other worker has its chunk too
        if len(list(folder.glob("*.cores"))) == 2:
            break
        time.sleep(0.05)
    return fast(setup, starts)


def prints(setup: TrainingSetup, starts: Sequence[Start]) -> list[Trained]:
    print("a library that talks to standard output", flush=True)
    return fast(setup, starts)


def content(record: RunRecord) -> tuple[object, ...]:
    """All of a record but what differs from run to run: the wall time and the environment."""
    arrays = {**record.curves, **record.layers, "predictions": record.predictions}
    bars = [(b.epoch, b.layer, b.quantity, b.low, b.high, b.counts.tobytes()) for b in record.histograms]
    raw = {name: (str(a.dtype), a.shape, a.tobytes()) for name, a in arrays.items() if a is not None}
    return record.run_id, record.spec, record.status, record.reason, record.diverged_step, sorted(raw.items()), bars


def main() -> None:
    folder, name, seeds, jobs = sys.argv[1:]
    run_study(design(seeds=int(seeds)), dataset(), folder, trainer=trainer(name), jobs=int(jobs), chunk=3)


def start(folder: Path, name: str, *, seeds: int) -> subprocess.Popen[bytes]:
    """The study in a process group of its own, with two workers."""
    script = "import sys; sys.path.insert(0, '.'); from tests.study.tiny_study import main; main()"
    command = [sys.executable, "-c", script, str(folder), name, str(seeds), "2"]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True)
