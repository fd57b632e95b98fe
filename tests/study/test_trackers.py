"""Trackers: what was recorded is in their files, and nothing that a tracker does harms a study."""

import csv
import json
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from initlab.core.arch import Mlp
from initlab.core.dataset import Dataset
from initlab.core.errors import MissingDependencyError, UnknownNameError
from initlab.core.training import Budget, Histogram, Optimizer
from initlab.study.analysis import analyse
from initlab.study.records import RunRecord, RunSpec, StudyDesign
from initlab.study.trackers import TRACKERS, FinishedStudy, TrackedRun, check_trackers, path_part, track
from initlab.study.trackers.pictures import example_grid, png, weight_grid

EPOCHS, SCHEME = 3, "normal(std=0.05)"
CURVES = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")


@pytest.fixture
def dataset() -> Dataset:
    x = np.linspace(0, 1, 30 * 16, dtype=np.float32).reshape(30, 16)
    y = (np.arange(30) % 3).astype(np.int32)
    return Dataset("squares", x, y, x, y, class_names=("0", "1", "2"), image_shape=(4, 4))


def record(seed: int) -> RunRecord:
    spec = RunSpec(
        SCHEME, "squares", "", Mlp((16, 4, 3)), Optimizer(), Budget(EPOCHS, 8), seed, histogram_epochs=(0, EPOCHS)
    )
    curves = {name: np.arange(EPOCHS + 1) / 4 + i + seed for i, name in enumerate(CURVES)}
    curves["train_loss"] = np.where(np.arange(EPOCHS + 1), curves["train_loss"], np.nan)
    layers = {"weight_var": np.arange(2.0 * (EPOCHS + 1)).reshape(EPOCHS + 1, 2)}
    bars = [
        Histogram(epoch, "0", "weight", -1.0, 1.0, np.array([1, 2, 3, 4], np.int32) + epoch) for epoch in (0, EPOCHS)
    ]
    predictions = np.zeros(30, np.int32)
    return RunRecord(spec.run_id, spec, "ok", "", None, 0.5, {}, curves, layers, bars, predictions)


@pytest.fixture
def study(dataset: Dataset, tmp_path: Path):
    """Feeds two runs to trackers by name."""
    design = StudyDesign("squares", "squares", (4,), (SCHEME,), Optimizer(), Budget(EPOCHS, 8), seeds=2)
    records = [record(0), record(1)]

    def feed(*names: str, patience: float = 60.0) -> dict[str, str]:
        picture = png(np.zeros((2, 3, 3), np.uint8))
        finished = FinishedStudy(records, analyse(design, records), dataset, tmp_path, picture)
        return track(check_trackers(names), finished, patience=patience)

    return feed


def masked(crc: int) -> int:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def summaries(folder: Path) -> list[tuple[int, object]]:
    """Every (step, value) of the one event file in a folder, read as TFRecords."""
    from tensorboardX.proto.event_pb2 import Event

    (file,) = folder.glob("events.out.tfevents.*")
    data, place, found = file.read_bytes(), 0, []
    while place < len(data):
        (length,) = struct.unpack_from("<Q", data, place)
        assert struct.unpack_from("<I", data, place + 8)[0] == masked(crc32c(data[place : place + 8]))
        event = Event.FromString(data[place + 12 : place + 12 + length])
        found += [(event.step, value) for value in event.summary.value]
        place += 16 + length
    return found


def test_tensorboards_scalars_are_the_curves(study, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    assert study("tensorboard") == {"tensorboard": "ok"}
    found = summaries(tmp_path / "tensorboard" / SCHEME / "seed-1")
    losses = [(step, value.simple_value) for step, value in found if value.tag == "test_loss"]
    assert losses == [(0, 3.0), (1, 3.25), (2, 3.5), (3, 3.75)]
    assert [step for step, value in found if value.tag == "train_loss"] == [1, 2, 3]  # none at initialization
    assert [value.simple_value for _, value in found if value.tag == "weight_var/layer_1"] == [1.0, 3.0, 5.0, 7.0]


def test_tensorboards_histograms_are_the_recorded_ones(study, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    study("tensorboard")
    found = summaries(tmp_path / "tensorboard" / SCHEME / "seed-0")
    bars = {step: value.histo for step, value in found if value.tag == "weight/layer_0"}
    assert sorted(bars) == [0, EPOCHS]
    assert list(bars[0].bucket) == [1, 2, 3, 4]
    assert list(bars[0].bucket_limit) == [-0.5, 0.0, 0.5, 1.0]
    assert (bars[0].num, bars[0].min, bars[0].max) == (10, -1.0, 1.0)


def test_tensorboard_shows_weights_examples_and_the_studys_curves(study, tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    study("tensorboard")
    run, whole = (summaries(tmp_path / "tensorboard" / place) for place in (f"{SCHEME}/seed-0", "all-runs"))
    images = {value.tag: value.image for _, value in (*run, *whole) if value.HasField("image")}
    assert images.keys() == {"first_layer_at_initialization", "examples_true_and_predicted", "curves"}
    assert (images["curves"].width, images["curves"].height) == (3, 2)
    assert all(image.encoded_image_string.startswith(b"\x89PNG") for image in images.values())


def test_a_run_that_was_tracked_is_not_tracked_again(study, tmp_path: Path) -> None:
    study("csv")
    file = tmp_path / "csv" / SCHEME / "seed-0" / "scalars.csv"
    file.write_text("")
    study("csv")
    assert file.read_text() == ""


def test_csv_holds_every_finite_number(study, tmp_path: Path) -> None:
    study("csv")
    with open(tmp_path / "csv" / SCHEME / "seed-1" / "scalars.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == (len(CURVES) + 2) * (EPOCHS + 1) - 1
    assert [row["value"] for row in rows if row["name"] == "test_loss"] == ["3.0", "3.25", "3.5", "3.75"]


OFFLINE = """
import json, pathlib, sys
from tests.study.test_trackers import *
from initlab.study.trackers import *

folder = pathlib.Path(sys.argv[1])
design = StudyDesign("squares", "squares", (4,), (SCHEME,), Optimizer(), Budget(EPOCHS, 8), seeds=2)
x = np.zeros((30, 16), np.float32)
data = Dataset("squares", x, np.zeros(30, np.int32), x, np.zeros(30, np.int32), class_names=tuple("012"))
records = [record(0), record(1)]
print(track(("wandb",), FinishedStudy(records, analyse(design, records), data, folder))["wandb"])
"""


@pytest.fixture(scope="module")
def offline_runs(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> list[list[object]]:
    """The records of each offline run's file, in a process of its own: W&B starts a service and hooks the process."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("wandb")
    command = [sys.executable, "-c", OFFLINE, str(folder)]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1:] == ["ok"], done.stdout + done.stderr
    return [records_of(file) for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))]


def records_of(file: Path) -> list[object]:
    """The records of a W&B file: 7 bytes, then LevelDB's log format, blocks of 32 KiB with a head before each part."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, found, whole = file.read_bytes(), [], b""
    assert data.startswith(b":W&B")
    place, block = 7, 32_768
    while place + 7 <= len(data):
        if block - place % block < 7:  # no room for a head: the rest of the block is padding
            place += block - place % block
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or its last part
            found.append(Record.FromString(whole))
            whole = b""
    return found


def test_wandbs_history_is_the_curves(offline_runs: list[list[object]]) -> None:
    runs = {}
    for records in offline_runs:
        (about,) = [r.run for r in records if r.WhichOneof("record_type") == "run"][:1]
        steps = [r.history for r in records if r.WhichOneof("record_type") == "history"]
        items = [{i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in step.item} for step in steps]
        runs[about.display_name] = (about, items)
    assert runs.keys() == {f"{SCHEME}, seed 0", f"{SCHEME}, seed 1", "squares, all runs"}
    about, items = runs[f"{SCHEME}, seed 1"]
    assert (about.run_group, about.project) == ("squares", "initlab")
    assert [step["test_loss"] for step in items if "test_loss" in step] == [3.0, 3.25, 3.5, 3.75]
    assert [step["weight/layer_0.values"] for step in items if "weight/layer_0.values" in step] == [
        [1, 2, 3, 4],
        [4, 5, 6, 7],
    ]
    assert items[0]["weight/layer_0._type"] == "histogram"


class Hostile:
    def __init__(self, run: TrackedRun) -> None:
        self.run = run

    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        raise RuntimeError("no more room\nand a second line")

    def show(self, pictures: Mapping[str, bytes], text: str) -> None: ...

    def close(self, summary: Mapping[str, float | str]) -> None: ...


class Hanging(Hostile):
    def log(self, epoch: int, scalars: Mapping[str, float], histograms: Mapping[str, Histogram]) -> None:
        time.sleep(30)


@pytest.fixture
def more_trackers(monkeypatch: pytest.MonkeyPatch):
    for name in ("_items", "_keys"):
        monkeypatch.setattr(TRACKERS, name, dict(getattr(TRACKERS, name)))
    TRACKERS.add("hostile", Hostile)
    TRACKERS.add("hanging", Hanging)


def test_a_tracker_that_raises_is_degraded_and_the_others_go_on(study, more_trackers: None, tmp_path: Path) -> None:
    assert study("hostile", "csv") == {"hostile": "degraded: RuntimeError: no more room", "csv": "ok"}
    assert (tmp_path / "csv" / SCHEME / "seed-1" / "scalars.csv").is_file()


def test_a_tracker_that_hangs_is_degraded(study, more_trackers: None) -> None:
    assert study("hanging", patience=0.05) == {"hanging": "degraded: took longer than 0.05 s for one run"}


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


def test_no_name_is_a_path() -> None:
    names = ["../up", "/etc", "..", ".", "", "a\\b", "a/b", "a%2Fb", "x" * 500, "x" * 501, SCHEME]
    parts = [path_part(name) for name in names]
    assert len(set(parts)) == len(names)
    assert not any({"/", "\\"} & set(part) or part.startswith(".") or not part or len(part) > 255 for part in parts)


def pixels(data: bytes) -> np.ndarray:
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, 1 + 3 * width)
    return rows[:, 1:].reshape(height, width, 3)


def test_weights_are_red_above_zero_blue_below_and_white_at_it() -> None:
    weight = np.array([[1.0, 0.0, -1.0, 0.5]], np.float32)
    shown = pixels(weight_grid(weight, (2, 2)))[4::3, 4::3]
    assert shown[:2, :2].tolist() == [[[255, 0, 0], [255, 255, 255]], [[0, 0, 255], [255, 128, 128]]]


def test_a_wrong_example_lies_on_red_and_a_right_one_on_green(dataset: Dataset) -> None:
    shown = pixels(example_grid(dataset, np.zeros(30, np.int32)))
    strips = shown[3 + 3 * 4 + 1, 3 + 1 :: 3 * 5][:3]
    assert strips.tolist() == [[40, 140, 60], [200, 40, 40], [200, 40, 40]]
