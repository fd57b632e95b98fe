"""Softmax of normal logits and the loss it gives: against SciPy, against draws, at its limits."""

from itertools import pairwise
from math import e, exp, log, pi, sqrt

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import digamma as scipy_digamma
from scipy.special import polygamma

from initlab.core.errors import OptionError
from initlab.theory import (
    initial_cross_entropy,
    initial_squared_error,
    log_sum_exp,
    softmax_entropy,
    softmax_square_sum,
)
from initlab.theory.special import digamma, trigamma


def test_digamma_and_trigamma_are_those_of_scipy():
    x = np.concatenate([np.linspace(0.01, 30.0, 500), [1e3, 1e7]])
    np.testing.assert_allclose(digamma(x), scipy_digamma(x), rtol=1e-14, atol=2e-15)
    np.testing.assert_allclose(trigamma(x), polygamma(1, x), rtol=1e-14)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan")])
def test_digamma_takes_numbers_above_zero_only(bad):
    with pytest.raises(OptionError, match="above 0"):
        digamma(bad)


@pytest.mark.parametrize("s", [0.2, 0.999, 1.0, 3.0, 40.0])
def test_the_mean_of_two_terms_is_an_integral_over_their_difference(s):
    # ln(e^x + e^y) = (x + y) / 2 + |d| / 2 + ln(1 + e^-|d|), d = x - y ~ N(0, 2 s^2).
    spread = sqrt(2.0) * s

    def integrand(z: float) -> float:
        d = spread * z
        return 2.0 * exp(-0.5 * z * z) / sqrt(2.0 * pi) * (0.5 * d + np.log1p(exp(-d)))

    expected = sum(quad(integrand, *ends, epsabs=1e-13)[0] for ends in ((0.0, 1.0 / spread), (1.0 / spread, 12.0)))
    assert log_sum_exp(2, s * s).mean == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("s", [0.1, 1.0, 7.0])
def test_one_term_is_the_normal_number_itself(s):
    found = log_sum_exp(1, s * s)
    assert found.mean == pytest.approx(0.0, abs=1e-10)
    assert found.variance == pytest.approx(s * s, rel=1e-9)


def test_a_small_spread_gives_the_textbook_value():
    # ln K + s^2 / 2 (1 - 1/K) + O(s^4), with variance s^2 / K.
    found = log_sum_exp(10, 1e-4)
    assert found.mean == pytest.approx(log(10) + 0.5e-4 * 0.9, abs=1e-8)
    assert found.variance == pytest.approx(1e-5, rel=1e-3)


@pytest.mark.parametrize(("terms", "s"), [(3, 2.0), (300, 0.7), (300, 8.0)])
def test_moments_square_sum_and_entropy_are_met_by_draws(terms, s):
    n = 4000
    z = s * np.random.default_rng(1).standard_normal((n, terms))
    top = z.max(axis=1, keepdims=True)
    weights = np.exp(z - top)
    whole = weights.sum(axis=1, keepdims=True)
    level, a = (top + np.log(whole))[:, 0], weights / whole
    entropy = (np.log(whole) - (a * (z - top)).sum(axis=1, keepdims=True))[:, 0]
    found = log_sum_exp(terms, s * s)
    square = np.square(a).sum(axis=1)
    for drawn, told in (
        (level, found.mean),
        (np.square(level - found.mean), found.variance),
        (square, softmax_square_sum(terms, s * s)),
        (entropy, softmax_entropy(terms, s * s)),
    ):
        assert abs(drawn.mean() - told) < 5.0 * drawn.std() / sqrt(n)


def test_the_square_sum_is_the_slope_of_the_mean_by_the_variance():
    # d E ln Y / d s^2 = (1 - E sum a^2) / 2.
    step = 1e-4
    rise = log_sum_exp(20, 3.0 + step).mean - log_sum_exp(20, 3.0 - step).mean
    assert rise / step == pytest.approx(1.0 - softmax_square_sum(20, 3.0), abs=1e-8)


def test_the_entropy_runs_from_the_logarithm_down_to_nothing():
    values = [softmax_entropy(64, s2) for s2 in (0.0, 0.1, 1.0, 10.0, 1e3, 1e6)]
    assert values[0] == pytest.approx(log(64))
    assert all(a > b for a, b in pairwise(values))
    assert values[-1] < 0.01


def test_offsets_shift_and_order_alike():
    plain = log_sum_exp(3, 2.0, offsets=[0.0, 1.0, -1.0])
    moved = log_sum_exp(3, 2.0, offsets=[4.0, 6.0, 5.0])
    assert moved.mean - 5.0 == pytest.approx(plain.mean, abs=1e-11)
    assert moved.variance == pytest.approx(plain.variance, rel=1e-10)


def test_an_offset_far_above_the_rest_stands_alone():
    found = log_sum_exp(3, 2.0, offsets=[100.0, 0.0, 0.0])
    assert found.mean == pytest.approx(100.0, abs=1e-9)
    assert found.variance == pytest.approx(2.0, rel=1e-8)


@pytest.mark.parametrize(
    ("classes", "s", "loss"), [(3, 2.0, 2.02), (1000, sqrt(512.0), 73.5), (1000, 0.02, 6.908), (10, 0.0, log(10))]
)
def test_the_first_cross_entropy_of_known_networks(classes, s, loss):
    # sqrt(512) is the logit of a tied N(0, 1) embedding of width 512.
    assert initial_cross_entropy(classes, s * s).mean == pytest.approx(loss, rel=3e-3)


@pytest.mark.parametrize("biases", [None, [0.5, -1.0, 2.0, 0.0]])
def test_the_loss_of_drawn_logits_is_met(biases):
    n, classes, s = 100_000, 4, 1.5
    rng = np.random.default_rng(3)
    logits = s * rng.standard_normal((n, classes)) + (0.0 if biases is None else np.array(biases))
    labels = rng.integers(classes, size=n)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(n), labels]
    told = initial_cross_entropy(classes, s * s, biases=biases)
    assert abs(losses.mean() - told.mean) < 5.0 * losses.std() / sqrt(n)
    if biases is None:
        assert losses.std() == pytest.approx(told.deviation, rel=5.0 / sqrt(n))
    else:
        assert losses.std() < told.deviation


def test_log_priors_as_biases_give_the_entropy_of_the_labels():
    shares = [0.7, 0.2, 0.1]
    told = initial_cross_entropy(3, 0.0, biases=[log(p) for p in shares], shares=shares)
    assert told.mean == pytest.approx(-sum(p * log(p) for p in shares))


def test_the_squared_error_of_drawn_outputs_is_met():
    n, s2, bias = 200_000, 0.8, 0.3
    rng = np.random.default_rng(4)
    errors = np.square(sqrt(s2) * rng.standard_normal(n) + bias - rng.standard_normal(n))
    told = initial_squared_error(s2, bias=bias)
    assert abs(errors.mean() - told.mean) < 5.0 * errors.std() / sqrt(n)
    # The kurtosis of a squared normal number is below 15.
    assert errors.std() == pytest.approx(told.deviation, rel=5.0 * sqrt(15.0 / (4.0 * n)))


def test_of_logits_that_are_biases_alone_the_loss_spreads_as_the_biases_do():
    biases, shares = [1.0, -2.0, 0.5], [5.0, 3.0, 2.0]  # of ten labels
    told = initial_cross_entropy(3, 0.0, biases=biases, shares=shares)
    assert told.mean == pytest.approx(log(sum(map(exp, biases))))  # 0.5 * 1 - 0.3 * 2 + 0.2 * 0.5 = 0
    assert told.deviation == pytest.approx(sqrt(0.5 * 1.0 + 0.3 * 4.0 + 0.2 * 0.25))


def test_the_bound_of_the_deviation_beside_biases_is_that_of_a_sum_of_variances():
    # The first logit decides S, so Var S = s^2; Var l_y = s^2 + p (1 - p) 100^2.
    told = initial_cross_entropy(2, 2.25, biases=[100.0, 0.0], shares=[0.9, 0.1])
    assert told.deviation**2 == pytest.approx(2.0 * 2.25 + 0.09 * 100.0**2, rel=1e-9)


def test_biases_that_are_all_one_number_change_no_loss():
    plain, moved = initial_cross_entropy(3, 2.0), initial_cross_entropy(3, 2.0, biases=[7.0] * 3)
    assert moved.mean == pytest.approx(plain.mean, abs=1e-10)
    assert moved.deviation == pytest.approx(plain.deviation, rel=1e-9)


def test_shares_of_zero_are_allowed_and_negative_ones_are_not():
    told = initial_cross_entropy(2, 0.0, biases=[1.0, 3.0], shares=[0.0, 4.0])
    assert (told.mean, told.deviation) == (pytest.approx(log(exp(1.0) + exp(3.0)) - 3.0), pytest.approx(0.0))
    for shares in ([-1.0, 2.0], [0.0, 0.0]):
        with pytest.raises(OptionError, match="0 or more"):
            initial_cross_entropy(2, 0.0, biases=[1.0, 3.0], shares=shares)


def test_the_squared_error_against_targets_of_any_size_is_met():
    n, s2, target, bias = 200_000, 0.8, 2.5, 0.7
    rng = np.random.default_rng(5)
    errors = np.square(sqrt(s2) * rng.standard_normal(n) + bias - sqrt(target) * rng.standard_normal(n))
    told = initial_squared_error(s2, target_second_moment=target, bias=bias)
    assert told.mean == pytest.approx(0.8 + 2.5 + 0.49)
    # l - y is normal of mean b and variance v = s^2 + E y^2: Var (l - y)^2 = 2 v^2 + 4 v b^2.
    assert told.deviation**2 == pytest.approx(2.0 * 3.3**2 + 4.0 * 3.3 * 0.49)
    assert errors.std() == pytest.approx(told.deviation, rel=5.0 * sqrt(15.0 / (4.0 * n)))


def test_the_lognormal_limit_of_the_square_sum_is_e():
    assert 10**6 * softmax_square_sum(10**6, 1.0) == pytest.approx(e, rel=1e-4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: log_sum_exp(0, 1.0),
        lambda: log_sum_exp(2, -1.0),
        lambda: log_sum_exp(2, 1.0, offsets=[1.0]),
        lambda: softmax_square_sum(True, 1.0),
        lambda: initial_cross_entropy(2, 1.0, biases=[0.0, 1.0], shares=[1.0]),
        lambda: initial_squared_error(-1.0),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(call):
    with pytest.raises(OptionError) as caught:
        call()
    assert "\n" not in str(caught.value)
