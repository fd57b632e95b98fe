"""Kills, eight writers at once, clocks that go back, a store that is deleted, Ctrl-C: no run is lost, none is twice."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study import tiny_study
from tests.study.tiny_study import content

from initlab.study.run import run_study
from initlab.study.store import Store

SEEDS = 40
KILLS = 140

pytestmark = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")


def tiny(folder: Path, *, seeds: int = SEEDS, **given: object) -> list[object]:
    design = tiny_study.design(seeds=seeds)
    asked = {"trainer": tiny_study.trainer("fast"), "jobs": 1, **given}
    return [content(record) for record in run_study(design, tiny_study.dataset(), folder, **asked)]


def stored(folder: Path) -> dict[str, object]:
    return {record.name: content(record) for record in Store(folder / "records").load_all()}


@pytest.mark.soak
def test_a_group_that_is_killed_at_140_moments_loses_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = sorted(map(str, tiny(tmp_path / "whole")))
    rng, folder, rounds, kept, moments = random.Random(5), tmp_path / "0", 0, dict[str, object](), 0
    while moments < KILLS:
        process = tiny_study.start(folder, "slow", seeds=SEEDS)
        if moments % 2:  # between its records, and in the middle of one
            until = time.monotonic() + 30
            while len(Store(folder / "records").ids()) <= len(kept) and time.monotonic() < until:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 0.3))
        else:
            time.sleep(rng.uniform(0.0, 2.5))
        with process:
            os.killpg(process.pid, signal.SIGKILL)
        moments += 1
        found = stored(folder)
        assert kept.items() <= found.items()
        kept = found
        if len(found) == len(whole):
            assert sorted(map(str, found.values())) == whole
            folder, rounds, kept = tmp_path / str(moments), rounds + 1, {}
    tiny(folder)
    assert sorted(map(str, stored(folder).values())) == whole
    assert not list((folder / "records").glob(".tmp-*"))
    with capsys.disabled():
        print(f"\n{moments} kills over {rounds + 1} studies of {len(whole)} runs: 0 lost, 0 twice, 0 torn")


@pytest.mark.soak
def test_eight_processes_on_one_store_keep_each_run_once(tmp_path: Path) -> None:
    whole = sorted(map(str, tiny(tmp_path / "whole")))
    processes = [tiny_study.start(tmp_path, "slow", seeds=SEEDS) for _ in range(8)]
    for process in processes:
        with process:
            process.communicate(timeout=300)
        assert process.returncode == 0
    assert sorted(map(str, stored(tmp_path).values())) == whole
    assert len(list((tmp_path / "records").glob("*.npz"))) == len(whole)
    assert not list((tmp_path / "records").glob(".tmp-*"))


def test_a_clock_that_was_set_back_a_year_makes_nothing_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tiny(tmp_path, seeds=3)
    for file in (tmp_path / "records").iterdir():
        os.utime(file, (time.time() + 3.2e7,) * 2)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3.2e7)
    after = tiny(tmp_path, seeds=4)
    assert [one for one in after if one in before] == before
    monkeypatch.setattr("initlab.study.run.supervise", None)  # all is there: nobody is asked to train
    assert tiny(tmp_path, seeds=4) == after


def test_a_store_that_is_deleted_under_a_study_is_made_again(tmp_path: Path) -> None:
    deleted: list[int] = []

    def delete(*, done: int, **_: int) -> None:
        if done and not deleted:
            deleted.append(done)
            shutil.rmtree(tmp_path / "records")

    found = tiny(tmp_path, seeds=6, chunk=2, progress=delete)
    assert len(found) == 12
    assert len(stored(tmp_path)) == 12 - deleted[0]
    assert tiny(tmp_path, seeds=6) == found
    assert len(stored(tmp_path)) == 12


COMPARE = ("-m", "initlab", "compare", "iris", "--seeds", "60", "--epochs", "400", "--jobs", "2", "--out", "runs")


@pytest.mark.soak
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_a_comparison_in_a_line_and_keeps_what_was_done(tmp_path: Path, times: int) -> None:
    pytest.importorskip("jax")
    process = subprocess.Popen(
        [sys.executable, *COMPARE], cwd=tmp_path, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until = time.monotonic() + 240
    while not list(tmp_path.glob("runs/records/*.npz")):
        assert time.monotonic() < until
        assert process.poll() is None
        time.sleep(0.02)
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.strip().splitlines()[-1].startswith("initlab: error: stopped by Ctrl-C")
    assert "Traceback" not in err
    assert 0 < len(Store(tmp_path / "runs" / "records").load_all()) < 240
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
