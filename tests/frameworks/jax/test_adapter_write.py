"""Writing into a Flax model: dtypes, sharing, seeds, marks, intent, audits and locks."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from tests.frameworks.jax.flax_models import RNGS, Residual, Statistics, chain, conv, linear, plain

import initlab
from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.jax.adapter import ADAPTER
from initlab.frameworks.jax.reading.marks import marked
from initlab.frameworks.reading import marks

ZEROS = nnx.initializers.zeros_init()


def kept(model: nnx.Module, **options: Any) -> dict[str, str]:
    return {row.param.native: row.why for row in initlab.plan(model, "he_normal", **options) if row.action == "keep"}


def test_the_variables_stay_the_same_objects() -> None:
    model = Statistics()
    before = model.a.kernel
    assert initlab.initialize(model, "he_normal", seed=1) is model
    assert model.a.kernel is before


@pytest.mark.parametrize(
    "make", [lambda: linear(6, 5), lambda: conv(4, 8, (3, 3), feature_group_count=2)], ids=["dense", "conv"]
)
def test_what_is_written_is_read_back(make: Any) -> None:
    model = make()
    plan = initlab.plan(model, "he_normal")
    plan.apply(7)
    for path, values in plan.draw(7).items():
        np.testing.assert_array_equal(ADAPTER.read(model, plan[path].param), values)


def test_a_narrow_kernel_is_the_float32_kernel_cast() -> None:
    wide, narrow = linear(32, 16), linear(32, 16, param_dtype=jnp.bfloat16)
    for model in (wide, narrow):
        initlab.initialize(model, "he_normal", seed=3)
    assert narrow.kernel[...].dtype == jnp.bfloat16
    np.testing.assert_array_equal(np.asarray(narrow.kernel[...]), np.asarray(wide.kernel[...].astype(jnp.bfloat16)))


def test_a_written_array_does_not_share_the_memory_of_the_draw() -> None:
    model = linear(8, 8)
    initlab.initialize(model, "he_normal", seed=3)
    held = np.array(model.kernel[...])
    drawn = initlab.plan(model, "he_normal").draw(3)
    drawn["weight"][:] = 0.0
    np.testing.assert_array_equal(held, np.asarray(model.kernel[...]))


def test_a_kernel_stays_on_its_devices() -> None:
    model = linear(8, 8)
    before = model.kernel[...].sharding
    initlab.initialize(model, "he_normal", seed=3)
    assert model.kernel[...].sharding == before


def test_jax_asks_for_a_seed_and_nothing_is_written() -> None:
    model = linear(4, 4)
    before = np.array(model.kernel[...])
    with pytest.raises(OptionError, match="JAX has no global generator to take a seed from") as caught:
        initlab.initialize(model)
    assert "\n" not in str(caught.value)
    np.testing.assert_array_equal(before, np.asarray(model.kernel[...]))


def test_complex_numbers_of_unknown_role_are_kept() -> None:
    class Complex(nnx.Module):
        def __init__(self) -> None:
            self.w = nnx.Param(jnp.ones((2, 2), jnp.complex64))

    row = initlab.plan(Complex(), "he_normal")["w"]
    assert (row.action, row.why) == ("keep", "role unknown")


def test_a_plan_for_another_shape_is_refused() -> None:
    row = initlab.plan(linear(4, 4), "he_normal")["weight"]
    assert row.law is not None
    with pytest.raises(ShapeError, match=r"the plan is for shape \(4, 4\), the parameter has \(5, 4\)"):
        ADAPTER.write(linear(4, 5), row.param, initlab.core.adapter.WeightSource(row.law, row.param, 0))


def test_a_plan_applies_to_another_model_of_the_same_build() -> None:
    plan = initlab.plan(linear(4, 4), "he_normal")
    one, other = linear(4, 4), linear(4, 4)
    plan.apply(5, model=one)
    plan.apply(5, model=other)
    np.testing.assert_array_equal(one.kernel[...], other.kernel[...])


def test_reset_draws_anew_what_was_initialised() -> None:
    model = linear(4, 4)
    initlab.initialize(model, "he_normal", seed=1)
    first = np.array(model.kernel[...])
    initlab.reset(model, seed=2)
    assert not np.array_equal(first, np.asarray(model.kernel[...]))
    initlab.reset(model, seed=1)
    np.testing.assert_array_equal(first, model.kernel[...])


# Intent


def test_a_last_layer_of_zeros_is_kept() -> None:
    found = kept(Residual(last_init=ZEROS))
    assert set(found) == {"out.0.kernel", "out.1.kernel"}
    assert "the block starts as the identity" in found["out.0.kernel"]


def test_a_model_of_zeros_says_nothing() -> None:
    assert kept(chain(linear(4, 4, kernel_init=ZEROS), nnx.relu, linear(4, 4, kernel_init=ZEROS))) == {}


def test_loras_b_is_kept() -> None:
    model = nnx.LoRALinear(4, 6, lora_rank=2, kernel_init=plain, a_initializer=plain, b_initializer=ZEROS, rngs=RNGS)
    assert kept(model) == {"lora.lora_b": "a LoRA factor starts at zero, so the adapted layer starts as it was"}


def test_a_prior_in_the_output_bias_is_kept() -> None:
    model = chain(linear(4, 4), nnx.relu, linear(4, 2, bias_init=nnx.initializers.constant(-4.595)))
    assert kept(model) == {"layers.2.bias": "the output starts at the prior probability 0.01"}


def test_a_small_gate_is_kept() -> None:
    class Gated(nnx.Module):
        def __init__(self) -> None:
            self.a, self.gate = linear(4, 4), nnx.Param(jnp.full((4,), 1e-4))

        def __call__(self, x: Any) -> Any:
            return x + self.gate * self.a(x)

    assert kept(Gated()) == {"gate": "a branch's scale starts at 0.0001"}


def test_a_weight_under_a_norm_of_weights_is_drawn() -> None:
    assert kept(nnx.WeightNorm(linear(4, 4), rngs=RNGS)) == {}


def test_initlabs_own_zeros_are_no_intent_until_they_are_changed() -> None:
    model = Residual()
    initlab.initialize(model, {"*": "he_normal", "out.*": "zeros"}, seed=1)
    assert kept(model) == {}
    model.out[0].kernel.set_value(jnp.zeros((6, 6)) + 0.0)
    assert kept(model) == {}  # the same zeros
    model.out[0].kernel.set_value(jnp.ones((6, 6)))
    model.out[0].kernel.set_value(jnp.zeros((6, 6)))
    assert kept(model) == {}


# Audits and locks


@dataclass
class Compared(nnx.Module):
    """A module that is compared by its fields, and so has no hash."""

    fc: nnx.Linear

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc(x)


def test_a_model_without_a_hash_is_remembered_while_it_lives() -> None:
    model = Compared(linear(6, 3))
    initlab.initialize(model, "he_normal", seed=7)
    assert marked(model) == {"fc.kernel": 7, "fc.bias": 7}
    before = id(model)
    del model
    gc.collect()
    assert before not in marks._MARKS


def test_an_audit_passes_what_was_drawn_and_finds_what_was_not() -> None:
    model = chain(linear(64, 64), nnx.relu, linear(64, 64))
    initlab.initialize(model, "he_normal", seed=1)
    assert initlab.audit(model, "he_normal", seed=1).ok
    assert not initlab.audit(model, "glorot_uniform").ok


def test_a_lock_holds_the_numbers(tmp_path: Path) -> None:
    model = Statistics()
    initlab.initialize(model, "he_normal", seed=1)
    path = tmp_path / "initlab.lock.json"
    assert initlab.lock(model, path).framework == "jax"
    assert initlab.audit(model, path, exact=True).ok
    initlab.reset(model, seed=2)
    assert not initlab.audit(model, path, exact=True).ok


def test_the_state_holds_buffers_and_generators_too() -> None:
    state = ADAPTER.state(Statistics())
    assert {"a.kernel", "norm.mean", "norm.var", "drop.rngs.key", "drop.rngs.count"} <= set(state)
    assert state["a.kernel"].shape == (4, 8)  # Flax' own layout
    assert state["drop.rngs.key"].dtype == np.uint32


def test_parameters_can_be_read_by_any_name_of_theirs() -> None:
    model = chain(linear(4, 4), nnx.relu, linear(4, 2))
    spec = ParamSpec("1/weight", (2, 4), native="layers.2.kernel")
    assert ADAPTER.read(model, spec).shape == (2, 4)
