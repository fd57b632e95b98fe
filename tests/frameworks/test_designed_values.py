"""Which values are kept as designed is one rule: the same of one model in PyTorch, Keras and Flax."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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

X = np.ones((2, 6), np.float32)
FRAMEWORKS = ("torch", "keras", "flax")


def kept(model: Any, example: Any) -> dict[str, str]:
    entries = initlab.plan(model, "he_normal", example=example).entries
    return {row.param.path: row.why for row in entries if row.action == "keep"}


class TorchNet(nn.Module):
    def __init__(self, scale: float, *, residual: bool) -> None:
        super().__init__()
        self.a, self.b, self.norm, self.head = nn.Linear(6, 5), nn.Linear(5, 5), nn.LayerNorm(5), nn.Linear(5, 3)
        nn.init.constant_(self.norm.weight, scale)
        self.residual = residual

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(x))
        made = self.norm(self.b(h))
        return self.head(h + made if self.residual else made)


class FlaxNet(nnx.Module):
    def __init__(self, scale: float, *, residual: bool) -> None:
        rngs = nnx.Rngs(0)
        self.a, self.b, self.head = (
            nnx.Linear(6, 5, rngs=rngs),
            nnx.Linear(5, 5, rngs=rngs),
            nnx.Linear(5, 3, rngs=rngs),
        )
        self.norm = nnx.LayerNorm(5, rngs=rngs)
        self.norm.scale.set_value(jnp.full((5,), scale))
        self.residual = residual

    def __call__(self, x: Any) -> Any:
        h = jnp.tanh(self.a(x))
        made = self.norm(self.b(h))
        return self.head(h + made if self.residual else made)


def keras_net(scale: float, *, residual: bool) -> keras.Model:
    x = keras.Input((6,))
    h = keras.layers.Dense(5, "tanh", name="a")(x)
    norm = keras.layers.LayerNormalization(gamma_initializer=keras.initializers.Constant(scale), name="norm")
    made = norm(keras.layers.Dense(5, name="b")(h))
    return keras.Model(x, keras.layers.Dense(3, name="head")(keras.layers.add([h, made]) if residual else made))


NETS: dict[str, tuple[Callable[..., Any], Any]] = {
    "torch": (TorchNet, torch.from_numpy(X)),
    "keras": (keras_net, X),
    "flax": (FlaxNet, X),
}


def set_bias(framework: str, model: Any, bias: Sequence[float]) -> None:
    values = np.array(bias, np.float32)
    if framework == "torch":
        with torch.no_grad():
            model.head.bias.copy_(torch.from_numpy(values))
    elif framework == "keras":
        model.get_layer("head").bias.assign(values)
    else:
        model.head.bias.set_value(jnp.asarray(values))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_zero_norm_scale_is_kept_where_it_ends_a_branch_and_reset_elsewhere(framework: str) -> None:
    build, example = NETS[framework]
    closed = {"norm/scale": "the norm's scale starts at zero, so its residual branch starts closed"}
    assert kept(build(0.0, residual=True), example) == closed
    assert kept(build(0.0, residual=False), example) == {}
    assert kept(build(1.0, residual=True), example) == {}


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(
    ("bias", "why"),
    [
        ((3.0, -0.5, -0.5), ""),
        (tuple(np.log([0.6, 0.3, 0.1])), ""),
        ((-2.0, -2.0, -2.0), "the output starts at the prior probability 0.119"),  # 1 / (1 + exp(2))
    ],
    ids=["chosen", "class shares", "constant"],
)
def test_an_output_bias_is_kept_where_its_entries_are_one_number_alone(
    framework: str, bias: tuple[float, ...], why: str
) -> None:
    build, example = NETS[framework]
    model = build(1.0, residual=True)
    set_bias(framework, model, bias)
    assert kept(model, example) == ({"head/bias": why} if why else {})
