"""Trackers are told of epochs while runs train: their curves grow, once each, and no training waits for them."""

import csv
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from tests.study.live_study import FOLDER, STOP
from tests.study.tiny_study import dataset, design
from tests.study.tracked_study import SCHEME, finished, record, squares

from initlab.core.training.live import Epoch
from initlab.study.analysis import analyse
from initlab.study.records import RunRecord
from initlab.study.run import run_study
from initlab.study.trackers import TRACKERS, FinishedStudy, TrackedRun, Tracking, feed

EPOCHS = 6


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], Any]:
    """TensorBoard's own reader of a folder; without TensorFlow, which it would spend seconds on importing."""
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    everything = dict.fromkeys(("scalars", "histograms", "images", "tensors"), 0)
    return lambda folder: EventAccumulator(str(folder), size_guidance=everything).Reload()


def told(run: RunRecord, epoch: int) -> Epoch:
    """An epoch of a record as the engine tells it."""
    curves = np.array([[values[epoch] for values in run.curves.values()]])
    layers = np.full((1, 10, 2), np.nan, np.float32)
    layers[0, 1] = run.layers["weight_var"][epoch]
    bars = [[bar for bar in run.histograms if bar.epoch == epoch]]
    held = {"dense/kernel": np.full((1, 2, 3), epoch, np.float32)} if bars[0] else {}
    return Epoch(epoch, (), curves, layers, bars, held)


def tracking(folder: Path, *names: str) -> Tracking:
    return Tracking(names, "squares", squares(), folder)


def feed_epochs(to: Tracking, run: RunRecord, epochs: Iterator[int] | range | list[int]) -> None:
    for epoch in epochs:
        to.epoch([run.spec], [run.name], told(run, epoch))


def rows(folder: Path, seed: int) -> list[list[str]]:
    with open(folder / "csv" / SCHEME / f"seed-{seed}" / "scalars.csv", newline="") as file:
        return list(csv.reader(file))


def steps_of(found: Any, name: str) -> list[int]:
    return [event.step for event in found.Scalars(name)]


def test_a_curve_grows_in_tensorboards_files_while_its_run_trains(
    events: Callable[[Path], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    asked = replace(design(seeds=1, schemes=("he_normal",), epochs=EPOCHS), histogram_epochs=(0, 2, EPOCHS))
    place = tmp_path / "tensorboard" / "he_normal" / "seed-0"
    live = Tracking(["tensorboard"], "tiny", dataset(), tmp_path)
    with ThreadPoolExecutor() as pool:
        given = {"trainer": "tests.study.live_study:train", "jobs": 1, "watcher": live}
        study = pool.submit(run_study, asked, dataset(), tmp_path, **given)
        try:
            wait_for(
                lambda: (
                    bool(list(place.glob("events*")))
                    and steps_of(events(place), "test_loss")[-1:] == [STOP - 1]
                    and steps_of(events(place / "validation"), "epoch_loss")[-1:] == [STOP - 1]
                )
            )
            assert not study.done()
            assert not list(tmp_path.glob("records/*.npz"))
            assert steps_of(events(place / "train"), "epoch_loss") == [1, 2]
            assert [event.step for event in events(place / "train").Images("first/kernel/image")] == [0, 2]
        finally:
            (tmp_path / "go").touch()
        records = study.result(60)
    assert live.finish(FinishedStudy(records, analyse(asked, records), dataset(), tmp_path)) == {"tensorboard": "ok"}
    assert steps_of(events(place), "test_loss") == list(range(EPOCHS + 1))
    assert steps_of(events(place / "validation"), "evaluation_loss_vs_iterations") == [2 * e for e in range(EPOCHS + 1)]
    (bars,) = (e for e in events(place / "train").Histograms("first/kernel/histogram") if e.step == 2)
    assert (bars.histogram_value.min, bars.histogram_value.max, bars.histogram_value.sum) == (2.0, 7.0, 27.0)


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_run_that_was_cut_off_goes_on_where_it_was(events: Callable[[Path], Any], tmp_path: Path, cut: int) -> None:
    (run, *_) = finished(tmp_path).records
    live = tracking(tmp_path, "csv", "tensorboard")
    feed_epochs(live, run, range(cut + 1))
    wait_for(lambda: len(rows(tmp_path, 0)) > 1 and rows(tmp_path, 0)[-1][0] == str(cut))
    place = tmp_path / "tensorboard" / SCHEME / "seed-0"
    wait_for(lambda: place.is_dir() and steps_of(events(place), "test_loss")[-1:] == [cut])
    live.__exit__(KeyboardInterrupt)
    for line in live._lines.values():
        line._thread.join(30)  # on a busy machine the study waits less
    again = tracking(tmp_path, "csv", "tensorboard")
    feed_epochs(again, run, range(4))
    assert again.finish(finished(tmp_path)) == {"csv": "ok", "tensorboard": "ok"}
    found = events(tmp_path / "tensorboard" / SCHEME / "seed-0")
    assert steps_of(found, "test_loss") == [0, 1, 2, 3]
    assert steps_of(found, "train_loss") == [1, 2, 3]
    whole = tmp_path / "whole"
    tracking(whole, "csv").finish(replace(finished(tmp_path), folder=whole))
    assert sorted(rows(tmp_path, 0)) == sorted(rows(whole, 0))


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            if condition():
                return
        except (OSError, KeyError, IndexError):
            pass
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize(
    "order",
    [[0, 1, 0, 1, 2, 3], [0, 1, 3], [2, 3], [], [0, 0, 0, 3, 2, 1]],
    ids=["again", "gap", "late", "none", "odd"],
)
def test_whatever_comes_live_every_epoch_is_told_once_and_in_order(tmp_path: Path, order: list[int]) -> None:
    (run, *_) = finished(tmp_path).records
    live = tracking(tmp_path, "csv")
    feed_epochs(live, run, order)
    assert live.finish(finished(tmp_path)) == {"csv": "ok"}
    losses = [row[::2] for row in rows(tmp_path, 0) if row[1] == "test_loss"]
    assert losses == [[str(epoch), str(2 + epoch / 4)] for epoch in range(4)]


class Counting:
    """A tracker that remembers how many of its runs are open; one of them may hang."""

    MOST_OPEN = 3
    now: int
    most: int
    epochs: dict[str, list[int]]
    gate: threading.Event

    def __init__(self, run: TrackedRun) -> None:
        kind = type(self)
        self.name, kind.now = run.name, kind.now + 1
        kind.most = max(kind.most, kind.now)

    def log(self, epoch: int, scalars: Any, histograms: Any) -> None:
        type(self).gate.wait(60)
        type(self).epochs.setdefault(self.name, []).append(epoch)

    def show(self, pictures: Any, text: str) -> None: ...

    def close(self, summary: Any) -> None:
        type(self).now -= 1


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    for name in ("_items", "_keys"):
        monkeypatch.setattr(TRACKERS, name, dict(getattr(TRACKERS, name)))
    kind = type("Fresh", (Counting,), {"now": 0, "most": 0, "epochs": {}, "gate": threading.Event()})
    TRACKERS.add("counting", kind)
    return kind


def test_no_more_runs_are_open_at_once_than_a_tracker_bears(counting: type[Counting], tmp_path: Path) -> None:
    counting.gate.set()
    runs = [record(seed) for seed in range(12)]
    live = tracking(tmp_path, "counting")
    for epoch in range(4):
        for run in runs:
            feed_epochs(live, run, [epoch])
    study = finished(tmp_path)
    assert live.finish(replace(study, records=runs)) == {"counting": "ok"}
    assert counting.most == 3
    assert counting.epochs == {f"{SCHEME}, seed {seed}": [0, 1, 2, 3] for seed in range(12)}


def test_a_tracker_that_hangs_neither_holds_training_up_nor_memory(
    counting: type[Counting], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING", 50)
    (run, *_) = finished(tmp_path).records
    live, took = tracking(tmp_path, "counting"), []
    for epoch in range(2_000):
        began = time.perf_counter()
        live.epoch([run.spec], [run.name], replace(told(run, 0), number=epoch))
        took.append(time.perf_counter() - began)
    (line,) = live._lines.values()
    assert len(line._waiting) <= 50
    assert sorted(took)[len(took) // 2] < 0.001
    counting.gate.set()
    assert live.finish(finished(tmp_path)) == {"counting": "ok"}


def test_what_is_tracked_has_the_bits_of_what_is_not(tmp_path: Path) -> None:
    asked = replace(design(seeds=2, epochs=EPOCHS), histogram_epochs=(0, 2))
    given = {"trainer": "tests.study.live_study:train", "jobs": 1}
    live = Tracking(["csv"], "tiny", dataset(), tmp_path / "b")
    plain = run_study(asked, dataset(), tmp_path / "a", **given)
    tracked = run_study(asked, dataset(), tmp_path / "b", **given, watcher=live)
    for one, other in zip(plain, tracked, strict=True):
        for name, values in one.curves.items():
            np.testing.assert_array_equal(other.curves[name], values)
    state = (
        json.loads((tmp_path / "b" / "csv" / "tracked.json").read_text())
        if live.finish(FinishedStudy(tracked, analyse(asked, tracked), dataset(), tmp_path / "b")) == {"csv": "ok"}
        else {}
    )
    assert len(state["runs"]) == 4


def test_runs_that_are_made_anew_are_told_anew(tmp_path: Path) -> None:
    study = finished(tmp_path)
    tracking(tmp_path, "csv").finish(study)
    file = tmp_path / "csv" / SCHEME / "seed-0" / "scalars.csv"
    file.write_text("")
    again = tracking(tmp_path, "csv")
    again.begin({}, [study.records[0].name])
    assert again.finish(study) == {"csv": "ok"}
    assert len(rows(tmp_path, 0)) > 1
