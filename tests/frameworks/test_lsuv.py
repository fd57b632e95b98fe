"""LSUV: every layer's output at one std on a batch, as the paper's own loop sets it, in every framework."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn
from torch.nn import functional

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.plans.bound import BoundPlan
from initlab.frameworks import adapter_for

SEED = 11
ROWS = torch.randn(48, 3, 9, 9, generator=torch.Generator().manual_seed(5)) * 2.5 + 0.7


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(243, 40), nn.ReLU(), nn.Linear(40, 24), nn.Tanh(), nn.Linear(24, 24), nn.SiLU(),
        nn.Linear(24, 5),
    )  # fmt: skip


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 12, 3, padding=1), nn.ReLU(), nn.Conv2d(12, 8, 3, stride=2, groups=2), nn.GELU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32, 7),
    )  # fmt: skip


def stds(model: nn.Module, x: torch.Tensor) -> dict[str, float]:
    """The std of the output of each dense layer and convolution, by hooks."""
    found: dict[str, float] = {}

    def seen(name: str) -> Callable[..., None]:
        return lambda module, given, output: found.update({name: float(output.double().std())})

    layers = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    hooks = [module.register_forward_hook(seen(name)) for name, module in layers]
    with torch.no_grad():
        model(x)
    for hook in hooks:
        hook.remove()
    return found


def reference(model: nn.Module, x: torch.Tensor, *, tolerance: float = 0.01, most: int = 10) -> dict[str, int]:
    """Algorithm 1 of the paper, from the weights that the model has: steps by layer."""
    steps = dict.fromkeys(stds(model, x), 0)
    for name in steps:
        while abs(stds(model, x)[name] - 1.0) > tolerance and steps[name] < most:
            std = stds(model, x)[name]
            with torch.no_grad():
                model.get_submodule(name).weight.div_(std)  # type: ignore[operator]
            steps[name] += 1
    return steps


@pytest.mark.parametrize("build", [mlp, cnn])
def test_the_stds_and_steps_are_those_of_the_papers_loop(build: Callable[[], nn.Module]) -> None:
    ours, theirs = build(), build()
    initlab.initialize(theirs, "orthogonal", seed=SEED)
    steps = reference(theirs, ROWS)
    plan = initlab.plan(ours, "lsuv", example=ROWS)
    assert isinstance(plan, BoundPlan)
    plan.apply(seed=SEED)
    found, wanted = stds(ours, ROWS), stds(theirs, ROWS)
    assert found == pytest.approx(wanted, rel=1e-6)
    assert all(abs(std - 1.0) <= 0.01 for std in found.values())
    for name, taken in steps.items():
        assert f"in {taken} step" in plan[f"{name}.weight"].why


@pytest.mark.parametrize("build", [mlp, cnn])
def test_the_weights_are_those_of_the_public_package(build: Callable[[], nn.Module]) -> None:
    package = pytest.importorskip("lsuv")
    ours, theirs = build(), build()
    initlab.initialize(theirs, "he_normal", seed=SEED)
    package.lsuv_with_singlebatch(theirs, ROWS, std_tol=0.01, do_orthonorm=False, verbose=False)
    initlab.initialize(ours, "lsuv(base=he_normal)", seed=SEED, example=ROWS)
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=2e-6, atol=1e-7, msg=name)


def chain(framework: str) -> Any:
    if framework == "torch":
        return nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 4))
    if framework == "keras":
        layers = [keras.layers.Dense(n, f) for n, f in ((9, "tanh"), (7, "tanh"), (4, None))]
        return keras.Sequential([keras.Input((6,)), *layers])
    rngs = nnx.Rngs(3)
    return nnx.Sequential(nnx.Linear(6, 9, rngs=rngs), jnp.tanh, nnx.Linear(9, 7, rngs=rngs), jnp.tanh,
                          nnx.Linear(7, 4, rngs=rngs))  # fmt: skip


def global_states() -> tuple[str, ...]:
    return str(torch.get_rng_state().tolist()), str(np.random.get_state()), str(random.getstate())  # noqa: NPY002


@pytest.mark.parametrize("framework", ["torch", "keras", "flax"])
def test_every_frameworks_layers_get_the_std_and_the_same_weights(framework: str) -> None:
    x = np.random.default_rng(2).normal(1.0, 4.0, (40, 6)).astype(np.float32)
    model, batch = chain(framework), torch.from_numpy(x) if framework == "torch" else x
    adapter = adapter_for(model)
    held, generators = {k: np.array(v) for k, v in adapter.state(model).items()}, global_states()
    plan = initlab.plan(model, "lsuv(std=2, base=lecun_normal)", example=batch)
    drawn = plan.draw(SEED)
    assert all(np.array_equal(value, held[name]) for name, value in adapter.state(model).items())
    plan.apply(seed=SEED)
    assert global_states() == generators
    h = x.astype(np.float64)
    for entry in plan:
        if entry.param.is_weight:
            weight = adapter.read(model, entry.param)
            assert np.array_equal(weight, drawn[entry.param.path])
            h = h @ weight.T.astype(np.float64)
            assert h.std(ddof=1) == pytest.approx(2.0, rel=0.01)
            h = np.tanh(h)
    plain = initlab.plan(chain(framework), "lecun_normal").draw(SEED)
    first = drawn["0/weight"] / plain["0/weight"]
    assert first.std() < 1e-6 * first.mean() != 1.0


class Branched(nn.Module):
    """A functional layer, a residual branch, a norm with running statistics, dropout, and a layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.twice = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 8, bias=False)
        self.bare, self.drop = nn.Parameter(torch.empty(3, 8).normal_()), nn.Dropout(0.3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = functional.relu(self.norm(self.first(x)))
        h = h + self.twice(h)
        h = self.drop(h + torch.tanh(self.twice(h)))
        return functional.linear(h, self.bare)


def test_functional_branched_and_shared_layers_are_scaled_and_nothing_else_changes() -> None:
    torch.manual_seed(4)
    net = Branched().eval()
    x = torch.randn(64, 6) * 3
    state, generator = {k: v.clone() for k, v in net.state_dict().items()}, torch.get_rng_state()
    plan = initlab.plan(net, "lsuv", example=x)
    plan.apply(seed=SEED)
    assert not net.training
    assert torch.equal(torch.get_rng_state(), generator)
    same = [name for name, value in net.state_dict().items() if torch.equal(value, state[name])]
    assert {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"} <= set(same)
    assert plan["twice.weight"].why.endswith("64 rows, the first of 2 uses")
    batch_norm = functional.batch_norm(net.first(x), None, None, training=True)
    assert net.first(x).std().item() == pytest.approx(1.0, abs=0.01)
    assert net.twice(functional.relu(batch_norm)).std().item() == pytest.approx(1.0, abs=0.01)
    torch.manual_seed(77)  # the dropout's draws are those of the seed given, whatever the global generator is
    again = Branched().eval()
    again.load_state_dict(state)
    initlab.initialize(again, "lsuv", seed=SEED, example=x)
    assert torch.equal(again.bare, net.bare)


def held_up() -> nn.Module:
    net = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        net[2].bias.copy_(torch.tensor([-9.0, 9.0]))  # type: ignore[operator]
    return net


def recurrent() -> nn.Module:
    return nn.LSTM(6, 5)


@pytest.mark.parametrize(
    ("build", "batch", "options", "said"),
    [
        (chain, None, {}, "no batch to look at"),
        (chain, torch.zeros(4, 6), {}, "has std 0 on the batch of 4.*0.weight"),
        (held_up, torch.randn(8, 6), {"exclude": "2.bias"}, "after 10 steps the std.*2.weight"),
        (recurrent, torch.randn(4, 3, 6), {}, "no output that this weight makes"),
    ],
)
def test_what_no_batch_can_scale_is_refused_and_nothing_is_written(
    build: Callable[..., nn.Module], batch: torch.Tensor | None, options: dict[str, Any], said: str
) -> None:
    net = build("torch") if build is chain else build()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(InitlabError, match=said):
        initlab.initialize(net, "lsuv", seed=SEED, example=batch, **options)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_process_of_a_group_is_refused_since_each_sees_its_own_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = chain("torch"), torch.randn(16, 6)
    for name, value in {"is_initialized": True, "get_world_size": 2}.items():
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    before = net[0].weight.clone()
    with pytest.raises(OptionError, match="each scale the weights to a batch of their own"):
        initlab.initialize(net, "lsuv", seed=SEED, example=x)
    assert torch.equal(net[0].weight, before)


def test_without_data_nothing_is_drawn_and_a_reset_is_refused() -> None:
    with pytest.raises(OptionError, match="no batch was seen"):
        initlab.plan(initlab.Mlp((4, 3)), "lsuv").draw(1)
    net = chain("torch")
    initlab.initialize(net, "lsuv", seed=SEED, example=torch.randn(16, 6))
    with pytest.raises(OptionError, match="from a batch or one another"):
        initlab.reset(net)


def test_a_plan_says_that_it_is_data_driven_and_then_what_it_saw() -> None:
    net = chain("torch")
    plan = initlab.plan(net, {"*": "lsuv", "4.*": "he_normal"}, example=torch.randn(16, 6))
    assert isinstance(plan, BoundPlan)
    assert plan["0.weight"].std is None
    assert plan.notes == ("data-driven: when the plan is applied, a batch decides the scale of 2 weights",)
    plan.apply(seed=SEED)
    row = plan["0.weight"]
    assert "output std" in row.why
    assert "16 rows" in plan.text(width=90)
    assert row.std is not None
    assert math.isclose(row.std, float(net[0].weight.detach().square().mean().sqrt()), rel_tol=1e-5)
    assert plan["4.weight"].why == "he_normal by '4.*'"
