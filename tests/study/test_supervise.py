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
from initlab.study.records import RunRecord
from initlab.study.run import run_study

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


def test_a_chunk_that_takes_too_long_ends_as_timeout(tmp_path):
    started = time.monotonic()
    records = run(tmp_path, "hangs", chunk=2, jobs=1, timeout=2.0)
    assert time.monotonic() - started < 30
    assert [r.status for r in records] == ["ok", "ok", "timeout", "timeout", "ok", "ok"]
    assert records[BAD_SEED].reason == "its chunk of 2 took longer than 2 s"


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
        "failed": counts["failed"] + counts["timeout"],
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
