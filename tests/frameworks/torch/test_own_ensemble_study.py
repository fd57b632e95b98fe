"""Chunks of the user's own modules in a study: in workers and in this process, whole and resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import nn

import initlab
from initlab.core.training.protocol import Start, Trained, UserTrainingSetup
from initlab.study.codec import encode
from initlab.study.inline import train_here
from initlab.study.records import RunRecord
from initlab.study.supervise import Failure
from initlab.study.trainers import TrainerName

from .own_nets import normed

ROOT = Path(__file__).parents[3]


def compared(folder: Path, build, **options) -> list[RunRecord]:
    given = {"schemes": ["he_normal", "normal(std=0.1)"], "seeds": 2, "epochs": 13, "data": "iris"} | options
    return list(initlab.compare(build=build, out=folder, **given).records)


def bits(record: RunRecord) -> dict[str, bytes]:
    arrays = {**record.curves, **record.layers, "predictions": record.predictions}
    return {name: array.tobytes() for name, array in arrays.items()}


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> list[RunRecord]:
    return compared(tmp_path_factory.mktemp("here"), lambda: normed())


def test_a_worker_gives_the_bits_of_this_process(tmp_path, here, monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    there = compared(tmp_path, "tests.frameworks.torch.own_nets:normed", jobs=1)
    assert [r.env["models_at_a_time"] for r in (*here, *there)] == ["32"] * 8
    assert [bits(r) for r in there] == [bits(r) for r in here]


def test_more_seeds_leave_the_runs_that_are_there_and_give_the_bits_of_one_study(tmp_path, here):
    net = lambda: normed()  # noqa: E731
    first = compared(tmp_path, net, seeds=1)
    both = compared(tmp_path, net, seeds=2)
    assert [encode(r) for r in both if r.spec.seed == 0] == [encode(r) for r in first]
    assert [bits(r) for r in both] == [bits(r) for r in here]


def test_a_record_says_why_its_model_trained_alone(tmp_path):
    build = lambda: nn.Sequential(nn.Linear(4, 3))  # noqa: E731
    (record,) = compared(tmp_path, build, schemes=["he_normal"], seeds=1, epochs=2)
    assert record.env["models_at_a_time"] == "1: a run has 8 steps, fewer than 50"


def stumbling(setup: UserTrainingSetup, starts: list[Start]) -> list[Trained]:
    """A trainer that takes no start of seed 1."""
    if any(start.seed == 1 for start in starts):
        raise FloatingPointError("seed 1")
    return [Trained("ok", "", None, {}, {}, [], None, 0.0) for _ in starts]  # type: ignore[arg-type]


def test_of_a_chunk_that_raises_only_the_run_that_caused_it_fails():
    found = {}
    trainer = TrainerName("torch", own=True, function=f"{__name__}:stumbling")
    for results in train_here([[0, 1], [2]], lambda run: Start(run, {}), None, trainer=trainer):  # type: ignore[arg-type]
        found |= results
    assert found.pop(1) == Failure("failed", "FloatingPointError: seed 1")
    assert {run: result.status for run, result in found.items()} == {0: "ok", 2: "ok"}
