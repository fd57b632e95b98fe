"""Residual branches: norms before and after, zero scales, gates, and branches that start closed."""

from __future__ import annotations

import jax
import keras
import numpy as np
import torch
from flax import nnx
from keras import layers, ops
from tests.parity.zoo.net import RNGS, Input, Net, flax_net, flax_parameter, linear, torch_net, torch_parameter
from torch import nn
from torch.nn import functional

FEATURES = (Input((6,)),)
EPSILON = 1e-3


def _torch_norm(width: int) -> nn.Module:
    return nn.LayerNorm(width, eps=EPSILON)


def _keras_norm(name: str) -> layers.Layer:
    return layers.LayerNormalization(epsilon=EPSILON, name=name)


def _flax_norm(width: int) -> nnx.Module:
    return nnx.LayerNorm(width, epsilon=EPSILON, rngs=RNGS)


# x + tanh(W x), three times


def _plain_body(tanh):
    def body(m, x):
        h = m.stem(x)
        for i in range(3):
            h = h + tanh(getattr(m, f"fc{i}")(h))
        return m.head(h)

    return body


def _torch_plain() -> nn.Module:
    parts = {f"fc{i}": nn.Linear(8, 8) for i in range(3)}
    return torch_net(_plain_body(torch.tanh), stem=nn.Linear(6, 8), **parts, head=nn.Linear(8, 3))


def _keras_plain() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(8, name="stem")(x)
    for i in range(3):
        h = layers.Add()([h, layers.Dense(8, activation="tanh", name=f"fc{i}")(h)])
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _flax_plain() -> nnx.Module:
    parts = {f"fc{i}": linear(8, 8) for i in range(3)}
    return flax_net(_plain_body(jax.numpy.tanh), stem=linear(6, 8), **parts, head=linear(8, 3))


# Two blocks of two layers, the norm first (pre) or after the sum (post)


def _pre_body(f):
    def body(m, x):
        h = m.stem(x)
        for i in range(2):
            h = h + getattr(m, f"down{i}")(f(getattr(m, f"up{i}")(getattr(m, f"norm{i}")(h))))
        return m.head(m.norm(h))

    return body


def _post_body(f):
    def body(m, x):
        h = m.stem(x)
        for i in range(2):
            h = getattr(m, f"norm{i}")(h + getattr(m, f"down{i}")(f(getattr(m, f"up{i}")(h))))
        return m.head(m.norm(h))

    return body


def _inner_body(f):
    """The norm at the end of each branch, right before its sum."""

    def body(m, x):
        h = m.stem(x)
        for i in range(2):
            h = h + getattr(m, f"norm{i}")(getattr(m, f"down{i}")(f(getattr(m, f"up{i}")(h))))
        return m.head(m.norm(h))

    return body


def _torch_blocks(body) -> nn.Module:
    parts = {}
    for i in range(2):
        parts |= {f"norm{i}": _torch_norm(8), f"up{i}": nn.Linear(8, 20), f"down{i}": nn.Linear(20, 8)}
    return torch_net(body(functional.gelu), stem=nn.Linear(6, 8), **parts, norm=_torch_norm(8), head=nn.Linear(8, 3))


def _flax_blocks(body) -> nnx.Module:
    parts = {}
    for i in range(2):
        parts |= {f"norm{i}": _flax_norm(8), f"up{i}": linear(8, 20), f"down{i}": linear(20, 8)}
    gelu = lambda h: jax.nn.gelu(h, approximate=False)  # noqa: E731
    return flax_net(body(gelu), stem=linear(6, 8), **parts, norm=_flax_norm(8), head=linear(8, 3))


def _keras_blocks(kind: str) -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(8, name="stem")(x)
    for i in range(2):
        norm, up = _keras_norm(f"norm{i}"), layers.Dense(20, activation="gelu", name=f"up{i}")
        down = layers.Dense(8, name=f"down{i}")
        if kind == "pre":
            h = layers.add([h, down(up(norm(h)))])
        elif kind == "post":
            h = norm(h + down(up(h)))
        else:
            h = h + norm(down(up(h)))
    return keras.Model(x, layers.Dense(3, name="head")(_keras_norm("norm")(h)))


# A norm between two layers, in no branch


def _torch_between() -> nn.Module:
    return torch_net(
        lambda m, x: m.head(torch.relu(m.norm(m.fc(x)))), fc=nn.Linear(6, 8), norm=_torch_norm(8), head=nn.Linear(8, 3)
    )


def _keras_between() -> keras.Model:
    x = keras.Input((6,))
    h = ops.relu(_keras_norm("norm")(layers.Dense(8, name="fc")(x)))
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _flax_between() -> nnx.Module:
    return flax_net(
        lambda m, x: m.head(jax.nn.relu(m.norm(m.fc(x)))), fc=linear(6, 8), norm=_flax_norm(8), head=linear(8, 3)
    )


# A gate on each branch


class _KerasGate(layers.Layer):
    def build(self, shape):
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma", initializer="ones")

    def call(self, x):
        return x * self.gamma


class _TorchGate(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = torch_parameter(width)

    def forward(self, x):
        return x * self.gamma


class _FlaxGate(nnx.Module):
    def __init__(self, width: int) -> None:
        self.gamma = flax_parameter(width)

    def __call__(self, x):
        return x * self.gamma


def _gate_body(f):
    def body(m, x):
        h = m.stem(x)
        h = h + m.gate0(m.fc0(f(m.up0(h))))
        return m.head(h + m.gate1(m.fc1(f(m.up1(h)))))

    return body


def _gated_parts(dense, gate) -> dict[str, object]:
    parts = {"stem": dense(6, 8)}
    for i in range(2):
        parts |= {f"up{i}": dense(8, 14), f"fc{i}": dense(14, 8), f"gate{i}": gate(8)}
    return {**parts, "head": dense(8, 3)}


def _keras_gated() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(8, name="stem")(x)
    for i in range(2):
        branch = layers.Dense(8, name=f"fc{i}")(layers.Dense(14, activation="silu", name=f"up{i}")(h))
        h = h + _KerasGate(name=f"gate{i}")(branch)
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _blocks(name: str, body, kind: str, **options: object) -> Net:
    return Net(
        name,
        lambda: _torch_blocks(body),
        lambda: _keras_blocks(kind),
        lambda: _flax_blocks(body),
        FEATURES,
        **options,  # type: ignore[arg-type]
    )


NETS = (
    Net("three branches of one layer", _torch_plain, _keras_plain, _flax_plain, FEATURES, classes=3),
    _blocks("the norm before a branch", _pre_body, "pre", classes=3),
    _blocks("the norm after the sum", _post_body, "post", classes=3),
    _blocks("the norm at the end of a branch", _inner_body, "inner"),
    _blocks(
        "a zero norm scale that ends a branch",
        _inner_body,
        "inner",
        values={"norm0/norm_scale": 0.0, "norm1/norm_scale": 0.0},
    ),
    _blocks(
        "a zero last layer of a branch", _pre_body, "pre", values={"down0/weight": 0.0, "down1/weight": 0.0}, classes=3
    ),
    Net(
        "a zero norm scale that ends no branch",
        _torch_between,
        _keras_between,
        _flax_between,
        FEATURES,
        values={"norm/norm_scale": 0.0},
    ),
    Net(
        "a norm between layers",
        _torch_between,
        _keras_between,
        _flax_between,
        FEATURES,
        values={"norm/norm_scale": np.linspace(0.5, 2.0, 8), "norm/norm_bias": np.linspace(-0.4, 0.9, 8)},
    ),
    Net(
        "a gate of 0.1 on each branch",
        lambda: torch_net(_gate_body(functional.silu), **_gated_parts(nn.Linear, _TorchGate)),
        _keras_gated,
        lambda: flax_net(_gate_body(jax.nn.silu), **_gated_parts(linear, _FlaxGate)),
        FEATURES,
        classes=3,
        values={"gate0/gamma": 0.1, "gate1/gamma": 0.0},
        names={"keras": {"gate0/scale": "gate0/gamma", "gate1/scale": "gate1/gamma"}},
    ),
)
