"""What one traced pass of a Flax model says of the activations, norms and branches around each weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.frameworks.jax.flax_models import RNGS, Gpt, Residual, Statistics, chain, conv, linear, plain

from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import Branch, ParamSpec
from initlab.frameworks.jax.adapter import ADAPTER


def weights(model: nnx.Module, **options: Any) -> dict[str, ParamSpec]:
    return {p.native: p for p in ADAPTER.describe(model, **options).params if p.is_weight}


FUNCTIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nnx.relu,
    "gelu_tanh": nnx.gelu,
    "gelu": lambda z: nnx.gelu(z, approximate=False),
    "silu": lambda z: z * jax.nn.sigmoid(z),
    "tanh": jnp.tanh,
    "sigmoid": nnx.sigmoid,
    "elu": nnx.elu,
    "selu": nnx.selu,
    "softplus": nnx.softplus,
    "leaky_relu(negative_slope=0.2)": lambda z: jnp.where(z > 0, z, 0.2 * z),
    "hard_tanh": lambda z: jnp.clip(z, -1, 1),
    "mish": jax.nn.mish,
    "relu_squared": lambda z: jnp.maximum(z, 0) ** 2,
    "sin": jnp.sin,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_activation_is_told_by_its_values_however_it_is_written(name: str) -> None:
    found = list(weights(chain(linear(4, 8), FUNCTIONS[name], linear(8, 3))).values())
    assert [(p.f_in, p.f_out) for p in found] == [(None, name), (name, None)]


def test_a_norm_says_that_the_mean_square_is_one() -> None:
    model = chain(linear(4, 8), nnx.LayerNorm(8, rngs=RNGS), linear(8, 3))
    first, second = weights(model).values()
    assert (first.norm, first.f_out, second.in_moment) == ("layer", None, 1.0)


def test_a_norm_that_is_written_out_is_a_norm() -> None:
    def normalised(z: jax.Array) -> jax.Array:
        return (z - z.mean(-1, keepdims=True)) / jnp.sqrt(z.var(-1, keepdims=True) + 1e-5)

    assert list(weights(chain(linear(4, 8), normalised, linear(8, 3))).values())[1].in_moment == 1.0


def test_a_batch_norm_between_weight_and_activation_is_seen() -> None:
    found = weights(Statistics())
    assert (found["a.kernel"].norm, found["a.kernel"].f_out, found["b.kernel"].f_in) == ("batch", "tanh", "tanh")


def test_every_weight_of_a_residual_branch_has_its_place() -> None:
    found = weights(Residual())
    assert [found[f"{name}.1.kernel"].branch for name in ("fc", "out")] == [
        Branch(1, 2, 2, is_last=False),
        Branch(2, 2, 2, is_last=True),
    ]
    assert found["head.kernel"].branch is None


def test_a_transformer_has_two_branches_a_block() -> None:
    found = weights(Gpt())
    assert {p.branch.branches for p in found.values() if p.branch is not None} == {4}
    last = [name for name, p in found.items() if p.branch is not None and p.branch.is_last]
    assert last == [f"blocks.{i}.{leaf}.kernel" for i in range(2) for leaf in ("attention.out", "proj")]


def test_positions_that_are_added_are_a_table() -> None:
    assert {p.native: p.role for p in ADAPTER.describe(Gpt()).params}["pos_embed"] == "embedding"


def test_a_mean_over_places_keeps_the_activation() -> None:
    model = chain(conv(3, 8, (3, 3)), nnx.relu, lambda x: nnx.avg_pool(x, (2, 2)).mean((1, 2)), linear(8, 3))
    assert weights(model)["layers.3.kernel"].f_in == "relu"


def test_a_scale_is_in_the_second_moment() -> None:
    model = chain(linear(4, 8), nnx.tanh, lambda x: 2.0 * x, linear(8, 3))
    plainly = chain(linear(4, 8), lambda x: 3.0 * x, linear(8, 3))
    assert weights(model)["layers.3.kernel"].f_in is None
    assert weights(plainly)["layers.2.kernel"].in_moment == pytest.approx(9.0)


def test_a_split_of_the_output_is_a_packed_weight() -> None:
    class Packed(nnx.Module):
        def __init__(self) -> None:
            self.qkv = linear(4, 12)

        def __call__(self, x: jax.Array) -> jax.Array:
            q, k, v = jnp.split(self.qkv(x), 3, axis=-1)
            return q * k + v

    assert weights(Packed())["qkv.kernel"].blocks == (4, 4, 4)


def test_a_bare_matrix_gets_the_axes_of_its_use() -> None:
    class Bare(nnx.Module):
        def __init__(self) -> None:
            self.w, self.v = nnx.Param(plain(None, (4, 8))), nnx.Param(plain(None, (3, 8)))

        def __call__(self, x: jax.Array) -> jax.Array:
            return nnx.relu(x @ self.w) @ self.v[...].T

    found = weights(Bare(), example=np.ones((2, 4), np.float32))
    assert found["w"].axes is not None
    assert (found["w"].axes.inputs, found["w"].axes.outputs) == ((0,), (1,))
    assert (found["v"].axes, found["v"].f_in) == (None, "relu")  # it is (out, in), as torch has it


@pytest.mark.parametrize("wrap", [nnx.jit, nnx.remat], ids=["jit", "remat"])
def test_a_call_that_a_transform_wraps_is_seen_through(wrap: Any) -> None:
    class Wrapped(Statistics):
        @wrap
        def __call__(self, x: jax.Array) -> jax.Array:
            return self.b(nnx.relu(self.a(x)))

    model = Wrapped()
    model(jnp.ones((2, 4)))  # compiled before anybody listens
    assert weights(model)["b.kernel"].f_in == "relu"


def test_scanned_layers_are_a_branch_a_turn() -> None:
    class Scanned(nnx.Module):
        def __init__(self) -> None:
            self.layers = nnx.vmap(lambda _: linear(6, 6, rngs=nnx.Rngs(0)), in_axes=0, out_axes=0)(jnp.arange(3))

        def __call__(self, x: jax.Array) -> jax.Array:
            return nnx.scan(lambda x, layer: x + nnx.tanh(layer(x)), in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)(
                x, self.layers
            )

    found = weights(Scanned(), example=np.ones((2, 6), np.float32))["layers.kernel"]
    assert (found.f_out, found.branch) == ("tanh", Branch(1, 1, 3, is_last=True, f_end="tanh"))


def test_a_plain_cell_feeds_its_own_activation_back() -> None:
    cell = nnx.SimpleCell(4, 5, kernel_init=plain, recurrent_kernel_init=plain, rngs=RNGS)
    found = weights(chain(nnx.RNN(cell, rngs=RNGS), linear(5, 3)))
    assert (found["layers.0.cell.dense_i.kernel"].f_in, found["layers.0.cell.dense_i.kernel"].f_out) == (None, "tanh")
    assert found["layers.0.cell.dense_h.kernel"].f_in == found["layers.0.cell.dense_h.kernel"].f_out == "tanh"
    assert found["layers.1.kernel"].f_in == "tanh"


def test_the_size_behind_a_gated_cell_is_said_to_be_unknown() -> None:
    cell = nnx.GRUCell(4, 5, kernel_init=plain, recurrent_kernel_init=plain, rngs=RNGS)
    spec = ADAPTER.describe(chain(nnx.RNN(cell, rngs=RNGS), linear(5, 3)))
    assert any("a recurrent layer: layers.1.kernel" in note for note in spec.notes)


def test_parameters_that_the_call_does_not_use_are_named() -> None:
    class Lazy(Statistics):
        def __call__(self, x: jax.Array) -> jax.Array:
            return self.a(x)

    spec = ADAPTER.describe(Lazy())
    assert spec.fidelity == "partial"
    assert any("not seen in use: " in note and "b.kernel" in note for note in spec.notes)


def test_without_an_example_that_fits_only_the_types_speak() -> None:
    class Two(nnx.Module):
        def __init__(self) -> None:
            self.a = linear(4, 3)

        def __call__(self, x: jax.Array, *, y: jax.Array) -> jax.Array:
            return self.a(nnx.relu(x + y))

    x = np.ones((2, 4), np.float32)
    spec = ADAPTER.describe(Two())
    assert (spec.fidelity, spec["a/weight"].f_in) == ("declared", None)
    assert "give example=" in spec.notes[0]
    assert ADAPTER.describe(Two(), example={"x": x, "y": x})["a/weight"].f_in == "relu"


def test_a_call_that_asks_for_numbers_is_described_by_its_types() -> None:
    class Asking(Statistics):
        def __call__(self, x: jax.Array) -> jax.Array:
            return self.a(x) if x.sum() > 0 else x

    spec = ADAPTER.describe(Asking(), example=np.ones((2, 4), np.float32))
    assert spec.fidelity == "declared"
    assert "asks for the numbers in an array" in spec.notes[0]


def test_an_example_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"the model does not take the example: .*example of shape \(2, 5\)"):
        ADAPTER.describe(linear(4, 3), example=np.ones((2, 5), np.float32))


def test_what_the_user_says_wins() -> None:
    spec = ADAPTER.describe(Statistics(), overrides={"b": {"f_in": "gelu"}})
    assert spec["b/weight"].f_in == "gelu"
    with pytest.raises(OptionError, match="matches no parameter"):
        ADAPTER.describe(Statistics(), overrides={"c": {"f_in": "gelu"}})


def test_describing_leaves_the_model_as_it_is() -> None:
    model = Statistics()
    before, call = ADAPTER.state(model), type(model.norm).__call__
    ADAPTER.describe(model)
    after = ADAPTER.state(model)
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert type(model.norm).__call__ is call
    assert model.drop.deterministic is False
