"""What would be kept and cannot be a weight is refused, and nothing is written: the same in PyTorch, Keras and Flax."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import nnx
from numpy.typing import NDArray
from torch import nn

import initlab
from initlab.core.errors import UnwrittenError

X = np.ones((2, 6), np.float32)
FRAMEWORKS = ("torch", "keras", "flax")
Values = NDArray[np.float32]
pytestmark = pytest.mark.filterwarnings("ignore::initlab.core.errors.IncompleteWarning")  # scales without a rule


class TorchNet(nn.Module):
    """What its scales do is known, and nothing says how they start."""

    def __init__(self, first: Values, second: Values) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Linear(6, 5), nn.Linear(5, 5), nn.Linear(5, 3)
        self.first, self.second = (nn.Parameter(torch.from_numpy(values.copy())) for values in (first, second))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        return self.head(h * self.second + self.first * self.b(h))


class FlaxNet(nnx.Module):
    def __init__(self, first: Values, second: Values) -> None:
        rngs = nnx.Rngs(0)
        self.a, self.b = nnx.Linear(6, 5, rngs=rngs), nnx.Linear(5, 5, rngs=rngs)
        self.head = nnx.Linear(5, 3, rngs=rngs)
        self.first, self.second = (nnx.Param(jnp.asarray(values)) for values in (first, second))

    def __call__(self, x: Any) -> Any:
        h = jnp.tanh(self.a(x))
        return self.head(h * self.second + self.first * self.b(h))


class KerasNet(keras.Model):
    def __init__(self, first: Values, second: Values) -> None:
        super().__init__()
        self.a, self.b, self.head = keras.layers.Dense(5), keras.layers.Dense(5), keras.layers.Dense(3)
        self.first = self.add_weight(shape=(5,), name="first")
        self.second = self.add_weight(shape=(5,), name="second")
        self(X)
        self.first.assign(first)
        self.second.assign(second)

    def call(self, x: Any) -> Any:
        h = keras.ops.tanh(self.a(x))
        return self.head(h * self.second + self.first * self.b(h))


NETS: dict[str, Callable[[Values, Values], Any]] = {"torch": TorchNet, "keras": KerasNet, "flax": FlaxNet}


def numbers(model: Any) -> dict[str, Values]:
    bound = initlab.plan(model, example=X)
    return {row.param.path: np.asarray(bound.adapter.read(model, row.param)) for row in bound}


def five(*values: float) -> Values:
    return np.resize(np.array(values, np.float32), 5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("garbage", [five(1.0, 1e-42), five(0.5, 3e30, -2.0), five(np.nan), five(1e-42), five(np.inf)])
def test_garbage_that_would_be_kept_is_named_with_all_others_and_nothing_is_written(
    framework: str, garbage: Values
) -> None:
    model = NETS[framework](garbage, five(0.3, 2e9))
    before = numbers(model)
    with pytest.raises(UnwrittenError, match=r"2 parameters .*first \(.*second \(2e\+09\).*exclude=") as caught:
        initlab.plan(model, "he_normal", example=X).apply(3)
    assert "\n" not in str(caught.value)
    after = numbers(model)
    assert all(np.array_equal(before[path], after[path], equal_nan=True) for path in before)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_what_is_garbage_is_left_to_the_one_who_excludes_it(framework: str) -> None:
    model = NETS[framework](five(3e30), five(0.3, 0.4))
    with pytest.raises(UnwrittenError, match="a parameter would"):
        initlab.plan(model, "he_normal", example=X).apply(3)
    initlab.plan(model, "he_normal", example=X, exclude="*first").apply(3)


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("value", [five(1e-6), five(1e4), five(2.0, 1e-30, -7e5), five(0.0)])
def test_small_and_large_numbers_that_a_person_or_training_makes_are_kept(framework: str, value: Values) -> None:
    model = NETS[framework](value, five(100.0, -250.0))
    initlab.plan(model, "he_normal", example=X).apply(3)
    kept = next(v for path, v in numbers(model).items() if path.endswith("first"))
    assert np.array_equal(kept, value)


def test_numbers_that_the_watched_construction_wrote_are_kept_but_for_nan() -> None:
    def built(value: float) -> nn.Module:
        net = TorchNet(five(0.3), five(0.2))
        nn.init.constant_(net.first, value)
        return net

    x = torch.from_numpy(X)
    initlab.plan(build=lambda: built(1e8), example=x).apply(3)
    with pytest.raises(UnwrittenError, match="first"):
        initlab.plan(built(1e8), example=x).apply(3)
    with pytest.raises(UnwrittenError, match=r"first \(nan\)"):
        initlab.plan(build=lambda: built(float("nan")), example=x).apply(3)


class Masked(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.q, self.table = nn.Linear(6, 6), nn.Embedding(9, 6)
        self.mask = nn.Parameter(torch.full((4, 4), value).triu(1), requires_grad=False)
        self.register_buffer("also", torch.full((4, 4), -torch.inf))
        nn.init.normal_(self.table.weight, std=100.0)
        self.table.weight.requires_grad_(requires_grad=False)

    def forward(self, i: torch.Tensor) -> torch.Tensor:
        x = self.q(self.table(i))
        scores = x @ x.transpose(1, 2) + self.mask + self.also.triu(1)
        return torch.softmax(scores, -1) @ x


@pytest.mark.parametrize("value", [-torch.inf, -1e9, torch.finfo(torch.float32).min])
def test_a_frozen_mask_a_buffer_and_a_frozen_table_of_large_numbers_are_no_garbage(value: float) -> None:
    example = torch.tensor([[1, 2, 3, 4]])
    initlab.initialize(Masked(value), "xavier_normal", seed=3, example=example)
    other = Masked(value)
    other.mask.data[0, 0] = 0.3
    with pytest.raises(UnwrittenError, match="mask"):
        initlab.plan(other, "xavier_normal", example=example).apply(3)


def test_half_precision_keeps_its_own_small_numbers() -> None:
    net = TorchNet(five(1e-6), five(0.2)).half()
    assert initlab.plan(net, "he_normal").apply(3) is net


def test_another_model_that_the_plan_is_applied_to_is_looked_at() -> None:
    x = torch.from_numpy(X)
    made = initlab.plan(TorchNet(five(0.3), five(0.2)), "he_normal", example=x)
    with pytest.raises(UnwrittenError, match="first"):
        made.apply(3, model=TorchNet(five(1e-40), five(0.2)))


@pytest.mark.parametrize(("small", "is_refused"), [(4, False), (40, True)])
def test_a_trained_part_may_hold_what_weight_decay_left_of_some_numbers(small: int, is_refused: bool) -> None:
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    net[0].weight.data.view(-1)[:small] = 1e-41
    before = net[0].weight.detach().clone()
    with pytest.raises(UnwrittenError, match=r"0\.weight") if is_refused else nullcontext():
        initlab.initialize(net, {"2.*": "he_normal"}, seed=3)
    assert torch.equal(before, net[0].weight)
    net[0].requires_grad_(requires_grad=False)
    with pytest.raises(UnwrittenError, match=r"0\.weight") if is_refused else nullcontext():
        initlab.initialize(net, "he_normal", seed=3, example=torch.ones(2, 6))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_audit_finds_garbage_in_what_is_kept(framework: str) -> None:
    def wrong(first: Values) -> list[str]:
        model = NETS[framework](first, five(0.3, 0.4))
        entries = initlab.audit(model, "he_normal", example=X).entries
        return [row.path for row in entries if row.verdict == "wrong" and "memory" in row.why]

    assert [path.rpartition("/")[2] for path in wrong(five(1.0, 1e-42))] == ["first"]
    assert wrong(five(1e-6, 3.0)) == []
