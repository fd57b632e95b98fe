"""Layers one after the other: activations by name and as formulas, factors, variables on either side, biases."""

from __future__ import annotations

import math
from itertools import pairwise

import jax
import keras
import numpy as np
import torch
from flax import nnx
from keras import layers, ops
from tests.parity.zoo.net import RNGS, Input, Net, Reason, flax_net, flax_parameter, linear, torch_net, torch_parameter
from torch import nn
from torch.nn import functional

FEATURES = (Input((6,)),)


def _keras_chain(*activations: object) -> keras.Model:
    x = h = keras.Input((6,))
    for i, (f, width) in enumerate(zip(activations, (12, 9, 10, 8, 14, 7), strict=False)):
        h = layers.Dense(width, name=f"fc{i}")(h)
        h = f(h) if isinstance(f, layers.Layer) or callable(f) else keras.activations.get(f)(h)
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _torch_chain(*activations: object) -> nn.Module:
    widths = (6, *(12, 9, 10, 8, 14, 7)[: len(activations)])

    def body(m, x):
        for i, f in enumerate(activations):
            x = f(getattr(m, f"fc{i}")(x))
        return m.head(x)

    parts = {f"fc{i}": nn.Linear(a, b) for i, (a, b) in enumerate(pairwise(widths))}
    return torch_net(body, **parts, head=nn.Linear(widths[-1], 3))


def _flax_chain(*activations: object) -> nnx.Module:
    widths = (6, *(12, 9, 10, 8, 14, 7)[: len(activations)])

    def body(m, x):
        for i, f in enumerate(activations):
            x = f(getattr(m, f"fc{i}")(x))
        return m.head(x)

    parts = {f"fc{i}": linear(a, b) for i, (a, b) in enumerate(pairwise(widths))}
    return flax_net(body, **parts, head=linear(widths[-1], 3))


def _swish(sigmoid):
    return lambda h: h * sigmoid(h)


def _tanh_gelu(tanh):
    return lambda h: 0.5 * h * (1.0 + tanh(math.sqrt(2.0 / math.pi) * (h + 0.044715 * h**3)))


def _lecun_tanh(tanh):
    return lambda h: 1.7159 * tanh(2.0 * h / 3.0)


def _torch_factors() -> nn.Module:
    def body(m, x):
        for i in range(10):
            x = getattr(m, f"fc{i}")(x) * 0.5
        return m.head(x)

    return torch_net(body, **{f"fc{i}": nn.Linear(6, 6) for i in range(10)}, head=nn.Linear(6, 3))


def _keras_factors() -> keras.Model:
    x = h = keras.Input((6,))
    for i in range(10):
        h = layers.Dense(6, name=f"fc{i}")(h) * 0.5
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _flax_factors() -> nnx.Module:
    def body(m, x):
        for i in range(10):
            x = getattr(m, f"fc{i}")(x) * 0.5
        return m.head(x)

    return flax_net(body, **{f"fc{i}": linear(6, 6) for i in range(10)}, head=linear(6, 3))


class _KerasSides(layers.Layer):
    """``tanh(x @ left) @ right``, and ``matmul(other, h^T)^T`` with the variable on the left."""

    def build(self, shape):
        self.first = self.add_weight(shape=(shape[-1], 12), name="first")
        self.second = self.add_weight(shape=(3, 12), name="second")

    def call(self, x):
        h = ops.tanh(ops.matmul(x, self.first))
        return ops.transpose(ops.matmul(self.second, ops.transpose(h)))


def _keras_sides() -> keras.Model:
    x = keras.Input((6,))
    return keras.Model(x, _KerasSides(name="sides")(x))


def _flax_sides(m, x):
    h = jax.numpy.tanh(x @ m.first.get_value())
    return (m.second.get_value() @ h.T).T


def _torch_dropout() -> nn.Module:
    return torch_net(
        lambda m, x: m.head(m.drop(functional.relu(m.fc(x)))),
        fc=nn.Linear(6, 12),
        drop=nn.Dropout(0.25),
        head=nn.Linear(12, 3),
    )


def _keras_dropout() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dropout(0.25, name="drop")(layers.Dense(12, activation="relu", name="fc")(x))
    return keras.Model(x, layers.Dense(3, name="head")(h))


def _torch_frozen() -> nn.Module:
    net = torch_net(lambda m, x: m.head(torch.tanh(m.fc(x))), fc=nn.Linear(6, 12), head=nn.Linear(12, 3))
    net.fc.requires_grad_(False)
    return net


def _keras_frozen() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(12, activation="tanh", name="fc", trainable=False)(x)
    return keras.Model(x, layers.Dense(3, name="head")(h))


def two_layers(f: str, outputs: int) -> dict[str, object]:
    of_torch = {"relu": torch.relu, "tanh": torch.tanh}[f]
    of_jax = {"relu": jax.nn.relu, "tanh": jax.numpy.tanh}[f]

    def of_keras() -> keras.Model:
        x = keras.Input((6,))
        return keras.Model(x, layers.Dense(outputs, name="head")(layers.Dense(12, activation=f, name="fc")(x)))

    return {
        "torch": lambda: torch_net(
            lambda m, x: m.head(of_torch(m.fc(x))), fc=nn.Linear(6, 12), head=nn.Linear(12, outputs)
        ),
        "keras": of_keras,
        "flax": lambda: flax_net(lambda m, x: m.head(of_jax(m.fc(x))), fc=linear(6, 12), head=linear(12, outputs)),
    }


NETS = (
    Net(
        "a sequence of layers without names",
        lambda: nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 3)),
        lambda: keras.Sequential(
            [
                keras.Input((6,)),
                layers.Dense(12),
                layers.ReLU(),
                layers.Dense(9),
                layers.Activation("relu"),
                layers.Dense(3),
            ]
        ),
        lambda: nnx.Sequential(linear(6, 12), jax.nn.relu, linear(12, 9), jax.nn.relu, linear(9, 3)),
        FEATURES,
        classes=3,
    ),
    Net(
        "six activations by name",
        lambda: _torch_chain(
            torch.tanh, functional.gelu, functional.silu, functional.elu, functional.selu, functional.softplus
        ),
        lambda: _keras_chain(
            "tanh", lambda h: keras.activations.gelu(h, approximate=False), "silu", "elu", "selu", "softplus"
        ),
        lambda: _flax_chain(
            jax.numpy.tanh,
            lambda h: jax.nn.gelu(h, approximate=False),
            jax.nn.silu,
            jax.nn.elu,
            jax.nn.selu,
            jax.nn.softplus,
        ),
        FEATURES,
    ),
    Net(
        "activations with options",
        lambda: _torch_chain(
            lambda h: functional.leaky_relu(h, 0.2),
            lambda h: functional.elu(h, 0.5),
            lambda h: functional.gelu(h, approximate="tanh"),
            functional.relu6,
        ),
        lambda: _keras_chain(
            lambda h: keras.activations.leaky_relu(h, negative_slope=0.2),
            lambda h: keras.activations.elu(h, alpha=0.5),
            lambda h: keras.activations.gelu(h, approximate=True),
            keras.activations.relu6,
        ),
        lambda: _flax_chain(
            lambda h: jax.nn.leaky_relu(h, 0.2),
            lambda h: jax.nn.elu(h, 0.5),
            lambda h: jax.nn.gelu(h, approximate=True),
            jax.nn.relu6,
        ),
        FEATURES,
    ),
    Net(
        "SiLU as a formula",
        lambda: _torch_chain(_swish(torch.sigmoid), _swish(torch.sigmoid)),
        lambda: _keras_chain(_swish(ops.sigmoid), _swish(ops.sigmoid)),
        lambda: _flax_chain(_swish(jax.nn.sigmoid), _swish(jax.nn.sigmoid)),
        FEATURES,
        classes=3,
    ),
    Net(
        "GELU as a tanh formula",
        lambda: _torch_chain(_tanh_gelu(torch.tanh), _tanh_gelu(torch.tanh)),
        lambda: _keras_chain(_tanh_gelu(ops.tanh), _tanh_gelu(ops.tanh)),
        lambda: _flax_chain(_tanh_gelu(jax.numpy.tanh), _tanh_gelu(jax.numpy.tanh)),
        FEATURES,
        classes=3,
    ),
    Net(
        "LeCun's tanh as a formula",
        lambda: _torch_chain(_lecun_tanh(torch.tanh), _lecun_tanh(torch.tanh)),
        lambda: _keras_chain(_lecun_tanh(ops.tanh), _lecun_tanh(ops.tanh)),
        lambda: _flax_chain(_lecun_tanh(jax.numpy.tanh), _lecun_tanh(jax.numpy.tanh)),
        FEATURES,
    ),
    Net(
        "ten layers times one half",
        _torch_factors,
        _keras_factors,
        _flax_factors,
        FEATURES,
    ),
    Net(
        "a variable on the right, and one on the left",
        lambda: torch_net(
            lambda m, x: (m.second @ torch.tanh(x @ m.first).T).T,
            first=torch_parameter(6, 12),
            second=torch_parameter(3, 12),
        ),
        _keras_sides,
        lambda: flax_net(_flax_sides, first=flax_parameter(6, 12), second=flax_parameter(3, 12)),
        FEATURES,
        names={"keras": {"sides/first": "first", "sides/second": "second"}},
        layouts={"keras": lambda held: {**held, "first": held["first"].T}},
        reasons=(
            Reason("path", "*", ("keras",), "a Keras layer holds its variables, and has a name"),
            Reason("shape", "first", ("keras",), "Keras draws a layer's own matrix as (out, in)"),
            Reason("axes", "*", ("keras",), "so the axes of (out, in) are told, in the others those of (in, out)"),
            Reason(
                "*",
                "row of second",
                ("torch",),
                "the sum is made transposed, and in PyTorch alone the samples are followed to its second axis",
            ),
            Reason("digest", "values of first", ("keras",), "so its bytes come in another order"),
        ),
    ),
    Net("targets of real numbers", **two_layers("relu", 1), inputs=FEATURES, classes=0),
    Net("an output bias of -0.5", **two_layers("relu", 2), inputs=FEATURES, values={"head/bias": -0.5}),
    Net(
        "an output bias of 3 and -0.5",
        **two_layers("relu", 2),
        inputs=FEATURES,
        values={"head/bias": np.array([3.0, -0.5])},
    ),
    Net(
        "an output bias of log class shares",
        **two_layers("tanh", 3),
        inputs=FEATURES,
        classes=3,
        values={"head/bias": np.log([0.7, 0.2, 0.1])},
    ),
    Net(
        "an output bias of a rare class",
        **two_layers("relu", 4),
        inputs=FEATURES,
        values={"head/bias": -math.log(99.0)},
    ),
    Net(
        "dropout",
        _torch_dropout,
        _keras_dropout,
        lambda: flax_net(
            lambda m, x: m.head(m.drop(jax.nn.relu(m.fc(x)))),
            fc=linear(6, 12),
            drop=nnx.Dropout(0.25, rngs=RNGS),
            head=linear(12, 3),
        ),
        FEATURES,
        classes=3,
        reasons=(
            Reason("measured *", "*", ("keras", "flax"), "each framework has its own generator, and drops other units"),
            Reason(
                "predicted gradient", "row of fc/weight", ("keras", "flax"), "theory starts at the measured gradient"
            ),
        ),
    ),
    Net(
        "a frozen layer",
        _torch_frozen,
        _keras_frozen,
        two_layers("tanh", 3)["flax"],
        FEATURES,
        classes=3,
        reasons=(
            Reason("frozen", "fc/*", ("flax",), "a Flax parameter has no flag: what trains is chosen by the optimiser"),
            Reason("plan *", "fc/*", ("flax",), "so Flax has no frozen layer to keep"),
            Reason("measured *", "* fc/weight", ("flax",), "so Flax has a gradient of every parameter"),
            Reason("measured gradient_ratio *", "model", ("flax",), "so Flax has a gradient of every layer"),
        ),
    ),
)
