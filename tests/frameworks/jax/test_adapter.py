"""What a Flax model is made of: names, roles and the canonical layout of every parameter."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from tests.frameworks.jax.flax_models import RNGS, Gpt, Statistics, chain, conv, linear, plain

import initlab
from initlab import Mlp
from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.spec import Axes, ParamSpec
from initlab.frameworks import FRAMEWORKS, adapter_for, framework_of
from initlab.frameworks.jax.adapter import ADAPTER


def params(model: nnx.Module, **options: Any) -> dict[str, ParamSpec]:
    return {p.native: p for p in ADAPTER.describe(model, **options).params}


def kernel(model: nnx.Module) -> tuple[ParamSpec, np.ndarray]:
    found = next(p for p in ADAPTER.describe(model).params if p.is_weight)
    return found, np.asarray(ADAPTER.read(model, found))


ROWS = np.random.default_rng(0).standard_normal((5, 6)).astype(np.float32)
IMAGES = np.random.default_rng(0).standard_normal((2, 7, 7, 4)).astype(np.float32)


# Layouts, held to what the layer computes


def test_a_dense_kernel_is_read_as_out_in() -> None:
    layer = linear(6, 3)
    _, weight = kernel(layer)
    np.testing.assert_allclose(layer(ROWS), ROWS @ weight.T, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_a_convolution_is_read_as_out_in_kernel(groups: int) -> None:
    layer = conv(4, 8, (3, 3), feature_group_count=groups, padding="VALID", strides=2)
    param, weight = kernel(layer)
    theirs = torch.conv2d(
        torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy()), torch.from_numpy(weight), stride=2, groups=groups
    )
    np.testing.assert_allclose(layer(IMAGES), theirs.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5)
    assert (param.role, param.groups, param.stride) == ("conv", groups, (2, 2))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_convolutions_of_every_rank_have_their_kernel_last(rank: int) -> None:
    assert kernel(conv(4, 8, (3,) * rank))[0].shape == (8, 4, *(3,) * rank)


@pytest.mark.parametrize("is_transposed", [False, True])
def test_a_transposed_convolution_is_read_as_out_in_kernel(is_transposed: bool) -> None:
    layer = nnx.ConvTranspose(4, 8, (1, 1), transpose_kernel=is_transposed, kernel_init=plain, rngs=RNGS)
    param, weight = kernel(layer)
    assert (param.role, param.shape) == ("conv_transpose", (8, 4, 1, 1))
    np.testing.assert_allclose(layer(IMAGES), IMAGES @ weight[:, :, 0, 0].T, rtol=1e-4, atol=1e-5)


def test_a_general_dense_kernel_is_read_as_one_matrix() -> None:
    layer = nnx.LinearGeneral((2, 3), (4, 5), axis=(-2, -1), kernel_init=plain, rngs=RNGS)
    x = ROWS.reshape(5, 2, 3)
    _, weight = kernel(layer)
    assert weight.shape == (20, 6)
    np.testing.assert_allclose(np.asarray(layer(x)).reshape(5, 20), ROWS @ weight.T, rtol=1e-5, atol=1e-6)


def test_an_einsum_kernel_is_read_by_its_equation() -> None:
    layer = nnx.Einsum("bd,dhk->bhk", (6, 2, 4), None, kernel_init=plain, rngs=RNGS)
    weight = np.asarray(ADAPTER.read(layer, params(layer, example=ROWS)["kernel"]))
    np.testing.assert_allclose(np.asarray(layer(ROWS)).reshape(5, 8), ROWS @ weight.T, rtol=1e-5, atol=1e-6)


def test_a_matrix_for_each_expert_stays_as_it_is_with_its_axes() -> None:
    layer = nnx.Einsum("etd,edk->etk", (3, 6, 4), None, kernel_init=plain, rngs=RNGS)
    found = params(layer, example=np.ones((3, 5, 6), np.float32))["kernel"]
    assert (found.shape, found.axes) == ((3, 6, 4), Axes((1,), (2,), (0,)))


def test_projections_of_attention_are_matrices() -> None:
    found = params(nnx.MultiHeadAttention(2, 8, qkv_features=6, kernel_init=plain, rngs=RNGS, decode=False))
    assert found["query.kernel"].shape == (6, 8)
    assert found["out.kernel"].shape == (8, 6)
    assert found["out.bias"].layer_shape == (8, 6)


def test_a_table_keeps_its_rows() -> None:
    found = params(nnx.Embed(11, 8, embedding_init=plain, rngs=RNGS))["embedding"]
    assert (found.path, found.shape, found.role) == ("weight", (11, 8), "embedding")


def test_layers_that_were_mapped_are_stacks_of_matrices() -> None:
    @nnx.vmap(in_axes=(0,), out_axes=0)
    def stacked(index: jax.Array) -> nnx.Linear:
        return linear(6, 4, rngs=nnx.Rngs(0))

    found = params(stacked(jnp.arange(3)))
    assert (found["kernel"].shape, found["kernel"].axes) == ((3, 6, 4), Axes((1,), (2,), (0,)))
    assert found["bias"].layer_shape == (4, 6)


def test_a_gated_cell_has_its_gates_as_blocks() -> None:
    found = params(nnx.OptimizedLSTMCell(4, 5, kernel_init=plain, recurrent_kernel_init=plain, rngs=RNGS))
    assert {(p.role, p.shape, p.blocks) for p in found.values()} == {
        ("dense", (20, 4), (5,) * 4),
        ("recurrent", (20, 5), (5,) * 4),
        ("bias", (20,), (5,) * 4),
    }


def test_each_matrix_of_a_plain_lstm_is_a_weight_of_its_own() -> None:
    found = params(nnx.LSTMCell(4, 5, kernel_init=plain, recurrent_kernel_init=plain, rngs=RNGS))
    assert [p.role for p in found.values() if p.is_weight] == ["dense"] * 4 + ["recurrent"] * 4


def test_a_low_rank_pair_is_two_dense_layers() -> None:
    found = params(nnx.LoRA(4, 2, 6, a_initializer=plain, b_initializer=plain, rngs=RNGS))
    assert {name: (p.role, p.shape) for name, p in found.items()} == {
        "lora_a": ("dense", (2, 4)),
        "lora_b": ("dense", (6, 2)),
    }


# Names


def test_layers_of_a_sequential_are_numbered_as_everywhere() -> None:
    model = chain(linear(4, 8), nnx.LayerNorm(8, rngs=RNGS), nnx.relu, linear(8, 3))
    assert {p.native: p.path for p in ADAPTER.describe(model).params} == {
        "layers.0.kernel": "0/weight",
        "layers.0.bias": "0/bias",
        "layers.1.scale": "undrawn_0/scale",
        "layers.1.bias": "undrawn_0/bias",
        "layers.3.kernel": "1/weight",
        "layers.3.bias": "1/bias",
    }


def test_a_sequential_of_dense_layers_gets_the_bits_of_the_architecture() -> None:
    model = chain(linear(4, 8), nnx.relu, linear(8, 3))
    initlab.initialize(model, "he_normal", seed=3)
    for path, values in initlab.plan(Mlp((4, 8, 3)), "he_normal").draw(3).items():
        held = next(p for p in ADAPTER.describe(model).params if p.path == path)
        np.testing.assert_array_equal(ADAPTER.read(model, held), values)


def test_names_do_not_depend_on_the_order_that_a_merge_leaves() -> None:
    model = chain(*(linear(4, 4) for _ in range(11)))
    merged = nnx.merge(*nnx.split(model))
    assert [p.path for p in ADAPTER.describe(merged).params if p.is_weight] == [f"{i}/weight" for i in range(11)]


def test_a_shared_variable_is_tied_to_its_first_name() -> None:
    class Tied(nnx.Module):
        def __init__(self) -> None:
            self.a, self.b = linear(4, 4), linear(4, 4, use_bias=False)
            self.b.kernel = self.a.kernel

        def __call__(self, x: jax.Array) -> jax.Array:
            return self.b(nnx.relu(self.a(x)))

    assert {name: p.tied_to for name, p in params(Tied()).items()} == {
        "a.kernel": None,
        "a.bias": None,
        "b.kernel": "a/weight",
    }


def test_a_table_that_is_the_head_too_is_one_parameter() -> None:
    assert [name for name in params(Gpt()) if name.startswith("wte")] == ["wte.embedding"]


def test_statistics_and_generators_are_no_parameters() -> None:
    assert set(params(Statistics())) == {"a.kernel", "a.bias", "b.kernel", "b.bias", "norm.scale", "norm.bias"}


# Which models


def test_flax_is_not_imported_for_a_model_of_another_framework() -> None:
    code = """
import sys, torch
from initlab.frameworks import adapter_for
adapter_for(torch.nn.Linear(2, 2)).describe(torch.nn.Linear(2, 2))
print([name for name in ("flax", "jax") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_module_of_nnx_gets_the_adapter_of_jax() -> None:
    assert framework_of(linear(2, 2)) is FRAMEWORKS["jax"]
    assert adapter_for(linear(2, 2)) is ADAPTER


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: linen.Dense(3), "a Linen module, which holds no parameters: wrap it: flax.nnx.bridge.ToNNX"),
        (
            lambda: nnx.eval_shape(lambda: linear(2, 2, rngs=nnx.Rngs(0))),
            r"abstract \(nnx.eval_shape\) and holds no numbers",
        ),
        (lambda: nnx.Dropout(0.5, rngs=RNGS), "Dropout has no parameters: give a model with an nnx.Param"),
        (lambda: nnx.bridge.ToNNX(linen.Dense(3), rngs=RNGS), r"call lazy_init\(x\) of the wrapped module first"),
        (lambda: nnx.Linear, "Linear is a class, not a model"),
    ],
)
def test_what_holds_no_numbers_is_refused_in_one_line(make: Any, text: str) -> None:
    with pytest.raises(InitlabError, match=text) as caught:
        initlab.plan(make())
    assert "\n" not in str(caught.value)


def test_a_model_inside_of_jit_is_refused() -> None:
    with pytest.raises(InitlabError, match="initialise outside of jit"):
        nnx.jit(lambda model: initlab.plan(model) and 0)(linear(2, 2))


def test_whole_numbers_are_refused() -> None:
    class Quantised(nnx.Module):
        def __init__(self) -> None:
            self.kernel = nnx.Param(jnp.zeros((2, 2), jnp.int8))

    with pytest.raises(InitlabError, match="quantised numbers"):
        initlab.plan(Quantised())


def test_a_parameter_that_is_not_there_is_named() -> None:
    with pytest.raises(OptionError, match="no parameter"):
        ADAPTER.read(Statistics(), ParamSpec("c/weight", (2, 2), native="c.kernel"))
