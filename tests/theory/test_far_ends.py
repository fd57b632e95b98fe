"""Numbers far from 1, each against an oracle of many digits: no float of the theory is wrong without a word."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import comb

import mpmath as mp
import numpy as np
import pytest

from initlab import theory
from initlab.core.errors import InitlabError, OptionError

F: dict[str, Callable[[mp.mpf], mp.mpf]] = {
    "cos": mp.cos,
    "gaussian": lambda x: mp.exp(-x * x),
    "sigmoid": lambda x: 1 / (1 + mp.exp(-x)),
    "softplus": lambda x: mp.log1p(mp.exp(x)),
    "exp": mp.exp,
}


def taylor_moments(f: Callable[[mp.mpf], mp.mpf], q: float) -> tuple[float, float]:
    """``Var f(u)`` and ``d E f(u)^2 / dq`` from the Taylor series at zero, in 60 digits; for ``q`` up to 1e-4."""
    with mp.workdps(60):
        a = mp.taylor(f, 0, 16)
        v = mp.mpf(q)

        def expect(c: list[mp.mpf]) -> mp.mpf:
            return mp.fsum(x * mp.fac2(n - 1) * v ** (n // 2) for n, x in enumerate(c) if n % 2 == 0)

        def product(c: list[mp.mpf], d: list[mp.mpf]) -> list[mp.mpf]:
            return [mp.fsum(c[i] * d[n - i] for i in range(n + 1)) for n in range(len(c))]

        moved = [mp.mpf(0), *a[1:]]
        variance = expect(product(moved, moved)) - expect(moved) ** 2
        square = product(a, a)
        halves = [x * mp.mpf(n) / 2 for n, x in enumerate(square)]
        rate = mp.fsum(x * mp.fac2(n - 1) * v ** (n // 2 - 1) for n, x in enumerate(halves) if n % 2 == 0 and n)
        return float(variance), float(rate)


@pytest.mark.parametrize("q", [1e-4, 3e-5, 1e-8, 1e-12, 1e-30, 1e-120])
@pytest.mark.parametrize("name", F)
def test_a_function_that_is_not_zero_at_zero_keeps_its_small_moments(name: str, q: float) -> None:
    found = theory.moments(name, q)
    variance, rate = taylor_moments(F[name], q)
    assert found.variance == pytest.approx(variance, rel=1e-10)
    assert found.second_rate == pytest.approx(rate, rel=1e-10)
    # and as a function without a known derivative
    plain = {"cos": np.cos, "exp": np.exp}.get(name)
    if plain is not None:
        assert theory.variance_slope(lambda x: plain(x), 1.0, q) == pytest.approx(rate, rel=1e-8)


def test_a_kink_at_zero_has_a_series_on_each_side() -> None:
    def bent(x: np.ndarray) -> np.ndarray:  # 2 + relu: E f^2 = 4 + 4 E relu + q / 2
        return 2.0 + np.maximum(x, 0.0)

    q = 1e-16
    found = theory.moments(bent, q)
    assert found.variance == pytest.approx(q * (0.5 - 0.5 / math.pi), rel=1e-9)
    assert found.second_rate == pytest.approx(2.0 / math.sqrt(2.0 * math.pi * q) + 0.5, rel=1e-9)


@pytest.mark.parametrize(
    ("name", "sigma_w2", "expected"),
    [
        ("sigmoid", 1e-8, 2.5e-9 * (1 + 2.5e-9 / 4)),  # q = w (1/4 + q / 16 + ...)
        ("sigmoid", 1e-14, 2.5e-15),
        ("cos", 1e-5, 1e-5 * (1 + math.exp(-2 * 9.9999e-6)) / 2),
        ("sin", 1e8, 5e7),
        ("sin", 1e16, 5e15),
        ("tanh", 1e14, 1e14 * (1.0 - 2.0 / math.sqrt(2.0 * math.pi * 1e14))),  # 1 - E sech^2 = 1 - 2 p_q(0)
    ],
)
def test_a_fixed_point_far_from_one_is_found(name: str, sigma_w2: float, expected: float) -> None:
    assert theory.q_star(name, sigma_w2=sigma_w2) == pytest.approx(expected, rel=1e-9)


def test_a_bias_alone_settles_at_its_own_size() -> None:
    # q = q / 2 + b: tanh is a straight line so near to zero
    assert theory.q_star("tanh", sigma_w2=0.5, sigma_b2=3e-40) == pytest.approx(6e-40, rel=1e-9)


def test_a_signal_that_leaves_float64_is_infinite_and_one_that_dies_is_zero() -> None:
    assert theory.q_star("relu", sigma_w2=2.1) == math.inf
    assert theory.q_star("exp", sigma_w2=2.0) == math.inf
    assert theory.q_star("relu", sigma_w2=1.9) == 0.0
    assert theory.q_star("tanh", sigma_w2=0.9) == 0.0


@pytest.mark.parametrize(("sigma_b2", "q", "excess"), [(1e-30, 9.08560e-11, 1.81712e-10), (1e6, 1001880.238, 1880.738)])
def test_the_edge_of_chaos_is_found_at_every_bias(sigma_b2: float, q: float, excess: float) -> None:
    found = theory.edge_of_chaos("tanh", sigma_b2=sigma_b2)
    assert found is not None
    assert found.q_star == pytest.approx(q, rel=1e-6)
    assert found.sigma_w2 - 1.0 == pytest.approx(excess, rel=1e-5)
    assert found.sigma_b2 == pytest.approx(sigma_b2, rel=1e-9)


@pytest.mark.parametrize("q", [1e-5, 1e-9, 1e-16])
def test_the_bias_of_the_edge_is_that_of_sixty_digits(q: float) -> None:
    with mp.workdps(60):
        v = mp.mpf(q)

        def expect(g: Callable[[mp.mpf], mp.mpf]) -> mp.mpf:
            density = lambda z: g(mp.sqrt(v) * z) * mp.npdf(z)  # noqa: E731
            return mp.quad(density, [-14, -6, -2, 0, 2, 6, 14])

        slope = expect(lambda x: (1 - mp.tanh(x) ** 2) ** 2)
        expected = float(v - expect(lambda x: mp.tanh(x) ** 2) / slope)
    found = theory.edge_of_chaos("tanh", q=q)
    assert found is not None
    assert found.sigma_b2 == pytest.approx(expected, rel=1e-6)


def test_both_kinks_of_a_narrow_window_are_found() -> None:
    # slope 1000 on a window of 5e-4 at 0.3
    density = math.exp(-0.5 * 0.30025**2) / math.sqrt(2.0 * math.pi)
    found = theory.moments(lambda x: np.clip(x, 0.3, 0.3005) * 1000.0, 1.0)
    assert found.slope_second == pytest.approx(1e6 * 5e-4 * density, rel=1e-6)


def two_logit_entropy(s2: float) -> float:
    """``E H`` of two logits, whose difference is ``N(0, 2 s^2)``."""
    with mp.workdps(30):
        width = mp.sqrt(2 * mp.mpf(s2))

        def entropy(d: mp.mpf) -> mp.mpf:
            p = 1 / (1 + mp.exp(d))
            return p * mp.log1p(mp.exp(d)) + (1 - p) * mp.log1p(mp.exp(-d))

        return float(2 * mp.quad(lambda d: entropy(d) * mp.npdf(d, 0, width), [0, 1, 3, 10, 40, 120]))


@pytest.mark.parametrize("s2", [0.3, 3.9, 4.1, 50.0, 1e4, 1e15, 1e30])
def test_the_entropy_of_two_logits_is_that_of_an_integral(s2: float) -> None:
    assert theory.softmax_entropy(2, s2) == pytest.approx(two_logit_entropy(s2), rel=1e-9)


@pytest.mark.parametrize("terms", [3, 8, 1024])
def test_the_two_forms_of_the_entropy_agree_where_both_have_digits(terms: int) -> None:
    s2 = 7.0
    mean = theory.log_sum_exp(terms, s2).mean
    assert theory.softmax_entropy(terms, s2) == pytest.approx(
        mean - s2 * (1.0 - theory.softmax_square_sum(terms, s2)), rel=1e-9
    )


def test_entropies_of_one_winner_fall_with_the_size_of_the_logits() -> None:
    assert theory.softmax_entropy(1024, 1e16) == pytest.approx(5.343e-8, rel=1e-3)
    assert theory.attention_sharpness(8, 1e15).entropy == pytest.approx(7.405e-8, rel=1e-3)


@pytest.mark.parametrize("width", [0, -3, math.nan])
def test_noise_refuses_widths_that_are_none(width: float) -> None:
    with pytest.raises(OptionError, match="widths"):
        theory.signal_noise("relu", [50, width], sigma_w2=2.0, q=1.0)


@pytest.mark.parametrize(
    ("plain", "logarithm", "value"),
    [
        (lambda: theory.jacobian_mean("relu", 10**4, sigma_w2=4.0, q=1.0), "log_jacobian_mean", 10**4 * math.log(2)),
        (lambda: theory.residual_growth(10**4), "log_residual_growth", 10**4 * math.log(2)),
        (
            lambda: theory.fuss_catalan_moment(1000, 400),
            "log_fuss_catalan_moment",
            math.log(comb(1001 * 400, 400) // (1000 * 400 + 1)),
        ),
        (lambda: theory.second_moment_growth("relu", [5] * 2000), "log_second_moment_growth", 2000 * math.log(2)),
        (lambda: theory.jacobian_edge("identity", 2000, sigma_w2=3.0, q=1.0), "log_jacobian_edge", None),
    ],
)
def test_what_a_float_does_not_hold_is_refused_by_the_name_of_its_logarithm(
    plain: Callable[[], float], logarithm: str, value: float | None
) -> None:
    with pytest.raises(InitlabError, match=f"take {logarithm}"):
        plain()
    calls = {
        "log_jacobian_mean": lambda: theory.log_jacobian_mean("relu", 10**4, sigma_w2=4.0, q=1.0),
        "log_residual_growth": lambda: theory.log_residual_growth(10**4),
        "log_fuss_catalan_moment": lambda: theory.log_fuss_catalan_moment(1000, 400),
        "log_second_moment_growth": lambda: theory.log_second_moment_growth("relu", [5] * 2000),
        "log_jacobian_edge": lambda: theory.log_jacobian_edge("identity", 2000, sigma_w2=3.0, q=1.0),
    }
    # of the edge: L ln sigma_w^2 + (L + 1) ln(L + 1) - L ln L
    edge = 2000 * math.log(3) + 2001 * math.log(2001) - 2000 * math.log(2000)
    assert calls[logarithm]() == pytest.approx(edge if value is None else value, rel=1e-6)


def test_a_stream_that_leaves_float64_is_refused() -> None:
    with pytest.raises(InitlabError, match="more than a float holds"):
        theory.residual_stream("relu", 1200, sigma_w2=2.0)


def test_many_equal_layers_cost_no_more_than_one() -> None:
    one, many = theory.exact_log_growth([64]), theory.exact_log_growth([64] * 10**4)
    assert many.mean == pytest.approx(10**4 * one.mean, rel=1e-12)
    assert many.variance == pytest.approx(10**4 * one.variance, rel=1e-12)


def test_a_function_of_narrow_numbers_counts_by_them() -> None:
    def halved(x: np.ndarray) -> np.ndarray:
        return np.tanh(np.asarray(x, np.float32))

    assert theory.forward_gain(halved) == pytest.approx(theory.forward_gain("tanh"), rel=1e-5)
    assert theory.backward_gain(halved) == pytest.approx(theory.backward_gain("tanh"), rel=1e-3)


def test_no_error_names_an_argument_that_is_not_there() -> None:
    rng = np.random.default_rng(3)
    with pytest.raises(InitlabError) as error:
        theory.moments(lambda x: rng.standard_normal(np.shape(x)), 1.0)
    assert "rtol" not in str(error.value)
