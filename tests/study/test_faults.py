"""A full disk, a folder that is gone, a picture that cannot be drawn: one line, and all that was done is kept."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest

import initlab
from initlab.cli.main import main
from initlab.core import files
from initlab.core.errors import DrawingError, OptionError, PictureWarning, ResourceError
from initlab.core.files import check_target, write_whole
from initlab.core.memory import npy_array
from initlab.report.study import pictures
from initlab.study.trackers import csv_files

STUDY = ("compare", "iris", "--schemes", "zeros", "--seeds", "1", "--epochs", "1", "--jobs", "1", "--out", "runs")
FULL, READ_ONLY, GONE, BROKEN = errno.ENOSPC, errno.EROFS, errno.ENOENT, errno.EIO


def run(*argv: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(argv)
    return code, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished comparison in ``runs``, and a module of the user's."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "mine_net.py").write_text("from initlab import Mlp\ndef build(): return Mlp((4, 8, 3))\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(*STUDY)[0] == 0
    return folder


@pytest.fixture
def here(finished: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, as the working folder."""
    monkeypatch.chdir(finished)
    return finished


def fail_at(monkeypatch: pytest.MonkeyPatch, name: str, number: int) -> None:
    """Every write of a file whose name ends so fails with this error, after its first bytes."""
    replace = os.replace

    def failing(source: str, target: str | Path) -> None:
        if str(target).endswith(name):
            raise OSError(number, os.strerror(number), str(target))
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", failing)


@pytest.mark.parametrize("number", [FULL, READ_ONLY, GONE, BROKEN])
@pytest.mark.parametrize("name", ["comparison.json", "curves.parquet", "curves.png", "report.html"])
def test_a_fault_beside_the_records_is_one_line_and_keeps_them(
    here: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    fail_at(monkeypatch, name, number)
    code, out, err = run(*STUDY)
    assert (code, out) == (5, "")
    assert err.count("\n") == 1
    assert err.startswith(f"initlab: error: cannot write: {os.strerror(number)} (runs/{name})")
    after = {path for path in here.rglob("*") if path.is_file()}
    assert after == set(before)
    assert all(path.read_bytes() == data for path, data in before.items() if path.parent.name == "records")


@pytest.mark.parametrize(
    "argv",
    [
        ("init", "mine_net:build", "--seed", "1", "--out", "w.safetensors"),
        ("theory", "relu", "--png", "theory.svg"),
        ("report", "runs", "--out", "page.html"),
    ],
)
def test_a_fault_of_a_single_file_is_one_line_and_leaves_none(
    here: Path, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    pytest.importorskip("vl_convert")
    fail_at(monkeypatch, argv[-1], FULL)
    code, _, err = run(*argv)
    assert code == 5
    assert err.count("\n") == 1
    assert "No space left on device" in err
    assert not list(here.glob(argv[-1]))
    assert not list(here.glob(".initlab-*"))


def test_a_full_disk_under_a_tracker_ends_in_exit_5_and_keeps_the_table(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(FULL, os.strerror(FULL))

    with monkeypatch.context() as patch:
        patch.setattr(csv_files, "open", full, raising=False)
        code, out, err = run(*STUDY, "--track", "csv")
    assert (code, err.count("\n")) == (5, 1)
    assert "zeros" in out
    assert "the tracker csv is degraded: OSError: [Errno 28] No space left on device" in err
    assert run(*STUDY, "--track", "csv")[::2] == (0, "")


@pytest.mark.parametrize("place", ["runs", "new", "new/deeper"])
def test_a_read_only_folder_is_refused_before_anything_is_trained(
    here: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    before = sorted(here.rglob("*"))
    monkeypatch.setattr(files.os, "access", lambda path, mode: mode == os.R_OK)
    monkeypatch.setattr("initlab.study.run.supervise", None)
    code, out, err = run(*STUDY[:-1], place, "--seeds", "2")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert f"'{place}' cannot be written to" in err
    assert sorted(here.rglob("*")) == before


def test_a_folder_that_vanished_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match="cannot write: No such file or directory"):
        write_whole(tmp_path / "gone" / "file", b"x")


@pytest.mark.parametrize("kind", ["fifo", "folder", "link"])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    if kind == "folder":
        place.mkdir()
    else:
        os.mkfifo(tmp_path / "pipe" if kind == "link" else place)
    if kind == "link":
        place.symlink_to(tmp_path / "pipe")
    before = os.lstat(place)
    for refused in (lambda: write_whole(place, b"x"), lambda: check_target(place)):
        with pytest.raises(OptionError, match="cannot be written, it is a"):
            refused()
    assert os.lstat(place) == before
    write_whole(tmp_path / "file", b"x")
    assert (tmp_path / "file").read_bytes() == b"x"


@pytest.mark.filterwarnings("default::initlab.core.errors.PictureWarning")
def test_a_picture_that_cannot_be_drawn_loses_no_table(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise DrawingError("the picture cannot be drawn: no fonts")

    assert run(*STUDY)[0] == 0
    monkeypatch.setattr(pictures, "render", refuse)
    code, out, err = run(*STUDY)
    assert code == 0
    assert "zeros" in out
    assert err == "initlab: notice: curves.png is left out: the picture cannot be drawn: no fonts\n"
    assert not (here / "runs/curves.png").exists()
    assert json.loads((here / "runs/comparison.json").read_text())["study"] == "iris"
    with pytest.warns(PictureWarning, match="no fonts"):
        initlab.compare("iris", schemes=["zeros"], seeds=1, epochs=1, jobs=1, out="runs", track=["csv"])


def test_a_panic_of_the_drawing_library_is_a_picture_that_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    drawing = pytest.importorskip("vl_convert")
    from initlab.report.drawing.png import render

    panic = type("PanicException", (BaseException,), {"__module__": "pyo3_runtime"})

    def failing(*_: object, **__: object) -> bytes:
        raise panic("called `Result::unwrap()`")

    monkeypatch.setattr(drawing, "vegalite_to_png", failing)
    with pytest.raises(DrawingError, match="PanicException"):
        render({}, form="png")


def _piped(*argv: str, script: str) -> subprocess.CompletedProcess[str]:
    words = " ".join([sys.executable, "-m", "initlab", *argv])
    return subprocess.run(
        ["bash", "-c", script.format(words)], capture_output=True, text=True, check=False, timeout=120
    )


def test_a_reader_that_stops_early_is_no_bug() -> None:
    done = _piped("list", "schemes", script="{} | head -1; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode in (0, 141), done.stderr) == (True, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("argv", [("list", "schemes"), ("theory", "relu", "--json")])
def test_a_full_standard_output_is_one_line(argv: tuple[str, ...]) -> None:
    done = _piped(*argv, script="{} > /dev/full")
    assert done.returncode == 5
    assert done.stderr.count("\n") == 1
    assert "No space left on device" in done.stderr


# Someone else's folder


def _changed(here: Path, tmp_path: Path, **parts: object) -> Path:
    """A copy of the comparison, with parts of its JSON replaced; its records are the same."""
    import shutil

    shutil.copytree(here / "runs", tmp_path / "theirs")
    file = tmp_path / "theirs" / "comparison.json"
    told = json.loads(file.read_text())
    for key, value in parts.items():
        place, _, name = key.rpartition("__")
        (told[place] if place else told)[name] = value
    file.write_text(json.dumps(told))
    return tmp_path / "theirs"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"design__seeds": 10**9}, "1,000,000,000"),
        ({"design__seeds": 0}, "0 seeds"),
        ({"design__hidden": [10**11]}, "weights would take"),
        ({"design__hidden": [4] * 100_000}, "100,001|100,000"),
        ({"design__budget": {"epochs": 10**10, "batch_size": 32}}, "10,000,000,000 epochs would take"),
        ({"design__schemes": 3}, "is not a list"),
        ({"runs": "abc"}, "damaged"),
    ],
)
def test_sizes_in_someone_elses_folder_are_checked_before_memory_is_taken(
    here: Path, tmp_path: Path, parts: dict[str, object], said: str
) -> None:
    code, out, err = run("report", str(_changed(here, tmp_path, **parts)))
    assert (code, out) == (4, "")
    assert err.count("\n") == 1
    assert any(word in err for word in said.split("|")), err


def test_control_characters_of_someone_else_are_shown_as_text(here: Path, tmp_path: Path) -> None:
    folder = _changed(here, tmp_path, command="initlab \x1b]0;owned\x07", design__title="a\x1b[2Jb\u202e")
    code, out, err = run("report", str(folder))
    assert (code, err) == (0, "")
    assert out[:-1].isprintable()
    page = (folder / "report.html").read_text()
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_no_download_is_started_by_a_folder(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from initlab.tasks import download

    started: list[str] = []
    monkeypatch.setattr(download, "_retriever", lambda: started.append("one"))
    for variable in ("INITLAB_DATA", "INITLAB_CACHE", "HOME", "TORCH_HOME", "KERAS_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert run("report", str(_changed(here, tmp_path, design__task="fashion_mnist")))[0] == 0
    assert started == []


def test_an_array_that_promises_more_than_it_holds_is_refused_before_memory_is_taken() -> None:
    file = io.BytesIO()
    np.save(file, np.ones((7, 3)))
    whole = file.getvalue()
    assert npy_array(whole).shape == (7, 3)
    lying = whole.replace(b"(7, 3), }          ", b"(1000000000000,), }", 1)
    assert len(lying) == len(whole)
    with pytest.raises(ValueError, match="header says 8,000,000,000,000 bytes, there are 168"):
        npy_array(lying)
    deep = whole.replace(b"{'descr'", b"[[[[[[[[", 1)
    with pytest.raises(ValueError, match=r"an array's header cannot be read|not a valid|array header"):
        npy_array(deep)
