"""Laws in Keras' layers: the signal that they make, and gates beside separate weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from initlab.api.planning import plan
from initlab.core.facts.spec import ModelSpec
from initlab.frameworks.keras.adapter import ADAPTER


def described(model: keras.Model) -> ModelSpec:
    return ADAPTER.describe(model)


def output_variance(model: keras.Model) -> float:
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 64)).astype(np.float32)
    return float(np.var(keras.ops.convert_to_numpy(model(x))))


def depthwise() -> keras.Model:
    lecun = keras.initializers.LecunNormal(seed=0)
    layer = layers.DepthwiseConv2D(3, use_bias=False, depthwise_initializer=lecun)
    return keras.Sequential([keras.Input((32, 32, 64)), layer])


def test_lecun_normal_on_a_depthwise_convolution_keeps_the_variance(write_plan) -> None:
    model = depthwise()
    # Keras counts all 64 channels into fan_in, so its own law is 64 times too narrow: 1/64 = 0.0156.
    assert output_variance(model) < 0.03
    write_plan(plan(described(model), "lecun_normal"), model)
    # The variance is a mean over 64 channels of sum(w^2), each chi^2_9 / 9 with variance 2/9.
    assert output_variance(model) == pytest.approx(1.0, abs=5 * np.sqrt(2 / 9 / 64))


def test_lecun_normal_on_a_strided_transposed_convolution_keeps_the_variance(write_plan) -> None:
    layer = layers.Conv2DTranspose(16, 4, strides=2, padding="same", use_bias=False)
    model = keras.Sequential([keras.Input((16, 16, 16)), layer])
    write_plan(plan(described(model), "lecun_normal"), model)
    x = np.random.default_rng(0).standard_normal((16, 16, 16, 16)).astype(np.float32)
    inner = keras.ops.convert_to_numpy(model(x))[:, 4:-4, 4:-4]
    # 2x2 taps of 16 channels meet each output: a mean over 16 outputs and 4 phases of chi^2_64 / 64.
    assert float(np.var(inner)) == pytest.approx(1.0, abs=5 * np.sqrt(2 / 64 / 64))


@pytest.mark.parametrize("scheme", ["glorot_uniform", "he_normal", "lecun_normal"])
def test_packed_gates_have_the_law_of_separate_weights(scheme: str) -> None:
    packed = keras.Sequential([keras.Input((5, 16)), layers.LSTM(32)])
    separate = keras.Sequential([keras.Input((5, 16)), layers.Dense(32)])
    stds = [plan(described(model), scheme)["0/weight"].std for model in (packed, separate)]
    assert stds[0] == pytest.approx(stds[1], rel=1e-12)


def test_attention_projections_have_the_law_of_dense_ones() -> None:
    x = keras.Input((5, 64))
    attend = layers.MultiHeadAttention(4, 16)
    rows = plan(described(keras.Model(x, attend(x, x))), "glorot_uniform")
    # d_model = 64 in and 4 heads of 16 out: sqrt(2 / (64 + 64)) = 0.125 for all four.
    assert [row.std for row in rows if row.param.is_weight] == pytest.approx([0.125] * 4)


def test_experts_are_weights_of_their_own() -> None:
    x = keras.Input((8, 16))
    experts = layers.EinsumDense("bei,eio->beo", output_shape=(8, 16))
    rows = plan(described(keras.Model(x, experts(x))), "glorot_uniform")
    assert rows["0/weight"].std == pytest.approx(0.25)  # sqrt(2 / (16 + 16)), whatever the number of experts


@pytest.fixture(scope="module", params=["ResNet50", "MobileNet"])
def application(request: pytest.FixtureRequest) -> tuple[str, keras.Model]:
    make = getattr(keras.applications, request.param)
    return request.param, make(weights=None, input_shape=(64, 64, 3), classes=10)


def test_every_parameter_of_an_application_is_described_with_a_known_role(application) -> None:
    _, model = application
    spec = described(model)
    assert [p.native for p in spec.params] == [v.path for v in model.trainable_variables]
    assert {p.role for p in spec.params} <= {"conv", "dense", "bias", "norm_scale", "norm_bias"}
    assert spec.fidelity == "traced"


def test_the_residual_blocks_of_an_application_are_its_branches(application) -> None:
    name, model = application
    inside = [p.branch for p in described(model).params if p.branch is not None and p.is_weight]
    # ResNet50 has 16 blocks of three convolutions; MobileNet, the first of its line, has no residual sums.
    assert [sum(branch.layer == k for branch in inside) for k in (1, 2, 3)] == [16 * (name == "ResNet50")] * 3
