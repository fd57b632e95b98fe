"""The nets that the probe is to be calibrated on, and the labels that training gave them."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

FOLDER = Path(__file__).resolve().parents[2] / "calibration"
OWN = ("nets", "architectures", "tasks", "training", "table", "verdicts")


@pytest.fixture(scope="module")
def calibration() -> Iterator[dict[str, ModuleType]]:
    """The modules of the folder, which import each other by their bare names."""
    with pytest.MonkeyPatch.context() as patch:
        for name in OWN:
            patch.delitem(sys.modules, name, raising=False)
        patch.syspath_prepend(str(FOLDER))
        import nets  # type: ignore[import-not-found]
        import table  # type: ignore[import-not-found]
        import tasks  # type: ignore[import-not-found]
        import training  # type: ignore[import-not-found]
        import verdicts  # type: ignore[import-not-found]

        modules = {"nets": nets, "tasks": tasks, "training": training, "table": table, "verdicts": verdicts}
        yield modules
        for name in OWN:
            sys.modules.pop(name, None)


def test_the_set_is_large_and_no_net_stands_in_it_twice(calibration: dict[str, ModuleType]) -> None:
    every = list(calibration["nets"].nets())
    assert len(set(every)) == len(every) >= 400
    assert {net.kind for net in every} == set(calibration["nets"].KINDS)
    halves = {net.family: calibration["verdicts"].held_out(net) for net in every}
    assert 0.3 < sum(halves.values()) / len(halves) < 0.7


def test_a_label_is_what_its_shares_say(calibration: dict[str, ModuleType]) -> None:
    every = {net.name: net for net in calibration["nets"].nets()}
    rows = calibration["table"].read()
    assert len(rows) >= 40
    for net, got in rows.items():
        assert net.name in every
        shares = [share for share in (got.sgd, got.adam, got.warm_up) if not math.isnan(share)]
        expected = {"healthy": max(shares) >= 0.8, "hard": max(shares) >= 0.8 > got.sgd, "sick": max(shares) < 0.3}
        assert expected.get(got.label, 0.3 <= max(shares) < 0.8), (net.name, got)


def test_a_net_that_trains_is_healthy_and_one_of_zeros_is_sick(calibration: dict[str, ModuleType]) -> None:
    nets, training = calibration["nets"], calibration["training"]
    shallow = nets.Net("mlp", "relu", 2, 64, "torch", "digits")
    # What the reference of this family gives; it takes seconds to be found anew.
    held_to = training.Reference(constant=0.1, score=0.992, steps=20, needs_adam=False)
    assert nets.reference(shallow).start == "critical"
    assert training.label(shallow, held_to).label == "healthy"
    zeros = nets.Net("mlp", "relu", 3, 64, "zeros", "digits")
    assert training.label(zeros, held_to).label == "sick"


def test_a_crowd_takes_the_steps_that_each_net_takes_alone(calibration: dict[str, ModuleType]) -> None:
    nets, tasks, training = calibration["nets"], calibration["tasks"], calibration["training"]
    net = nets.Net("mlp", "tanh", 3, 16, "torch", "teacher")
    crowd, data = training.Crowd(net, "adam"), tasks.load("teacher")
    at, seed = 7, training.SEEDS[7 % len(training.SEEDS)]
    alone = nets.build(net, seed=seed)
    optimizer = torch.optim.Adam(alone.parameters(), lr=float(crowd.rates[at]))
    for number in (1, 2, 3):
        chosen = torch.arange(20) * number
        crowd.step(number, chosen, 0)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(alone(data.x[chosen]), data.y[chosen]).backward()
        optimizer.step()
    for name, value in alone.named_parameters():
        torch.testing.assert_close(crowd.parameters[name][at], value.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.soak
def test_a_tenth_of_the_labels_is_derived_anew(calibration: dict[str, ModuleType]) -> None:
    training, rows = calibration["training"], calibration["table"].read()
    chosen = sorted(rows, key=lambda net: hashlib.sha256(b"1" + net.name.encode()).digest())[: -(-len(rows) // 10)]
    again = {net: training.label(net, training.reference(net)).label for net in chosen}
    apart = [net.name for net in chosen if again[net] != rows[net].label]
    # A score beside a limit falls on either side of it on another processor.
    assert len(apart) <= max(1, len(chosen) // 10), apart
