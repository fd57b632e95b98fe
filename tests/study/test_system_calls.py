"""A kill, a full disk or a broken one at every system call of a commit: what was committed stays, and the rest is made.

``pytest --soak tests/study/test_system_calls.py`` tries all of them; on every run one of each kind is met.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.study.committing import record, temporary

from initlab.study.codec import encode
from initlab.study.store import Store

pytestmark = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")

BEFORE, NEW = 7, 8
"""The seed of a record that is there, and of the one that is committed."""
CALLS = "mkdir,openat,flock,write,fsync,link,linkat,unlink,unlinkat,rename,close,newfstatat,ioctl,lseek,fstat"
FAULTS = {"kill": "signal=KILL", "full": "error=ENOSPC", "broken": "error=EIO"}
TEMPORARY = re.compile(r"\.tmp-")


def strace(folder: Path, *options: str, log: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The commit of the new record, watched where it touches the store alone."""
    names = ("", f"{record(NEW).run_id}.npz", temporary(NEW), ".lock")
    paths = [part for name in names for part in ("-P", str(folder / name).rstrip("/"))]
    watched = ["strace", "-f", "-qq", "-o", str(log or "/dev/null"), *paths, *options]
    script = [sys.executable, "-m", "tests.study.committing", str(folder), str(NEW)]
    return subprocess.run([*watched, *script], capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, int]]:
    """Every system call of a commit on the store's files: its name, and which of its kind it is."""
    folder = tmp_path_factory.mktemp("calls")
    Store(folder / "store").commit(record(BEFORE))
    done = strace(folder / "store", "-e", f"trace={CALLS}", log=folder / "log")
    assert done.returncode == 0, done.stderr
    threads: dict[str, Counter[str]] = {}
    for line in (folder / "log").read_text().splitlines():
        told = re.match(r"(\d+) +(\w+)\(", line)
        if told:
            threads.setdefault(told[1], Counter())[told[2]] += 1
    most = {name: max(counts[name] for counts in threads.values()) for counts in threads.values() for name in counts}
    assert {"openat", "flock", "write", "fsync", "close"} <= set(most)
    return [(name, i) for name, count in sorted(most.items()) for i in range(1, count + 1)]


def check(folder: Path, done: subprocess.CompletedProcess[str], *, fault: str) -> str:
    """Whether all is as it must be after a fault; whether the new record had been committed."""
    store = Store(folder)
    present = store.ids()
    assert encode(store.load(record(BEFORE).name)) == encode(record(BEFORE))
    assert set(present) <= {record(BEFORE).name, record(NEW).name}
    assert all(encode(store.load(name)) for name in present)  # whole, or the reader says so
    if fault == "kill":
        assert done.returncode in (0, -9, 137)
    else:
        assert done.returncode in (0, 2, 5), done.stderr
        assert done.stderr.count("\n") == (done.returncode != 0), done.stderr
    assert done.returncode != 0 or record(NEW).name in present
    store.clean()
    store.commit(record(NEW))
    assert store.ids() == sorted([record(BEFORE).name, record(NEW).name])
    assert encode(store.load(record(NEW).name)) == encode(record(NEW))
    assert not [file.name for file in folder.iterdir() if TEMPORARY.match(file.name)]
    return f"{'committed' if record(NEW).name in present else 'absent'}, exit {done.returncode}"


def attempt(folder: Path, call: str, number: int, fault: str) -> str:
    Store(folder).commit(record(BEFORE))
    done = strace(folder, "-e", f"trace={CALLS}", "-e", f"inject={call}:{FAULTS[fault]}:when={number}")
    return check(folder, done, fault=fault)


@pytest.mark.parametrize(("call", "fault"), [("write", "full"), ("fsync", "kill")])
def test_a_fault_in_a_commit_loses_nothing(tmp_path: Path, call: str, fault: str) -> None:
    attempt(tmp_path / "store", call, 1, fault)


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_at_any_system_call_of_a_commit_loses_nothing(
    calls: list[tuple[str, int]], tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found: Counter[str] = Counter()
    for call, number in calls:
        found[attempt(tmp_path / f"{call}-{number}", call, number, fault)] += 1
    with capsys.disabled():
        print(f"\n{fault}: {len(calls)} system calls, {json.dumps(dict(found))}")
