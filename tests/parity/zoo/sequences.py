"""Tokens and sequences: tables, tied heads, recurrent layers, attention, einsum kernels."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import keras
import numpy as np
import torch
from flax import nnx
from keras import layers, ops
from tests.parity.zoo.net import (
    KERAS_ORDER,
    RNGS,
    ZEROS,
    Input,
    Net,
    Reason,
    Values,
    conv,
    flax_net,
    linear,
    torch_net,
    torch_parameter,
)
from torch import nn
from torch.nn import functional

TOKENS = (Input((7,), tokens=11),)
STEPS = (Input((7, 6)),)


def _table(rows: int, width: int) -> nnx.Embed:
    return nnx.Embed(rows, width, rngs=RNGS)


# Embedding * sqrt(d) -> Dense


def _scaled_body(tanh):
    return lambda m, x: m.head(tanh(m.fc(m.table(x) * 48**0.5)).mean(1))


def _keras_scaled() -> keras.Model:
    x = keras.Input((7,), dtype="int32")
    h = layers.Embedding(11, 48, name="table")(x) * 48**0.5
    h = layers.Dense(9, activation="tanh", name="fc")(h)
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(h)))


# Tokens and positions, a table that is the head as well


def _torch_tied() -> nn.Module:
    net = torch_net(
        lambda m, x: m.head(torch.tanh(m.fc(m.table(x)))),
        table=nn.Embedding(11, 8),
        fc=nn.Linear(8, 8),
        head=nn.Linear(8, 11, bias=False),
    )
    net.head.weight = net.table.weight
    return net


def _keras_tied() -> keras.Model:
    x = keras.Input((7,), dtype="int32")
    table = layers.ReversibleEmbedding(11, 8, name="table")
    h = layers.Dense(8, activation="tanh", name="fc")(table(x))
    return keras.Model(x, table(h, reverse=True))


def _flax_tied() -> nnx.Module:
    return flax_net(lambda m, x: m.table.attend(jnp.tanh(m.fc(m.table(x)))), table=_table(11, 8), fc=linear(8, 8))


# A padding row


def _torch_padded() -> nn.Module:
    return torch_net(
        lambda m, x: m.head(torch.tanh(m.fc(m.table(x))).mean(1)),
        table=nn.Embedding(11, 8, padding_idx=0),
        fc=nn.Linear(8, 9),
        head=nn.Linear(9, 3),
    )


def _keras_padded() -> keras.Model:
    x = keras.Input((7,), dtype="int32")
    h = layers.Dense(9, activation="tanh", name="fc")(layers.Embedding(11, 8, name="table")(x))
    return keras.Model(x, layers.Dense(3, name="head")(ops.mean(h, axis=1)))


def _flax_padded() -> nnx.Module:
    return flax_net(
        lambda m, x: m.head(jnp.tanh(m.fc(m.table(x))).mean(1)),
        table=_table(11, 8),
        fc=linear(8, 9),
        head=linear(9, 3),
    )


# Recurrent layers, whose last state is read


def _torch_recurrent(kind: type[nn.Module]) -> nn.Module:
    return torch_net(lambda m, x: m.head(m.cell(x)[0][:, -1]), cell=kind(6, 5, batch_first=True), head=nn.Linear(5, 3))


def _keras_recurrent(layer: layers.Layer) -> keras.Model:
    x = keras.Input((7, 6))
    return keras.Model(x, layers.Dense(3, name="head")(layer(x)[:, -1]))


def _flax_recurrent(cell: nnx.Module) -> nnx.Module:
    return flax_net(lambda m, x: m.head(m.cell(x)[:, -1]), cell=nnx.RNN(cell), head=linear(5, 3))


# Each framework names the weights of a cell its own way.
def _cell_of_keras(bias: str) -> dict[str, str]:
    weights = {"cell/weight": "cell/weight_ih_l0", "cell/recurrent_kernel": "cell/weight_hh_l0"}
    return {**weights, "cell/bias": f"cell/{bias}"}


_CELL_OF_FLAX = {
    "cell/cell/dense_i/weight": "cell/weight_ih_l0",
    "cell/cell/dense_h/weight": "cell/weight_hh_l0",
    "cell/cell/dense_h/bias": "cell/bias_hh_l0",
    "cell/cell/dense_i/bias": "cell/bias_ih_l0",
}


def _gru_of_keras(held: Values) -> Values:
    """Keras has the update gate before the reset gate, and both biases in one array."""

    def swapped(values):
        reset, update, new = np.split(values, 3)
        return np.concatenate([update, reset, new])

    moved = {key: swapped(values) for key, values in held.items() if key.startswith("cell/")}
    return {**held, **moved, "cell/bias": np.stack([moved["cell/bias_ih_l0"], moved["cell/bias_hh_l0"]])}


_PATH = Reason("path", "cell/*", ("torch", "keras"), "each names the two weights of a cell its own way")
_TWO = "PyTorch adds two biases, the others one"


# Attention by hand


def _attention_body(softmax, swap):
    def body(m, x):
        q, k, v = m.query(x), m.key(x), m.value(x)
        scores = softmax(q @ swap(k) / math.sqrt(6))
        return m.head((x + m.out(scores @ v)).mean(1))

    return body


def _keras_attention() -> keras.Model:
    x = keras.Input((7, 6))
    q, k, v = (layers.Dense(6, name=name)(x) for name in ("query", "key", "value"))
    scores = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1))) / math.sqrt(6), axis=-1)
    h = x + layers.Dense(6, name="out")(ops.matmul(scores, v))
    return keras.Model(x, layers.Dense(3, name="head")(ops.mean(h, axis=1)))


def _attention_parts(dense) -> dict[str, object]:
    return {**{name: dense(6, 6) for name in ("query", "key", "value", "out")}, "head": dense(6, 3)}


# Einsum kernels


def _torch_einsum() -> nn.Module:
    def body(m, x):
        h = torch.relu(torch.einsum("btd,dhk->bthk", x, m.split))
        return m.head(torch.einsum("bthk,hko->bto", h, m.join).mean(1))

    return torch_net(body, split=torch_parameter(6, 2, 4), join=torch_parameter(2, 4, 5), head=nn.Linear(5, 3))


def _keras_einsum() -> keras.Model:
    x = keras.Input((7, 6))
    h = ops.relu(layers.EinsumDense("btd,dhk->bthk", (None, 2, 4), name="split")(x))
    h = layers.EinsumDense("bthk,hko->bto", (None, 5), name="join")(h)
    return keras.Model(x, layers.Dense(3, name="head")(ops.mean(h, axis=1)))


def _flax_einsum() -> nnx.Module:
    def body(m, x):
        return m.head(m.join(jax.nn.relu(m.split(x))).mean(1))

    return flax_net(
        body,
        split=nnx.Einsum("btd,dhk->bthk", (6, 2, 4), kernel_init=ZEROS, rngs=RNGS),
        join=nnx.Einsum("bthk,hko->bto", (2, 4, 5), kernel_init=ZEROS, rngs=RNGS),
        head=linear(5, 3),
    )


_EINSUM_NAMES = {"split/weight": "split", "join/weight": "join"}


def _einsum_layers(held: Values) -> Values:
    """A layer's kernel is a matrix (out, in); PyTorch has no such layer, and a bare parameter keeps its axes."""
    return {**held, "split": held["split"].reshape(6, 8).T, "join": held["join"].reshape(8, 5).T}


# A convolution over steps


def _torch_steps() -> nn.Module:
    return torch_net(
        lambda m, x: m.head(functional.gelu(m.b(functional.gelu(m.a(x)))).mean(2)),
        a=nn.Conv1d(6, 8, 3),
        b=nn.Conv1d(8, 5, 2, dilation=2),
        head=nn.Linear(5, 3),
    )


def _keras_steps() -> keras.Model:
    x = keras.Input((7, 6))
    h = layers.Conv1D(8, 3, activation="gelu", name="a")(x)
    h = layers.Conv1D(5, 2, dilation_rate=2, activation="gelu", name="b")(h)
    return keras.Model(x, layers.Dense(3, name="head")(layers.GlobalAveragePooling1D()(h)))


def _flax_steps() -> nnx.Module:
    def body(m, x):
        gelu = lambda h: jax.nn.gelu(h, approximate=False)  # noqa: E731
        return m.head(gelu(m.b(gelu(m.a(x)))).mean(1))

    return flax_net(
        body,
        a=conv(6, 8, (3,), padding="VALID"),
        b=conv(8, 5, (2,), padding="VALID", kernel_dilation=2),
        head=linear(5, 3),
    )


# A decoder's block over tokens and positions, and labels for every token


def _decoder_body(gelu, softmax, swap, arange):
    def body(m, x):
        h = m.table(x) + m.places(arange(7))
        z = m.norm0(h)
        scores = softmax(m.query(z) @ swap(m.key(z)) / math.sqrt(8))
        h = h + m.out(scores @ m.value(z))
        h = h + m.down(gelu(m.up(m.norm1(h))))
        return m.head(m.norm2(h))

    return body


def _decoder_parts(dense, norm, table) -> dict[str, object]:
    parts = {"table": table(11, 8), "places": table(7, 8)}
    parts |= {f"norm{i}": norm(8) for i in range(3)}
    parts |= {name: dense(8, 8) for name in ("query", "key", "value", "out")}
    return {**parts, "up": dense(8, 20), "down": dense(20, 8), "head": dense(8, 11)}


class _KerasPlaces(layers.Layer):
    """The table of positions, as long as the sequence."""

    def __init__(self, **options):
        super().__init__(**options)
        self.table = layers.Embedding(7, 8, name="places")

    def call(self, h):
        return h + self.table(ops.arange(7))


def _keras_decoder() -> keras.Model:
    x = keras.Input((7,), dtype="int32")
    dense = lambda name, width: layers.Dense(width, name=name)  # noqa: E731
    norms = [layers.LayerNormalization(epsilon=1e-3, name=f"norm{i}") for i in range(3)]
    h = _KerasPlaces(name="positions")(layers.Embedding(11, 8, name="table")(x))
    z = norms[0](h)
    q, k, v = (dense(name, 8)(z) for name in ("query", "key", "value"))
    scores = ops.softmax(ops.matmul(q, ops.transpose(k, (0, 2, 1))) / math.sqrt(8), axis=-1)
    h = h + dense("out", 8)(ops.matmul(scores, v))
    h = h + dense("down", 8)(keras.activations.gelu(dense("up", 20)(norms[1](h))))
    return keras.Model(x, dense("head", 11)(norms[2](h)))


NETS = (
    Net(
        "a table times sqrt(d)",
        lambda: torch_net(
            _scaled_body(torch.tanh), table=nn.Embedding(11, 48), fc=nn.Linear(48, 9), head=nn.Linear(9, 3)
        ),
        _keras_scaled,
        lambda: flax_net(_scaled_body(jnp.tanh), table=_table(11, 48), fc=linear(48, 9), head=linear(9, 3)),
        TOKENS,
        classes=3,
    ),
    Net(
        "a table that is the head as well",
        _torch_tied,
        _keras_tied,
        _flax_tied,
        TOKENS,
        classes=11,
        target_shape=(7,),
        reasons=(
            Reason(
                "presence", "*head/weight", ("torch",), "PyTorch has a second name for it, the others a second call"
            ),
        ),
    ),
    Net(
        "a padding row",
        _torch_padded,
        _keras_padded,
        _flax_padded,
        TOKENS,
        classes=3,
        reasons=(
            Reason(
                "measured update_ratio", "*table/weight", ("torch",), "PyTorch alone has a padding row without gradient"
            ),
        ),
        values={"table/weight": np.r_[np.zeros((1, 8)), np.random.default_rng(3).standard_normal((10, 8))]},
    ),
    Net(
        "a simple recurrent layer",
        lambda: _torch_recurrent(nn.RNN),
        lambda: _keras_recurrent(layers.SimpleRNN(5, return_sequences=True, name="cell")),
        lambda: _flax_recurrent(nnx.SimpleCell(6, 5, rngs=RNGS)),
        STEPS,
        classes=3,
        names={"keras": _cell_of_keras("bias_ih_l0"), "flax": _CELL_OF_FLAX},
        reasons=(_PATH, Reason("presence", "*cell/bias_hh_l0", ("torch",), _TWO)),
    ),
    Net(
        "an LSTM",
        lambda: _torch_recurrent(nn.LSTM),
        lambda: _keras_recurrent(layers.LSTM(5, return_sequences=True, name="cell")),
        lambda: _flax_recurrent(nnx.OptimizedLSTMCell(6, 5, rngs=RNGS)),
        STEPS,
        classes=3,
        names={
            "keras": _cell_of_keras("bias_ih_l0"),
            "flax": {**_CELL_OF_FLAX, "cell/cell/dense_h/bias": "cell/bias_ih_l0"},
        },
        reasons=(_PATH, Reason("presence", "*cell/bias_hh_l0", ("torch",), _TWO)),
    ),
    Net(
        "a GRU",
        lambda: _torch_recurrent(nn.GRU),
        lambda: _keras_recurrent(layers.GRU(5, return_sequences=True, name="cell")),
        lambda: _flax_recurrent(nnx.GRUCell(6, 5, rngs=RNGS)),
        STEPS,
        classes=3,
        names={"keras": _cell_of_keras("bias"), "flax": _CELL_OF_FLAX},
        layouts={"keras": _gru_of_keras},
        reasons=(
            _PATH,
            Reason("presence", "*cell/bias_hh_l0", ("torch",), "PyTorch has a bias of the state's sum in its own name"),
            Reason("presence", "*cell/bias_ih_l0", ("keras",), "Keras holds both biases in one array"),
            Reason("presence", "*cell/bias", ("keras",), "which has a name of its own"),
            Reason(
                "digest", "values of cell/weight_*", ("keras",), "Keras has the update gate first, the others second"
            ),
        ),
    ),
    Net(
        "attention from dense layers",
        lambda: torch_net(
            _attention_body(lambda s: torch.softmax(s, -1), lambda k: k.transpose(1, 2)), **_attention_parts(nn.Linear)
        ),
        _keras_attention,
        lambda: flax_net(
            _attention_body(lambda s: jax.nn.softmax(s, -1), lambda k: jnp.swapaxes(k, 1, 2)),
            **_attention_parts(linear),
        ),
        STEPS,
        classes=3,
        reasons=(Reason("*_ratio *", "model", ("keras",), KERAS_ORDER),),
    ),
    Net(
        "einsum kernels",
        _torch_einsum,
        _keras_einsum,
        _flax_einsum,
        STEPS,
        classes=3,
        names={"keras": _EINSUM_NAMES, "flax": _EINSUM_NAMES},
        layouts={"keras": _einsum_layers, "flax": _einsum_layers},
        reasons=(
            Reason("path", "*", ("torch",), "PyTorch has no such layer: a bare parameter has no layer's name"),
            Reason("shape", "*", ("torch",), "a bare parameter is drawn in its own layout"),
            Reason("axes", "*", ("torch",), "so its axes are told"),
            Reason("digest", "*", ("torch",), "so its bytes come in another order"),
        ),
    ),
    Net("convolutions over steps", _torch_steps, _keras_steps, _flax_steps, (Input((7, 6), is_image=True),), classes=3),
    Net(
        "a decoder's block",
        lambda: torch_net(
            _decoder_body(functional.gelu, lambda s: torch.softmax(s, -1), lambda k: k.transpose(1, 2), torch.arange),
            **_decoder_parts(nn.Linear, lambda n: nn.LayerNorm(n, eps=1e-3), nn.Embedding),
        ),
        _keras_decoder,
        lambda: flax_net(
            _decoder_body(
                lambda h: jax.nn.gelu(h, approximate=False),
                lambda s: jax.nn.softmax(s, -1),
                lambda k: jnp.swapaxes(k, 1, 2),
                jnp.arange,
            ),
            **_decoder_parts(linear, lambda n: nnx.LayerNorm(n, epsilon=1e-3, rngs=RNGS), _table),
        ),
        TOKENS,
        classes=11,
        target_shape=(7,),
        names={"keras": {"positions/places/weight": "places/weight"}},
        reasons=(
            Reason("path", "places/weight", ("keras",), "the table lies in a layer that adds it"),
            Reason("*_ratio *", "model", ("keras",), KERAS_ORDER),
        ),
    ),
)
