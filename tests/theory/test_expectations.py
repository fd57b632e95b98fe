from math import asin, erf, erfc, exp, factorial, log, pi, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from initlab.core.errors import InitlabError, OptionError
from initlab.theory import ACTIVATIONS, activation, expect, moments
from initlab.theory.expectations import panel_cuts
from initlab.theory.quadrature import gaussian_integral

VARIANCES = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("power", range(0, 21, 2))
def test_even_powers_have_double_factorial_moments(power):
    exact = factorial(power) / (2 ** (power // 2) * factorial(power // 2))
    assert expect(lambda x: x**power) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("q", [1e-6, 0.25, 1.0, 9.0, 100.0])
def test_the_exponential_has_its_lognormal_mean(q):
    assert expect("exp", q) == pytest.approx(exp(q / 2.0), rel=1e-12)


@pytest.mark.parametrize("frequency", [1.0, 30.0, 1000.0])
def test_a_fast_wave_is_refined_until_it_is_resolved(frequency):
    exact = 0.5 * (1.0 - exp(-2.0 * frequency**2))
    assert expect(lambda x: np.sin(frequency * x) ** 2) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("place", [-2.7, 0.1, 1.0, 3.3333])
def test_a_jump_that_nobody_declared_is_found(place):
    assert expect(lambda x: x > place) == pytest.approx(0.5 * (1.0 - erf(place / sqrt(2.0))), rel=1e-12)


def test_at_q_zero_the_expectation_is_the_value_at_zero():
    assert expect("sigmoid", 0.0) == 0.5


@pytest.mark.parametrize("q", [0.0, -1.0, float("nan"), float("inf")])
def test_moments_refuse_a_variance_that_is_not_above_zero_in_one_line(q):
    with pytest.raises(OptionError, match=r"^q must be [^\n]*$"):
        moments("relu", q)


def test_a_function_with_a_pole_is_refused_in_one_line():
    with pytest.raises(InitlabError, match=r"does not settle[^\n]*$"):
        expect(lambda x: 1.0 / np.abs(x))


def test_a_function_that_overflows_is_refused_in_one_line():
    with pytest.raises(InitlabError, match=r"is not finite[^\n]*$"):
        expect(lambda x: np.exp(x**4))


def test_an_infinite_slope_moment_is_refused_and_not_cut_off():
    with pytest.raises(InitlabError, match="does not settle"):
        moments(lambda x: np.sqrt(np.abs(x)))


def test_a_float32_function_settles_at_its_own_precision():
    single = lambda x: np.tanh(x.astype(np.float32)) ** 2  # noqa: E731
    with pytest.raises(InitlabError, match="does not settle"):
        expect(single, rtol=1e-13)
    for rtol in (None, 1e-5):
        assert expect(single, rtol=rtol) == pytest.approx(moments("tanh").second, rel=1e-5)


def test_rows_are_integrated_together_and_each_to_its_own_scale():
    small, large = gaussian_integral(lambda z: np.stack([1e-30 * z**2, 1e30 * np.maximum(z, 0.0) ** 2]))
    assert small == pytest.approx(1e-30, rel=1e-13)
    assert large == pytest.approx(5e29, rel=1e-13)


CLOSED_SECOND = {
    "erf": lambda q: 2.0 / pi * asin(2.0 * q / (1.0 + 2.0 * q)),
    "gelu": lambda q: q / 4 + q / (2 * pi) * asin(q / (1 + q)) + q**2 / (pi * (1 + q) * sqrt(1 + 2 * q)),
    "sin": lambda q: 0.5 * (1.0 - exp(-2.0 * q)),
    "cos": lambda q: 0.5 * (1.0 + exp(-2.0 * q)),
    "gaussian": lambda q: 1.0 / sqrt(1.0 + 4.0 * q),
    "exp": lambda q: exp(2.0 * q),
    "square": lambda q: 3.0 * q * q,
    "relu_squared": lambda q: 1.5 * q * q,
    "relu": lambda q: 0.5 * q,
    "leaky_relu(negative_slope=0.3)": lambda q: 0.5 * (1.0 + 0.09) * q,
    "squareplus(b=4)": lambda q: 0.5 * q + 1.0,  # E (x^2 + (x^2 + 4)) / 4, the odd cross term is zero
    "sign": lambda q: 1.0,
}
CLOSED_SLOPE = {
    "erf": lambda q: 4.0 / pi / sqrt(1.0 + 4.0 * q),
    "gelu": lambda q: 0.25 + (asin(q / (1 + q)) + q * (3 + 5 * q) / ((1 + q) * (1 + 2 * q) ** 1.5)) / (2 * pi),
    "sin": lambda q: 0.5 * (1.0 + exp(-2.0 * q)),
    "gaussian": lambda q: 4.0 * q / (1.0 + 4.0 * q) ** 1.5,
    "exp": lambda q: exp(2.0 * q),
    "square": lambda q: 4.0 * q,
    "relu_squared": lambda q: 2.0 * q,
    "hard_tanh": lambda q: erf(1.0 / sqrt(2.0 * q)),
    "soft_shrink": lambda q: erfc(0.5 / sqrt(2.0 * q)),
    "sparse_sigmoid": lambda q: 0.25 * erf(1.0 / sqrt(2.0 * q)),
    "hard_sigmoid": lambda q: erf(3.0 / sqrt(2.0 * q)) / 36.0,
    "threshold": lambda q: 0.5 * erfc(1.0 / sqrt(2.0 * q)),
    "sign": lambda q: 0.0,
}


@pytest.mark.parametrize("q", [0.05, 1.0, 7.5])
@pytest.mark.parametrize("name", CLOSED_SECOND)
def test_second_moments_have_their_closed_form(name, q):
    assert moments(name, q).second == pytest.approx(CLOSED_SECOND[name](q), rel=1e-12)


@pytest.mark.parametrize("q", [0.05, 1.0, 7.5])
@pytest.mark.parametrize("name", CLOSED_SLOPE)
def test_slope_moments_have_their_closed_form(name, q):
    assert moments(name, q).slope_second == pytest.approx(CLOSED_SLOPE[name](q), rel=1e-12, abs=1e-300)


def test_the_slope_of_arctan_has_second_moment_one_half():
    # u = z^2: E (1 + z^2)^-2 = int_0^inf t e^-t (1 + 2t)^(-1/2) dt, by parts 1/2.
    assert moments("arctan").slope_second == pytest.approx(0.5, rel=1e-13)


@given(q=VARIANCES, slope=st.floats(-2.0, 2.0))
@settings(max_examples=25, deadline=None)
def test_a_homogeneous_activation_scales_its_moments_with_q(q, slope):
    name = f"leaky_relu(negative_slope={slope!r})"
    one, scaled = moments(name), moments(name, q)
    assert scaled.second == pytest.approx(q * one.second, rel=1e-12)
    assert scaled.slope_second == pytest.approx(one.slope_second, rel=1e-12)


@given(q=st.floats(1e-2, 50.0), a=st.floats(-3.0, 3.0), b=st.floats(-3.0, 3.0))
@settings(max_examples=15, deadline=None)
def test_the_expectation_is_linear(q, a, b):
    both = expect(lambda x: a * np.tanh(x) ** 2 + b * np.cos(x), q)
    assert both == pytest.approx(a * moments("tanh", q).second + b * expect("cos", q), rel=1e-11, abs=1e-12)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in ("hard_shrink", "threshold", "sign")])
@pytest.mark.parametrize("q", [0.3, 2.0])
def test_the_rate_of_the_second_moment_is_that_of_stein(name, q):
    act = activation(name)
    by_slope = expect_with_z(act, q) / sqrt(q)
    assert moments(name, q).second_rate == pytest.approx(by_slope, rel=1e-11, abs=1e-13)


def expect_with_z(act, q: float) -> float:
    s = sqrt(q)
    rows = gaussian_integral(lambda z: (act(s * z) * act.slope(s * z) * z)[None], kinks=[k / s for k in act.kinks])
    return float(rows[0])


@pytest.mark.parametrize("name", ["threshold", "hard_shrink", "tanh"])
def test_the_rate_of_the_second_moment_is_its_slope_in_q_also_for_jumps(name):
    step = 1e-4
    below, above = (moments(name, 1.0 + d).second for d in (-step, step))
    assert moments(name).second_rate == pytest.approx((above - below) / (2.0 * step), rel=1e-7)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_gaussian_poincare_inequality_holds_where_nothing_jumps(name):
    m = moments(name)
    jumps = name in ("sign", "hard_shrink", "threshold")
    assert m.variance <= m.slope_second * (1.0 + 1e-12) or jumps


def test_the_variance_keeps_its_digits_for_a_nearly_constant_function():
    # sigmoid(x) = 1/2 + x/4 - x^3/48 + ..., so Var = q/16 - q^2/32 + ... (E x^4 = 3 q^2).
    q = 1e-6
    assert moments("sigmoid", q).variance == pytest.approx(q / 16.0 - q * q / 32.0, rel=1e-10)


@pytest.mark.parametrize("q", [1e-4, 1.0, 1e6])
def test_kinks_that_lie_far_out_or_close_together_cost_no_accuracy(q):
    s = 1.0 / sqrt(q)
    exact = erf(s / sqrt(2.0)) - s * sqrt(2.0 / pi) * exp(-0.5 * s * s)
    inside = q * exact if q < 1e5 else q * sqrt(2.0 / pi) * (s**3 / 3.0 - s**5 / 10.0)
    outside = 1.0 - erf(s / sqrt(2.0))
    assert moments("hard_tanh", q).second == pytest.approx(inside + outside, rel=1e-12)


def test_a_scalar_function_is_applied_entry_by_entry():
    assert expect(lambda x: max(0.0, x)) == pytest.approx(1.0 / sqrt(2.0 * pi), rel=1e-12)


def test_the_expected_logarithm_of_a_square_is_known():
    # E ln z^2 = -gamma - ln 2, with an integrable singularity at zero.
    gamma = 0.57721566490153286
    assert expect(lambda x: np.log(x * x), rtol=1e-9) == pytest.approx(-gamma - log(2.0), rel=1e-9)


@pytest.mark.parametrize("scale", [0.25, 1.0, 4.0])
def test_the_kinks_of_a_scaled_activation_are_divided_by_the_scale(scale):
    # f(scale z) bends where scale z is a kink: at 6 / scale.
    assert panel_cuts(activation("relu6"), scale) == [0.0, 6.0 / scale]
