"""Describing a model changes nothing of it and of the generators."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from tests.frameworks.torch.models import digest
from torch import nn

from initlab.core.adapter import WeightSource
from initlab.core.laws import Normal
from initlab.frameworks.torch.adapter import ADAPTER


class Restless(nn.Module):
    """Changes itself, draws from all generators, and mixes modes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4)
        self.drop, self.out = nn.Dropout(0.5), nn.Linear(4, 2)
        self.register_buffer("mean", torch.zeros(4))
        self.calls, self.cache = 0, None
        self.drop.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = self.drop(self.norm(self.conv(x))).mean(-1)
        self.mean.mul_(0.9).add_(0.1 * x.mean(0))
        self.mean_of_call = x.mean()
        self.cache = x + torch.rand(()) + random.random() + np.random.rand()  # noqa: NPY002
        return self.out(x)


@pytest.fixture
def model() -> nn.Module:
    return Restless()


X = torch.randn(5, 2, 6, generator=torch.Generator().manual_seed(0))


def test_no_parameter_and_no_buffer_changes(model: nn.Module) -> None:
    before = digest(model)
    ADAPTER.describe(model, example=X)
    assert digest(model) == before


def test_no_mode_and_no_attribute_changes(model: nn.Module) -> None:
    modes, names = [m.training for m in model.modules()], set(vars(model))
    ADAPTER.describe(model, example=X)
    assert [m.training for m in model.modules()] == modes
    assert set(vars(model)) == names
    assert (model.calls, model.cache) == (0, None)


def test_no_gradient_and_no_requirement_changes(model: nn.Module) -> None:
    model(X).sum().backward()
    model.out.bias.requires_grad_(False)
    grads = {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}
    ADAPTER.describe(model, example=X)
    assert not model.out.bias.requires_grad
    assert all(p.grad is None or torch.equal(p.grad, grads[name]) for name, p in model.named_parameters())


def test_no_generator_moves(model: nn.Module) -> None:
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    for p in ADAPTER.describe(model, example=X).params:
        ADAPTER.write(model, p, WeightSource(Normal(1.0), p, seed=0))
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    np.testing.assert_array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


def test_an_example_that_is_changed_in_place_stays_as_it_was() -> None:
    x = -torch.ones(2, 3)
    ADAPTER.describe(nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2)), example=x)
    assert torch.equal(x, -torch.ones(2, 3))


def test_a_pass_that_fails_restores_all(model: nn.Module) -> None:
    before, modes = digest(model), [m.training for m in model.modules()]
    with pytest.raises(Exception, match="does not take the example"):
        ADAPTER.describe(model, example=torch.zeros(5, 3, 6))
    assert digest(model) == before
    assert [m.training for m in model.modules()] == modes
