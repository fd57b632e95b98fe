"""Histograms every so many epochs: where they stand, that they make other runs, and what is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import initlab
from initlab.cli.main import main
from initlab.core.errors import OptionError
from initlab.core.training.dataset import Dataset
from initlab.study.design import expand, load_study, with_overrides

from . import own_models

SMALL: dict[str, Any] = {"schemes": ["he_normal"], "seeds": 1, "jobs": 1}


def run(**overrides: int):
    """The first run of iris."""
    x, y = np.zeros((1, 4), np.float32), np.zeros(1, np.int32)
    data = Dataset("iris", x, y, x, y, class_names=("a", "b", "c"))
    return expand(with_overrides(load_study("iris"), **overrides), data)[0]


@pytest.mark.parametrize(
    ("epochs", "every", "taken"),
    [(7, 3, (0, 3, 6, 7)), (6, 3, (0, 3, 6)), (3, 1, (0, 1, 2, 3)), (4, 4, (0, 4)), (4, 9, (0, 4)), (1, 1, (0, 1))],
)
def test_histograms_are_taken_at_multiples_and_at_the_last_epoch(epochs: int, every: int, taken: tuple[int, ...]):
    assert run(epochs=epochs, histograms_every=every).histogram_epochs == taken


def test_other_epochs_of_histograms_are_other_runs():
    assert run(histograms_every=10).run_id != run().run_id


def test_the_same_epochs_of_histograms_are_the_same_run_whatever_named_them():
    assert run(epochs=1, histograms_every=1).run_id == run(epochs=1).run_id  # epochs 0 and 1, named or cut to them


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "2"])
def test_what_is_no_whole_number_above_0_is_refused(every: Any, tmp_path: Path):
    with pytest.raises(OptionError, match="histograms_every must be a whole number of 1 or more, got"):
        initlab.compare("iris", histograms_every=every, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("iris", "--histograms-every", "0"), "histograms_every must be a whole number of 1 or more, got 0"),
        (("iris", "--histograms-every", "x"), "'--histograms-every': Input should be a valid integer"),
        (("depth", "--histograms-every", "2"), "depth is a sweep of its own data and networks (--histograms-every)"),
    ],
)
def test_the_command_line_refuses_it_in_one_line(argv: tuple[str, ...], said: str, tmp_path: Path, capsys):
    assert main(["compare", *argv, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr()
    assert told.err.count("\n") == 1
    assert said in told.err
    assert not (tmp_path / "out").exists()


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where the histograms of a run stand, as TensorBoard's own reader finds them."""
    pytest.importorskip("tensorboardX")
    pytest.importorskip("tensorboard")
    # Else the reader would spend seconds on importing TensorFlow.
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", ModuleType("notf"))
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read() -> dict[str, list[int]]:
        place = tmp_path / "tensorboard" / "he_normal" / "seed-0"
        found = EventAccumulator(str(place), size_guidance={"histograms": 0}).Reload()
        return {tag: [event.step for event in found.Histograms(tag)] for tag in found.Tags()["histograms"]}

    return read


def tags(layers: int) -> set[str]:
    return {f"{name}/layer_{i}" for name in ("weight", "activation", "gradient") for i in range(layers)}


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_tensorboard_shows_a_study_at_every_second_epoch_and_the_last(tmp_path: Path, steps, framework: str):
    asked = {**SMALL, "epochs": 5, "out": tmp_path, "framework": framework}
    result = initlab.compare("iris", **asked, histograms_every=2, track=["tensorboard"])
    assert result.logging == {"tensorboard": "ok"}
    assert steps() == {tag: [0, 2, 4, 5] for tag in tags(3)}
    assert "--histograms-every 2" in result.command


def test_tensorboard_shows_a_model_of_ones_own_at_every_second_epoch_and_the_last(tmp_path: Path, steps):
    asked = {**SMALL, "epochs": 3, "out": tmp_path, "data": "iris", "track": ["tensorboard"]}
    initlab.compare(build=lambda: own_models.mlp(), **asked, histograms_every=2)
    assert steps() == {tag: [0, 2, 3] for tag in tags(2)}


def test_tensorboard_shows_a_keras_model_of_ones_own_at_every_second_epoch_and_the_last(tmp_path: Path, steps):
    pytest.importorskip("keras")
    from tests.study import own_keras_models

    asked = {**SMALL, "epochs": 3, "out": tmp_path, "data": "iris", "track": ["tensorboard"]}
    initlab.compare(build=lambda: own_keras_models.subclassed(), **asked, histograms_every=2)
    assert steps() == {tag: [0, 2, 3] for tag in tags(2)}


def test_the_report_draws_some_of_many_histograms(tmp_path: Path):
    """Of the epochs 1 to 19 six, evenly spread."""
    initlab.compare("iris", **SMALL, epochs=20, histograms_every=1, out=tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "Thin lines: after epoch 1, 5, 8, 12, 15, 19." in page
