"""Workers that crash, hang or are killed cost the run that caused it, and nothing else."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.study.tiny_study import BAD_SEED, MARK, content, dataset, design, start, trainer

from initlab.core.errors import OptionError, ResourceError
from initlab.core.training.protocol import Start
from initlab.study.design import expand
from initlab.study.inline import train_here
from initlab.study.records import RunRecord
from initlab.study.run import initial_weights, run_study
from initlab.study.supervise import Failure
from initlab.study.trainers import TrainerName
from initlab.study.wire import setup_for

ONE_SCHEME = design(schemes=("zeros",), seeds=6)


@pytest.fixture(autouse=True)
def trainers_leave_marks_here(monkeypatch, tmp_path):
    monkeypatch.setenv(MARK, str(tmp_path))


def run(folder: Path, name: str, **options: object) -> list[RunRecord]:
    return run_study(ONE_SCHEME, dataset(), folder / "out", trainer=trainer(name), **options)


@pytest.mark.parametrize(
    ("name", "reason"),
    [("aborts", "the worker was killed by SIGABRT"), ("raises", "FloatingPointError: planted in seed 2")],
)
def test_a_crash_costs_its_own_run_alone(tmp_path, name, reason):
    records = run(tmp_path, name, chunk=4, jobs=2)
    assert {r.spec.seed: r.status for r in records} == {s: "failed" if s == BAD_SEED else "ok" for s in range(6)}
    assert records[BAD_SEED].reason.startswith(reason)


def test_a_worker_killed_once_costs_nothing(tmp_path):
    killed, undisturbed = run(tmp_path / "a", "killed_once", chunk=3), run(tmp_path / "b", "fast", chunk=3)
    assert (tmp_path / "killed").exists()
    assert [content(r) for r in killed] == [content(r) for r in undisturbed]


def test_a_failed_run_is_not_committed_and_tried_again_by_the_next_call(tmp_path):
    assert run(tmp_path, "raises", chunk=1)[BAD_SEED].status == "failed"
    assert len(list((tmp_path / "out" / "records").glob("*.npz"))) == 5
    assert {r.status for r in run(tmp_path, "fast")} == {"ok"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("segfaults", "the worker was killed by SIGSEGV: the last words of seed 2"),
        ("leaves", "the worker exited with code 0: the last words of seed 2"),
        ("exits", "SystemExit: bye"),
        ("asks", "EOFError: EOF when reading a line"),
        ("mute", "MuteError: its text raises SystemExit"),
        ("stops", "Stop: a base exception"),
        ("takes_all_memory", "MemoryError"),
        ("forks_and_dies", "the worker was killed by SIGKILL (often: out of memory): the last words of seed 2"),
    ],
)
def test_whatever_user_code_does_fails_its_own_run_with_reason_and_log(tmp_path, name, reason):
    records = run(tmp_path, name, chunk=3, jobs=2, timeout=30)
    assert {r.spec.seed: r.status for r in records} == {s: "failed" if s == BAD_SEED else "ok" for s in range(6)}
    assert records[BAD_SEED].reason == reason
    (log,) = (tmp_path / "out" / "logs").iterdir()
    assert log.name == f"{records[BAD_SEED].name}.txt"
    assert "the last words of seed 2" in log.read_text()


def test_a_child_that_comes_back_from_a_fork_answers_nothing(tmp_path):
    forked, undisturbed = run(tmp_path / "a", "forks", chunk=3, jobs=1), run(tmp_path / "b", "fast", chunk=3, jobs=1)
    assert [content(r) for r in forked] == [content(r) for r in undisturbed]


def test_the_log_of_a_run_that_ends_well_is_gone(tmp_path):
    run(tmp_path, "exits", chunk=3)
    assert len(list((tmp_path / "out" / "logs").iterdir())) == 1
    run(tmp_path, "fast", chunk=3)
    assert not list((tmp_path / "out" / "logs").iterdir())


@pytest.mark.parametrize("chunk", [1, 3])
def test_a_run_that_takes_too_long_ends_alone(tmp_path, chunk):
    started = time.monotonic()
    records = run(tmp_path, "hangs", chunk=chunk, jobs=1, timeout=2.0)
    assert time.monotonic() - started < 40
    assert {r.spec.seed: r.status for r in records} == {s: "timeout" if s == BAD_SEED else "ok" for s in range(6)}
    assert records[BAD_SEED].reason == "it took longer than 2 s alone"


def test_after_two_timeouts_of_a_scheme_its_rest_is_not_tried(tmp_path):
    records = run(tmp_path, "hangs_always", chunk=3, jobs=2, timeout=0.5)
    counts = Counter(r.status for r in records)
    assert counts["timeout"] >= 2
    assert counts["timeout"] + counts["skipped"] == 6
    assert counts["skipped"] >= 2
    assert {r.reason for r in records if r.status == "skipped"} == {
        "not tried: 2 runs of its scheme took longer than 0.5 s alone"
    }


@pytest.mark.parametrize("name", ["fast", "aborts", "raises", "hangs"])
def test_the_outcomes_add_up_to_the_plan(tmp_path, name):
    told: list[dict[str, int]] = []
    records = run(tmp_path, name, chunk=2, timeout=2.0, progress=lambda **now: told.append(now))
    counts = Counter(r.status for r in records)
    assert sum(counts[s] for s in ("ok", "diverged", "failed", "timeout", "skipped")) == len(records) == 6
    assert told[-1] == {
        "done": 6,
        "total": 6,
        "diverged": counts["diverged"],
        "failed": counts["failed"] + counts["timeout"] + counts["skipped"],
    }


def test_bad_input_that_only_the_trainer_sees_ends_the_study_in_one_line(tmp_path):
    with pytest.raises(OptionError) as caught:
        run(tmp_path, "refuses")
    assert str(caught.value) == "no such activation (tiny): take another"


def test_a_trainer_of_ones_own_that_is_not_there_ends_the_study_in_one_line(tmp_path):
    with pytest.raises(OptionError, match=r"there is no module 'nowhere' \(nowhere.train:train\)"):
        run_study(ONE_SCHEME, dataset(), tmp_path, trainer="nowhere.train:train")


def test_workers_that_never_start_end_the_study(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ResourceError, match="workers do not start: the worker exited with code 1"):
        run(tmp_path, "fast", jobs=1)


def test_what_a_library_prints_does_not_reach_the_channel_or_the_terminal(tmp_path, capfd):
    assert {r.status for r in run(tmp_path, "prints")} == {"ok"}
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the platform does not bind processes to cores")
def test_each_worker_has_a_core_of_its_own(tmp_path):
    cores = len(os.sched_getaffinity(0))
    run(tmp_path, "tells_its_cores", chunk=1, jobs=2)
    said = [file.read_text() for file in tmp_path.glob("*.cores")]
    assert all("," not in text for text in said)
    assert len(set(said)) == min(2, cores)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pids_of_workers(folder: Path) -> list[int]:
    """The two workers, once both are in the middle of training."""
    for _ in range(600):
        pids = [int(p.name) for p in folder.iterdir() if p.name.isdigit()]
        if len(pids) == 2:
            return pids
        time.sleep(0.05)
    raise AssertionError("the workers did not start")


def wait_until_dead(pids: list[int]) -> None:
    for _ in range(200):
        if not any(map(alive, pids)):
            return
        time.sleep(0.05)
    raise AssertionError(f"still alive: {[pid for pid in pids if alive(pid)]}")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "last_line"),
    [
        (signal.SIGKILL, b""),
        (signal.SIGINT, b"KeyboardInterrupt"),
        (signal.SIGTERM, b"initlab.study.supervise.Terminated: SIGTERM"),
    ],
)
def test_no_worker_outlives_its_study(tmp_path, number, last_line):
    with start(tmp_path / "out", "hangs_always", seeds=4) as process:
        pids = pids_of_workers(tmp_path)
        process.send_signal(number)
        said = process.communicate(timeout=10)[1].strip()
    wait_until_dead(pids)
    assert said.endswith(last_line)
    assert process.returncode != 0


def test_a_program_that_handles_sigterm_itself_keeps_its_handler(tmp_path):
    def own(signum: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, own)
    try:
        run(tmp_path, "fast")
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_sigterm_is_left_as_it_was_found(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path, "fast")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_run_that_takes_too_long_in_this_process_is_stopped_too(monkeypatch):
    spec = expand(ONE_SCHEME, dataset())
    handler = signal.getsignal(signal.SIGALRM)
    found = {}
    for part in train_here(
        [[BAD_SEED], [0]],
        lambda run: Start(spec[run].seed, initial_weights(spec[run])),
        setup_for(spec[0], dataset()),
        trainer=TrainerName("jax", function=trainer("hangs")),
        timeout=0.3,
    ):
        found |= part
    assert found[BAD_SEED] == Failure("timeout", "it took longer than 0.3 s")
    assert found[0].status == "ok"
    assert signal.getsignal(signal.SIGALRM) is handler
