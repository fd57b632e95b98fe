"""``initlab`` alone says what to begin with, and commands without arguments show an example."""

from __future__ import annotations

import json

import pytest
from typer.main import get_command

from initlab.cli.main import BEGIN, COMMANDS, app, main


def test_initlab_alone_lists_every_command_once_in_groups_below_three_to_begin_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    groups = [group for group in (*COMMANDS,) if f"{group}:" in lines]
    assert groups == list(COMMANDS)
    assert lines.index("To begin:") < lines.index(f"{groups[0]}:")
    told = [line.split()[0] for line in lines[lines.index(f"{groups[0]}:") :] if line.startswith("  ")]
    assert sorted(told) == sorted(get_command(app).commands)
    assert len(BEGIN) == 3
    assert max(map(len, lines)) <= 80


def test_a_probe_and_a_plan_without_a_model_show_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    assert main(["probe", "--json"]) == 0
    told = capsys.readouterr()
    assert "an example: ten hidden layers of 64, as PyTorch draws them" in told.err
    found = json.loads(told.out)["diagnosis"]
    assert (found["verdict"], found["guessed"]) == ("hard", "")
    assert main(["plan", "--json"]) == 0
    told = capsys.readouterr()
    assert len(json.loads(told.out)["parameters"]) == 2 * 11
    assert "yours: initlab plan train.py:build" in told.err
