"""Linen modules inside of ``ToNNX``: their parameters stand in plain mappings, and their use tells what they are."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from tests.frameworks.jax.flax_models import plain

import initlab
from initlab import Mlp
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.jax.adapter import ADAPTER

IMAGES = np.random.default_rng(0).standard_normal((8, 8, 8, 3)).astype(np.float32)


def draw(key: Any, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
    return plain(key, shape, dtype)


class Pictures(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.relu(linen.Conv(8, (3, 3), strides=2, kernel_init=draw)(x))
        x = linen.LayerNorm()(x.mean((1, 2)))
        x = linen.silu(linen.Dense(8, kernel_init=draw)(x))
        return linen.Dense(3, name="head", kernel_init=draw)(x)


class Chain(linen.Module):
    @linen.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = linen.relu(linen.Dense(8, kernel_init=draw)(x))
        return linen.Dense(3, kernel_init=draw)(x)


@pytest.fixture
def pictures() -> nnx.Module:
    return nnx.bridge.ToNNX(Pictures(), rngs=nnx.Rngs(0)).lazy_init(IMAGES)


def by_name(model: nnx.Module) -> dict[str, ParamSpec]:
    return {p.native: p for p in ADAPTER.describe(model, example=IMAGES).params}


def test_the_roles_of_a_linen_model_are_told_by_their_use(pictures: nnx.Module) -> None:
    found = by_name(pictures)
    assert {name: (p.role, p.shape) for name, p in found.items() if not name.endswith("bias")} == {
        "Conv_0.kernel": ("conv", (8, 3, 3, 3)),
        "LayerNorm_0.scale": ("norm_scale", (8,)),
        "Dense_0.kernel": ("dense", (8, 8)),
        "head.kernel": ("dense", (3, 8)),
    }
    assert found["Conv_0.kernel"].stride == (2, 2)
    assert found["LayerNorm_0.bias"].role == "norm_bias"
    assert found["Dense_0.bias"].layer_shape == (8, 8)


def test_the_activations_of_a_linen_model_are_seen(pictures: nnx.Module) -> None:
    found = by_name(pictures)
    assert [
        (found[f"{name}.kernel"].f_in, found[f"{name}.kernel"].f_out) for name in ("Conv_0", "Dense_0", "head")
    ] == [
        (None, "relu"),
        (None, "silu"),
        ("silu", None),
    ]
    assert found["Dense_0.kernel"].in_moment == 1.0


def test_names_that_linen_makes_up_are_ordinals() -> None:
    x = np.ones((2, 4), np.float32)
    model = nnx.bridge.ToNNX(Chain(), rngs=nnx.Rngs(0)).lazy_init(x)
    initlab.initialize(model, "he_normal", seed=3, example=x)
    held = {p.path: ADAPTER.read(model, p) for p in ADAPTER.describe(model, example=x).params}
    for path, values in initlab.plan(Mlp((4, 8, 3)), "he_normal").draw(3).items():
        np.testing.assert_array_equal(held[path], values)


def test_what_is_written_into_a_linen_model_is_what_it_computes_with(pictures: nnx.Module) -> None:
    initlab.initialize(pictures, "he_normal", seed=3, example=IMAGES)
    assert initlab.audit(pictures, "he_normal", seed=3, example=IMAGES).ok


def test_a_linen_model_is_probed(pictures: nnx.Module) -> None:
    profile = initlab.probe(pictures, IMAGES, np.arange(8) % 3)
    assert [row.path for row in profile.rows] == ["Conv_0", "Dense_0", "head"]
