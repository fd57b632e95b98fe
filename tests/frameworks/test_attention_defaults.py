"""The defaults of PyTorch and of Keras for multi-head attention, each rebuilt in both frameworks."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from keras import layers
from scipy import stats
from torch import nn

import initlab
from initlab.frameworks.keras.adapter import ADAPTER

INPUTS = ("query", "key", "value")
WIDTH, HEADS = 48, 4
TORCH_PACKED = (6 / (3 * WIDTH + WIDTH)) ** 0.5  # xavier_uniform_ of in_proj, (3 width, width)
GLOROT = (6 / (WIDTH + WIDTH)) ** 0.5  # Keras' of each kernel, (width, heads, width / heads)


def attention(layer: layers.Layer, *widths: int) -> keras.Model:
    """A Keras model of one attention, over a query, a value and a key of these widths; one width: over itself."""
    inputs = [keras.Input((5, width)) for width in widths]
    return keras.Model(inputs, layer(inputs[0], inputs[1] if len(inputs) > 1 else inputs[0], *inputs[2:]))


def keras_attention() -> keras.Model:
    return attention(layers.MultiHeadAttention(HEADS, WIDTH // HEADS), WIDTH)


def bounds(model: object, scheme: str) -> dict[str, float]:
    """The upper bound of each parameter's law, by the last two parts of its name."""
    found = {}
    for row in initlab.plan(model, scheme):
        assert row.law is not None
        low, high = row.law.bounds(row.param.shape)
        assert low == -high
        found["/".join(row.param.native.replace(".", "/").split("/")[-2:])] = high
    return found


def weights(bound_of_inputs: float, bound_of_output: float) -> dict[str, float]:
    """Bounds of Keras' kernels; every bias is 0."""
    kernels = {f"{name}/kernel": bound_of_inputs for name in INPUTS} | {"attention_output/kernel": bound_of_output}
    return kernels | {f"{name}/bias": 0.0 for name in (*INPUTS, "attention_output")}


def test_torch_default_of_keras_attention_has_the_bounds_of_torchs_packed_matrix() -> None:
    """The output projection is a Linear, within 1 / sqrt(width), but its bias is 0."""
    assert bounds(keras_attention(), "torch_default") == pytest.approx(weights(TORCH_PACKED, WIDTH**-0.5), rel=1e-12)


def test_torch_default_packs_projections_of_sizes_that_torchs_layer_cannot_have() -> None:
    """Keys of 2 x 5 and values of 2 x 7 of a width of 48: 34 rows, 48 columns; 14 inputs of the output projection."""
    model = attention(layers.MultiHeadAttention(2, 5, value_dim=7), WIDTH)
    found = bounds(model, "torch_default")
    assert found == pytest.approx(weights((6 / (34 + 48)) ** 0.5, 14**-0.5), rel=1e-12)


def test_torch_default_keeps_projections_of_inputs_of_several_widths_apart() -> None:
    """As torch's layer with a kdim and a vdim of its own: xavier_uniform_ of (48, 48), (48, 24) and (48, 96)."""
    model = attention(layers.MultiHeadAttention(HEADS, WIDTH // HEADS), WIDTH, 96, 24)  # query, value, key
    found = bounds(model, "torch_default")
    twin = bounds(nn.MultiheadAttention(WIDTH, HEADS, kdim=24, vdim=96), "torch_default")
    assert [found[f"{name}/kernel"] for name in INPUTS] == pytest.approx(
        [(6 / 96) ** 0.5, (6 / 72) ** 0.5, (6 / 144) ** 0.5], rel=1e-12
    )
    assert [found[f"{name}/kernel"] for name in INPUTS] == [twin[f"{name[0]}_proj_weight"] for name in INPUTS]


def test_torch_default_packs_the_fewer_keys_and_values_of_grouped_queries() -> None:
    """48 rows of queries, 24 of keys and 24 of values; 48 columns."""
    found = bounds(attention(layers.GroupQueryAttention(12, 4, 2), WIDTH), "torch_default")
    assert found == pytest.approx(weights((6 / (96 + 48)) ** 0.5, 48**-0.5), rel=1e-12)


def test_keras_default_of_torch_attention_has_the_bounds_of_keras_kernels() -> None:
    found = bounds(nn.MultiheadAttention(WIDTH, HEADS), "keras_default")
    wanted = {"in_proj_weight": GLOROT, "in_proj_bias": 0.0, "out_proj/weight": GLOROT, "out_proj/bias": 0.0}
    assert found == pytest.approx(wanted, rel=1e-12)


def test_keras_default_of_torch_attention_counts_keys_and_values_of_other_widths() -> None:
    """Keras' kernels would be (24, 4, 12) of the key and (96, 4, 12) of the value."""
    found = bounds(nn.MultiheadAttention(WIDTH, HEADS, kdim=24, vdim=96), "keras_default")
    model = attention(layers.MultiHeadAttention(HEADS, WIDTH // HEADS), WIDTH, 96, 24)  # query, value, key
    twin = bounds(model, "keras_default")
    assert [found[f"{name[0]}_proj_weight"] for name in INPUTS] == [twin[f"{name}/kernel"] for name in INPUTS]
    assert [twin[f"{name}/kernel"] for name in INPUTS] == pytest.approx(
        [(6 / 96) ** 0.5, (6 / 72) ** 0.5, (6 / 144) ** 0.5], rel=1e-12
    )


def test_keras_attention_under_torch_default_is_drawn_as_torch_draws() -> None:
    """Kolmogorov-Smirnov of two samples, 6,912 and 2,304 entries, at one in a million."""
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(WIDTH, HEADS)
    model = initlab.initialize(keras_attention(), "torch_default", seed=0)
    ours = {
        p.native.split("/")[-2]: ADAPTER.read(model, p).ravel() for p in ADAPTER.describe(model).params if p.is_weight
    }
    packed = np.concatenate([ours[name] for name in INPUTS])
    assert stats.ks_2samp(packed, theirs.in_proj_weight.detach().numpy().ravel()).pvalue > 1e-6
    output = ours["attention_output"]
    assert stats.ks_2samp(output, theirs.out_proj.weight.detach().numpy().ravel()).pvalue > 1e-6
    assert all(not ADAPTER.read(model, p).any() for p in ADAPTER.describe(model).params if p.role == "bias")


def test_torch_attention_under_keras_default_is_drawn_as_keras_draws() -> None:
    keras.utils.set_random_seed(0)
    theirs = keras_attention()
    drawn = {
        p.native.split("/")[-2]: ADAPTER.read(theirs, p).ravel() for p in ADAPTER.describe(theirs).params if p.is_weight
    }
    model = initlab.initialize(nn.MultiheadAttention(WIDTH, HEADS), "keras_default", seed=0)
    packed = np.concatenate([drawn[name] for name in INPUTS])
    assert stats.ks_2samp(model.in_proj_weight.detach().numpy().ravel(), packed).pvalue > 1e-6
    output = model.out_proj.weight.detach().numpy().ravel()
    assert stats.ks_2samp(output, drawn["attention_output"]).pvalue > 1e-6


def test_other_schemes_know_nothing_of_the_packed_matrix() -> None:
    """A published name keeps its fans: sqrt(2 / 48) of every kernel, drawn alone."""
    rows = [row for row in initlab.plan(keras_attention(), "he_normal") if row.param.is_weight]
    assert [row.std for row in rows] == pytest.approx([(2 / 48) ** 0.5] * 4)


def test_a_dense_layer_beside_an_attention_keeps_torchs_bound_of_its_bias() -> None:
    x = keras.Input((5, WIDTH))
    model = keras.Model(x, layers.Dense(7, name="beside")(layers.MultiHeadAttention(2, 8)(x, x)))
    assert bounds(model, "torch_default")["beside/bias"] == pytest.approx(WIDTH**-0.5)


def test_the_gate_of_an_attention_is_a_linear_layer_to_torch() -> None:
    model = attention(layers.MultiHeadAttention(HEADS, 12, use_gate=True), WIDTH)
    found = bounds(model, "torch_default")
    assert [found["gate/kernel"], found["gate/bias"]] == pytest.approx([WIDTH**-0.5] * 2)
    assert found["query/bias"] == 0.0
