"""Cases on real Keras models, by the public verbs: numbers that are known, and input that must change nothing."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "jax")

import keras
from keras import layers
from scipy import stats
from torch import nn

import initlab
from initlab.core.laws import Constant, Law
from initlab.frameworks.keras.adapter import ADAPTER

# The Keras layer, the shape of its input, and the same layer of PyTorch.
LAYERS: dict[str, tuple[Callable[[], object], tuple[int, ...], Callable[[], nn.Module] | None]] = {
    "dense": (lambda: layers.Dense(96), (48,), lambda: nn.Linear(48, 96)),
    "conv2d": (lambda: layers.Conv2D(24, 3), (8, 8, 16), lambda: nn.Conv2d(16, 24, 3)),
    "conv2d in groups": (
        lambda: layers.Conv2D(48, 3, groups=4),
        (8, 8, 32),
        lambda: nn.Conv2d(32, 48, 3, groups=4),
    ),
    "depthwise": (lambda: layers.DepthwiseConv2D(3), (8, 8, 64), lambda: nn.Conv2d(64, 64, 3, groups=64)),
    "separable": (lambda: layers.SeparableConv2D(24, 3), (8, 8, 64), None),
    "conv2d transposed": (
        lambda: layers.Conv2DTranspose(24, 4, strides=2),
        (8, 8, 16),
        lambda: nn.ConvTranspose2d(16, 24, 4, stride=2),
    ),
    "embedding": (lambda: layers.Embedding(200, 40), (5,), lambda: nn.Embedding(200, 40)),
    "rnn": (lambda: layers.SimpleRNN(48), (5, 24), lambda: nn.RNN(24, 48)),
    "lstm": (lambda: layers.LSTM(48), (5, 24), lambda: nn.LSTM(24, 48)),
    "gru": (lambda: layers.GRU(48), (5, 24), lambda: nn.GRU(24, 48)),
}
PAIRS = [kind for kind, (_, _, twin) in LAYERS.items() if twin is not None]


def built(kind: str) -> keras.Model:
    make, shape, _ = LAYERS[kind]
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape), make()])


def test_keras_default_is_the_law_of_what_attention_draws() -> None:
    keras.utils.set_random_seed(0)
    x = keras.Input((5, 64))
    model = keras.Model(x, layers.MultiHeadAttention(2, 8)(x, x))
    for row in initlab.plan(model, "keras_default"):
        if row.param.is_weight and row.law is not None:
            assert_drawn_from(np.asarray(ADAPTER.read(model, row.param), float), row.law, row.param.shape)


def net() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), layers.Dense(8, "relu"), layers.Dense(3)])


def numbers(variable: keras.Variable) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(variable.value))


def digest(model: keras.Model) -> list[bytes]:
    return [numbers(v).tobytes() for v in model.variables]


def assert_drawn_from(sample: np.ndarray, law: Law, shape: tuple[int, ...]) -> None:
    """Kolmogorov-Smirnov at one in a million, and no entry beyond the bounds."""
    assert stats.kstest(sample.ravel(), lambda x: law.cdf(x, shape)).pvalue > 1e-6
    low, high = law.bounds(shape)
    assert low * (1 + 1e-6) <= sample.min()
    assert sample.max() <= high * (1 + 1e-6)


@pytest.mark.parametrize("kind", LAYERS)
def test_keras_default_is_the_law_of_what_keras_draws(kind: str) -> None:
    model = built(kind)
    rows = list(initlab.plan(model, "keras_default"))
    assert all(row.action == "initialise" for row in rows)
    other = built(kind)
    initlab.initialize(other, "keras_default", seed=3)
    for row in rows:
        assert row.law is not None
        values = np.asarray(ADAPTER.read(model, row.param), float)
        if row.param.role == "bias":
            assert values.sum() == (48 if kind == "lstm" else 0)  # a one for each unit's forget gate
            np.testing.assert_array_equal(np.asarray(ADAPTER.read(other, row.param), float), values)
        else:
            assert_drawn_from(values, row.law, row.param.shape)


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_keras_default_makes_the_gates_of_a_recurrent_weight_orthogonal_together(kind: str) -> None:
    model = built(kind)
    param = next(row.param for row in initlab.plan(model, "keras_default") if row.param.role == "recurrent")
    theirs = np.asarray(ADAPTER.read(model, param), float)
    initlab.initialize(model, "keras_default", seed=0)
    ours = np.asarray(ADAPTER.read(model, param), float)
    for matrix in (theirs, ours):
        assert np.abs(matrix.T @ matrix - np.eye(48)).max() < 1e-5


def laws(model: object, scheme: str) -> list[tuple[str, Law | None]]:
    """Laws of the weights and tables by role, in order; torch keeps two biases where Keras keeps one."""
    rows = initlab.plan(model, scheme)
    return [(row.param.role, row.law) for row in rows if row.param.role != "bias"]


@pytest.mark.parametrize("scheme", ["keras_default", "torch_default"])
@pytest.mark.parametrize("kind", PAIRS)
def test_either_frameworks_default_is_one_law_in_both(kind: str, scheme: str) -> None:
    twin = LAYERS[kind][2]
    assert twin is not None
    assert laws(built(kind), scheme) == laws(twin(), scheme)


@pytest.mark.parametrize("scheme", ["keras_default", "torch_default"])
@pytest.mark.parametrize("kind", [kind for kind in PAIRS if kind != "embedding"])
def test_either_frameworks_default_is_one_law_of_biases_in_both(kind: str, scheme: str) -> None:
    twin = LAYERS[kind][2]
    assert twin is not None
    ours, theirs = (
        {row.law for row in initlab.plan(model, scheme) if row.param.role == "bias"} for model in (built(kind), twin())
    )
    spare = {row.law for row in initlab.plan(twin(), "zeros") if row.param.native == "bias_hh_l0"}
    assert ours != set()
    assert ours == (theirs - spare if kind == "lstm" and scheme == "keras_default" else theirs)  # torch adds a second


def residual_net(blocks: int, width: int = 16) -> keras.Model:
    """Blocks of two convolutions with batch normalisation, a ReLU behind each sum."""
    image = keras.Input((12, 12, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same")(image)))
    sums = []
    for k in range(blocks):
        h = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"in_{k}")(x)
        h = layers.ReLU()(layers.BatchNormalization(name=f"first_{k}")(h))
        h = layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"out_{k}")(h)
        sums.append(layers.Add()([x, layers.BatchNormalization(name=f"last_{k}")(h)]))
        x = layers.ReLU()(sums[-1])
    return keras.Model(image, sums)


def test_the_measured_stream_of_a_residual_net_with_batch_normalisation_at_most_doubles() -> None:
    """E[relu(z)^2] = 1/2, to which the branches add 1/2."""
    model = residual_net(8)
    plan = initlab.plan(model, "auto")
    assert plan["last_3/gamma"].law == Constant(0.25)  # 1 / sqrt(2 * 8)
    assert plan["first_3/gamma"].law == Constant(1.0)
    assert plan["out_3/kernel"].std == pytest.approx((2 / (9 * 16)) ** 0.5)
    plan.apply(0)
    x = np.random.default_rng(0).standard_normal((8, 12, 12, 3)).astype(np.float32)
    found = [float(np.mean(keras.ops.convert_to_numpy(value) ** 2)) for value in model(x, training=True)]
    assert min(found) > 0.45
    assert max(found) < 1.15


def test_the_bias_of_a_transposed_convolution_has_torchs_own_bound() -> None:
    """torch takes fan_in from (in, out, *kernel): 24 outputs of 4 x 4 taps."""
    model = keras.Sequential([keras.Input((5, 5, 16)), layers.Conv2DTranspose(24, 4, strides=2)])
    row = next(row for row in initlab.plan(model, "torch_default") if row.param.role == "bias")
    assert row.law is not None
    assert row.law.bounds((24,)) == pytest.approx((-((24 * 16) ** -0.5), (24 * 16) ** -0.5))


def test_lecun_on_a_depthwise_layer_has_output_variance_one() -> None:
    model = keras.Sequential([keras.Input((32, 32, 64)), layers.DepthwiseConv2D(3, use_bias=False)])
    initlab.initialize(model, "lecun_normal", seed=0)
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 64)).astype(np.float32)
    # a mean over 64 channels of chi^2_9 / 9
    assert float(np.var(keras.ops.convert_to_numpy(model(x)))) == pytest.approx(1.0, abs=5 * (2 / 9 / 64) ** 0.5)


def test_the_same_code_run_twice_in_one_process_gives_the_same_weights() -> None:
    assert digest(initlab.initialize(net(), "he_normal", seed=0)) == digest(
        initlab.initialize(net(), "he_normal", seed=0)
    )


def test_a_norm_put_in_between_changes_no_bit_of_a_dense_layer() -> None:
    plain = initlab.initialize(net(), "he_normal", seed=0)
    normed = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8, "relu"), layers.LayerNormalization(), layers.Dense(3)]
    )
    initlab.initialize(normed, "he_normal", seed=0)
    assert digest(plain)[2:] == digest(normed)[-2:]


def test_random_seeds_make_different_nets_and_the_same_one_again() -> None:
    def made(seed: int) -> list[bytes]:
        keras.utils.set_random_seed(seed)
        model = net()
        return digest(initlab.initialize(model, "he_normal"))

    nets = [made(seed) for seed in (0, 1, 2)]
    assert len({b"".join(one) for one in nets}) == 3
    assert made(1) == nets[1]


def test_two_calls_in_a_row_make_two_nets() -> None:
    first, second = net(), net()
    assert digest(initlab.initialize(first, "he_normal")) != digest(initlab.initialize(second, "he_normal"))


def test_zeros_that_initlab_wrote_are_no_intent() -> None:
    model = initlab.initialize(net(), "zeros", seed=0)
    initlab.initialize(model, "he_normal", seed=0)
    assert digest(model) == digest(initlab.initialize(net(), "he_normal", seed=0))


def test_a_reset_is_a_new_draw_of_what_initlab_wrote() -> None:
    model = initlab.initialize(net(), "he_normal", seed=0)
    model.layers[0].kernel.assign(model.layers[0].kernel + 1.0)
    initlab.reset(model, seed=1)
    assert digest(model) == digest(initlab.initialize(net(), "he_normal", seed=1))


def test_a_layer_that_is_not_trainable_is_kept_unless_included() -> None:
    model = net()
    model.layers[0].trainable = False
    before = digest(model)
    initlab.initialize(model, "he_normal", seed=0)
    assert digest(model)[0] == before[0]
    initlab.initialize(model, "he_normal", seed=0, include="0/*")
    assert digest(model)[0] != before[0]


def test_moving_statistics_stay_to_the_bit() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(3)])
    model(np.random.default_rng(0).standard_normal((16, 4)).astype(np.float32), training=True)
    kept = [v for v in model.variables if v.name.startswith("moving_")]
    before = [numbers(v) for v in kept]
    initlab.initialize(model, "he_normal", seed=0)
    assert all(np.array_equal(a, numbers(v)) for a, v in zip(before, kept, strict=True))


BAD: dict[str, tuple[object, dict[str, object], str]] = {
    "wrong example": ("he_normal", {"example": np.ones((2, 5), np.float32)}, "shape|does not take"),
    "no match": ({"7/*": "zeros"}, {}, "matches no parameter"),
    "no exclude": ("zeros", {"exclude": "seven"}, "matches no parameter"),
    "misfit": ({"*": "he_normal", "1/weight": "dirac"}, {}, "dirac"),
    "unknown scheme": ("he_norml", {}, "Did you mean"),
    "bad seed": ("he_normal", {"seed": -1}, "seed"),
    "bad override": ("auto", {"overrides": {"0*": {"f_in": "swooosh"}}}, "swooosh"),
    "overrides that are a number": ("auto", {"overrides": 3}, "3 is no mapping"),
    "a moment of another type": ("auto", {"overrides": {"0*": {"in_moment": "one"}}}, "in_moment cannot be 'one'"),
}


@pytest.mark.parametrize(("schemes", "options", "text"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_changes_no_bit(schemes, options, text: str) -> None:
    model = net()
    before = digest(model)
    with pytest.raises(initlab.InitlabError, match=text) as caught:
        initlab.initialize(model, schemes, **{"seed": 0, **options})
    assert "\n" not in str(caught.value)
    assert digest(model) == before
