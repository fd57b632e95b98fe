"""The forward pass and the activations behind their names."""

import jax
import numpy as np
import pytest

from initlab.core.errors import OptionError, UnknownNameError
from initlab.core.facts.arch import Mlp
from initlab.core.training.forward import moved
from initlab.frameworks.jax.activations import activation
from initlab.frameworks.jax.training.model import forward, initial_moments
from initlab.theory import ACTIVATIONS
from initlab.theory import activation as registered

POINTS = np.array([-4.0, -2.4, -1.1, -0.3, 0.2, 0.9, 2.0, 3.5, 7.0])
CALLS = [
    *ACTIVATIONS,
    "leaky_relu(negative_slope=0.2)",
    "elu(alpha=0.5)",
    "celu(alpha=2.0)",
    "softplus(beta=3.0)",
    "hard_tanh(min_val=-2.0, max_val=0.5)",
    "snake(alpha=0.7)",
    "threshold(threshold=0.5, value=-1.0)",
    "soft_shrink(lambd=1.0)",
    "hard_shrink(lambd=1.0)",
]


@pytest.mark.parametrize("call", CALLS)
def test_the_engine_computes_the_registrys_function_and_slope(call: str) -> None:
    f, x = activation(call), POINTS.astype(np.float32)
    slopes = np.array([jax.grad(lambda v: f(v).sum())(np.float32(v)) for v in x])
    np.testing.assert_allclose(np.asarray(f(x)), registered(call)(POINTS), rtol=3e-5, atol=1e-6)
    np.testing.assert_allclose(slopes, registered(call).slope(POINTS), rtol=3e-5, atol=2e-6)


def test_relu_passes_no_gradient_at_zero_as_in_every_framework() -> None:
    assert float(jax.grad(activation("relu"))(np.float32(0.0))) == 0.0


def test_relu_lets_a_nan_through() -> None:
    assert np.isnan(float(activation("relu")(np.float32(np.nan))))


def test_an_option_that_an_activation_lacks_is_refused() -> None:
    with pytest.raises(OptionError, match="alpha"):
        activation("relu(alpha=1.0)")


def test_an_unknown_activation_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'softplus'"):
        activation("softplu")


def test_a_skip_adds_the_input_of_a_square_layer_after_the_activation() -> None:
    arch = Mlp((3, 3, 3), activation="sigmoid", residual=True)
    blank = {"0/weight": np.zeros((3, 3), np.float32), "0/bias": np.zeros(3, np.float32)}
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    out = forward(arch, {**blank, "1/weight": np.eye(3, dtype=np.float32), "1/bias": np.zeros(3, np.float32)}, x)
    np.testing.assert_allclose(out.logits, x + 0.5)


def test_a_layer_norm_gives_each_row_mean_zero_and_variance_near_one() -> None:
    arch = Mlp((5, 5, 5), activation="identity", norm="layer", bias=False)
    eye, one = np.eye(5, dtype=np.float32), np.ones(5, np.float32)
    given = {"0/weight": eye, "1/weight": eye, "norm_0/scale": one, "norm_0/bias": 0 * one}
    x = np.random.default_rng(0).standard_normal((8, 5), np.float32)
    out = np.asarray(forward(arch, given, x).logits)
    np.testing.assert_allclose(out.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(out.var(1), x.var(1) / (x.var(1) + 1e-3), rtol=1e-5)


def test_a_batch_norm_leaves_padding_out_of_its_moments() -> None:
    arch = Mlp((2, 2, 2), activation="identity", norm="batch", bias=False)
    eye, one = np.eye(2, dtype=np.float32), np.ones(2, np.float32)
    given = {"0/weight": eye, "1/weight": eye, "norm_0/scale": one, "norm_0/bias": 0 * one}
    x = np.array([[1, 2], [3, 6], [100, 100]], np.float32)
    mean, var = forward(arch, given, x, share=np.array([0.5, 0.5, 0], np.float32)).moments["norm_0"]
    np.testing.assert_allclose([mean, var], [[2, 4], [1, 4]])


def test_running_moments_move_by_a_hundredth_of_the_way() -> None:
    before = initial_moments(Mlp((2, 1, 2), norm="batch"))
    mean, var = moved(before, {"norm_0": (np.float32(10.0), np.float32(3.0))})["norm_0"]
    np.testing.assert_allclose([mean[0], var[0]], [0.1, 1.02], rtol=1e-5)
