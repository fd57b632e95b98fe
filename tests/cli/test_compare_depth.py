"""``initlab compare depth`` at the command line: what it takes, what it refuses, what it leaves in its folder."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from initlab.api import sweeping
from initlab.cli.main import main
from initlab.report.study.sweep_tables import sweep_schema
from initlab.study.sweep import parse_sweep

SMALL = """
name = "depth"
title = "Small nets on Iris"

[study]
task = "iris"
hidden = [4]
schemes = ["zeros"]
seeds = 1
histogram_epochs = []
optimizer = { name = "sgd", learning_rate = 0.1 }
budget = { epochs = 1, batch_size = 32 }

[grid]
activation = ["tanh"]
depth = [2]
"""


def test_a_sweep_leaves_records_numbers_picture_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweeping, "load_sweep", lambda name: parse_sweep(SMALL, where="small.toml"))
    assert main(["compare", "depth", "--out", str(tmp_path), "--jobs", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    jsonschema.validate(told, sweep_schema(), cls=jsonschema.Draft202012Validator)
    assert told == json.loads((tmp_path / "sweep.json").read_text())
    assert {path.name for path in tmp_path.iterdir()} == {"tanh-2", "sweep.json", "sweep.png", "report.html"}
    assert len(list((tmp_path / "tanh-2" / "records").glob("*.npz"))) == 1
    # A net of zeros learns its output bias alone: of the 30 test rows, 9 are of the commonest class in training.
    assert told["rows"][0]["test_accuracy"]["per_seed"] == [pytest.approx(9 / 30)]
    assert told["rows"][0]["gradient_ratio"] is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["iris", "--remedies"], "only the sweep depth has remedies"),
        (["depth", "--data", "folder"], "a sweep of its own data and networks (--data)"),
        (["depth", "--framework", "torch"], "a sweep of its own data and networks (--framework)"),
        (["depth", "--remedies", "--schemes", "zeros"], "remedies bring their own schemes"),
        (["depth", "--seeds", "0"], "seeds must be a whole number of 1 or more"),
        (["depth", "--schemes", "he_norml"], "Did you mean 'he_normal'?"),
    ],
)
def test_what_a_sweep_does_not_take_is_one_line_and_writes_nothing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_sweeps_are_listed_among_the_studies(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "studies", "--json"]) == 0
    assert {"depth", "depth-remedies", "iris"} <= json.loads(capsys.readouterr().out).keys()
