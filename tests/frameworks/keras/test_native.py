"""``initlab.keras.Initializer``: an object that a layer takes, by the laws and the streams of initlab."""

from __future__ import annotations

import random
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

import initlab
from initlab.core.facts.spec import ParamSpec
from initlab.keras import Initializer


def numbers(tensor: object) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(tensor))


def canonical(scheme: str, param: ParamSpec, *, path: str = "w") -> np.ndarray:
    return initlab.draw(initlab.scheme(scheme)(param), param.shape, seed=3, path=path)


def two_layers(init: Initializer) -> keras.Model:
    """Two layers of equal shape that share one instance."""
    return keras.Sequential([keras.Input((8,)), *(layers.Dense(8, kernel_initializer=init) for _ in range(2))])


def kernels(model: keras.Model) -> list[np.ndarray]:
    return [numbers(w.value) for w in model.weights if len(w.shape) == 2]


@pytest.mark.parametrize("scheme", ["he_normal", "glorot_uniform", "orthogonal", "truncated_normal", "sparse"])
def test_a_dense_kernel_is_the_transposed_draw(scheme: str) -> None:
    got = Initializer(scheme, seed=3, path="w")((7, 12))
    np.testing.assert_array_equal(numbers(got), canonical(scheme, ParamSpec(shape=(12, 7))).T)


def test_a_convolution_is_the_draw_with_the_kernel_in_front() -> None:
    got = Initializer("he_normal", seed=3, path="w", groups=2)((3, 5, 4, 6))
    param = ParamSpec(shape=(6, 4, 3, 5), role="conv", groups=2)
    np.testing.assert_array_equal(numbers(got), canonical("he_normal", param).transpose(2, 3, 1, 0))


def test_a_transposed_convolution_has_its_outputs_before_its_inputs() -> None:
    got = Initializer("he_normal", seed=3, path="w", role="conv_transpose", stride=(2, 2))((4, 4, 6, 5))
    param = ParamSpec(shape=(6, 5, 4, 4), role="conv_transpose", stride=(2, 2))
    np.testing.assert_array_equal(numbers(got), canonical("he_normal", param).transpose(2, 3, 0, 1))


def test_lecun_keeps_the_variance_of_a_depthwise_convolution() -> None:
    init = Initializer("lecun_normal", role="depthwise", seed=0)
    layer = layers.DepthwiseConv2D(3, depthwise_initializer=init, use_bias=False)
    layer.build((None, 32, 32, 256))
    kernel = numbers(layer.kernel.value)
    # Nine terms a sum: variance 1/9, where Keras' own counts 256 channels in.
    assert kernel.std() == pytest.approx(1 / 3, abs=5 / 3 / np.sqrt(2 * kernel.size))


@pytest.mark.parametrize(("scheme", "theirs"), [("he_normal", "HeNormal"), ("glorot_uniform", "GlorotUniform")])
def test_in_keras_dialect_the_law_is_that_of_keras_own(scheme: str, theirs: str) -> None:
    ours = numbers(Initializer(scheme, dialect="keras", seed=0)((3, 3, 16, 64))).ravel()
    reference = numbers(getattr(keras.initializers, theirs)(seed=1)((3, 3, 16, 64))).ravel()
    assert stats.ks_2samp(ours, reference).pvalue > 1e-6
    # 5 sigma of a ratio of two stds of normal samples; laws with bounds scatter less.
    assert ours.std() / reference.std() == pytest.approx(1, abs=5 / np.sqrt(ours.size))


def test_layers_that_share_an_instance_differ() -> None:
    first, second = kernels(two_layers(Initializer(seed=0)))
    assert (first != second).all()


def test_layers_that_share_a_path_are_equal() -> None:
    first, second = kernels(two_layers(Initializer(seed=0, path="same")))
    np.testing.assert_array_equal(first, second)


def test_the_same_code_run_twice_in_one_process_gives_the_same_weights() -> None:
    first, second = (kernels(two_layers(Initializer(seed=0))) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_layers_of_a_cloned_model_differ() -> None:
    first, second = kernels(keras.models.clone_model(two_layers(Initializer(seed=0))))
    assert (first != second).all()


def test_layers_cloned_one_by_one_differ() -> None:
    model = two_layers(Initializer(seed=0))
    copies = [layers.Dense.from_config(layer.get_config()) for layer in model.layers]
    for copy in copies:
        copy.build((None, 8))
    first, second = (numbers(copy.kernel.value) for copy in copies)
    assert (first != second).all()


def test_a_cloned_path_draws_the_same() -> None:
    init = Initializer(seed=0, path="same")
    np.testing.assert_array_equal(numbers(init.clone()((4, 5))), numbers(init((4, 5))))


def test_the_projections_of_an_attention_layer_differ() -> None:
    attend = layers.MultiHeadAttention(2, 4, kernel_initializer=Initializer("glorot_uniform", seed=0))
    attend.build((None, 5, 8), (None, 5, 8))
    query, key, value = (numbers(w.value) for w in attend.weights if w.shape == (8, 2, 4))
    assert all((a != b).all() for a, b in ((query, key), (key, value), (query, value)))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on NumPy 2
def test_a_saved_model_comes_back_with_its_weights_and_its_initializer(tmp_path: Path) -> None:
    init = Initializer("orthogonal", seed=4, gain=2.0)
    model = two_layers(init)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(kernels(loaded), kernels(model))
    assert loaded.layers[0].kernel_initializer.get_config() == init.get_config()


def test_every_argument_survives_the_round_trip() -> None:
    given = {
        "scheme": "he_normal",
        "seed": 4,
        "path": "w",
        "role": "conv_transpose",
        "groups": 2,
        "stride": [2, 2],
        "dialect": "keras",
        "mode": "fan_out",
    }
    init = Initializer(**given)
    copy = keras.initializers.get(keras.saving.serialize_keras_object(init))
    assert isinstance(copy, Initializer)
    assert copy.get_config() == given
    np.testing.assert_array_equal(numbers(copy((4, 4, 6, 6))), numbers(init((4, 4, 6, 6))))


def test_without_a_seed_instances_differ_and_with_one_the_generator_stays() -> None:
    first, second = (numbers(Initializer()((4, 4))) for _ in range(2))
    assert (first != second).all()
    before = random.getstate()
    Initializer(seed=2**70)((4, 4))
    assert random.getstate() == before


def test_without_a_seed_copies_differ() -> None:
    init = Initializer()
    assert (numbers(init((4, 4))) != numbers(init.clone()((4, 4)))).all()


def test_without_a_seed_the_draw_follows_the_global_seed() -> None:
    state = random.getstate()
    drawn = []
    for seed in (101, 102, 101):
        random.seed(seed)  # as keras.utils.set_random_seed does, beside other generators
        drawn.append(numbers(Initializer()((4, 4))))
    random.setstate(state)
    np.testing.assert_array_equal(drawn[0], drawn[2])
    assert (drawn[0] != drawn[1]).all()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_narrow_floats_are_the_float32_numbers_cast(dtype: str) -> None:
    init = Initializer(seed=0, path="w")
    got = init((6, 4), dtype)
    assert keras.backend.standardize_dtype(got.dtype) == dtype
    want = keras.ops.cast(init((6, 4)), dtype)
    np.testing.assert_array_equal(numbers(keras.ops.cast(got, "float32")), numbers(keras.ops.cast(want, "float32")))


BAD = {
    "scheme": (lambda: Initializer("he_norml"), "Did you mean 'he_normal'"),
    "option": (lambda: Initializer(gain=1.0), "no option 'gain'"),
    "seed": (lambda: Initializer(seed=-1), "the seed must be"),
    "role": (lambda: Initializer(role="matrix"), "unknown role 'matrix'"),
    "dialect": (lambda: Initializer(dialect="mxnet"), "unknown dialect"),
    "one axis": (lambda: Initializer()((3,)), "no fans"),
    "unknown size": (lambda: Initializer()((None, 3)), "whole numbers"),
    "whole numbers": (lambda: Initializer()((3, 3), "int32"), "int32 numbers are not drawn"),
    "no dtype": (lambda: Initializer()((3, 3), "float"), "numbers are not drawn"),
    "groups": (lambda: Initializer(groups=3)((3, 3, 2, 4)), "3 groups do not divide"),
    "depthwise": (lambda: Initializer(role="depthwise")((3, 3)), "not that of a depthwise"),
}


@pytest.mark.parametrize(("call", "text"), BAD.values(), ids=BAD)
def test_what_cannot_be_drawn_is_refused_in_one_line(call, text: str) -> None:
    with pytest.raises(initlab.InitlabError, match=text) as caught:
        call()
    assert "\n" not in str(caught.value)
