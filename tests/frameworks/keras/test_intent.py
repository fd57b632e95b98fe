"""Present values that are meant to stay, and those that are not."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from initlab.core.adapter import WeightSource
from initlab.core.laws import Constant
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.reading.marks import marked


def intents(model: keras.Model) -> dict[str, str]:
    return {p.path: p.intent for p in ADAPTER.describe(model).params if p.intent}


def residual_net(*, gamma: str = "ones", last: str = "glorot_uniform", blocks: int = 3) -> keras.Model:
    x = keras.Input((8,))
    h = layers.Dense(8, name="stem")(x)
    for i in range(blocks):
        inner = layers.Dense(8, activation="relu", name=f"in_{i}")(h)
        out = layers.Dense(8, name=f"out_{i}", kernel_initializer=last)(inner)
        h = layers.Add()([h, layers.BatchNormalization(name=f"norm_{i}", gamma_initializer=gamma)(out)])
    return keras.Model(x, layers.Dense(2, name="head")(h))


def test_a_zero_gamma_at_the_end_of_a_branch_is_meant() -> None:
    found = intents(residual_net(gamma="zeros"))
    assert set(found) == {"norm_0/scale", "norm_1/scale", "norm_2/scale"}
    assert "its residual branch starts closed" in found["norm_0/scale"]


def test_a_zero_last_layer_of_a_branch_is_meant() -> None:
    assert set(intents(residual_net(last="zeros"))) == {"out_0/weight", "out_1/weight", "out_2/weight"}


def test_zeros_outside_such_a_role_are_not_meant() -> None:
    model = residual_net()
    model.get_layer("in_1").kernel.assign(np.zeros((8, 8)))
    assert intents(model) == {}


def test_zeros_are_not_meant_when_most_weights_are_zero() -> None:
    model = residual_net(gamma="zeros", last="zeros")
    for name in ("stem", "head", "in_0", "in_1", "in_2"):
        model.get_layer(name).kernel.assign(np.zeros(model.get_layer(name).kernel.shape))
    assert intents(model) == {}


def test_what_initlab_wrote_itself_is_never_intent() -> None:
    model = residual_net()
    zeros = [p for p in ADAPTER.describe(model).params if p.path.startswith("out_") and p.is_weight]
    for p in zeros:
        ADAPTER.write(model, p, WeightSource(Constant(0.0), p, 0))
    assert len(intents(model)) == 3
    ADAPTER.mark(model, [p.native for p in zeros], seed=7)
    assert intents(model) == {}
    assert dict(marked(model)) == {p.native: 7 for p in zeros}


def test_a_parameter_that_alone_changed_since_is_no_longer_marked() -> None:
    model = residual_net()
    ADAPTER.mark(model, ["stem/kernel", "head/kernel"], seed=1)
    model.get_layer("stem").kernel.assign(model.get_layer("stem").kernel * 1.001)
    assert dict(marked(model)) == {"head/kernel": 1}


def head(units: int, **options: object) -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(units, name="head", **options)])


def test_a_constant_output_bias_is_a_prior_probability() -> None:
    prior = keras.initializers.Constant(float(-np.log(99.0)))
    for units in (1, 9):
        found = intents(head(units, bias_initializer=prior, activation="sigmoid"))
        assert found == {"head/bias": "the output starts at the prior probability 0.01"}


def test_a_trained_output_bias_is_not_meant() -> None:
    model = head(1)
    model.get_layer("head").bias.assign([0.37])
    assert intents(model) == {}


def test_a_hidden_bias_is_no_prior() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, bias_initializer="ones"), layers.Dense(3)])
    assert intents(model) == {"0/bias": "the biases start at 1"}


def test_the_forget_gates_ones_are_the_plain_start_and_other_numbers_are_meant() -> None:
    def lstm(*, ones: bool, forget: float | None = None) -> keras.Model:
        model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3, unit_forget_bias=ones)])
        if forget is not None:
            model.layers[0].cell.bias.assign([0.0] * 3 + [forget] * 3 + [0.0] * 6)
        return model

    assert intents(lstm(ones=True)) == intents(lstm(ones=False)) == {}
    assert set(intents(lstm(ones=True, forget=2.0))) == {"0/bias"}


def lora(make: Callable[[], keras.Layer], shape: tuple[int, ...]) -> dict[str, tuple[str, bool, str]]:
    model = keras.Sequential([keras.Input(shape), make(), layers.Dense(3, name="head")])
    model.layers[0].enable_lora(2)
    return {p.path: (p.role, p.frozen, p.intent) for p in ADAPTER.describe(model).params}


def test_lora_leaves_a_frozen_weight_a_drawn_a_and_a_zero_b() -> None:
    kinds = {
        "dense": (lambda: layers.Dense(8, use_bias=False), (4,)),
        "conv": (lambda: layers.Conv1D(8, 3, use_bias=False), (6, 4)),
        "dense of an einsum": (lambda: layers.EinsumDense("abc,cd->abd", output_shape=(None, 8)), (6, 4)),
    }
    for name, (make, shape) in kinds.items():
        found = lora(make, shape)
        role = name.split()[0]
        assert found["0/weight"] == (role, True, "")
        assert found["0/lora_kernel_a"] == (role, False, "")
        assert found["0/lora_kernel_b"] == (
            "dense",
            False,
            "a LoRA factor starts at zero, so the adapted layer starts as it was",
        )
