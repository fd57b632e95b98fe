"""The bar of a comparison moves from the start, and never shows a time that it does not know."""

from __future__ import annotations

import time

import pytest

from initlab.cli.output import run_progress


def test_a_bar_names_its_phase_and_shows_time_passed_before_a_run_has_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with run_progress() as update:
        time.sleep(0.15)
        first = capsys.readouterr().err
        update(done=0, total=8, diverged=0, failed=0)
        update(done=2, total=8, diverged=1, failed=0)
        time.sleep(0.15)
    rest = capsys.readouterr().err
    assert "starting, compiling" in first
    assert "0:00:0" in first
    assert "training, 1 diverged" in rest
    assert "2/8" in rest
    assert "-:--:--" not in first + rest


def test_a_pipe_is_left_alone(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with run_progress() as update:
        update(done=1, total=8, diverged=0, failed=0)
    assert capsys.readouterr().err == ""
