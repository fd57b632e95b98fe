import math

import mpmath as mp
import numpy as np
import pytest

from initlab.core.errors import OptionError, UnknownNameError
from initlab.theory import ACTIVATIONS, Activation, activation, register_activation
from initlab.theory.differentiation import find_kinks, numerical_derivative

NAMES = list(ACTIVATIONS)
WITH_OPTIONS = [
    "leaky_relu(negative_slope=0.3)",
    "elu(alpha=0.4)",
    "celu(alpha=2.5)",
    "hard_tanh(min_val=-2.0, max_val=0.7)",
    "hard_shrink(lambd=1.2)",
    "soft_shrink(lambd=0.1)",
    "threshold(threshold=-0.4, value=2.0)",
    "softplus(beta=3.0)",
    "squareplus(b=0.5)",
    "snake(alpha=2.0)",
]
REQUIRED = [
    "identity",
    "relu",
    "leaky_relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "gelu",
    "gelu_tanh",
    "silu",
    "mish",
    "softplus",
    "softsign",
    "tanh",
    "sigmoid",
    "hard_tanh",
    "hard_sigmoid",
    "hard_swish",
    "erf",
    "arctan",
    "asinh",
    "sin",
    "relu_squared",
    "tanhshrink",
    "quick_gelu",
]
# mpmath's own functions, from the published definitions.
EXACT = {
    "elu": lambda x: x if x > 0 else mp.expm1(x),
    "gelu": lambda x: x * mp.ncdf(x),
    "gelu_tanh": lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3))),
    "quick_gelu": lambda x: x / (1 + mp.exp(-mp.mpf("1.702") * x)),
    "silu": lambda x: x / (1 + mp.exp(-x)),
    "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "log_sigmoid": lambda x: -mp.log1p(mp.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "squareplus": lambda x: (x + mp.sqrt(x * x + 4)) / 2,
    "telu": lambda x: x * mp.tanh(mp.exp(x)),
    "snake": lambda x: x + mp.sin(x) ** 2,
    "tanh": mp.tanh,
    "lecun_tanh": lambda x: mp.mpf("1.7159") * mp.tanh(x * 2 / 3),
    "tanhshrink": lambda x: x - mp.tanh(x),
    "softsign": lambda x: x / (1 + abs(x)),
    "erf": mp.erf,
    "arctan": mp.atan,
    "asinh": mp.asinh,
    "gaussian": lambda x: mp.exp(-x * x),
    "exp": mp.exp,
}
HUGE = np.array([-1e300, -1e200, -1e5, -800.0, -40.0, -1e-300, 0.0, 1e-300, 40.0, 800.0, 1e5, 1e200, 1e300])


def test_the_promised_activations_are_all_there():
    assert set(REQUIRED) <= set(NAMES)
    assert len(NAMES) >= 30


@pytest.mark.parametrize("name", EXACT)
def test_values_keep_12_digits_near_zero_and_far_out(name):
    x = np.concatenate([np.linspace(-12.0, 12.0, 41), [-1e-3, -1e-8, 1e-8, 1e-3]])
    with mp.workdps(150):
        expected = np.array([float(EXACT[name](mp.mpf(float(v)))) for v in x])
    np.testing.assert_allclose(activation(name)(x), expected, rtol=5e-13, atol=1e-300)


@pytest.mark.parametrize("call", [*NAMES, *WITH_OPTIONS])
def test_the_derivative_is_that_of_the_values(call):
    act = activation(call)
    x = np.random.default_rng(2).normal(size=300) * 3.0
    by_values = numerical_derivative(act.f, kinks=act.kinks)(x)
    assert act.derivative is not None
    np.testing.assert_allclose(act.slope(x), by_values, rtol=1e-9, atol=1e-9 * np.max(np.abs(by_values)))


@pytest.mark.parametrize("call", [*NAMES, *WITH_OPTIONS])
def test_the_declared_kinks_are_those_that_the_values_show(call):
    act = activation(call)
    np.testing.assert_allclose(find_kinks(act.f), act.kinks, rtol=0.0, atol=1e-7)


@pytest.mark.parametrize("call", [*NAMES, *WITH_OPTIONS])
def test_huge_arguments_raise_no_floating_point_flag(call):
    act = activation(call)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        assert not np.isnan(act(HUGE)).any()
        assert not np.isnan(act.slope(HUGE)).any()


@pytest.mark.parametrize("name", NAMES)
def test_shape_and_dtype_are_those_of_a_float64_array_of_the_input(name):
    act = activation(name)
    for x in (np.ones((2, 3), dtype=np.float32), np.array(0.5), [1, 2]):
        assert act(x).shape == act.slope(x).shape == np.shape(x)
        assert act(x).dtype == act.slope(x).dtype == np.float64


@pytest.mark.parametrize("name", NAMES)
def test_every_activation_says_what_it_is_and_where_it_is_from(name):
    act = activation(name)
    assert act.formula
    assert act.source
    assert all(activation(alias) is act for alias in act.aliases)


def test_selu_maps_a_standard_normal_to_mean_zero_and_variance_one():
    # Both conditions in closed form, with lambda alpha = a and the normal's own integrals.
    from initlab.theory.smooth_rectifiers import SELU_ALPHA, SELU_SCALE

    half_tail = math.exp(0.5) * 0.5 * math.erfc(math.sqrt(0.5))
    double_tail = math.exp(2.0) * 0.5 * math.erfc(math.sqrt(2.0))
    mean = SELU_SCALE * (1.0 / math.sqrt(2.0 * math.pi) + SELU_ALPHA * (half_tail - 0.5))
    second = SELU_SCALE**2 * (0.5 + SELU_ALPHA**2 * (double_tail - 2.0 * half_tail + 0.5))
    assert mean == pytest.approx(0.0, abs=1e-15)
    assert second == pytest.approx(1.0, rel=1e-15)


def test_the_same_name_and_options_give_the_same_object():
    assert activation("elu(alpha=0.5)") is activation("ELU", alpha=0.5)
    assert activation("elu(alpha=1.0)") is activation("elu")


def test_the_text_of_an_activation_gives_it_back():
    for call in WITH_OPTIONS:
        act = activation(call)
        assert activation(act.call) is act


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("leaky_relu(slope=0.1)", "its options: negative_slope"),
        ("relu(slope=0.1)", "its options: none"),
        ("elu(alpha=big)", "not a number"),
        ("elu(alpha=True)", "not a number"),
        ("elu(alpha=1e999)", "not a number"),
        ("celu(alpha=0)", "not above zero"),
        ("hard_tanh(min_val=2.0)", "min_val below max_val"),
        ("relu(", "write it like"),
    ],
)
def test_a_bad_option_is_one_line_that_names_the_fix(call, words):
    with pytest.raises(OptionError, match=words) as caught:
        activation(call)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_offered_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'gelu'"):
        activation("gleu")


@pytest.mark.parametrize("bad", [3, None, lambda x: x * 1j, lambda x, y: x, lambda x: "text", lambda x: x[:2]])
def test_what_is_no_function_of_an_array_is_refused_in_one_line(bad):
    with pytest.raises(OptionError) as caught:
        activation(bad)
    assert "\n" not in str(caught.value)


def test_options_for_a_function_are_refused():
    with pytest.raises(OptionError, match="functools"):
        activation(np.tanh, alpha=1.0)


def test_an_activation_of_ones_own_needs_one_function_only(monkeypatch):
    for names in ("_items", "_keys"):  # what this test registers is gone after it
        monkeypatch.setattr(ACTIVATIONS, names, dict(getattr(ACTIVATIONS, names)))

    @register_activation("half_wave_test", formula="max(x - offset, 0)", source="this test")
    def half_wave(x, *, offset=0.25):
        return np.maximum(x - offset, 0.0)

    act = activation("half_wave_test(offset=-0.5)")
    assert act.kinks == pytest.approx((-0.5,), abs=1e-12)
    np.testing.assert_allclose(act.slope([-1.0, 0.0, 3.0]), [0.0, 1.0, 1.0], atol=1e-12)


def test_an_option_without_a_default_is_refused_at_registration():
    with pytest.raises(OptionError, match="keyword-only, with a default"):

        @register_activation("no_default_test")
        def no_default(x, *, alpha):
            return x


def test_a_record_made_by_hand_is_taken_as_it_is():
    act = Activation("cube", lambda x: x**3)
    assert activation(act) is act
    np.testing.assert_allclose(act.slope([2.0]), [12.0], rtol=1e-12)
