"""What Keras' layers, operations and operators put into the graph from which the shared rules conclude."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.tensors import to_numpy

ROWS = np.random.default_rng(1).standard_normal((24, 5)).astype(np.float32)


class Net(keras.Model):
    """Two dense layers with a function in between."""

    def __init__(self, between: Callable[[Any], Any]) -> None:
        super().__init__(name="net")
        self.wide, self.last, self.between = layers.Dense(16), layers.Dense(3), between

    def call(self, x: Any) -> Any:
        return self.last(self.between(self.wide(x)))


def weights(model: keras.Model, **options: object) -> list[ParamSpec]:
    return [p for p in ADAPTER.describe(model, **options).params if p.is_weight]


# Factors


class Tokens(keras.Model):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.table, self.wide, self.head = layers.Embedding(7, 48), layers.Dense(20), layers.Dense(3)
        self.factor = factor

    def call(self, ids: Any) -> Any:
        return self.head(ops.relu(self.wide(self.table(ids) * self.factor)))


@pytest.mark.parametrize("factor", [48**0.5, 1.0])
def test_a_look_up_that_is_scaled_gives_the_next_weight_a_signal_of_mean_square_one(factor: float) -> None:
    """E[z^2] = std^2 fan_in E[x^2], and the table's rows have mean square 1 before the factor."""
    model = Tokens(factor)
    model(np.zeros((2, 6), np.int32))
    row = next(row for row in initlab.plan(model, "auto") if row.param.shape == (20, 48))
    assert (row.param.in_moment or 1.0) == pytest.approx(factor**2)
    assert row.std**2 * 48 * factor**2 == pytest.approx(1.0)


def test_ten_halved_layers_keep_the_signal() -> None:
    """A scatter of sqrt(10 * 2 / 128) = 0.4 about 1; with the factor left out it is 4^-10 = 1e-6."""
    x = h = keras.Input((128,))
    for _ in range(10):
        h = layers.Dense(128)(h) * 0.5
    model = initlab.initialize(keras.Model(x, h), "exact_gain_normal", seed=3)
    drawn = np.random.default_rng(2).standard_normal((64, 128)).astype(np.float32)
    last = to_numpy(model(drawn)).astype(np.float64) / 0.5
    assert 0.2 < (last**2).mean() < 3.0


# Variables

OPERATORS = {name: getattr(operator, name) for name in ("add", "sub", "mul", "truediv")}


class Sided(layers.Layer):
    """A product with a kernel and an operator with a number for each unit, which stands on one side of it."""

    def __init__(self, name: str, *, is_left: bool) -> None:
        super().__init__(name="sided")
        self.function, self.is_left = OPERATORS[name], is_left

    def build(self, shape: Any) -> None:
        self.kernel = self.add_weight(shape=(shape[-1], 6), name="kernel")
        self.alpha = self.add_weight(shape=(6,), name="alpha", initializer="ones")

    def call(self, x: Any) -> Any:
        h = ops.tanh(ops.matmul(x, self.kernel))
        return self.function(self.alpha, h) if self.is_left else self.function(h, self.alpha)


@pytest.mark.parametrize("name", OPERATORS)
def test_a_variable_on_the_left_is_seen_as_on_the_right(name: str) -> None:
    specs = []
    for is_left in (True, False):
        model = keras.Sequential([keras.Input((5,)), Sided(name, is_left=is_left), layers.Dense(3, name="head")])
        specs.append(ADAPTER.describe(model))
    left, right = ([(p.path, p.role, p.f_in, p.f_out, p.in_moment) for p in spec.params] for spec in specs)
    assert specs[0].fidelity == "traced"
    if name == "truediv":  # 1 / tanh has no finite mean square, tanh / 1 is tanh
        assert (left[0][3], right[0][3]) == (None, "tanh")
    else:
        assert left == right
    assert left[1][1] == ("bias" if name in ("add", "sub") else "scale")


# Activations of a user's own


def swish(z: Any) -> Any:
    return z * ops.sigmoid(z)


def shares(z: Any) -> Any:
    return z - ops.max(z, axis=-1, keepdims=True)


@pytest.mark.parametrize(("own", "f"), [(swish, "silu"), (shares, None), (layers.LeakyReLU(0.25), "leaky_relu")])
def test_an_activation_that_a_layer_is_given_is_told_by_what_it_does(own: Any, f: str | None) -> None:
    model = keras.Sequential([keras.Input((5,)), layers.Dense(4, activation=own), layers.Dense(3)])
    found = [p.f_in and p.f_in.partition("(")[0] for p in weights(model)]
    assert found == [None, f]


# One pass


def test_a_probe_enters_the_model_once() -> None:
    entered: list[int] = []

    def counted(h: Any) -> Any:
        entered.append(1)
        return swish(h)

    model = Net(counted)
    model(ROWS)
    entered.clear()
    profile = initlab.probe(model, ROWS, np.arange(24) % 3)
    assert len(entered) == 1
    assert [row.f for row in profile.rows] == ["silu", ""]


class Block(keras.Model):
    """A pre-norm block with attention, dropout, and a learned factor on the left."""

    def __init__(self) -> None:
        super().__init__(name="block")
        self.table, self.attention = layers.Embedding(11, 12), layers.MultiHeadAttention(3, 4)
        self.norms = [layers.LayerNormalization(), layers.BatchNormalization()]
        self.wide, self.narrow, self.head = layers.Dense(30, swish), layers.Dense(12), layers.Dense(5)
        self.drop = layers.Dropout(0.25)
        self.gate = self.add_weight(shape=(12,), name="gate", initializer="ones")

    def call(self, ids: Any) -> Any:
        x = self.table(ids)
        h = self.norms[0](x)
        x = x + self.drop(self.attention(h, h))
        x = x + self.gate * self.narrow(self.wide(self.norms[1](x)))
        return self.head(ops.mean(x, axis=1))


def test_what_is_described_from_a_measured_pass_is_what_is_described_without_one() -> None:
    model, ids = Block(), np.random.default_rng(3).integers(0, 11, (6, 7))
    model(ids)
    captured = ADAPTER.capture(model, ids, targets=np.arange(6) % 5).spec
    plain = ADAPTER.describe(model)
    assert captured.params == plain.params
    assert (captured.fidelity, plain.fidelity) == ("traced", "traced")


def test_a_layer_of_every_step_is_measured_over_all_steps() -> None:
    model = keras.Sequential([keras.Input((4, 5)), layers.TimeDistributed(layers.Dense(3)), layers.Flatten()])
    x = np.random.default_rng(4).standard_normal((6, 4, 5)).astype(np.float32)
    reading = ADAPTER.capture(model, x).reading
    at = next(i for i, place in enumerate(reading.places) if place.kind == "weighted")
    kernel, bias = (to_numpy(v.value) for v in model.weights)
    assert reading.forward[at].square == pytest.approx(((x @ kernel + bias).astype(np.float64) ** 2).mean(), rel=1e-5)
    assert reading.forward[at].entries == 6 * 4 * 3


# Code that is not seen


def test_what_a_back_end_makes_of_no_earlier_value_is_counted_and_said() -> None:
    jax = pytest.importorskip("jax")
    if keras.backend.backend() != "jax":
        pytest.skip("the code is JAX'")

    def outside(h: Any) -> Any:
        if isinstance(h, keras.KerasTensor):
            raise TypeError("not a tensor with a value")
        return jax.numpy.sort(h)

    model = Net(outside)
    spec = ADAPTER.describe(model, example=ROWS)
    assert spec.fidelity == "partial"
    assert [note for note in spec.notes if note.startswith("a value is made by code outside keras.ops")]
