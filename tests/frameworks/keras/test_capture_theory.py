"""A probed Keras model: the same sums as the same network in PyTorch, and the predictions of theory.

``test_backends.py`` runs this file again on the other back ends.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import initlab
from initlab.core.facts.arch import ConvNet, Mlp
from initlab.core.signals.readings import Reading, Sums
from initlab.frameworks.keras.adapter import KerasAdapter
from initlab.frameworks.keras.zoo import build_convnet, build_mlp
from initlab.probing.measure.metrics import gradient_at, signal_at
from initlab.probing.profile import Profile


def normal(*shape: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# The same network in PyTorch

ARCHITECTURES = {
    "tanh": Mlp((6, 16, 16, 4), activation="tanh"),
    "batch norm": Mlp((6, 16, 16, 4), activation="relu", norm="batch"),
    "layer norm": Mlp((6, 16, 16, 4), activation="gelu", norm="layer"),
    "residual": Mlp((6, 16, 16, 16, 4), activation="silu", residual=True),
}
COMPARED = ("weighted", "activation")


def assert_same(found: Sums, wanted: Sums) -> None:
    """Equal up to float32 rounding of the values themselves, after a few layers."""
    for field in dataclasses.fields(Sums):
        near = 1e-5 * math.sqrt(wanted.square) if field.name == "mean" else 2e-6 if "cosine" in field.name else 0.0
        np.testing.assert_allclose(
            getattr(found, field.name), getattr(wanted, field.name), rtol=1e-4, atol=near, err_msg=field.name
        )


def compared(reading: Reading) -> list[int]:
    return [at for at, place in enumerate(reading.places) if place.kind in COMPARED]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_same_network_has_the_same_sums_in_pytorch(name: str) -> None:
    pytest.importorskip("torch")
    from initlab.frameworks.torch import zoo
    from initlab.frameworks.torch.adapter import TorchAdapter

    x, y = normal(24, 6), np.arange(24) % 4
    nets = build_mlp(ARCHITECTURES[name]), zoo.build_mlp(ARCHITECTURES[name])
    for net in nets:
        initlab.initialize(net, "he_normal", seed=5)
    ours, theirs = (
        KerasAdapter().capture(nets[0], x, targets=y).reading,
        TorchAdapter().capture(nets[1], x, targets=y).reading,
    )
    assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)
    assert ours.loss_error == pytest.approx(theirs.loss_error, rel=1e-5)
    pairs = list(zip(compared(ours), compared(theirs), strict=True))
    for at, other in pairs:
        assert (ours.places[at].kind, ours.places[at].f) == (theirs.places[other].kind, theirs.places[other].f)
        assert_same(ours.forward[at], theirs.forward[other])
        if ours.places[at].kind == "weighted":
            by_ours, by_theirs = ours.backward[at], theirs.backward[other]
            assert by_ours.square == pytest.approx(by_theirs.square, rel=1e-4)
            assert by_ours.square_error == pytest.approx(by_theirs.square_error, rel=1e-4)
    assert len(pairs) >= 5


# Theory


class Block(layers.Layer):
    """A pre-norm block of a transformer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norms = [layers.LayerNormalization() for _ in range(2)]
        self.attention, self.drop = layers.MultiHeadAttention(4, width // 4), layers.Dropout(0.1)
        self.wide, self.narrow = layers.Dense(4 * width, "gelu"), layers.Dense(width)

    def call(self, x: Any) -> Any:
        h = self.norms[0](x)
        x = x + self.drop(self.attention(h, h))
        return x + self.narrow(self.wide(self.norms[1](x)))


class Transformer(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = layers.Embedding(50, 64), layers.Embedding(24, 64)
        self.block, self.head = Block(64), layers.Dense(50)

    def call(self, ids: Any) -> Any:
        return self.head(self.block(self.tokens(ids) + self.positions(ops.arange(ids.shape[1]))))


def deep() -> keras.Model:
    hidden = [layers.Dense(128, "relu") for _ in range(20)]
    return keras.Sequential([keras.Input((64,)), *hidden, layers.Dense(10)])


def residual() -> keras.Model:
    x = keras.Input((64,))
    h = layers.Dense(64)(x)
    for _ in range(4):
        h = layers.Add()([h, layers.Dense(64, "tanh")(layers.LayerNormalization()(h))])
    return keras.Model(x, layers.Dense(10)(h))


def convolutional() -> keras.Model:
    x = h = keras.Input((16, 16, 3))
    for stride in (1, 2, 1):
        h = layers.Conv2D(32, 3, strides=stride, padding="same", use_bias=False)(h)
        h = layers.Activation("relu")(layers.BatchNormalization()(h))
    return keras.Model(x, layers.Dense(10)(layers.GlobalAveragePooling2D()(h)))


def transformer() -> keras.Model:
    model = Transformer()
    model(np.zeros((1, 24), np.int32))
    return model


TOKENS = np.random.default_rng(0).integers(0, 50, (8, 24))
CASES: dict[str, tuple[Callable[[], keras.Model], Any, Any]] = {
    "depth 20": (deep, normal(64, 64), np.arange(64) % 10),
    "residual": (residual, normal(64, 64), np.arange(64) % 10),
    "convolutions with padding": (
        lambda: build_convnet(ConvNet((4, 16, 32), classes=5, strides=(2, 1))),
        normal(16, 12, 12, 4),
        np.arange(16) % 5,
    ),
}
if keras.backend.backend() != "jax":  # which compiles every function anew for every shape
    CASES["convolutions with batch norm"] = convolutional, normal(16, 16, 16, 3), np.arange(16) % 10
    CASES["transformer"] = transformer, TOKENS, TOKENS


def off_theory(profile: Profile) -> tuple[int, int]:
    """Places whose signal or gradient is off theory, and the numbers that were compared."""
    evidence = profile.evidence
    places = range(len(evidence.reading.places))
    found = [n for i in places for n in (signal_at(evidence, i), gradient_at(evidence, i))]
    known = [n for n in found if n.predicted is not None and math.isfinite(n.measured)]
    return sum(n.is_off for n in known), len(known)


@pytest.mark.parametrize("name", CASES)
def test_signal_and_gradient_lie_within_the_predicted_scatter(name: str) -> None:
    make, batch, targets = CASES[name]
    net = initlab.initialize(make(), "he_normal", seed=3, example=batch)
    off, known = off_theory(initlab.probe(net, batch, targets))
    assert known >= 7  # zeros around a picture are moved about, not a place of their own
    assert off <= 0.05 * known


def test_a_deep_net_of_sigmoids_is_told_from_a_healthy_one() -> None:
    sick = keras.Sequential([keras.Input((64,)), *(layers.Dense(64, "sigmoid") for _ in range(12)), layers.Dense(10)])
    initlab.initialize(sick, "glorot_uniform", seed=1)
    x, y = normal(64, 64), np.arange(64) % 10
    assert not initlab.probe(sick, x, y).diagnose().healthy
    healthy = initlab.initialize(deep(), "he_normal", seed=1)
    assert initlab.probe(healthy, x, y).diagnose().healthy
