"""A vocabulary of another size keeps its words bit for bit, and draws new ones like them, in every framework."""

from __future__ import annotations

import os
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

import initlab
from initlab.core.errors import InitlabError, OptionError
from initlab.core.growth.rows import rows_like
from initlab.frameworks import adapter_for

WORDS, WIDTH, PLACES = 41, 6, 7
TOKENS = np.random.default_rng(4).integers(0, 30, (3, PLACES))


class Torch(nn.Module):
    def __init__(self, tied: bool = False, padding: int | None = None) -> None:
        super().__init__()
        self.e, self.f = nn.Embedding(WORDS, WIDTH, padding_idx=padding), nn.Linear(WIDTH, WIDTH)
        self.out, self.vocab_size = nn.Linear(WIDTH, WORDS), WORDS
        if tied:
            self.out.weight = self.e.weight

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.f(self.e(t)))).view(-1, self.vocab_size)


class ByUse(Torch):
    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(0.1 * torch.randn(WORDS))
        del self.out

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.f(self.e(t))) @ self.e.weight.T + self.bias


class Flax(nnx.Module):
    def __init__(self) -> None:
        rngs = nnx.Rngs(2)
        self.e, self.f = nnx.Embed(WORDS, WIDTH, rngs=rngs), nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.out, self.vocab_size = nnx.Linear(WIDTH, WORDS, rngs=rngs), WORDS

    def __call__(self, t: Any) -> Any:
        return self.out(jnp.tanh(self.f(self.e(t)))).reshape(-1, self.vocab_size)


def keras_net() -> Any:
    return keras.Sequential([
        keras.layers.Input((PLACES,), dtype="int32"), keras.layers.Embedding(WORDS, WIDTH, name="e"),
        keras.layers.Dense(WIDTH, activation="tanh", name="f"), keras.layers.Dense(WORDS, name="out"),
    ])  # fmt: skip


NETS: dict[str, Callable[[], Any]] = {"torch": Torch, "keras": keras_net, "jax": Flax}


def outputs(model: Any) -> np.ndarray:
    made = model(torch.from_numpy(TOKENS)) if isinstance(model, nn.Module) else model(TOKENS)
    return np.asarray(made.detach() if isinstance(made, torch.Tensor) else made).reshape(3 * PLACES, -1)


def held(model: Any) -> dict[str, np.ndarray]:
    adapter = adapter_for(model)
    return {p.path: np.array(adapter.read(model, p)) for p in adapter.describe(model, example=TOKENS).params}


@pytest.mark.parametrize("framework", NETS)
def test_the_words_that_were_there_are_what_they_were(framework: str) -> None:
    model = NETS[framework]()
    before, made = held(model), outputs(model)
    assert initlab.resize_vocabulary(model, 50, seed=3, example=TOKENS) is model
    after = held(model)
    assert after["e/weight"].shape == (50, WIDTH)
    assert after["out/weight"].shape == (50, WIDTH)
    assert after["out/bias"].shape == (50,)
    assert all(np.array_equal(after[path][: len(array)], array) for path, array in before.items())
    np.testing.assert_allclose(outputs(model)[:, :WORDS], made, rtol=2e-6, atol=1e-6)
    initlab.resize_vocabulary(model, 30, example=TOKENS)
    assert all(np.array_equal(array, after[path][: len(array)]) for path, array in held(model).items())
    assert outputs(model).shape == (3 * PLACES, 30)
    assert getattr(model, "vocab_size", 30) == 30


def test_new_words_have_the_same_bits_in_every_framework() -> None:
    made = {}
    for framework, build in NETS.items():
        model = build()
        initlab.initialize(model, "he_normal", seed=5, example=TOKENS)
        made[framework] = held(initlab.resize_vocabulary(model, 90, seed=3, example=TOKENS))
    for path in ("e/weight", "out/weight", "out/bias"):
        assert all(np.array_equal(made["torch"][path], one[path]) for one in made.values()), path
    assert not np.array_equal(made["torch"]["e/weight"][WORDS:], made["torch"]["out/weight"][WORDS:])


def test_new_rows_have_mean_and_covariance_of_the_old_ones() -> None:
    rng, count = np.random.default_rng(7), 40_000
    old = rng.standard_normal((5, 3)) @ np.array([[1.0, 0.5, 0.0], [0.0, 2.0, -1.0], [0.3, 0.0, 0.1]]) + [
        4.0,
        0.0,
        -2.0,
    ]
    new = rows_like(old, count, scale=0.25, seed=11, path="wte/weight#new")
    wanted = 0.25 * np.cov(old.T, bias=True)
    spread = np.sqrt(np.diag(wanted))
    assert (abs(new.mean(0) - old.mean(0)) < 5 * spread / np.sqrt(count)).all()
    assert (abs(np.cov(new.T) - wanted) < 5 * np.sqrt(2 / count) * np.outer(spread, spread)).all()
    assert np.array_equal(rows_like(old, 9, scale=0.25, seed=11, path="wte/weight#new"), new[:9])


def test_a_tied_head_stays_tied_and_a_bias_of_its_own_goes_along() -> None:
    model = Torch(tied=True)
    shared = model.e.weight
    initlab.resize_vocabulary(model, 60, seed=1)
    assert model.out.weight is model.e.weight is shared
    assert (model.e.num_embeddings, model.out.out_features, model.vocab_size) == (60, 60, 60)
    by_use = ByUse()
    bias = by_use.bias.detach().clone()
    initlab.resize_vocabulary(by_use, 60, seed=1)
    assert by_use(torch.tensor([[59]])).shape == (1, 1, 60)
    assert torch.equal(by_use.bias[:WORDS], bias)
    assert by_use.bias[WORDS:].std() > 0.02


def test_padding_stays_zero_and_counts_for_nothing_and_what_is_frozen_stays_frozen() -> None:
    model = Torch(padding=2)
    model.e.weight.requires_grad_(False)
    with torch.no_grad():
        model.e.weight[3:] = 5.0
        model.e.weight[:2] = 5.0
    initlab.resize_vocabulary(model, 60, seed=1)
    assert model.e.padding_idx == 2
    assert not model.e.weight[2].any()
    assert not model.e.weight.requires_grad
    assert (model.e.weight[WORDS:] == 5.0).all()  # the mean of the others, which have no spread
    with pytest.raises(OptionError, match="padding row"):
        initlab.resize_vocabulary(model, 2)


def test_a_backward_pass_before_does_not_spoil_the_next() -> None:
    model = Torch()
    model(torch.from_numpy(TOKENS)).sum().backward()
    initlab.resize_vocabulary(model, 60, seed=1)
    assert model.e.weight.grad is None
    model(torch.tensor([[59]])).sum().backward()
    assert model.e.weight.grad is not None
    assert model.e.weight.grad.shape == (60, WIDTH)


@pytest.mark.parametrize(("scale", "found"), [(1e-9, {"equal embeddings"}), (1.0, set())])
def test_the_probe_finds_new_words_that_are_nearly_one(scale: float, found: set[str]) -> None:
    model = initlab.initialize(Torch(), "he_normal", seed=5)
    initlab.resize_vocabulary(model, 120, seed=1, scale=scale)
    kinds = {finding.kind for finding in initlab.probe(model, torch.from_numpy(TOKENS)).diagnose().findings}
    assert kinds & {"equal embeddings"} == found


def test_a_scheme_draws_the_rows_of_a_table_of_the_new_size() -> None:
    model = initlab.resize_vocabulary(Torch(), 2000, "normal(std=0.5)", seed=1)
    new = model.e.weight[WORDS:].detach().numpy()
    assert abs(new.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * new.size)
    assert not model.out.bias[WORDS:].any()
    mean = Torch()
    initlab.resize_vocabulary(mean, 43, "mean", seed=1)
    np.testing.assert_allclose(mean.e.weight[42].detach(), mean.e.weight[:WORDS].detach().mean(0), rtol=1e-5, atol=1e-6)


class TwoTables(Torch):
    def __init__(self) -> None:
        super().__init__()
        self.places = nn.Embedding(PLACES, WIDTH)

    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.f(self.e(t) + self.places(torch.arange(t.shape[1])))))


class Branching(Torch):
    def forward(self, t: torch.Tensor) -> torch.Tensor:
        return super().forward(t) if t.sum() > 0 else t


@pytest.mark.parametrize(
    ("build", "options", "said"),
    [
        (TwoTables, {}, "several tables, e.weight, places.weight"),
        (TwoTables, {"table": "p*s"}, "names no table"),
        (Branching, {}, "was not seen at work: 'out.weight'"),
        (lambda: nn.Sequential(nn.Linear(2, 3)), {}, "no table of words"),
        (Torch, {"n": 0}, "1 or more words, got 0"),
        (Torch, {"n": 2.5}, "1 or more words, got 2.5"),
        (Torch, {"scale": -1.0}, "0 or more, got -1.0"),
        (Torch, {"how": "normal(std=0.5)", "scale": 0.5}, "has no covariance"),
        (Torch, {"how": "he_norml"}, "Did you mean 'he_normal'"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(build: Any, options: dict[str, Any], said: str) -> None:
    model = build()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(InitlabError, match=said):
        initlab.resize_vocabulary(model, **{"n": 60, "seed": 1, **options})
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_one_of_several_tables_is_named_or_known_by_the_head_that_shares_it() -> None:
    model = initlab.resize_vocabulary(TwoTables(), 60, seed=1, table="e.weight")
    assert (model.e.num_embeddings, model.places.num_embeddings, model.out.out_features) == (60, PLACES, 60)
    tied = TwoTables()
    tied.out.weight = tied.e.weight
    assert initlab.resize_vocabulary(tied, 60, seed=1).places.num_embeddings == PLACES
