"""Trackers: what was recorded is in their files, as their own readers find it."""

import csv
import json
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.study.tracked_study import (
    BLUE,
    CURVES,
    EPOCHS,
    HIT,
    MISS,
    RED,
    SCHEME,
    WHITE,
    decoded,
    finished,
    tiles,
)

from initlab.study.trackers import check_trackers, path_part, track


@pytest.fixture
def study(tmp_path: Path):
    """Feeds two runs to trackers by name."""

    def told(*names: str) -> dict[str, str]:
        return track(check_trackers(names), finished(tmp_path))

    return told


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What TensorBoard's own reader finds of a run; without TensorFlow, which it would spend seconds on importing."""
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(place: str) -> Any:
        everything = dict.fromkeys(("scalars", "histograms", "images", "tensors"), 0)
        found = EventAccumulator(str(tmp_path / "tensorboard" / place), size_guidance=everything)
        return found.Reload()

    return read


def test_tensorboards_scalars_are_the_curves(study, events) -> None:
    assert study("tensorboard") == {"tensorboard": "ok"}
    found = events(f"{SCHEME}/seed-1")
    losses = [(event.step, event.value) for event in found.Scalars("test_loss")]
    assert losses == [(0, 3.0), (1, 3.25), (2, 3.5), (3, 3.75)]
    assert [event.step for event in found.Scalars("train_loss")] == [1, 2, 3]  # none at initialization
    assert [event.value for event in found.Scalars("weight_var/layer_1")] == [1.0, 3.0, 5.0, 7.0]


def test_tensorboards_histograms_are_the_recorded_ones(study, events) -> None:
    study("tensorboard")
    bars = {event.step: event.histogram_value for event in events(f"{SCHEME}/seed-0").Histograms("weight/layer_0")}
    assert sorted(bars) == [0, EPOCHS]
    assert list(bars[0].bucket) == [1, 2, 3, 4]
    assert list(bars[0].bucket_limit) == [-0.5, 0.0, 0.5, 1.0]
    assert (bars[0].num, bars[0].min, bars[0].max) == (10, -1.0, 1.0)


def test_tensorboard_shows_the_first_layer_before_and_after_training(study, events) -> None:
    study("tensorboard")
    found = events(f"{SCHEME}/seed-0")
    for when, colours in {"at_initialization": [RED] * 4, "after_training": [RED, BLUE, WHITE, RED]}.items():
        (image,) = found.Images(f"first_layer_{when}")
        page = decoded(image.encoded_image_string)
        assert page.shape == (image.height, image.width, 3)
        assert tiles(page, 84) == colours


def test_tensorboard_shows_examples_with_their_true_and_predicted_class(study, events) -> None:
    study("tensorboard")
    (image,) = events(f"{SCHEME}/seed-0").Images("examples_true_and_predicted")
    assert image.step == EPOCHS
    page = decoded(image.encoded_image_string)
    assert page.shape == (image.height, image.width, 3)
    # Images 20 to 23 of 0 to 29, from black to white, each over a strip of 20 pixels.
    assert tiles(page, 84 + 40) == [[round(255 * i / 29)] * 3 for i in (20, 21, 22, 23)]
    strips = [page[-(12 + 1 + 1), 12 + 1 + i * 90].tolist() for i in range(4)]
    assert strips == [MISS, HIT, MISS, MISS]  # of the classes 2, 0, 1, 2, all predicted to be 0


def test_tensorboard_shows_the_studys_curves_and_conclusion(study, events, tmp_path: Path) -> None:
    study("tensorboard")
    found = events("all-runs")
    (image,) = found.Images("curves")
    assert decoded(image.encoded_image_string).shape == (2, 3, 3)
    (told,) = found.Tensors("summary/text_summary")
    assert told.tensor_proto.string_val[0].decode() == finished(tmp_path).analysis.conclusion


def test_several_trackers_at_once_show_the_same(study, events, tmp_path: Path) -> None:
    assert study("tensorboard", "csv") == {"tensorboard": "ok", "csv": "ok"}
    found = events(f"{SCHEME}/seed-1")
    for name in found.Tags()["images"]:
        file = tmp_path / "csv" / SCHEME / "seed-1" / f"{name}.png"
        assert found.Images(name)[0].encoded_image_string == file.read_bytes()
    with open(tmp_path / "csv" / SCHEME / "seed-1" / "scalars.csv", newline="") as file:
        rows = [(int(r["epoch"]), float(r["value"])) for r in csv.DictReader(file) if r["name"] == "test_accuracy"]
    assert [(event.step, event.value) for event in found.Scalars("test_accuracy")] == rows


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
import pathlib, sys
from initlab.study.trackers import track
from tests.study.tracked_study import finished

print(track(("wandb", "csv"), finished(pathlib.Path(sys.argv[1]))))
"""


@pytest.fixture(scope="module")
def offline(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder that W&B wrote offline, in a process of its own: it starts a service and hooks the process."""
    pytest.importorskip("wandb")
    folder = tmp_path_factory.mktemp("wandb")
    command = [sys.executable, "-c", OFFLINE, str(folder)]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("{'wandb': 'ok', 'csv': 'ok'}\n", "")
    return folder


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


def history(folder: Path, name: str) -> tuple[Any, list[dict[str, Any]], Path]:
    """What W&B's file says of the run of that name, its history step by step, and the folder of the run's files."""
    for file in folder.glob("wandb/offline-run-*/run-*.wandb"):
        records = records_of(file)
        (about, *_) = (r.run for r in records if r.WhichOneof("record_type") == "run")
        if about.display_name == name:
            steps = [r.history for r in records if r.WhichOneof("record_type") == "history"]
            items = [{i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in step.item} for step in steps]
            return about, items, file.parent / "files"
    raise AssertionError(name)


def test_wandb_has_a_run_for_each_and_one_for_all(offline: Path) -> None:
    for name in (f"{SCHEME}, seed 0", f"{SCHEME}, seed 1", "squares, all runs"):
        about, _, _ = history(offline, name)
        assert (about.run_group, about.project) == ("squares", "initlab")


def test_wandbs_history_is_the_curves(offline: Path) -> None:
    _, items, _ = history(offline, f"{SCHEME}, seed 1")
    assert [step["test_loss"] for step in items if "test_loss" in step] == [3.0, 3.25, 3.5, 3.75]


def test_wandbs_histograms_are_the_recorded_ones(offline: Path) -> None:
    _, items, _ = history(offline, f"{SCHEME}, seed 0")
    bars = [step for step in items if "weight/layer_0._type" in step]
    assert [step["weight/layer_0._type"] for step in bars] == ["histogram", "histogram"]
    assert [step["weight/layer_0.values"] for step in bars] == [[1, 2, 3, 4], [4, 5, 6, 7]]
    assert bars[0]["weight/layer_0.bins"] == [-1.0, -0.5, 0.0, 0.5, 1.0]


@pytest.mark.parametrize(
    "picture", ["first_layer_at_initialization", "first_layer_after_training", "examples_true_and_predicted"]
)
def test_wandbs_media_are_the_pictures(offline: Path, picture: str) -> None:
    _, items, files = history(offline, f"{SCHEME}, seed 1")
    (told,) = (step for step in items if f"{picture}._type" in step)
    assert told[f"{picture}._type"] == "image-file"
    shown = (files / told[f"{picture}.path"]).read_bytes()
    assert shown == (offline / "csv" / SCHEME / "seed-1" / f"{picture}.png").read_bytes()
    assert decoded(shown).shape == (told[f"{picture}.height"], told[f"{picture}.width"], 3)


def test_no_name_is_a_path() -> None:
    names = ["../up", "/etc", "..", ".", "", "a\\b", "a/b", "a%2Fb", "x" * 500, "x" * 501, SCHEME, "a ", "a", "a%20"]
    parts = [path_part(name) for name in names]
    assert len(set(parts)) == len(names)
    assert not any({"/", "\\"} & set(part) or part.startswith(".") or not part or len(part) > 255 for part in parts)
