"""A study that is killed at any time and started again ends as one that nobody disturbed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study import tiny_study
from tests.study.tiny_study import content

from initlab.study.design import load_study, with_overrides
from initlab.study.run import run_study
from initlab.study.store import Store
from initlab.tasks import load_task

SEEDS = 9  # 18 runs in chunks of three
IRIS = """
import sys
from initlab.study.design import load_study, with_overrides
from initlab.study.run import run_study
from initlab.tasks import load_task
run_study(with_overrides(load_study("iris"), seeds=12), load_task("iris"), sys.argv[1], jobs=1)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")


def committed(folder: Path) -> list[object]:
    return [content(record) for record in Store(folder / "records").load_all()]


def kill_group(process: subprocess.Popen[bytes]) -> None:
    with process:
        os.killpg(process.pid, signal.SIGKILL)


def wait_for_records(folder: Path, count: int) -> None:
    for _ in range(9000):
        if len(Store(folder / "records").ids()) >= count:
            return
        time.sleep(0.01)
    raise AssertionError(f"no {count} records in {folder}")


def tiny(folder: Path) -> None:
    run_study(tiny_study.design(seeds=SEEDS), tiny_study.dataset(), folder, trainer=tiny_study.trainer("fast"), jobs=1)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> list[object]:
    folder = tmp_path_factory.mktemp("undisturbed")
    tiny(folder)
    return committed(folder)


def test_a_study_killed_at_many_moments_ends_as_an_undisturbed_one(tmp_path, undisturbed):
    for seconds in (0.2, 0.5, 0.7, 0.9, 1.1):
        process = tiny_study.start(tmp_path, "slow", seeds=SEEDS)
        time.sleep(seconds)
        kill_group(process)
        committed(tmp_path)  # raises if any record is torn
    tiny(tmp_path)
    assert committed(tmp_path) == undisturbed


@pytest.mark.parametrize("records", [1, 7])
def test_a_study_killed_between_its_records_ends_as_an_undisturbed_one(tmp_path, undisturbed, records):
    process = tiny_study.start(tmp_path, "slow", seeds=SEEDS)
    wait_for_records(tmp_path, records)
    kill_group(process)
    assert records <= len(committed(tmp_path)) < len(undisturbed)
    tiny(tmp_path)
    assert committed(tmp_path) == undisturbed
    assert not list((tmp_path / "records").glob(".tmp-*"))


def test_a_terminated_study_keeps_what_it_committed(tmp_path, undisturbed):
    process = tiny_study.start(tmp_path, "slow", seeds=SEEDS)
    wait_for_records(tmp_path, 1)
    with process:
        process.terminate()
        process.communicate(timeout=10)
    kept = committed(tmp_path)
    assert 1 <= len(kept) < len(undisturbed)
    assert all(record in undisturbed for record in kept)


# The real engine, whose compilation is what takes time here.


@pytest.fixture(scope="module")
def iris(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("iris")
    run_study(with_overrides(load_study("iris"), seeds=12), load_task("iris"), folder, jobs=1)
    return folder


def test_a_zero_network_on_iris_learns_its_output_bias_alone(iris):
    zeros = [r for r in Store(iris / "records").load_all() if r.spec.scheme == "zeros"]
    assert {r.status for r in zeros} == {"ok"}
    assert [r.final("test_accuracy") for r in zeros] == pytest.approx([0.3] * 12)  # the most frequent class: 9 of 30


def test_iris_killed_while_it_commits_ends_as_an_undisturbed_one(tmp_path, iris):
    process = subprocess.Popen([sys.executable, "-c", IRIS, str(tmp_path)], start_new_session=True)
    wait_for_records(tmp_path, 1)
    kill_group(process)
    assert len(committed(tmp_path)) < 48
    run_study(with_overrides(load_study("iris"), seeds=12), load_task("iris"), tmp_path, jobs=1)
    assert committed(tmp_path) == committed(iris)
