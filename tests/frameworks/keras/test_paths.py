"""Names: Keras' own, and the canonical ones that draws go by."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from initlab.core.adapter import WeightSource
from initlab.core.errors import InitlabError
from initlab.core.laws import Uniform
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.frameworks.keras.zoo import build_mlp  # noqa: F401  (importing it must not move Keras' counters)

LAW = Uniform(-1.0, 1.0)


def user_code(*, with_norm: bool = False) -> keras.Model:
    norm = [layers.BatchNormalization()] if with_norm else []
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), *norm, layers.Dense(3)])


def drawn(model: keras.Model) -> dict[str, bytes]:
    found = {}
    for p in ADAPTER.describe(model).params:
        if p.is_weight:
            ADAPTER.write(model, p, WeightSource(LAW, p, 0))
            found[p.path] = ADAPTER.read(model, p).tobytes()
    return found


def test_the_same_code_run_twice_in_one_process_gives_the_same_weights() -> None:
    first, second = user_code(), user_code()
    assert first.layers[0].name != second.layers[0].name
    assert drawn(first) == drawn(second)


def test_a_norm_put_in_between_changes_no_bit_of_the_dense_layers() -> None:
    assert drawn(user_code()) == drawn(user_code(with_norm=True))


def test_a_plan_made_for_one_model_is_written_into_another_of_the_same_build() -> None:
    first, second = user_code(), user_code()
    for p in ADAPTER.describe(first).params:
        ADAPTER.write(second, p, WeightSource(LAW, p, 0))
    third = user_code()
    drawn(third)
    for one, other in zip(second.trainable_variables[::2], third.trainable_variables[::2], strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(one.value), keras.ops.convert_to_numpy(other.value))


def test_names_that_the_user_chose_are_kept() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, name="trunk"), layers.Dense(3)])
    assert [p.path for p in ADAPTER.describe(model).params] == ["trunk/weight", "trunk/bias", "0/weight", "0/bias"]


class MyV2Block(keras.Layer):
    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self.a, self.b = layers.Dense(4, name="fc"), layers.Dense(4, name="fc")

    def call(self, x):
        return self.b(self.a(x))


@pytest.mark.usefixtures("fresh_names")
def test_a_made_up_name_of_a_users_own_class_is_an_ordinal() -> None:
    layers.Dense(1)
    MyV2Block()
    model = keras.Sequential([keras.Input((4,)), MyV2Block()])
    assert model.layers[0].name == "my_v2_block_1"
    assert ADAPTER.describe(model).params[0].path == "0/fc/weight"


def test_two_siblings_of_one_name_have_two_paths() -> None:
    model = keras.Sequential([keras.Input((4,)), MyV2Block()])
    params = ADAPTER.describe(model).params
    assert [p.path for p in params if p.is_weight] == ["0/fc/weight", "0/fc~2/weight"]
    assert len({p.native for p in params}) == len(params)


@pytest.mark.usefixtures("fresh_names")
def test_siblings_that_were_made_after_a_reset_of_the_counters_stay_apart() -> None:
    first = layers.Dense(4)
    keras.utils.clear_session(free_memory=False)
    second = layers.Dense(4)
    assert first.name == second.name

    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = first, second

        def call(self, x):
            return self.second(self.first(x))

    model = Two()
    spec = ADAPTER.describe(model, example=np.ones((2, 4), np.float32))
    assert [p.path for p in spec.params if p.is_weight] == ["0/weight", "1/weight"]


def test_a_layer_that_is_used_twice_is_one_parameter() -> None:
    shared = layers.Dense(4, name="shared")
    x = keras.Input((4,))
    spec = ADAPTER.describe(keras.Model(x, shared(layers.ReLU()(shared(x)))))
    assert [p.path for p in spec.params] == ["shared/weight", "shared/bias"]
    assert any("used more than once" in note for note in spec.notes)


def test_a_wrapper_adds_no_part_to_a_path() -> None:
    wrapped = layers.TimeDistributed(layers.Dense(4, use_bias=False))
    model = keras.Sequential([keras.Input((5, 3)), wrapped, layers.LSTM(2, use_bias=False)])
    assert [p.path for p in ADAPTER.describe(model).params] == ["0/weight", "1/weight", "1/recurrent_kernel"]


class Own(keras.Layer):
    def build(self, shape: tuple[int, ...]) -> None:
        self.token = self.add_weight(shape=(1, shape[-1]))
        self.fixed = self.add_weight(shape=(shape[-1],), trainable=False, name="fixed")

    def call(self, x):
        return x + self.token + self.fixed


def test_a_users_own_variables_are_listed_with_the_role_that_their_use_shows() -> None:
    model = keras.Sequential([keras.Input((4,)), Own(name="tokens")])
    found = [(p.path, p.role, p.frozen) for p in ADAPTER.describe(model).params]
    assert found == [("tokens/variable", "bias", False), ("tokens/fixed", "bias", True)]


def test_statistics_and_seeds_are_no_parameters() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5), layers.BatchNormalization(name="bn")])
    assert [p.path for p in ADAPTER.describe(model).params] == ["bn/scale", "bn/bias"]


def test_frozen_layers_say_so() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="fixed", trainable=False), layers.Dense(2)])
    assert [p.frozen for p in ADAPTER.describe(model).params] == [True, True, False, False]


@pytest.mark.parametrize(
    ("model", "what"),
    [
        (3, "is not a Keras model"),
        (keras.Sequential, "is not a Keras model"),
    ],
)
def test_what_is_no_model_is_refused(model: object, what: str) -> None:
    with pytest.raises(InitlabError, match=what):
        ADAPTER.describe(model)


def test_a_model_without_parameters_is_refused() -> None:
    with pytest.raises(InitlabError, match="has no parameters"):
        ADAPTER.describe(keras.Sequential([keras.Input((4,)), layers.Flatten()]))


@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have", "ignore:__array__ implementation")
def test_quantised_weights_are_refused_and_do_not_change() -> None:
    model = user_code()
    model.quantize("int8")
    before = [np.asarray(keras.ops.convert_to_numpy(v.value)).tobytes() for v in model.variables]
    with pytest.raises(InitlabError, match=r"quantised weights \(int8\).*quantise it"):
        ADAPTER.describe(model)
    assert [np.asarray(keras.ops.convert_to_numpy(v.value)).tobytes() for v in model.variables] == before


def test_a_plan_for_another_shape_is_refused() -> None:
    narrow = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(5)])
    p = ADAPTER.describe(narrow).params[2]
    with pytest.raises(InitlabError, match=r"the plan is for shape \(5, 8\)"):
        ADAPTER.write(user_code(), p, WeightSource(LAW, p, 0))
