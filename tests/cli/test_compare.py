"""``initlab compare`` end to end on real data: the answer, the folder, running again, being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import initlab
from initlab.report.study.tables import compare_schema

SMALL = ["--seeds", "3", "--epochs", "4", "--schemes", "zeros,he_normal", "--jobs", "2"]


def initlab_process(*argv: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "initlab", *argv],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "80"},
    )


def run(*argv: str, cwd: Path) -> tuple[int, str, str]:
    process = initlab_process(*argv, cwd=cwd)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("compare")
    code, out, err = run("compare", "iris", *SMALL, cwd=folder)
    assert (code, err) == (0, "")
    return folder, out


def test_the_folder_holds_records_curves_picture_and_report(finished: tuple[Path, str]) -> None:
    folder = finished[0] / "runs" / "iris"
    assert {path.name for path in folder.iterdir()} == {
        "records", "curves.parquet", "curves.png", "report.html", "comparison.json",
    }  # fmt: skip
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "report.html").stat().st_size < 2_000_000


def test_the_table_fits_eighty_columns_and_ends_with_conclusion_and_folder(finished: tuple[Path, str]) -> None:
    lines = finished[1].splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.startswith(("zeros", "he_normal")) or " zeros" in line for line in lines)
    assert "seeds" in finished[1]
    assert "runs/iris" in finished[1]


def test_a_second_call_trains_nothing_and_says_the_same(finished: tuple[Path, str]) -> None:
    folder, out = finished
    records = sorted((folder / "runs/iris/records").iterdir())
    stamps = [path.stat().st_mtime_ns for path in records if path.suffix != ".lock"]
    code, again, _ = run("compare", "iris", *SMALL, cwd=folder)
    assert (code, again) == (0, out)
    assert [path.stat().st_mtime_ns for path in records if path.suffix != ".lock"] == stamps


def test_json_alone_is_on_standard_output_and_fits_its_schema(finished: tuple[Path, str]) -> None:
    code, out, _ = run("compare", "iris", *SMALL, "--json", cwd=finished[0])
    assert code == 0
    jsonschema.validate(json.loads(out), compare_schema())


def test_a_zero_initialised_net_only_learns_its_output_bias(tmp_path: Path) -> None:
    code, out, _ = run("compare", "iris", "--schemes", "zeros", "--seeds", "3", "--json", cwd=tmp_path)
    (row,) = json.loads(out)["schemes"]
    assert code == 0
    assert row["test_accuracy"]["per_seed"] == pytest.approx([0.3, 0.3, 0.3], abs=1e-7)
    report = (tmp_path / "runs/iris/report.html").read_text()
    assert "output bias" in report


def test_the_same_from_python(finished: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished[0])
    result = initlab.compare("iris", schemes=["zeros", "he_normal"], seeds=3, epochs=4)
    frame = result.to_pandas()
    assert set(frame["scheme"]) == {"zeros", "he_normal"}
    assert len(frame) == 2 * 3 * 5
    assert result.table().splitlines()[0] in finished[1]
    assert result.report(finished[0] / "again.html").stat().st_size > 10_000


def comparable(folder: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((folder / "runs/iris/comparison.json").read_text())
    return content


@pytest.mark.parametrize("delay", [1.5, 3.0, 4.5])
def test_killed_at_any_time_and_started_again_the_table_is_the_same(
    finished: tuple[Path, str], tmp_path: Path, delay: float
) -> None:
    process = initlab_process("compare", "iris", *SMALL, cwd=tmp_path)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    code, out, _ = run("compare", "iris", *SMALL, cwd=tmp_path)
    assert (code, out) == (0, finished[1])
    assert comparable(tmp_path) == comparable(finished[0])


def test_a_model_of_ones_own_is_named_by_its_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\ndef build():\n    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))\n"
    )
    options = ["--data", "iris", "--seeds", "2", "--epochs", "2", "--schemes", "he_normal", "--json"]
    process = initlab_process("compare", "--build", "mine:build", *options, cwd=tmp_path)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    told = json.loads(out)
    jsonschema.validate(told, compare_schema())
    assert (told["model"]["name"], told["model"]["parameters"]) == ("Sequential", 67)
    assert "compare --build mine:build --data iris" in (tmp_path / told["folder"] / "report.html").read_text()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_is_one_line_and_leaves_no_worker_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    process = initlab_process("compare", "digits", "--seeds", "20", cwd=tmp_path)
    time.sleep(4)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert err.splitlines()[-1].startswith("initlab: error: stopped by")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_adding_seeds_keeps_those_that_were_there(finished: tuple[Path, str], tmp_path: Path) -> None:
    first = comparable(finished[0])
    code, _, _ = run("compare", "iris", *SMALL[2:], "--seeds", "4", cwd=finished[0])
    more = comparable(finished[0])
    assert code == 0
    for few, many in zip(first["schemes"], more["schemes"], strict=True):  # type: ignore[arg-type]
        np.testing.assert_array_equal(few["test_accuracy"]["per_seed"], many["test_accuracy"]["per_seed"][:3])
    run("compare", "iris", *SMALL, cwd=finished[0])
