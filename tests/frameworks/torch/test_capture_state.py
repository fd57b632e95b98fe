"""Taps and watches leave a model as it was, also where they refuse it."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from tests.frameworks.torch.models import digest
from torch import nn

from initlab.core.errors import DataError, InitlabError, OptionError, ShapeError
from initlab.core.signals.readings import Reading
from initlab.frameworks.torch.adapter import TorchAdapter

X = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(0))


def reading_of(*args: Any, **options: Any) -> Reading:
    return TorchAdapter().capture(*args, **options).reading


class Restless(nn.Module):
    """Changes itself and draws from all generators; ``fail`` says where it goes wrong."""

    def __init__(self, fail: str = "") -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 2)
        self.drop.eval()
        self.calls, self.fail = 0, fail

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.drop(torch.relu(self.norm(self.conv(x)))).mean(-1)
        x = x + torch.rand(()) + random.random() + np.random.rand()  # noqa: NPY002
        if self.fail == "raise":
            raise RuntimeError("no")
        x = self.out(x)
        return x.detach() if self.fail == "detach" else x


def snapshot(model: nn.Module) -> tuple[object, ...]:
    """All that a pass could change; gradients by object and by number."""
    hooks = [len(table) for m in model.modules() for table in (m._forward_hooks, m._forward_pre_hooks)]
    shared = nn.modules.module
    return (
        digest(model),
        [(id(p.grad), None if p.grad is None else p.grad.numpy().tobytes()) for p in model.parameters()],
        [p.requires_grad for p in model.parameters()],
        [p._backward_hooks and list(p._backward_hooks) for p in model.parameters()],
        [m.training for m in model.modules()],
        [set(vars(m)) for m in model.modules()],
        (hooks, len(shared._global_forward_hooks), len(shared._global_forward_pre_hooks)),
        (torch.get_rng_state().numpy().tobytes(), random.getstate(), np.random.get_state()[1].tobytes()),  # noqa: NPY002
        torch.is_grad_enabled(),
        torch.overrides._get_current_function_mode_stack(),
    )


def started(fail: str = "") -> nn.Module:
    """A model in the middle of training: gradients of its own, and running statistics."""
    model = Restless()
    model(X).sum().backward()
    model.conv.bias.grad = None
    model.fail = fail
    return model


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("targets", [None, torch.tensor([0, 1, 1, 0, 1])])
def test_a_pass_changes_nothing(is_training: bool, targets: object) -> None:
    model = started()
    model.train(is_training)
    before, calls = snapshot(model), model.calls
    reading = reading_of(model, X, targets=targets)
    assert snapshot(model) == before
    assert model.calls == calls
    assert reading.gradients["conv.weight"].square > 0


BAD = {
    "a wrong shape": (started, torch.zeros(5, 3, 6), {}, ShapeError, "the batch was of shape"),
    "a batch of one": (started, torch.zeros(1, 2, 3), {}, ShapeError, "two samples or more"),
    "NaN": (started, torch.full((5, 2, 6), math.nan), {}, DataError, "60 numbers that are NaN or infinite"),
    "infinity": (started, X / 0, {}, DataError, "NaN or infinite"),
    "an output without gradient": (lambda: started("detach"), X, {}, OptionError, "no gradient passes"),
    "a forward that raises": (lambda: started("raise"), X, {}, ShapeError, "does not take the batch: no"),
    "a loss that is no scalar": (started, X, {"loss": lambda out: out}, OptionError, "no scalar"),
    "a loss that is no tensor": (started, X, {"loss": lambda out: 1.0}, OptionError, "no scalar, it is a float"),
    "a loss without gradient": (started, X, {"loss": lambda out: out.detach().mean()}, OptionError, "no gradient"),
    "targets of a wrong shape": (started, X, {"targets": np.zeros(4, int)}, ShapeError, "targets of shape"),
    "a class too many": (started, X, {"targets": np.full(5, 2)}, ShapeError, "classes from 0 and below 2"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused_changes_nothing_and_says_the_fix_in_a_line(case: str) -> None:
    build, x, options, kind, said = BAD[case]
    model = build()
    before = snapshot(model)
    with pytest.raises(kind, match=said) as caught:
        reading_of(model, x, **options)
    assert snapshot(model) == before
    assert "\n" not in str(caught.value)
    assert ": " in str(caught.value)


def test_a_loss_that_raises_changes_nothing() -> None:
    model = started()
    before = snapshot(model)
    with pytest.raises(ZeroDivisionError):
        reading_of(model, X, loss=lambda out: 1 / 0)
    assert snapshot(model) == before


def test_a_model_whose_parameters_are_all_frozen_is_refused() -> None:
    model = Restless().requires_grad_(False)
    with pytest.raises(OptionError, match="all are frozen"):
        reading_of(model, X)


def test_a_model_on_the_meta_device_is_refused() -> None:
    with torch.device("meta"):
        model = nn.Linear(2, 2)
    with pytest.raises(InitlabError, match="materialize"):
        reading_of(model, torch.zeros(2, 2))


def test_the_batch_stays_as_it_was() -> None:
    x = -torch.ones(3, 4)
    reading_of(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(4, 2)), x)
    assert torch.equal(x, -torch.ones(3, 4))
    assert not x.requires_grad


def test_frozen_parameters_have_no_gradient_and_those_behind_them_have() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].requires_grad_(False)
    reading = reading_of(model, torch.randn(5, 3))
    assert list(reading.gradients) == ["2.weight", "2.bias"]
    assert list(reading.backward) == [3]


def test_a_fault_of_the_listening_itself_is_not_laid_on_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("planted")

    monkeypatch.setattr("initlab.frameworks.torch.reading.record.operate", broken)
    with pytest.raises(RuntimeError, match=r"^planted$"):
        reading_of(nn.Sequential(nn.Linear(4, 2), nn.Tanh(), nn.Linear(2, 1)), torch.randn(2, 4))
