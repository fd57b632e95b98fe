"""What a trace sees around each weight."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers, ops

from initlab.core.errors import InitlabError, ShapeError
from initlab.core.facts.spec import Branch, ModelSpec, ParamSpec
from initlab.frameworks.keras.adapter import ADAPTER
from initlab.schemes.prediction import input_moment


def weights(model: keras.Model, **options: object) -> list[ParamSpec]:
    return [p for p in ADAPTER.describe(model, **options).params if p.is_weight]


def functional(make, shape: tuple[int, ...] = (8,)) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, make(x))


def head_after(f) -> ParamSpec:
    """The weight that is fed by a function of another layer's output."""
    model = functional(lambda x: layers.Dense(3, name="head")(f(layers.Dense(6, name="body")(x))))
    return weights(model)[1]


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (lambda: layers.ReLU(), "relu"),
        (lambda: layers.ReLU(max_value=6.0), "relu6"),
        (lambda: layers.LeakyReLU(negative_slope=0.3), "leaky_relu(negative_slope=0.3)"),
        (lambda: layers.ELU(alpha=0.5), "elu(alpha=0.5)"),
        (lambda: layers.PReLU(), "relu"),
        (lambda: layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25)), "leaky_relu(negative_slope=0.25)"),
        (lambda: layers.Activation("silu"), "silu"),
        (lambda: layers.Activation("gelu"), "gelu"),
        (lambda: layers.Activation("hard_silu"), "hard_swish"),
        (lambda: layers.Activation(lambda x: ops.gelu(x, approximate=True)), "gelu_tanh"),
        (lambda: layers.Lambda(lambda x: ops.maximum(x, 0.0)), "relu"),
    ],
)
def test_an_activation_layer_is_known_by_what_it_computes(layer, name: str) -> None:
    assert head_after(layer()).f_in == name


@pytest.mark.parametrize(
    ("f", "name"),
    [
        (lambda x: x * ops.sigmoid(x), "silu"),
        (lambda x: x * ops.tanh(ops.softplus(x)), "mish"),
        (lambda x: x * ops.relu6(x + 3.0) / 6.0, "hard_swish"),
        (lambda x: 0.5 * x * (1.0 + ops.erf(x / 2.0**0.5)), "gelu"),
        (lambda x: ops.square(ops.relu(x)), "relu_squared"),
        (lambda x: ops.where(x > 0, x, 0.1 * x), "leaky_relu(negative_slope=0.1)"),
    ],
)
def test_an_activation_that_is_written_out_is_known_too(f, name: str) -> None:
    assert head_after(f).f_in == name


def test_an_activation_without_a_name_is_told_by_its_second_moment() -> None:
    head = head_after(lambda x: ops.power(x, 3))
    assert head.f_in is None
    assert head.in_moment == pytest.approx(15.0, rel=1e-3)  # E z^6 of a standard normal


def test_a_layers_own_activation_is_its_f_out_and_the_next_layers_f_in() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, activation="relu"), layers.Dense(3)])
    assert [(p.f_in, p.f_out) for p in weights(model)] == [(None, "relu"), ("relu", None)]


@pytest.mark.parametrize(
    "between",
    [
        lambda x: layers.Dropout(0.5)(x),
        lambda x: layers.MaxPooling2D()(x),
        lambda x: layers.GlobalAveragePooling2D(keepdims=True)(x),
        lambda x: layers.Permute((2, 1, 3))(x),
        lambda x: ops.transpose(x, (0, 2, 1, 3)),
        lambda x: layers.ZeroPadding2D()(x),
    ],
)
def test_what_moves_or_drops_entries_keeps_the_activation(between) -> None:
    model = functional(lambda x: layers.Conv2D(2, 1)(between(layers.Conv2D(4, 3, activation="tanh")(x))), (8, 8, 3))
    assert weights(model)[1].f_in == "tanh"


def test_a_flattened_feature_map_keeps_the_activation() -> None:
    model = functional(
        lambda x: layers.Dense(2)(layers.Flatten()(layers.Conv2D(4, 3, activation="relu")(x))), (8, 8, 3)
    )
    assert weights(model)[1].f_in == "relu"


@pytest.mark.parametrize("norm", [layers.BatchNormalization, layers.LayerNormalization])
def test_a_norm_resets_the_signal_to_second_moment_one(norm) -> None:
    head = head_after(lambda x: norm()(ops.relu(x)))
    assert (head.f_in, head.in_moment) == (None, 1.0)


def test_the_activation_behind_a_norm_takes_the_weights_output() -> None:
    model = functional(lambda x: layers.Dense(2)(ops.gelu(layers.BatchNormalization()(layers.Dense(4)(x)), False)))
    assert [(p.f_in, p.f_out) for p in weights(model)] == [(None, "gelu"), ("gelu", None)]


def test_parts_of_one_activation_keep_it_when_they_are_joined() -> None:
    model = functional(
        lambda x: layers.Dense(2, name="head")(
            layers.Concatenate()([layers.Dense(3, "relu")(x), layers.Dense(5, "relu")(x)])
        )
    )
    assert weights(model)[-1].f_in == "relu"


def test_parts_of_several_activations_have_their_mean_second_moment() -> None:
    model = functional(
        lambda x: layers.Dense(2, name="head")(layers.Concatenate()([layers.Dense(3, "relu")(x), layers.Dense(1)(x)]))
    )
    head = weights(model)[-1]
    # Three entries of E relu(z)^2 = 1/2 and one of E z^2 = 1.
    assert (head.f_in, head.in_moment) == (None, pytest.approx(0.625, abs=1e-5))


def residual_net(blocks: int) -> keras.Model:
    x = keras.Input((8,))
    h = layers.Dense(8, name="stem")(x)
    for i in range(blocks):
        inner = layers.Dense(8, activation="relu", name=f"in_{i}")(h)
        h = layers.Add()([h, layers.Dense(8, name=f"out_{i}")(inner)])
    return keras.Model(x, layers.Dense(2, name="head")(h))


def test_residual_branches_are_numbered_from_their_start_to_the_sum() -> None:
    found = {p.path: p.branch for p in weights(residual_net(3))}
    assert found["stem/weight"] is None
    assert found["head/weight"] is None
    assert found["in_1/weight"] == Branch(1, 2, 3, is_last=False)
    assert found["out_1/weight"] == Branch(2, 2, 3, is_last=True)


def test_a_projection_beside_a_branch_is_not_in_it() -> None:
    def block(x):
        stem = layers.Dense(4, name="stem")(x)
        main = layers.Dense(8, name="second")(layers.Dense(8, activation="relu", name="first")(stem))
        return main + layers.Dense(8, name="shortcut")(stem)

    found = {p.path: p.branch for p in weights(functional(block))}
    assert found["shortcut/weight"] is None
    assert found["second/weight"] == Branch(2, 2, 1, is_last=True)


def test_two_equal_towers_that_are_summed_are_no_branches() -> None:
    model = functional(lambda x: layers.Dense(4)(x) + layers.Dense(4)(x))
    assert [p.branch for p in weights(model)] == [None, None]


def test_a_nested_model_is_seen_inside() -> None:
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu"), layers.Dense(5)], name="inner")
    model = functional(lambda x: layers.Dense(2)(ops.tanh(inner(x))))
    assert [(p.f_in, p.f_out) for p in weights(model)] == [(None, "relu"), ("relu", "tanh"), ("tanh", None)]


def test_a_time_distributed_model_is_seen_inside() -> None:
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(6, "relu")])
    model = functional(lambda x: layers.Dense(2)(layers.TimeDistributed(inner)(x)), (5, 8))
    assert [p.f_in for p in weights(model)] == [None, "relu"]


def test_the_cells_own_activation_takes_what_a_recurrent_weight_makes() -> None:
    model = functional(lambda x: layers.Dense(2)(layers.SimpleRNN(4)(layers.Dense(3, "relu")(x))), (5, 8))
    found = {p.native.rpartition("/")[2] + str(p.shape): (p.f_in, p.f_out) for p in weights(model)}
    assert found["kernel(4, 3)"] == ("relu", "tanh")
    assert found["recurrent_kernel(4, 4)"] == ("tanh", "tanh")


def test_a_separable_convolution_hands_its_input_to_the_first_of_its_two_weights() -> None:
    model = functional(
        lambda x: layers.SeparableConv2D(5, 3, activation="gelu")(layers.Conv2D(4, 1, activation="relu")(x)), (8, 8, 3)
    )
    _, depthwise, pointwise = weights(model)
    assert (depthwise.f_in, depthwise.f_out) == ("relu", None)
    assert (pointwise.f_in, pointwise.f_out) == (None, "gelu")


def test_what_a_trace_could_not_name_is_said() -> None:
    model = functional(lambda x: layers.Dense(2)(keras.ops.fft((layers.Dense(4)(x), layers.Dense(4)(x)))[0]))
    assert any("made by fft" in note for note in ADAPTER.describe(model).notes)


def test_the_mean_square_of_a_product_is_the_product_of_the_mean_squares() -> None:
    """A gate: 1 for the value, E sigmoid(z)^2 = 0.2934 for the gate, as the theory's table has it."""
    model = functional(lambda x: layers.Dense(2)(layers.Dense(4)(x) * layers.Dense(4, "sigmoid")(x)))
    seen = ADAPTER.describe(model)
    assert [p for p in seen.params if p.is_weight][2].in_moment == pytest.approx(1 / 1.8462285453**2)
    assert seen.notes == ()


def test_the_mean_square_of_a_value_times_itself_is_not_taken_for_a_product_of_two() -> None:
    """E z^4 = 3."""
    head = functional(lambda x: (lambda z: layers.Dense(2)(z * z))(layers.Dense(4)(x)))
    assert input_moment(weights(head)[1]) == pytest.approx(3.0)


def test_an_override_wins_over_the_trace() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3, name="head")])
    head = weights(model, overrides={"*head": {"f_in": "gelu", "in_moment": None}})[1]
    assert head.f_in == "gelu"


@pytest.mark.parametrize(
    "overrides",
    [
        {"nothing_like_it": {"f_in": "relu"}},
        {"*": {"fin": "relu"}},
        {"*kernel": {"f_in": "no_such_activation"}},
        {"*kernel": {"f_in": 3}},
        {"*kernel": "relu"},
    ],
)
def test_an_override_that_cannot_be_is_refused_in_one_line(overrides: dict[str, object]) -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(InitlabError) as error:
        ADAPTER.describe(model, overrides=overrides)
    assert "\n" not in str(error.value)


class Native(keras.Model):
    """Hands its tensors to functions that know nothing of Keras."""

    def __init__(self, outside) -> None:
        super().__init__()
        self.outside = outside
        self.first, self.second, self.third = layers.Dense(16), layers.Dense(16), layers.Dense(2)

    def call(self, x):
        if isinstance(x, keras.KerasTensor):
            raise TypeError("not a tensor with a value")
        h = self.first(x)
        return self.third(h + self.outside(self.second(h)))


EXAMPLE = np.random.default_rng(0).standard_normal((32, 8)).astype(np.float32)


def test_what_only_an_example_can_go_through_is_told_by_its_values() -> None:
    jax = pytest.importorskip("jax")
    spec: ModelSpec = ADAPTER.describe(Native(lambda x: jax.nn.gelu(x, approximate=False)), example=EXAMPLE)
    assert spec.fidelity == "partial"
    assert any("not a tensor with a value" in note for note in spec.notes)
    first, second, third = (p for p in spec.params if p.is_weight)
    assert (second.f_in, second.f_out, third.f_in) == (None, "gelu", "gelu")
    assert second.branch == Branch(1, 1, 1, is_last=True, f_end="gelu")
    assert first.branch is None


def test_what_even_the_values_do_not_tell_is_said() -> None:
    jax = pytest.importorskip("jax")
    spec = ADAPTER.describe(Native(lambda x: jax.numpy.flip(x) ** 3), example=EXAMPLE)
    assert any("code outside keras.ops" in note for note in spec.notes)


def test_without_an_example_a_model_that_hides_its_inside_is_named() -> None:
    model = Native(lambda x: x)
    model(EXAMPLE)
    spec = ADAPTER.describe(model)
    assert spec.fidelity == "partial"
    assert any("was not seen: give example=x" in note for note in spec.notes)


def test_a_model_that_is_not_built_asks_for_an_example() -> None:
    with pytest.raises(InitlabError, match=r"is not built.*give example=x"):
        ADAPTER.describe(keras.Sequential([layers.Dense(3)]))


def test_an_example_builds_a_model_for_every_batch_size() -> None:
    model = keras.Sequential([layers.Dense(3)])
    ADAPTER.describe(model, example=np.ones((2, 4), np.float32))
    assert model.input_shape == (None, 4)


@pytest.mark.parametrize("make", [lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]), lambda: Native(abs)])
def test_an_example_of_the_wrong_shape_is_refused_and_changes_nothing(make) -> None:
    model = make()
    if not model.built:
        model(np.ones((2, 4), np.float32))
    before = [ops.convert_to_numpy(v.value).tobytes() for v in model.variables]
    with pytest.raises(ShapeError, match="does not take this example") as error:
        ADAPTER.describe(model, example=np.ones((2, 7), np.float32))
    assert "\n" not in str(error.value)
    assert [ops.convert_to_numpy(v.value).tobytes() for v in model.variables] == before


def test_several_inputs_go_as_a_tuple() -> None:
    a, b = keras.Input((4,)), keras.Input((3,))
    model = keras.Model([a, b], layers.Dense(2)(layers.Concatenate()([layers.Dense(3, "relu")(a), b])))
    example = (np.ones((2, 4), np.float32), np.ones((2, 3), np.float32))
    assert ADAPTER.describe(model, example=example).fidelity == "traced"
