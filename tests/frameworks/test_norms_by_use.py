"""A norm is told by its use in PyTorch, Keras and Flax alike, however its class and its parameters are called."""

from __future__ import annotations

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import jax.numpy as jnp
import keras
import numpy as np
import pytest
import torch
from flax import linen, nnx
from torch import nn
from torch.nn import functional

import initlab

D = 6
X = np.random.default_rng(3).normal(size=(4, 5)).astype(np.float32)
HELD = {"g": 1.0, "b": 0.0, "z": 0.0}
Norm = Callable[[Any, Any, Any], Any]  # of the framework's functions, what holds g, b and z, and the value

OPS = {
    "torch": SimpleNamespace(
        mean=lambda a: a.mean(-1, keepdim=True), var=lambda a: a.var(-1, keepdim=True, unbiased=False),
        std=lambda a: a.std(-1, keepdim=True), norm=lambda a: a.norm(dim=-1, keepdim=True), sqrt=torch.sqrt,
        square=torch.square, rsqrt=torch.rsqrt, tanh=torch.tanh, sigmoid=torch.sigmoid, reshape=torch.reshape,
        total=lambda a: a.sum(-1, keepdim=True),
    ),
    "keras": SimpleNamespace(
        mean=lambda a: keras.ops.mean(a, -1, keepdims=True), var=lambda a: keras.ops.var(a, -1, keepdims=True),
        std=lambda a: keras.ops.std(a, -1, keepdims=True), norm=lambda a: keras.ops.norm(a, axis=-1, keepdims=True),
        sqrt=keras.ops.sqrt, square=keras.ops.square, rsqrt=keras.ops.rsqrt, tanh=keras.ops.tanh,
        sigmoid=keras.ops.sigmoid, reshape=keras.ops.reshape, total=lambda a: keras.ops.sum(a, -1, keepdims=True),
    ),
    "flax": SimpleNamespace(
        mean=lambda a: jnp.mean(a, -1, keepdims=True), var=lambda a: jnp.var(a, -1, keepdims=True),
        std=lambda a: jnp.std(a, -1, keepdims=True), norm=lambda a: jnp.linalg.norm(a, axis=-1, keepdims=True),
        sqrt=jnp.sqrt, square=jnp.square, rsqrt=jax.lax.rsqrt, tanh=jnp.tanh,
        sigmoid=lambda a: jax.nn.sigmoid(jnp.asarray(a[...])), reshape=jnp.reshape,
        total=lambda a: jnp.sum(a, -1, keepdims=True),
    ),
}  # fmt: skip


def grouped(f: Any, x: Any) -> Any:
    v = f.reshape(x, (4, 2, 3))
    return f.reshape((v - f.mean(v)) * f.rsqrt(f.var(v) + 1e-5), (4, D))


SCALED: dict[str, Norm] = {
    "rms, eps inside": lambda f, s, x: x / f.sqrt(f.mean(x * x) + 1e-6) * s.g,
    "rms, eps outside": lambda f, s, x: s.g * x / (f.sqrt(f.mean(x**2)) + 1e-6),
    "rsqrt": lambda f, s, x: s.g * (x * f.rsqrt(f.mean(f.square(x)) + 1e-6)),
    "in the spread": lambda f, s, x: x * (f.rsqrt(f.mean(f.square(x)) + 1e-6) * s.g),
    "a mean by its sum": lambda f, s, x: x / f.sqrt(f.total(x * x) / D + 1e-6) * s.g,
    "a length": lambda f, s, x: x / f.norm(x) * D**0.5 * s.g,
}
SHIFTED: dict[str, Norm] = {
    "deviation": lambda f, s, x: s.g * (x - f.mean(x)) / (f.std(x) + 1e-6) + s.b,
    "variance": lambda f, s, x: (x - f.mean(x)) * f.rsqrt(f.var(x) + 1e-6) * s.g + s.b,
    "a shift before the scale": lambda f, s, x: ((x - f.mean(x)) * f.rsqrt(f.var(x) + 1e-6) + s.b) * s.g,
    "groups by reshape": lambda f, s, x: grouped(f, x) * s.g + s.b,
}
AROUND_ONE: dict[str, Norm] = {
    "weight + 1": lambda f, s, x: x * f.rsqrt(f.mean(f.square(x)) + 1e-6) * (1.0 + s.z),
    "x + x * weight": lambda f, s, x: (lambda n: n + n * s.z)(x * f.rsqrt(f.mean(f.square(x)) + 1e-6)),
}
NO_NORM: dict[str, Norm] = {
    "no spread": lambda f, s, x: x * s.g + s.b,
    "a length of 1": lambda f, s, x: x / f.norm(x) * s.g,
    "a gate": lambda f, s, x: x * f.rsqrt(f.mean(f.square(x)) + 1e-6) * f.sigmoid(s.g),
    "behind a function": lambda f, s, x: f.tanh(x * f.rsqrt(f.mean(f.square(x)) + 1e-6)) * s.g,
    "a branch": lambda f, s, x: x + s.g * f.tanh(x),
}  # fmt: skip


class FooNorm(nn.Module):
    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm
        for name, value in HELD.items():
            self.register_parameter(name, nn.Parameter(torch.full((D,), value)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.norm(OPS["torch"], self, x)
        return made


class FlaxNorm(nnx.Module):
    def __init__(self, norm: Norm) -> None:
        self.norm = norm
        for name, value in HELD.items():
            setattr(self, name, nnx.Param(jnp.full(D, value)))

    def __call__(self, x: Any) -> Any:
        return self.norm(OPS["flax"], self, x)


class FlaxNet(nnx.Module):
    def __init__(self, norm: Norm) -> None:
        rngs = nnx.Rngs(0)
        self.a, self.calm, self.o = nnx.Linear(5, D, rngs=rngs), FlaxNorm(norm), nnx.Linear(D, 3, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        return self.o(nnx.relu(self.calm(self.a(x))))


class KerasNorm(keras.layers.Layer):
    def __init__(self, norm: Norm) -> None:
        super().__init__()
        self.norm = norm

    def build(self, shape: Any) -> None:
        for name, value in HELD.items():
            setattr(self, name, self.add_weight(shape=(D,), initializer=keras.initializers.Constant(value), name=name))

    def call(self, x: Any) -> Any:
        return self.norm(OPS["keras"], self, x)


def net(framework: str, norm: Norm) -> Any:
    if framework == "torch":
        return nn.Sequential(nn.Linear(5, D), FooNorm(norm), nn.ReLU(), nn.Linear(D, 3))
    if framework == "flax":
        return FlaxNet(norm)
    x = keras.Input((5,), batch_size=4)
    h = KerasNorm(norm)(keras.layers.Dense(D)(x))
    return keras.Model(x, keras.layers.Dense(3)(keras.ops.relu(h)))


def told(framework: str, norm: Norm) -> dict[str, tuple[str, str | None]]:
    """The role and the law of g, b and z."""
    plan = initlab.plan(net(framework, norm), "he_normal", example=X)
    rows = {row.param.native.replace(".", "/").rpartition("/")[2]: row for row in plan}
    return {name: (rows[name].param.role, None if (law := rows[name].law) is None else str(law)) for name in HELD}


@pytest.mark.parametrize("framework", OPS)
@pytest.mark.parametrize("name", [*SCALED, *SHIFTED])
def test_what_multiplies_a_normalised_value_is_its_scale_and_what_is_added_its_shift(framework: str, name: str) -> None:
    found = told(framework, (SCALED | SHIFTED)[name])
    assert found["g"] == ("norm_scale", "constant 1")
    assert name not in SHIFTED or found["b"] == ("norm_bias", "constant 0")


@pytest.mark.parametrize("framework", OPS)
@pytest.mark.parametrize("name", AROUND_ONE)
def test_a_scale_kept_as_its_distance_from_one_starts_at_zero(framework: str, name: str) -> None:
    assert told(framework, AROUND_ONE[name])["z"] == ("norm_bias", "constant 0")


@pytest.mark.parametrize("framework", OPS)
@pytest.mark.parametrize("name", NO_NORM)
def test_a_class_called_norm_that_normalises_nothing_so_is_none(framework: str, name: str) -> None:
    assert told(framework, NO_NORM[name])["g"] == ("scale", None)


TORCH: dict[str, Norm] = {
    "F.normalize": lambda f, s, x: functional.normalize(x, dim=-1) * D**0.5 * s.g,
    "F.normalize, one factor": lambda f, s, x: functional.normalize(x, dim=-1) * (s.g * D**0.5),
    "F.layer_norm, then": lambda f, s, x: functional.layer_norm(x, (D,)) * s.g + s.b,
    "F.layer_norm": lambda f, s, x: functional.layer_norm(x, (D,), s.g, s.b),
    "var_mean": lambda f, s, x: (lambda m: (x - m[1]) * torch.rsqrt(m[0] + 1e-6) * s.g + s.b)(
        torch.var_mean(x, -1, keepdim=True)
    ),
    "addcmul": lambda f, s, x: torch.addcmul(s.b, x - f.mean(x), s.g) / f.std(x),
    "a clamped length": lambda f, s, x: x / (f.norm(x) * D**-0.5).clamp(min=1e-6) * s.g,
    "half precision": lambda f, s, x: s.g * (x.float() * torch.rsqrt(f.mean(x.float().pow(2)) + 1e-6)).to(x.dtype),
    "heads": lambda f, s, x: (lambda v: v / f.sqrt(f.mean(v * v)) * s.g)(x.view(2, 2, D)).reshape(4, D),
}


@pytest.mark.parametrize("name", TORCH)
@pytest.mark.parametrize("example", [None, torch.from_numpy(X)], ids=["symbols", "example"])
def test_norms_written_with_the_functions_of_torch_are_told(name: str, example: torch.Tensor | None) -> None:
    rows = {row.param.native: row.param.role for row in initlab.plan(net("torch", TORCH[name]), example=example)}
    assert rows["1.g"] == "norm_scale"
    assert rows["1.b"] in ("norm_bias", "unknown")


class PlusOne(nn.LayerNorm):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, self.normalized_shape, self.weight + 1.0, self.bias, self.eps)


def test_a_subclass_that_adds_one_to_its_weight_is_plain_at_zero() -> None:
    norm = PlusOne(D)
    nn.init.zeros_(norm.weight)
    model = nn.Sequential(nn.Linear(5, D), norm, nn.ReLU(), nn.Linear(D, 3))
    initlab.initialize(model, "he_normal", seed=3)
    plain = functional.layer_norm(model[0](torch.from_numpy(X)), (D,))
    assert torch.equal(model[:2](torch.from_numpy(X)), plain)


class Scaled(nn.Module):
    """A norm that has its own scale, then another factor."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.o = nn.Linear(D, D), nn.LayerNorm(D), nn.Linear(D, 3)
        self.last = nn.Parameter(torch.full((D,), 1e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = self.o(x + self.last * self.norm(torch.relu(self.a(x))))
        return made


def test_a_second_factor_behind_a_norm_scales_the_branch() -> None:
    rows = {row.param.native: (row.param.role, row.action) for row in initlab.plan(Scaled(), "he_normal")}
    assert rows["last"] == ("scale", "keep")
    assert rows["norm.weight"] == ("norm_scale", "initialise")


class Linen(linen.Module):
    @linen.compact
    def __call__(self, x: Any) -> Any:
        x = linen.relu(linen.LayerNorm()(linen.Dense(D)(x)))
        return linen.Dense(3)(linen.GroupNorm(num_groups=2)(linen.RMSNorm()(linen.Dense(D)(x))))


def test_the_norms_of_linen_behind_a_bridge_are_told_one_after_the_other() -> None:
    model = nnx.bridge.ToNNX(Linen(), rngs=nnx.Rngs(0)).lazy_init(jnp.asarray(X))
    roles = {row.param.native: row.param.role for row in initlab.plan(model, example=X)}
    for norm in ("LayerNorm_0", "GroupNorm_0", "RMSNorm_0"):
        assert roles[f"{norm}.scale"] == "norm_scale"
        assert roles.get(f"{norm}.bias", "norm_bias") == "norm_bias"
