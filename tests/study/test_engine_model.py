"""The forward pass and the activations behind their names."""

from collections.abc import Callable
from math import erf

import numpy as np
import pytest

from initlab.core.arch import Mlp
from initlab.core.errors import UnknownNameError
from initlab.frameworks.jax.activations import ACTIVATIONS, activation
from initlab.frameworks.jax.model import forward, initial_moments, moved

POINTS = np.array([-4.0, -2.5, -1.0, -0.3, 0.2, 0.9, 2.0, 3.5, 7.0])


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    return np.array([0.5 * (1 + erf(v / np.sqrt(2))) for v in x])


FORMULAS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "identity": lambda x: x,
    "relu": lambda x: x * (x > 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "leaky_relu(negative_slope=0.2)": lambda x: np.where(x > 0, x, 0.2 * x),
    "relu6": lambda x: np.clip(x, 0, 6),
    "relu_squared": lambda x: (x * (x > 0)) ** 2,
    "elu": lambda x: np.where(x > 0, x, np.exp(x) - 1),
    "elu(alpha=0.5)": lambda x: np.where(x > 0, x, 0.5 * (np.exp(x) - 1)),
    "celu(alpha=2)": lambda x: np.where(x > 0, x, 2 * (np.exp(x / 2) - 1)),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
    "gelu": lambda x: x * normal_cdf(x),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "softsign": lambda x: x / (1 + np.abs(x)),
    "tanh": np.tanh,
    "tanhshrink": lambda x: x - np.tanh(x),
    "sigmoid": sigmoid,
    "log_sigmoid": lambda x: np.log(sigmoid(x)),
    "hard_tanh": lambda x: np.clip(x, -1, 1),
    "hard_sigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hard_swish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "erf": lambda x: 2 * normal_cdf(x * np.sqrt(2)) - 1,
    "arctan": np.arctan,
    "asinh": np.arcsinh,
    "sin": np.sin,
    "cos": np.cos,
    "abs": np.abs,
}


@pytest.mark.parametrize("name", FORMULAS)
def test_an_activation_is_its_formula(name: str) -> None:
    found = np.asarray(activation(name)(POINTS.astype(np.float32)))
    np.testing.assert_allclose(found, FORMULAS[name](POINTS), rtol=3e-5, atol=1e-6)


def test_every_activation_has_its_formula_here() -> None:
    assert {name.partition("(")[0] for name in FORMULAS} | {"celu"} == set(ACTIVATIONS)


def test_an_alias_is_the_same_function() -> None:
    assert activation("swish") is activation("silu")


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
