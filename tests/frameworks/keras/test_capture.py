"""Every sum that a capture takes equals the plain one of the value itself; gradients are those of calculus.

``test_backends.py`` runs this file again on the other back ends.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

from initlab.core.signals.readings import Reading, Sums
from initlab.core.signals.sums import sums_of
from initlab.frameworks.keras.adapter import KerasAdapter
from initlab.frameworks.keras.tensors import to_numpy

RNG = np.random.default_rng(0)
SIZE_ALONE = ("rows", "entries", "units", "mean", "square", "square_error", "broken")


def reading_of(*args: Any, **options: Any) -> Reading:
    return KerasAdapter().capture(*args, **options).reading


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(shape).standard_normal(shape).astype(np.float32)


def mlp(activation: str = "tanh", last: str | None = None) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(16, activation, name="first", bias_initializer="random_normal"),
            layers.Dense(3, last, name="last", bias_initializer="random_normal"),
        ]
    )


def convnet() -> keras.Model:
    x = h = keras.Input((8, 8, 3))
    h = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="conv")(h)
    h = layers.BatchNormalization(name="norm", epsilon=1e-3)(h)
    h = skip = layers.ReLU(name="relu")(h)
    h = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(h)
    h = layers.Add(name="sum")([h, skip])
    h = layers.GroupNormalization(2, name="groups")(h)
    h = layers.Concatenate(name="both")([layers.MaxPooling2D(2, name="max")(h), layers.AveragePooling2D(2)(h)])
    h = layers.Flatten()(layers.SpatialDropout2D(0.25, name="drop")(h))
    return keras.Model(x, layers.Dense(2, name="head")(h))


class Block(layers.Layer):
    """One that the user wrote, with operators on tensors."""

    def __init__(self, *, dropout: float) -> None:
        super().__init__(name="block")
        self.norm = layers.LayerNormalization(name="norm")
        self.attention = layers.MultiHeadAttention(2, 4, dropout=dropout, name="attention")
        self.wide, self.narrow = layers.Dense(32, name="wide"), layers.Dense(8, name="narrow")

    def call(self, x: Any) -> Any:
        h = self.norm(x)
        x = x + self.attention(h, h)
        z = self.wide(x)
        return x + self.narrow(z * ops.sigmoid(z)) / 2


class Transformer(keras.Model):
    def __init__(self, *, dropout: float = 0.0) -> None:
        super().__init__(name="model")
        self.tokens, self.positions = layers.Embedding(11, 8, name="tokens"), layers.Embedding(7, 8, name="positions")
        self.block, self.head = Block(dropout=dropout), layers.Dense(11, name="head")

    def call(self, ids: Any) -> Any:
        return self.head(self.block(self.tokens(ids) + self.positions(ops.arange(ids.shape[1]))))


def transformer(*, dropout: float = 0.0) -> tuple[keras.Model, NDArray[np.int64]]:
    model, ids = Transformer(dropout=dropout), RNG.integers(0, 11, (5, 7))
    model(ids)
    return model, ids


def assert_same(found: Sums, wanted: Sums, names: tuple[str, ...] | None = None) -> None:
    """Equal up to the rounding of a float32 sum of up to 1e5 numbers."""
    for name in names or tuple(field.name for field in dataclasses.fields(Sums)):
        ours, theirs = getattr(found, name), getattr(wanted, name)
        near = 1e-6 * math.sqrt(wanted.square) if name == "mean" else 2e-6 if "cosine" in name else 0.0
        np.testing.assert_allclose(ours, theirs, rtol=3e-5, atol=near, err_msg=name)


def index(reading: Reading, path: str) -> int:
    return [place.path for place in reading.places].index(path)


def described(reading: Reading) -> list[tuple[str, str]]:
    return [(place.kind, place.path) for place in reading.places]


def value_of(model: keras.Model, name: str, x: Any) -> NDArray[np.float64]:
    """What a layer of a functional model returns in training mode; no variable is changed."""
    part = keras.Model(model.inputs, model.get_layer(name).output)
    with keras.StatelessScope():
        return to_numpy(part(ops.convert_to_tensor(x), training=True)).astype(np.float64)


# Sums


@pytest.mark.parametrize("name", ["conv", "depthwise", "sum", "relu"])
def test_the_sums_of_a_value_are_the_plain_ones(name: str) -> None:
    model, x = convnet(), numbers(6, 8, 8, 3)
    reading = reading_of(model, x)
    at = index(reading, {"relu": "relu:relu", "sum": "sum:add"}.get(name, name))
    assert_same(reading.forward[at], sums_of(value_of(model, name, x)))


def test_the_sums_of_tokens_are_the_plain_ones() -> None:
    model, ids = transformer()
    reading = reading_of(model, ids)
    assert_same(reading.forward[index(reading, "model/tokens")], sums_of(to_numpy(model.tokens(ids))))
    assert_same(reading.forward[reading.outputs[0]], sums_of(to_numpy(model(ids))))


def test_an_own_activation_is_a_place_behind_its_layers_sum() -> None:
    model, x = mlp("relu"), numbers(40, 6)
    reading = reading_of(model, x)
    prefix = model.get_layer("first").path
    assert described(reading)[1:3] == [("weighted", prefix), ("activation", f"{prefix}:relu")]
    kernel, bias, *_ = (to_numpy(v.value) for v in model.weights)
    z = x @ kernel + bias
    assert_same(reading.forward[1], sums_of(z))
    assert_same(reading.forward[2], sums_of(np.maximum(z, 0)))


def test_saturated_entries_are_those_where_tanh_has_a_twentieth_of_its_slope() -> None:
    model, x = mlp("tanh"), 6 * numbers(200, 6)
    kernel, bias, *_ = (to_numpy(v.value) for v in model.weights)
    end = math.atanh(math.sqrt(0.95))
    z = x @ kernel + bias
    plain = sums_of(z, takes=(-end, end)).saturated
    assert 0.1 < plain < 0.95
    assert abs(reading_of(model, x).forward[1].saturated - plain) <= 2 / z.size


def test_equal_and_dead_units_are_counted() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu")])
    kernel, bias = np.array(to_numpy(model.weights[0].value)), np.zeros(8, np.float32)
    kernel[:, 1:4] = kernel[:, :1]
    bias[:4], bias[6:] = 1.0, -100.0
    model.set_weights([kernel, bias])
    found = reading_of(model, numbers(20, 4)).forward
    assert (found[1].equal_units, found[1].dead_units) == (3, 0)
    assert (found[2].equal_units, found[2].dead_units) == (3, 2)


def test_units_that_share_their_ends_alone_are_not_equal() -> None:
    model = keras.Sequential([keras.Input((300,)), layers.Dense(1)])
    signs = np.sign(numbers(40, 300))
    assert reading_of(model, signs).forward[0].equal_units == sums_of(signs).equal_units == 0


def test_numbers_that_are_not_finite_are_counted_and_left_out() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Dense(4, use_bias=False), layers.Dense(3, use_bias=False)])
    kernel = np.array(to_numpy(model.weights[0].value))
    kernel[:, 0], kernel[:, 1] = math.nan, math.inf
    model.weights[0].assign(kernel)
    x = np.abs(numbers(5, 2)) + 0.1
    with np.errstate(invalid="ignore"):
        wanted = sums_of(x @ kernel)
    assert_same(reading_of(model, x).forward[1], wanted)


@pytest.mark.parametrize("size", [1e-25, 1e25])
def test_squares_beyond_float32_are_summed(size: float) -> None:
    model, x = keras.Sequential([keras.Input((3,)), layers.Dense(5, use_bias=False)]), numbers(7, 3)
    kernel = numbers(3, 5) * np.float32(size)
    model.set_weights([kernel])
    assert_same(reading_of(model, x).forward[1], sums_of(x @ kernel))


def test_histograms_count_every_entry() -> None:
    model, x = mlp(), numbers(40, 6)
    reading = reading_of(model, x, histograms=True)
    wanted = sums_of(x, histogram=True).counts
    assert reading.forward[0].counts.sum() == 240
    assert np.abs(reading.forward[0].counts - wanted).sum() <= 4  # an entry on an edge
    assert reading.backward[1].counts.sum() == 640


# Gradients


def test_gradients_are_those_of_the_chain_rule_written_out() -> None:
    model, x, y = mlp("tanh"), numbers(12, 6), numbers(12, 3)
    w1, b1, w2, b2 = (to_numpy(v.value).astype(np.float64) for v in model.weights)
    z1 = x @ w1 + b1
    a1 = np.tanh(z1)
    z2 = a1 @ w2 + b2
    by_z2 = 2 * (z2 - y) / z2.size
    by_z1 = by_z2 @ w2.T * (1 - a1**2)
    reading = reading_of(model, x, targets=y)
    assert reading.loss == pytest.approx(((z2 - y) ** 2).mean(), rel=1e-5)
    assert reading.target_square == pytest.approx((y.astype(np.float64) ** 2).mean())
    assert_same(reading.backward[1], sums_of(by_z1), SIZE_ALONE)
    assert_same(reading.backward[3], sums_of(by_z2), SIZE_ALONE)
    wanted = [x.T @ by_z1, by_z1.sum(0), a1.T @ by_z2, by_z2.sum(0)]
    assert list(reading.gradients) == [v.path for v in model.weights]
    for found, gradient in zip(reading.gradients.values(), wanted, strict=True):
        assert found.square == pytest.approx((gradient**2).mean(), rel=2e-5)


def test_frozen_parameters_have_no_gradient_and_those_behind_them_have() -> None:
    model = mlp()
    model.get_layer("first").trainable = False
    reading = reading_of(model, numbers(5, 6))
    assert [name.rpartition("/")[0] for name in reading.gradients] == [model.get_layer("last").path] * 2
    assert list(reading.backward) == [3]


def test_a_parameter_that_takes_no_part_has_no_gradient() -> None:
    class Half(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = layers.Dense(2), layers.Dense(2)
            self.used.build((None, 3))
            self.idle.build((None, 3))

        def call(self, x: Any) -> Any:
            return self.used(x)

    model = Half()
    model(numbers(4, 3))
    assert list(reading_of(model, numbers(4, 3)).gradients) == [v.path for v in model.used.weights]


# The loss


def test_cross_entropy_has_its_mean_and_standard_error() -> None:
    model, x, y = mlp(), numbers(30, 6), RNG.integers(0, 3, 30)
    z = to_numpy(model(x)).astype(np.float64)
    each = np.log(np.exp(z).sum(1)) - z[np.arange(30), y]
    reading = reading_of(model, x, targets=y)
    assert reading.loss_kind == "cross_entropy"
    assert reading.loss == pytest.approx(each.mean(), rel=1e-5)
    assert reading.loss_error == pytest.approx(each.std(ddof=1) / math.sqrt(30), rel=1e-5)


def test_a_softmax_at_the_end_changes_neither_loss_nor_gradients() -> None:
    plain, shares = mlp(), mlp(last="softmax")
    shares.set_weights([to_numpy(v.value) for v in plain.weights])
    x, y = numbers(30, 6), RNG.integers(0, 3, 30)
    one, other = reading_of(plain, x, targets=y), reading_of(shares, x, targets=y)
    assert other.places[-1].kind == "softmax"
    assert "its logarithm" in other.notes[0]
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    assert other.backward[3].square == pytest.approx(one.backward[3].square, rel=1e-5)


def test_a_sigmoid_of_one_unit_has_the_cross_entropy_of_two_classes() -> None:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, "sigmoid")])
    x, y = numbers(30, 6), RNG.integers(0, 2, 30)
    chance = to_numpy(model(x)).astype(np.float64)[:, 0]
    reading = reading_of(model, x, targets=y)
    assert reading.loss == pytest.approx(-np.log(np.where(y == 1, chance, 1 - chance)).mean(), rel=1e-5)
    assert reading.loss_kind == "given"


def test_cross_entropy_of_tokens_is_their_mean() -> None:
    model, ids = transformer()
    z = to_numpy(model(ids)).astype(np.float64)
    wanted = np.log(np.exp(z).sum(-1)) - np.take_along_axis(z, ids[..., None], -1)[..., 0]
    assert reading_of(model, ids, targets=ids).loss == pytest.approx(wanted.mean(), rel=1e-5)


def test_without_targets_the_output_gets_standard_normal_numbers_that_are_always_the_same() -> None:
    model, x = keras.Sequential([keras.Input((3,)), layers.Dense(100)]), numbers(200, 3)
    first, second = reading_of(model, x), reading_of(model, x)
    assert math.isnan(first.loss)
    assert first.loss_kind == "random"
    # The mean square of 20000 normal numbers: 5 standard deviations.
    assert abs(first.backward[1].square - 1) < 5 * math.sqrt(2 / 20000)
    assert first.backward[1].square == second.backward[1].square


def test_a_loss_of_keras_is_given_the_targets_first() -> None:
    model, x, y = mlp(), numbers(30, 6), RNG.integers(0, 3, 30)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    given, own = reading_of(model, x, targets=y, loss=loss), reading_of(model, x, targets=y)
    assert given.loss == pytest.approx(own.loss, rel=1e-5)
    assert given.backward[1].square == pytest.approx(own.backward[1].square, rel=1e-4)
    assert reading_of(model, x, loss=lambda out: ops.mean(out)).loss == pytest.approx(
        to_numpy(model(x)).mean(), rel=1e-4
    )


# Places


def test_places_of_a_convnet_have_their_facts() -> None:
    reading = reading_of(convnet(), numbers(4, 8, 8, 3))
    places = {place.path: place for place in reading.places}
    assert [place.kind for place in reading.places] == [
        "input", "weighted", "norm", "activation", "weighted", "sum", "norm", "pool", "pool", "concat", "dropout",
        "weighted",
    ]  # fmt: skip
    assert places["conv"].facts == {"stride": (2, 2), "padding": "same", "dilation": (1, 1), "groups": 1}
    assert places["norm"].facts == {"norm": "batch", "eps": 1e-3}
    assert places["norm"].params == ("norm/gamma", "norm/beta")
    assert places["groups"].facts == {"norm": "group", "eps": 1e-3, "groups": 2}
    assert places["max"].facts == {"how": "max", "size": 4.0}
    assert places["drop"].facts == {"rate": 0.25}
    assert reading.places[-1].inputs == (len(places) - 2,)  # to flatten changes no entry
    assert reading.outputs == (len(places) - 1,)


def test_attention_is_a_softmax_with_its_entropy_and_a_mix() -> None:
    model, ids = transformer()
    reading = reading_of(model, ids)
    home = "model/block/attention"
    at = index(reading, f"{home}:softmax")
    mix = reading.places[index(reading, f"{home}:attention")]
    assert (mix.kind, mix.inputs[0], reading.places[mix.inputs[1]].path) == ("mix", at, f"{home}/value")
    normed = model.block.norm(model.tokens(ids) + model.positions(np.arange(7)))
    q, k = (to_numpy(part(normed)) for part in (model.block.attention._query_dense, model.block.attention._key_dense))
    scores = np.einsum("btnh,bsnh->bnts", q, k) / 2
    shares = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    assert reading.forward[at].entropy == pytest.approx(sums_of(shares, is_softmax=True).entropy, rel=1e-5)


def test_attention_with_dropout_has_the_same_softmax() -> None:
    model, ids = transformer(dropout=0.1)
    plain = Transformer()
    plain(ids)
    plain.set_weights([v.value for v in model.trainable_variables])
    one, other = reading_of(plain, ids), reading_of(model, ids)
    assert [p.kind for p in other.places if p.kind in ("softmax", "dropout", "mix")] == ["softmax", "dropout", "mix"]
    shares = [next(r.forward[i] for i, p in enumerate(r.places) if p.kind == "softmax") for r in (one, other)]
    assert shares[1].entropy == pytest.approx(shares[0].entropy, rel=1e-5)


def test_operators_and_functions_in_a_users_layer_are_places() -> None:
    model, ids = transformer()
    reading = reading_of(model, ids)
    tail = described(reading)[index(reading, "model/block/wide") :]
    assert tail == [
        ("weighted", "model/block/wide"), ("activation", "model/block:silu"), ("weighted", "model/block/narrow"),
        ("scale", "model/block:scale"), ("sum", "model/block:add#2"), ("weighted", "model/head"),
    ]  # fmt: skip
    assert reading.places[index(reading, "model/block:scale")].facts == {"factor": pytest.approx(0.5)}


def test_a_variable_in_an_operator_is_a_parameter_of_the_place() -> None:
    class Scaled(layers.Layer):
        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 5), name="kernel")
            self.gamma, self.shift = (self.add_weight(shape=(5,), name=n) for n in ("gamma", "shift"))

        def call(self, x: Any) -> Any:
            return ops.matmul(x, self.kernel) * self.gamma + self.shift

    model = keras.Sequential([keras.Input((4,)), Scaled(name="own")])
    reading = reading_of(model, numbers(6, 4))
    prefix = model.get_layer("own").path
    assert [(p.kind, p.params) for p in reading.places[1:]] == [
        ("weighted", (f"{prefix}/kernel",)), ("product", (f"{prefix}/gamma",)), ("sum", (f"{prefix}/shift",)),
    ]  # fmt: skip


def test_a_place_that_is_used_again_has_a_count_behind_its_path() -> None:
    x, layer = keras.Input((4,)), layers.Dense(4, name="twice")
    reading = reading_of(keras.Model(x, layer(layers.ReLU(name="r")(layer(x)))), numbers(3, 4))
    assert [place.path for place in reading.places] == ["input", "twice", "r:relu", "twice#2"]
    assert list(reading.gradients) == ["twice/kernel", "twice/bias"]


def test_a_slope_that_is_learned_is_an_activation_with_a_parameter() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.PReLU("ones", name="p")])
    model.get_layer("p").alpha.assign([0.25] * 3)
    reading = reading_of(model, numbers(6, 4))
    assert reading.places[2].f == "leaky_relu(negative_slope=0.25)"
    assert reading.places[2].params == (model.get_layer("p").alpha.path,)


def test_all_inputs_of_a_place_come_before_it() -> None:
    for model, x in ((convnet(), numbers(6, 8, 8, 3)), transformer(), (mlp(), numbers(5, 6))):
        reading = reading_of(model, x)
        assert all(one < at for at, place in enumerate(reading.places) for one in place.inputs)
        assert len({place.path for place in reading.places}) == len(reading.places)


def test_a_recurrent_layer_is_unknown_with_its_parameters() -> None:
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(3, name="lstm"), layers.Dense(2)])
    reading = reading_of(model, numbers(6, 5, 4))
    assert [place.kind for place in reading.places] == ["input", "unknown", "weighted"]
    assert len(reading.places[1].params) == 3
    assert len(reading.gradients) == 5
