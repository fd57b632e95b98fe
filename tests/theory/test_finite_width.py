"""Nets of finite width: exact logarithms of one layer, and real nets drawn to the end."""

from math import exp, log, sqrt

import numpy as np
import pytest
from scipy.special import digamma, polygamma

from initlab.core.errors import OptionError
from initlab.theory import (
    exact_log_growth,
    forward_gain,
    inverse_width_sum,
    lognormal_growth,
    second_moment_growth,
    signal_noise,
)


@pytest.mark.parametrize(("width", "mean", "variance"), [(64, -0.040109, 0.082997), (16, -0.1764, 0.4196)])
def test_a_relu_layer_has_its_exact_log_mean_and_log_variance(width, mean, variance):
    found = exact_log_growth([width])
    assert found.mean == pytest.approx(mean, abs=6e-5 if width == 16 else 6e-7)
    assert found.variance == pytest.approx(variance, abs=6e-5 if width == 16 else 6e-7)


def test_a_layer_of_two_relu_units_is_summed_by_hand():
    # Alive: one active unit (2/3) or two (1/3), each a chi-square of as many degrees of freedom, times 2 / n = 1.
    levels = [float(digamma(0.5)) + log(2.0), float(digamma(1.0)) + log(2.0)]
    mean = 2.0 / 3.0 * levels[0] + levels[1] / 3.0
    variance = 2.0 / 3.0 * (levels[0] - mean) ** 2 + (levels[1] - mean) ** 2 / 3.0
    variance += 2.0 / 3.0 * float(polygamma(1, 0.5)) + float(polygamma(1, 1.0)) / 3.0
    found = exact_log_growth([2])
    assert (found.mean, found.variance) == (pytest.approx(mean), pytest.approx(variance))


def test_a_wide_layer_approaches_the_first_order():
    # -5 / (2 n) and 5 / n with corrections of order 1 / n^2.
    for f in ("relu", "identity"):
        exact, first = exact_log_growth([4096], f=f), lognormal_growth(f, [4096])
        assert exact.mean == pytest.approx(first.mean, rel=10.0 / 4096)
        assert exact.variance == pytest.approx(first.variance, rel=10.0 / 4096)


def draws(width: int, depth: int, nets: int, *, relu: bool) -> np.ndarray:
    """ln(|a_L|^2 / |a_0|^2) of real nets, from the sums that a layer's weights make of the layer before."""
    rng = np.random.default_rng(11)
    a = np.ones((nets, width))
    for _ in range(depth):
        w = rng.standard_normal((nets, width, width)) * sqrt((2.0 if relu else 1.0) / width)
        a = np.einsum("nij,nj->ni", w, a)
        a = np.maximum(a, 0.0) if relu else a
    return np.log(np.square(a).mean(axis=1))


@pytest.mark.parametrize("f", ["relu", "identity"])
def test_real_nets_have_the_exact_log_mean_and_log_variance(f):
    nets, width, depth = 2000, 32, 6
    logs = draws(width, depth, nets, relu=f == "relu")
    told = exact_log_growth([width] * depth, f=f)
    assert abs(logs.mean() - told.mean) < 5.0 * sqrt(told.variance / nets)
    # The excess kurtosis of one layer's logarithm is below 1, that of the sum smaller yet.
    assert logs.var() == pytest.approx(told.variance, rel=5.0 * sqrt(3.0 / nets))


def test_a_he_net_of_width_256_and_depth_50_is_lognormal_with_five_beta():
    widths = [256] * 50
    beta = inverse_width_sum(widths)
    told = lognormal_growth("relu", widths)
    assert (told.mean, told.variance) == (pytest.approx(-2.5 * beta), pytest.approx(5.0 * beta))
    # Given the activations before it, a layer's sums are independent normal numbers: no matrix need be drawn.
    nets, rng = 4000, np.random.default_rng(12)
    logs = np.zeros(nets)
    for n in widths:
        logs += np.log(2.0 * np.square(np.maximum(rng.standard_normal((nets, n)), 0.0)).mean(axis=1))
    assert abs(logs.mean() - told.mean) < 5.0 * sqrt(told.variance / nets) + 0.02 * abs(told.mean)
    assert logs.var() == pytest.approx(told.variance, rel=5.0 * sqrt(2.0 / nets) + 0.02)


def test_the_second_moment_of_a_relu_net_is_that_of_the_sum_of_its_layers():
    # E (2/n sum a_i^2)^2, a = relu(z): 4/n^2 (n 3/2 + n (n - 1) / 4) = 1 + 5/n.
    assert second_moment_growth("relu", [5, 10]) == pytest.approx(2.0 * 1.5)
    assert second_moment_growth("identity", [100] * 3) == pytest.approx(1.02**3)


def test_a_lognormal_of_these_moments_has_mean_one():
    found = lognormal_growth("relu", [64] * 20)
    assert exp(found.mean + 0.5 * found.variance) == pytest.approx(1.0)


def test_noise_grows_without_bound_where_the_variance_map_is_flat_on_the_diagonal_only():
    widths, gain2 = [100.0] * 200, forward_gain("tanh") ** 2
    relu, tanh = (signal_noise(f, widths, sigma_w2=w, q=1.0) for f, w in (("relu", 2.0), ("tanh", gain2)))
    assert relu[-1] == pytest.approx(10.0)
    # V'(1) = 0.46107: the geometric sum of its squares.
    assert tanh[-1] == pytest.approx(tanh[0] / (1.0 - 0.46107**2), rel=1e-4)


def test_an_infinite_layer_adds_no_noise_and_passes_on_what_there_is():
    assert signal_noise("relu", [float("inf")], sigma_w2=2.0, q=1.0, start=0.3) == pytest.approx((0.3,))


def test_what_is_not_homogeneous_has_no_lognormal_law():
    with pytest.raises(OptionError, match="not homogeneous"):
        lognormal_growth("tanh", [10])


@pytest.mark.parametrize("call", [lambda: inverse_width_sum([0]), lambda: exact_log_growth([4, -1])])
def test_a_layer_without_units_is_refused(call):
    with pytest.raises(OptionError, match="1 or more"):
        call()
