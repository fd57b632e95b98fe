"""State-space recurrences are known by what they do, whatever their parameters are called."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
from initlab.core.errors import IncompleteWarning

X = np.random.default_rng(5).normal(size=(2, 4, 5)).astype(np.float32)
STEPS = np.array([0.001, 0.004, 0.02, 0.03, 0.07, 0.1], np.float32)
BIAS = np.log(np.expm1(STEPS))  # the inverse of softplus
RATES = np.log(np.arange(1, 5, dtype=np.float32)) * np.ones((6, 1), np.float32)


class TorchScan(nn.Module):
    def __init__(self, *, decays: bool) -> None:
        super().__init__()
        self.first, self.pace, self.last = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.pace.bias.data.copy_(torch.from_numpy(BIAS))
        self.rates, self.decays = nn.Parameter(torch.from_numpy(RATES)), decays

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.first(x)
        step = nn.functional.softplus(self.pace(u))[..., None] * -torch.exp(self.rates)
        kept = torch.exp(step) if self.decays else step
        h = torch.zeros_like(kept[:, 0])
        for t in range(x.shape[1]):
            h = kept[:, t] * h + u[:, t, :, None]
        return self.last(h.sum(-1))


class FlaxScan(nnx.Module):
    def __init__(self, *, decays: bool) -> None:
        rngs = nnx.Rngs(3)
        self.first, self.pace = nnx.Linear(5, 6, rngs=rngs), nnx.Linear(6, 6, rngs=rngs)
        self.last = nnx.Linear(6, 2, rngs=rngs)
        assert self.pace.bias is not None
        self.pace.bias.set_value(jnp.asarray(BIAS))
        self.rates, self.decays = nnx.Param(jnp.asarray(RATES)), decays

    def __call__(self, x: Any) -> Any:
        u = self.first(x)
        step = jax.nn.softplus(self.pace(u))[..., None] * -jnp.exp(self.rates.get_value())
        kept = jnp.exp(step) if self.decays else step
        h = jnp.zeros_like(kept[:, 0])
        for t in range(x.shape[1]):
            h = kept[:, t] * h + u[:, t, :, None]
        return self.last(h.sum(-1))


NETS = {"torch": (TorchScan, torch.from_numpy(X)), "flax": (FlaxScan, X)}


@pytest.mark.parametrize("framework", list(NETS))
def test_the_step_of_a_recurrence_is_no_bias_that_starts_at_zero(framework: str) -> None:
    build, x = NETS[framework]
    model: Any = build(decays=True)
    plan = initlab.plan(model, "he_normal", example=x)
    kept = {entry.param.native: entry.kept for entry in plan if entry.action == "keep"}
    assert kept == {"pace.bias": "undrawn", "rates": "design"}
    assert "that cannot be drawn (pace.bias)" in " ".join(str(plan).split())
    with pytest.warns(IncompleteWarning, match=r"cannot be drawn \(pace.bias\)"):
        initlab.initialize(model, "he_normal", seed=3, example=x)
    held = model.pace.bias.detach() if framework == "torch" else torch.tensor(model.pace.bias.get_value().tolist())
    assert nn.functional.softplus(held).max().item() == pytest.approx(0.1, rel=1e-5)  # and not ln 2 = 0.69
    assert math.isclose(nn.functional.softplus(held).min().item(), 0.001, rel_tol=1e-4)


@pytest.mark.parametrize("framework", list(NETS))
def test_a_softplus_without_a_decay_behind_it_has_a_bias_like_any_other(framework: str) -> None:
    build, x = NETS[framework]
    plan = initlab.plan(build(decays=False), "he_normal", example=x)
    assert [e.action for e in plan if e.param.native == "pace.bias"] == ["initialise"]
