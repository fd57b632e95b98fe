"""Trackers that are missing, raise, hang or are slow: none of it harms a study."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.study.tracked_study import SCHEME, finished

import initlab
from initlab.cli.main import main
from initlab.core.errors import MissingDependencyError, UnknownNameError
from initlab.core.training.protocol import Histogram
from initlab.study.trackers import TRACKERS, TrackedRun, check_trackers, feed, track


@pytest.fixture
def study(tmp_path: Path):
    """Feeds two runs to trackers by name."""

    def told(*names: str, patience: float = 60.0) -> dict[str, str]:
        return track(check_trackers(names), finished(tmp_path), patience=patience)

    return told


METHODS = ("open", "log", "show", "close")


class Planted:
    """A tracker that misbehaves in one of its methods, opening included."""

    def __init__(self, method: str, misbehave: Any) -> None:
        self.method, self.misbehave, self.calls = method, misbehave, []

    def __call__(self, run: TrackedRun) -> "Planted":
        return self._called("open")

    def _called(self, method: str) -> "Planted":
        self.calls.append(method)
        if method == self.method:
            self.misbehave()
        return self

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        self._called("log")

    def show(self, pictures: Mapping[str, bytes], text: str) -> None:
        self._called("show")

    def close(self, summary: Mapping[str, float | str]) -> None:
        self._called("close")


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch):
    """Registers a tracker named ``planted`` for one test."""
    for name in ("_items", "_keys"):
        monkeypatch.setattr(TRACKERS, name, dict(getattr(TRACKERS, name)))

    def planted(method: str, misbehave: Any) -> Planted:
        tracker = Planted(method, misbehave)
        TRACKERS.add("planted", tracker)
        return tracker

    return planted


def raising(error: BaseException) -> Any:
    def misbehave() -> None:
        raise error

    return misbehave


@pytest.mark.parametrize("method", METHODS)
def test_a_tracker_that_raises_is_degraded_and_the_others_go_on(study, plant, tmp_path: Path, method: str) -> None:
    plant(method, raising(RuntimeError("no more room\nand a second line")))
    assert study("planted", "csv") == {"planted": "degraded: RuntimeError: no more room", "csv": "ok"}
    assert (tmp_path / "csv" / SCHEME / "seed-1" / "scalars.csv").is_file()


def test_a_tracker_that_wants_to_end_the_process_is_degraded(study, plant) -> None:
    plant("log", raising(SystemExit("not logged in")))
    assert study("planted") == {"planted": "degraded: SystemExit: not logged in"}


@pytest.mark.parametrize("method", METHODS)
def test_a_tracker_that_hangs_is_degraded_and_left_alone(study, plant, method: str) -> None:
    release = threading.Event()
    tracker = plant(method, lambda: release.wait(60))
    began = time.monotonic()
    assert study("planted", "csv", patience=0.5) == {
        "planted": "degraded: took longer than 0.5 s for one run",
        "csv": "ok",
    }
    assert time.monotonic() - began < 30  # two runs of four epochs, each call of 60 s
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "tracker-planted")
    calls = list(tracker.calls)
    release.set()
    thread.join(30)
    assert tracker.calls == calls


def test_a_tracker_that_is_slow_on_every_run_is_degraded(
    study, plant, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(feed, "PACE", 0.01)
    tracker = plant("show", lambda: time.sleep(0.7))
    (outcome,) = study("planted", patience=1.0).values()
    assert outcome.startswith("degraded: took longer than")
    assert tracker.calls.count("open") < 3  # two runs and the study


def test_a_tracker_that_failed_half_way_is_given_the_rest_by_the_next_call(study, plant) -> None:
    room = iter([True, False])

    def write() -> None:
        if not next(room, True):
            raise OSError("no more room")

    tracker = plant("close", write)
    assert study("planted") == {"planted": "degraded: OSError: no more room"}
    tracker.calls.clear()
    assert study("planted") == {"planted": "ok"}
    assert tracker.calls.count("open") == 2  # the second run, and the study


def test_a_study_that_was_tracked_is_not_told_again(study, plant) -> None:
    tracker = plant("", None)
    study("planted")
    tracker.calls.clear()
    assert (study("planted"), tracker.calls) == ({"planted": "ok"}, [])


MISSING = """
import sys
sys.modules["tensorboardX"] = None
from initlab.cli.main import main
main()
"""


def test_the_command_line_tells_a_degraded_tracker_in_one_notice_beside_its_json(tmp_path: Path) -> None:
    argv = ["compare", "iris", "--schemes", "zeros", "--seeds", "1", "--epochs", "1", "--jobs", "1"]
    argv += ["--track", "tensorboard,csv", "--json", "--out", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", MISSING, *argv], capture_output=True, text=True, check=False)
    why = "degraded: the tracker tensorboard needs the package 'tensorboardX': pip install 'initlab[trackers]'"
    assert done.returncode == 0
    assert json.loads(done.stdout)["logging"] == {"tensorboard": why, "csv": "ok"}
    assert json.loads((tmp_path / "comparison.json").read_bytes())["logging"] == {"tensorboard": why, "csv": "ok"}
    assert done.stderr == f"initlab: notice: the tracker tensorboard is {why}\n"


def test_the_report_says_which_tracker_is_degraded_and_why_and_no_record_changes(
    plant, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plant("log", raising(RuntimeError("no more room")))
    asked: dict[str, Any] = {"schemes": ["zeros"], "seeds": 1, "epochs": 1, "jobs": 1, "out": tmp_path}
    initlab.compare("iris", **asked)
    records = {file: file.read_bytes() for file in (tmp_path / "records").iterdir() if file.is_file()}
    assert 'id="trackers"' not in (tmp_path / "report.html").read_text()
    result = initlab.compare("iris", **asked, track=["planted", "csv"])
    for shown in (str(result), result._repr_html_()):
        assert shown.count("The tracker planted is degraded: RuntimeError: no more room") == 1
        assert "csv is" not in shown
    page = (tmp_path / "report.html").read_text()
    for said in ('id="trackers"', ">planted<", ">degraded<", "RuntimeError: no more room"):
        assert said in page
    assert main(["report", str(tmp_path), "--json"]) == 0
    told = capsys.readouterr()
    assert (tmp_path / "report.html").read_text() == page
    assert json.loads(told.out)["logging"] == {"planted": "degraded: RuntimeError: no more room", "csv": "ok"}
    assert told.err == "initlab: notice: the tracker planted is degraded: RuntimeError: no more room\n"
    assert {file: file.read_bytes() for file in records} == records


@pytest.mark.parametrize(("tracker", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_is_one_line_that_names_the_extra(
    study, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tracker: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    line = f"the tracker {tracker} needs the package '{package}': pip install 'initlab[trackers]'"
    with pytest.raises(MissingDependencyError) as raised:
        TRACKERS[tracker](TrackedRun("squares", "one", ("one",), {}, tmp_path))
    assert str(raised.value) == line
    assert study(tracker) == {tracker: f"degraded: {line}"}


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'tensorboard'"):
        check_trackers(["tensorbord"])
