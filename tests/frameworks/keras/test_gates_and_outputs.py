"""What scales a branch and what only opens it, what takes a value and what only looks at it, and all the outputs."""

from __future__ import annotations

from math import log

import keras
import numpy as np
import pytest
from keras import layers, ops

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.core.laws import Constant
from initlab.frameworks.keras.adapter import ADAPTER


def weights(model: keras.Model, **options: object) -> list[ParamSpec]:
    return [p for p in ADAPTER.describe(model, **options).params if p.is_weight]


def squeeze_net(blocks: int, width: int = 16) -> keras.Model:
    """Residual branches of two convolutions whose channels are weighed by gates (Hu et al. 2018)."""
    image = keras.Input((12, 12, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(image)))
    stream = []
    for k in range(blocks):
        h = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
        h = layers.ReLU()(layers.BatchNormalization()(h))
        h = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"out_{k}")(h)
        h = layers.BatchNormalization(name=f"last_{k}")(h)
        gates = layers.Dense(width // 4, "relu")(layers.GlobalAveragePooling2D()(h))
        gates = layers.Reshape((1, 1, width))(layers.Dense(width, "sigmoid", name=f"gate_{k}")(gates))
        x = layers.ReLU()(layers.Add()([x, layers.Multiply()([h, gates])]))
        stream.append(x)
    return keras.Model(image, stream)


def test_the_norm_before_a_gate_takes_the_scale_of_its_branch_and_the_stream_at_most_doubles() -> None:
    """E[relu(z)^2] = 1/2; with a norm of scale 1 before each gate it would be 2 after eight blocks."""
    model = squeeze_net(8)
    plan = initlab.plan(model, "auto")
    assert plan["last_3/gamma"].law == Constant(0.25)  # 1 / sqrt(2 * 8)
    assert plan["out_3/kernel"].std == pytest.approx((2 / (9 * 16)) ** 0.5)
    assert "residual" not in plan["gate_3/kernel"].why
    plan.apply(0)
    x = np.random.default_rng(0).standard_normal((8, 12, 12, 3)).astype(np.float32)
    found = [float(np.mean(keras.ops.convert_to_numpy(value) ** 2)) for value in model(x, training=True)]
    assert min(found) > 0.4
    assert max(found) < 1.0


class Watched(keras.Model):
    """Conditions on values that are not activated yet."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = [layers.Dense(16) for _ in range(3)]

    def call(self, x):
        for layer in self.hidden:
            z = layer(x)
            if float(ops.max(ops.abs(z))) > 1e6:
                raise ValueError("diverged")
            x = ops.relu(z)
        return x


def test_what_only_looks_at_a_value_does_not_hide_the_activation_that_takes_it() -> None:
    found = weights(Watched(), example=np.random.default_rng(0).standard_normal((4, 16)).astype(np.float32))
    assert [p.f_out for p in found] == ["relu"] * 3


def test_each_of_several_outputs_starts_with_a_small_loss() -> None:
    x = keras.Input((16,))
    h = layers.Dense(64, "relu")(x)
    model = keras.Model(x, [layers.Dense(5, "softmax", name="classes")(h), layers.Dense(1, name="value")(h)])
    plan = initlab.plan(model, "auto")
    std = (2 * 0.01 * log(5) / (1 - 1 / 5)) ** 0.5  # E[CE] = ln K + s^2 / 2 (1 - 1 / K), 1 % above ln K
    assert plan["classes/kernel"].std == pytest.approx(std * (2 / 64) ** 0.5)
    assert plan["value/kernel"].std == pytest.approx(0.1 * (2 / 64) ** 0.5)


def test_one_sigmoid_unit_starts_one_percent_above_the_loss_of_a_fair_coin() -> None:
    model = keras.Sequential([keras.Input((16,)), layers.Dense(64, "relu"), layers.Dense(1, "sigmoid")])
    row = next(row for row in initlab.plan(model, "auto") if row.param.shape == (1, 64))
    assert row.std == pytest.approx((8 * 0.01 * log(2) * 2 / 64) ** 0.5)  # E[CE] = ln 2 + s^2 / 8
    assert "ln 2" in row.why
