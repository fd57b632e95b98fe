"""Values that meet: concatenation, products, gates, several inputs and outputs, means over tokens."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import keras
import torch
from flax import nnx
from keras import layers, ops
from tests.parity.zoo.net import KERAS_ORDER, RNGS, Input, Net, Reason, flax_net, linear, torch_net
from torch import nn
from torch.nn import functional

FEATURES = (Input((6,)),)
EPSILON = 1e-3

# Concatenation of an activation and of what it was made of


def _dense_body(relu, join):
    def body(m, x):
        h = join([x, relu(m.a(x))])
        return m.head(join([h, relu(m.b(h))]))

    return body


def _keras_dense() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Concatenate()([x, layers.Dense(5, activation="relu", name="a")(x)])
    h = layers.Concatenate()([h, layers.Dense(4, activation="relu", name="b")(h)])
    return keras.Model(x, layers.Dense(3, name="head")(h))


# GLU, by a split of one layer's output


def _torch_glu() -> nn.Module:
    return torch_net(lambda m, x: m.head(functional.glu(m.fc(x))), fc=nn.Linear(6, 24), head=nn.Linear(12, 3))


def _torch_split_glu() -> nn.Module:
    def body(m, x):
        value, gate = m.fc(x).chunk(2, -1)
        return m.head(value * torch.sigmoid(gate))

    return torch_net(body, fc=nn.Linear(6, 24), head=nn.Linear(12, 3))


def _keras_glu() -> keras.Model:
    x = keras.Input((6,))
    return keras.Model(x, layers.Dense(3, name="head")(keras.activations.glu(layers.Dense(24, name="fc")(x))))


def _keras_split_glu() -> keras.Model:
    x = keras.Input((6,))
    value, gate = ops.split(layers.Dense(24, name="fc")(x), 2, axis=-1)
    return keras.Model(x, layers.Dense(3, name="head")(value * ops.sigmoid(gate)))


def _flax_split_glu() -> nnx.Module:
    def body(m, x):
        value, gate = jnp.split(m.fc(x), 2, axis=-1)
        return m.head(value * jax.nn.sigmoid(gate))

    return flax_net(body, fc=linear(6, 24), head=linear(12, 3))


# SwiGLU, from two layers


def _swiglu_body(silu):
    return lambda m, x: m.down(silu(m.gate(x)) * m.up(x))


def _keras_swiglu() -> keras.Model:
    x = keras.Input((6,))
    gate = ops.silu(layers.Dense(14, use_bias=False, name="gate")(x))
    return keras.Model(
        x, layers.Dense(3, name="down", use_bias=False)(gate * layers.Dense(14, use_bias=False, name="up")(x))
    )


# A highway


def _highway_body(relu, sigmoid):
    def body(m, x):
        h = m.stem(x)
        gate = sigmoid(m.gate(h))
        return m.head(gate * relu(m.fc(h)) + (1.0 - gate) * h)

    return body


def _keras_highway() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(9, name="stem")(x)
    gate = layers.Dense(9, activation="sigmoid", name="gate")(h)
    h = gate * layers.Dense(9, activation="relu", name="fc")(h) + (1.0 - gate) * h
    return keras.Model(x, layers.Dense(3, name="head")(h))


# Two inputs, two outputs


def _keras_inputs() -> keras.Model:
    x, y = keras.Input((6,)), keras.Input((4,))
    h = ops.concatenate([ops.tanh(layers.Dense(9, name="a")(x)), ops.relu(layers.Dense(7, name="b")(y))], -1)
    return keras.Model([x, y], layers.Dense(3, name="head")(h))


def _inputs_body(tanh, relu, join):
    return lambda m, x, y: m.head(join([tanh(m.a(x)), relu(m.b(y))]))


def _keras_sum() -> keras.Model:
    x, y = keras.Input((6,)), keras.Input((4,))
    h = ops.relu(layers.Dense(9, name="a")(x) + layers.Dense(9, name="b")(y))
    return keras.Model([x, y], layers.Dense(3, name="head")(h))


def _keras_outputs() -> keras.Model:
    x = keras.Input((6,))
    h = layers.Dense(9, activation="relu", name="trunk")(x)
    return keras.Model(x, [layers.Dense(3, name="first")(h), layers.Dense(2, name="second")(h)])


def _outputs_body(relu):
    def body(m, x):
        h = relu(m.trunk(x))
        return m.first(h), m.second(h)

    return body


# Tokens mixed by a layer over the transposed value


def _mixer_body(gelu, swap):
    def body(m, x):
        h = x + swap(m.places(swap(m.norm0(x))))
        h = h + m.down(gelu(m.up(m.norm1(h))))
        return m.head(h.mean(1))

    return body


def _torch_mixer() -> nn.Module:
    return torch_net(
        _mixer_body(functional.gelu, lambda h: h.transpose(1, 2)),
        norm0=nn.LayerNorm(6, eps=EPSILON),
        places=nn.Linear(5, 5),
        norm1=nn.LayerNorm(6, eps=EPSILON),
        up=nn.Linear(6, 11),
        down=nn.Linear(11, 6),
        head=nn.Linear(6, 3),
    )


def _keras_mixer() -> keras.Model:
    x = keras.Input((5, 6))
    h = layers.Permute((2, 1))(layers.LayerNormalization(epsilon=EPSILON, name="norm0")(x))
    h = x + layers.Permute((2, 1))(layers.Dense(5, name="places")(h))
    branch = layers.LayerNormalization(epsilon=EPSILON, name="norm1")(h)
    h = h + layers.Dense(6, name="down")(layers.Dense(11, activation="gelu", name="up")(branch))
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(h)))


def _flax_mixer() -> nnx.Module:
    return flax_net(
        _mixer_body(lambda h: jax.nn.gelu(h, approximate=False), lambda h: jnp.swapaxes(h, 1, 2)),
        norm0=nnx.LayerNorm(6, epsilon=EPSILON, rngs=RNGS),
        places=linear(5, 5),
        norm1=nnx.LayerNorm(6, epsilon=EPSILON, rngs=RNGS),
        up=linear(6, 11),
        down=linear(11, 6),
        head=linear(6, 3),
    )


# A layer that is used twice


def _keras_shared() -> keras.Model:
    x = keras.Input((6,))
    fc = layers.Dense(6, name="fc")
    return keras.Model(x, layers.Dense(3, name="head")(ops.tanh(fc(ops.tanh(fc(x))))))


def _shared_body(tanh):
    return lambda m, x: m.head(tanh(m.fc(tanh(m.fc(x)))))


NETS = (
    Net(
        "values that are concatenated",
        lambda: torch_net(
            _dense_body(torch.relu, lambda parts: torch.cat(parts, -1)),
            a=nn.Linear(6, 5),
            b=nn.Linear(11, 4),
            head=nn.Linear(15, 3),
        ),
        _keras_dense,
        lambda: flax_net(
            _dense_body(jax.nn.relu, lambda parts: jnp.concatenate(parts, -1)),
            a=linear(6, 5),
            b=linear(11, 4),
            head=linear(15, 3),
        ),
        FEATURES,
        classes=3,
    ),
    Net(
        "a gated linear unit by name",
        _torch_glu,
        _keras_glu,
        lambda: flax_net(lambda m, x: m.head(jax.nn.glu(m.fc(x))), fc=linear(6, 24), head=linear(12, 3)),
        FEATURES,
        reasons=(
            Reason(
                "presence", "activation 0", ("keras",), "Keras' function is one operation, whose gate has no numbers"
            ),
            Reason("*after*", "row of fc/weight", ("keras",), "so the gate is not measured"),
        ),
    ),
    Net("a gated linear unit by a split", _torch_split_glu, _keras_split_glu, _flax_split_glu, FEATURES),
    Net(
        "SwiGLU of two layers",
        lambda: torch_net(
            _swiglu_body(functional.silu),
            gate=nn.Linear(6, 14, bias=False),
            up=nn.Linear(6, 14, bias=False),
            down=nn.Linear(14, 3, bias=False),
        ),
        _keras_swiglu,
        lambda: flax_net(
            _swiglu_body(jax.nn.silu),
            gate=linear(6, 14, use_bias=False),
            up=linear(6, 14, use_bias=False),
            down=linear(14, 3, use_bias=False),
        ),
        FEATURES,
    ),
    Net(
        "a highway",
        lambda: torch_net(
            _highway_body(torch.relu, torch.sigmoid),
            stem=nn.Linear(6, 9),
            gate=nn.Linear(9, 9),
            fc=nn.Linear(9, 9),
            head=nn.Linear(9, 3),
        ),
        _keras_highway,
        lambda: flax_net(
            _highway_body(jax.nn.relu, jax.nn.sigmoid),
            stem=linear(6, 9),
            gate=linear(9, 9),
            fc=linear(9, 9),
            head=linear(9, 3),
        ),
        FEATURES,
        classes=3,
        reasons=(Reason("*", "activation [12]", ("keras",), KERAS_ORDER),),
    ),
    Net(
        "two inputs that are concatenated",
        lambda: torch_net(
            _inputs_body(torch.tanh, torch.relu, lambda parts: torch.cat(parts, -1)),
            a=nn.Linear(6, 9),
            b=nn.Linear(4, 7),
            head=nn.Linear(16, 3),
        ),
        _keras_inputs,
        lambda: flax_net(
            _inputs_body(jnp.tanh, jax.nn.relu, lambda parts: jnp.concatenate(parts, -1)),
            a=linear(6, 9),
            b=linear(4, 7),
            head=linear(16, 3),
        ),
        (Input((6,)), Input((4,))),
        classes=3,
        reasons=(Reason("*_ratio *", "model", ("keras",), KERAS_ORDER),),
    ),
    Net(
        "two inputs that are added",
        lambda: torch_net(
            lambda m, x, y: m.head(torch.relu(m.a(x) + m.b(y))),
            a=nn.Linear(6, 9),
            b=nn.Linear(4, 9),
            head=nn.Linear(9, 3),
        ),
        _keras_sum,
        lambda: flax_net(
            lambda m, x, y: m.head(jax.nn.relu(m.a(x) + m.b(y))), a=linear(6, 9), b=linear(4, 9), head=linear(9, 3)
        ),
        (Input((6,)), Input((4,))),
    ),
    Net(
        "two outputs",
        lambda: torch_net(
            _outputs_body(torch.relu), trunk=nn.Linear(6, 9), first=nn.Linear(9, 3), second=nn.Linear(9, 2)
        ),
        _keras_outputs,
        lambda: flax_net(_outputs_body(jax.nn.relu), trunk=linear(6, 9), first=linear(9, 3), second=linear(9, 2)),
        FEATURES,
    ),
    Net("tokens mixed by a transpose", _torch_mixer, _keras_mixer, _flax_mixer, (Input((5, 6)),), classes=3),
    Net(
        "a layer that is used twice",
        lambda: torch_net(_shared_body(torch.tanh), fc=nn.Linear(6, 6), head=nn.Linear(6, 3)),
        _keras_shared,
        lambda: flax_net(_shared_body(jnp.tanh), fc=linear(6, 6), head=linear(6, 3)),
        FEATURES,
    ),
)
