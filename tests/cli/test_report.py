"""``initlab report``: the page again from the folder alone, and what differs between two."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from initlab.cli.main import main
from initlab.report.study.tables import compare_schema

jsonschema = pytest.importorskip("jsonschema")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Digits, four epochs apart."""
    place = tmp_path_factory.mktemp("report")
    schemes = "zeros,he_normal"
    for name, epochs in (("short", "1"), ("long", "5")):
        argv = [
            "compare",
            "digits",
            "--schemes",
            schemes,
            "--seeds",
            "6",
            "--epochs",
            epochs,
            "--out",
            str(place / name),
        ]
        assert main([*argv, "--json"]) == 0
    return place / "short", place / "long"


def test_the_report_made_again_is_the_same(folders: tuple[Path, Path], tmp_path: Path) -> None:
    before = (folders[0] / "report.html").read_text()
    assert main(["report", str(folders[0])]) == 0
    assert (folders[0] / "report.html").read_text() == before
    # Digits come with initlab, so their pictures are made again too.
    assert 'id="picture-examples"' in before


def test_a_report_in_another_place_leaves_the_folder_as_it_is(folders: tuple[Path, Path], tmp_path: Path) -> None:
    held = {path: path.stat().st_mtime_ns for path in folders[0].iterdir()}
    assert main(["report", str(folders[0]), "--out", str(tmp_path / "a.html")]) == 0
    assert (tmp_path / "a.html").read_text().startswith("<!DOCTYPE html>")
    assert held == {path: path.stat().st_mtime_ns for path in folders[0].iterdir()}


def test_the_comparison_tells_environment_and_design(folders: tuple[Path, Path]) -> None:
    told = json.loads((folders[0] / "comparison.json").read_text())
    jsonschema.validate(told, compare_schema(), cls=jsonschema.Draft202012Validator)
    assert {"initlab", "python", "numpy"} <= told["environment"].keys()
    assert told["design"]["budget"] == {"epochs": 1, "batch_size": 32}
    assert {run["status"] for run in told["runs"]} == {"ok"}


def test_what_differs_is_printed_in_eighty_columns(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--diff", *map(str, folders)]) == 0
    text = capsys.readouterr().out
    assert "budget.epochs 1 → 5" in " ".join(text.split())
    assert "1 of 2 schemes changed by more than luck: he_normal" in " ".join(text.split())
    assert max(len(line) for line in text.splitlines() if not line.startswith(("first:", "second:"))) <= 80


def test_what_differs_as_a_page_and_as_json(
    folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["report", "--diff", *map(str, folders), "--out", str(tmp_path / "d.html"), "--json"]
    assert main(argv) == 0
    told = json.loads(capsys.readouterr().out)
    assert {c["scheme"]: c["verdict"] for c in told["changes"]}["he_normal"] == "more than luck"
    assert told["conclusion"] in (tmp_path / "d.html").read_text()


@pytest.mark.parametrize(
    ("argv", "words", "code"),
    [
        (["report"], "one folder, or --diff and two", 2),
        (["report", "nowhere"], "there is no comparison", 4),
        (["report", "a", "--diff", "b", "c"], "one folder, or --diff and two", 2),
        (["report", "--diff", "b", "c"], "there is no comparison", 4),
        (["compare", "iris", "--learning-rates", "fast"], "no list of numbers", 2),
        (["compare", "iris", "--learning-rates", "0.1,0.1"], "given twice", 2),
        (["compare", "iris", "--learning-rates", "0.1,1", "--learning-rate", "1"], "one learning rate and a grid", 2),
    ],
)
def test_bad_input_is_one_line(argv: list[str], words: str, code: int, capsys, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(argv) == code
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert words in said.err
    assert list(tmp_path.iterdir()) == []
