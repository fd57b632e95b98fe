"""Linear recurrences are known by what they do, whatever their parameters are called, and drawn by law."""

from __future__ import annotations

import math
import os
import re
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from torch import nn

import initlab
from initlab.core.laws import Along, Uniform, Warped

LENGTH, WIDTH, STATES = 64, 6, 4
X = np.random.default_rng(5).normal(size=(2, LENGTH, 5)).astype(np.float32)


class TorchScan(nn.Module):
    def __init__(self, *, decays: bool, is_turned: bool) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.pace, self.last = nn.Linear(5, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)
        self.rates = nn.Parameter(torch.randn((STATES, WIDTH) if is_turned else (WIDTH, STATES)))
        self.past, self.decays = nn.Parameter(torch.rand(WIDTH)), decays

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u = self.first(x)
        step = nn.functional.softplus(self.pace(u))
        rates = self.rates if self.rates.shape[0] == WIDTH else self.rates.T
        kept = step[..., None] * -torch.exp(rates)
        kept = torch.exp(kept) if self.decays else kept
        h, made = torch.zeros_like(kept[:, 0]), []
        for t in range(x.shape[1]):
            h = kept[:, t] * h + (step * u)[:, t, :, None]
            made.append(h.sum(-1))
        return self.last(torch.stack(made, dim=1) + self.past * u)


class FlaxScan(nnx.Module):
    def __init__(self, *, decays: bool, is_turned: bool) -> None:
        rngs = nnx.Rngs(3)
        self.first, self.pace = nnx.Linear(5, WIDTH, rngs=rngs), nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.last = nnx.Linear(WIDTH, 2, rngs=rngs)
        shape = (STATES, WIDTH) if is_turned else (WIDTH, STATES)
        self.rates = nnx.Param(jax.random.normal(jax.random.key(3), shape))
        self.past, self.decays = nnx.Param(jax.random.uniform(jax.random.key(4), (WIDTH,))), decays

    def __call__(self, x: Any) -> Any:
        u = self.first(x)
        step = jax.nn.softplus(self.pace(u))
        rates = self.rates.get_value()
        kept = step[..., None] * -jnp.exp(rates if rates.shape[0] == WIDTH else rates.T)
        kept = jnp.exp(kept) if self.decays else kept
        h, made = jnp.zeros_like(kept[:, 0]), []
        for t in range(x.shape[1]):
            h = kept[:, t] * h + (step * u)[:, t, :, None]
            made.append(h.sum(-1))
        return self.last(jnp.stack(made, axis=1) + self.past.get_value() * u)


class KerasScan(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, *, decays: bool, is_turned: bool) -> None:
        super().__init__()
        self.pace, self.decays, self.is_turned = keras.layers.Dense(WIDTH), decays, is_turned

    def build(self, shape: Any) -> None:
        size = (STATES, WIDTH) if self.is_turned else (WIDTH, STATES)
        self.rates = self.add_weight(shape=size, initializer=keras.initializers.RandomNormal(1.0, seed=3), name="rates")
        self.past = self.add_weight(shape=(WIDTH,), initializer=keras.initializers.RandomNormal(seed=4), name="past")
        self.pace.build(shape)

    def call(self, u: Any) -> Any:
        step = keras.ops.softplus(self.pace(u))
        rates = keras.ops.transpose(self.rates) if self.is_turned else self.rates
        kept = step[..., None] * -keras.ops.exp(rates)
        kept = keras.ops.exp(kept) if self.decays else kept
        h, made = keras.ops.zeros_like(kept[:, 0]), []
        for t in range(u.shape[1]):
            h = kept[:, t] * h + (step * u)[:, t, :, None]
            made.append(keras.ops.sum(h, axis=-1))
        return keras.ops.stack(made, axis=1) + self.past * u


def keras_scan(*, decays: bool, is_turned: bool, length: int = 5) -> Any:
    given = keras.Input((length, 5))
    u = keras.layers.Dense(WIDTH, name="first")(given)
    scan = KerasScan(decays=decays, is_turned=is_turned)
    return keras.Model(given, keras.layers.Dense(2, name="last")(scan(u)))


NETS: dict[str, tuple[Any, Any]] = {
    "torch": (TorchScan, torch.from_numpy(X[:, :5])),
    "flax": (FlaxScan, X[:, :5]),
    "keras": (keras_scan, X[:, :5]),
}


def entry(plan: Any, *endings: str) -> Any:
    (found,) = [e for e in plan if e.param.native.replace("/", ".").endswith(endings)]
    return found


def bias_of_the_step(plan: Any) -> Any:
    names = [e.param.native.replace("/", ".") for e in plan]
    (name,) = [name for name in names if re.search(r"(pace|dense(_\d+)?)\.bias$", name)]
    return plan.entries[names.index(name)]


def share_of_the_past(framework: str, model: Any) -> float:
    """By how much the output changes with the input 60 steps back, per change of the input."""
    moved = X.copy()
    moved[:, LENGTH - 61] += 1.0
    given = [torch.from_numpy(x) if framework == "torch" else x for x in (X, moved)]
    with torch.no_grad():
        before, after = (model(x) for x in given)
    return float(abs(after - before)[:, -1].max())


@pytest.mark.parametrize("framework", list(NETS))
def test_a_recurrence_is_drawn_by_its_published_law_and_remembers(framework: str) -> None:
    build, x = NETS[framework]
    model = build(decays=True, is_turned=False)
    plan = initlab.plan(model, "he_normal", example=x)
    assert [e.param.native for e in plan if e.action != "initialise"] == []
    assert bias_of_the_step(plan).law == Warped(Uniform(math.log(0.001), math.log(0.1)), "step")
    assert entry(plan, "rates").law == Along(tuple(math.log(n) for n in range(1, STATES + 1)), axis=1)
    assert str(entry(plan, "past").law) == "constant 1"
    plan.apply(5)
    if framework == "keras":
        model = copied(model, keras_scan(decays=True, is_turned=False, length=LENGTH))
    assert share_of_the_past(framework, model) > 1e-3  # 3e-13 where the steps are softplus(0) = 0.69


@pytest.mark.parametrize("framework", list(NETS))
def test_the_states_are_the_axis_along_which_a_step_is_one_number(framework: str) -> None:
    build, x = NETS[framework]
    plan = initlab.plan(build(decays=True, is_turned=True), "he_normal", example=x)
    assert entry(plan, "rates").law == Along(tuple(math.log(n) for n in range(1, STATES + 1)), axis=0)


@pytest.mark.parametrize("framework", list(NETS))
def test_a_softplus_without_a_decay_behind_it_has_a_bias_like_any_other(framework: str) -> None:
    build, x = NETS[framework]
    plan = initlab.plan(build(decays=False, is_turned=False), "he_normal", example=x)
    assert str(bias_of_the_step(plan).law) == "constant 0"
    assert entry(plan, "rates").action == "keep"


@pytest.mark.parametrize("framework", list(NETS))
def test_a_step_that_its_author_chose_stays(framework: str) -> None:
    build, x = NETS[framework]
    model: Any = build(decays=True, is_turned=False)
    plan = initlab.plan(model, "he_normal", example=x)
    initlab.initialize(model, {bias_of_the_step(plan).param.native: "constant(value=-4.6)"}, example=x, seed=3)
    fresh = initlab.plan(rebuilt(framework, model), "he_normal", example=x)
    assert bias_of_the_step(fresh).kept == "design"


def copied(model: Any, fresh: Any) -> Any:
    for mine, theirs in zip(fresh.weights, model.weights, strict=True):
        mine.assign(theirs.value)
    return fresh


def rebuilt(framework: str, model: Any) -> Any:
    """Another model of the same numbers, of which nobody knows who wrote them."""
    fresh = NETS[framework][0](decays=True, is_turned=False)
    if framework == "torch":
        fresh.load_state_dict(model.state_dict())
    elif framework == "keras":
        copied(model, fresh)
    else:
        nnx.update(fresh, nnx.state(model))
    return fresh


# Models that others wrote


def mamba() -> Any:
    from transformers import MambaConfig, MambaForCausalLM

    return MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=24, state_size=6, num_hidden_layers=2))


def mamba2() -> Any:
    from transformers import Mamba2Config, Mamba2ForCausalLM

    sizes = {"hidden_size": 24, "state_size": 6, "num_heads": 6, "head_dim": 8, "n_groups": 1, "chunk_size": 8}
    return Mamba2ForCausalLM(Mamba2Config(vocab_size=50, num_hidden_layers=2, **sizes))


def recurrent_gemma() -> Any:
    from transformers import RecurrentGemmaConfig, RecurrentGemmaForCausalLM

    sizes = {"hidden_size": 24, "lru_width": 24, "intermediate_size": 48, "attention_window_size": 16}
    config = RecurrentGemmaConfig(vocab_size=50, num_attention_heads=2, num_hidden_layers=3, **sizes)
    return RecurrentGemmaForCausalLM(config)


def rwkv() -> Any:
    from transformers import RwkvConfig, RwkvForCausalLM

    return RwkvForCausalLM(RwkvConfig(vocab_size=50, hidden_size=24, num_hidden_layers=3, context_length=80))


TOKENS = torch.from_numpy(np.random.default_rng(3).integers(0, 50, (1, 64)))
STEP, HEADS = "softplus^-1 of a step, log-uniform in [0.001, 0.1]", "log of U(1, 16)"
RING = "softplus^-1 of -log a, a^2 uniform, a in [0.9, 0.999]"
PUBLISHED = {
    "mamba": (mamba, {"A_log": "log(1..6)", "D": "constant 1", "dt_proj.bias": STEP}),
    "mamba2": (mamba2, {"A_log": HEADS, "D": "constant 1", "dt_bias": STEP}),
    "recurrent_gemma": (recurrent_gemma, {"recurrent_param": RING}),
    "rwkv": (
        rwkv,
        {"blocks.0.attention.time_decay": "-5 + 8 (i / 23)^0.7", "blocks.2.attention.time_decay": "-5 + 8 (i / 23)^2"},
    ),
}


@pytest.mark.filterwarnings("ignore::initlab.core.errors.IncompleteWarning")  # RWKV's mixes of tokens stay
@pytest.mark.parametrize("name", list(PUBLISHED))
def test_recurrences_of_public_models_are_drawn_by_their_law_after_training_too(name: str) -> None:
    build, laws = PUBLISHED[name]
    torch.manual_seed(3)
    model = build().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.01 * torch.randn_like(p))
    plan = initlab.plan(model, "he_normal", example=TOKENS[:, :5])
    plan.apply(5)
    for ending, law in laws.items():
        rows = [e for e in plan if e.param.native.endswith(ending)]
        assert rows
        assert {str(e.law) for e in rows} == {law}


@pytest.mark.parametrize("name", ["mamba", "mamba2", "recurrent_gemma"])
def test_a_token_60_steps_back_reaches_the_output_of_public_models(name: str) -> None:
    build, _ = PUBLISHED[name]
    torch.manual_seed(3)
    model = initlab.initialize(build().eval(), "he_normal", seed=5, example=TOKENS[:, :5])
    embedded = model.get_input_embeddings().weight[TOKENS].detach().requires_grad_()
    model(inputs_embeds=embedded).logits[0, -1].square().sum().sqrt().backward()
    assert embedded.grad is not None
    by_place = embedded.grad[0].norm(dim=-1)
    assert float(by_place[3] / by_place[-1]) > 1e-6


class Absorption(nn.Module):
    """What a ray loses on its way: 1 - exp(-density * length)."""

    def __init__(self) -> None:
        super().__init__()
        self.density, self.last = nn.Linear(5, WIDTH), nn.Linear(WIDTH, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(1.0 - torch.exp(-nn.functional.softplus(self.density(x)) * 0.3))


def test_a_density_that_absorbs_is_no_recurrence() -> None:
    plan = initlab.plan(Absorption(), "he_normal", example=torch.from_numpy(X[:, 0]))
    assert str(entry(plan, "density.bias").law) == "constant 0"
