"""Dead and saturated units: closed forms of orthants and tails, and draws."""

from math import asin, atanh, erfc, pi, sqrt

import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.theory import (
    activation,
    dead_layer_probability,
    dead_net_probability,
    dead_share,
    largest_slope,
    saturation_probability,
    silent_below,
)


@pytest.mark.parametrize("c", [0.0, 1e-6, 0.1, 0.5, 0.9, 0.999, 1.0 - 1e-9, 1.0])
def test_orthants_of_two_and_three_inputs_have_their_closed_forms(c):
    # Sheppard 1899; for three inputs 1/8 + 3 asin(c) / (4 pi).
    assert dead_share(2, c) == pytest.approx(0.25 + asin(c) / (2.0 * pi), rel=1e-9)
    assert dead_share(3, c) == pytest.approx(0.125 + 3.0 * asin(c) / (4.0 * pi), rel=1e-9)


@pytest.mark.parametrize("batch", [1, 7, 128])
def test_at_correlation_one_half_the_share_is_one_over_the_batch_and_one(batch):
    # All of u_i <= 0, u_i = (e_i - e_0) / sqrt 2: e_0 is the largest of B + 1 equals.
    assert dead_share(batch, 0.5) == pytest.approx(1.0 / (batch + 1.0), rel=1e-9)


@pytest.mark.parametrize(("c", "threshold"), [(0.3, 0.0), (0.95, -1.0), (0.8, 1.5)])
def test_the_share_of_drawn_units_is_met(c, threshold):
    units, batch = 100_000, 32
    rng = np.random.default_rng(2)
    u = sqrt(c) * rng.standard_normal((units, 1)) + sqrt(1.0 - c) * rng.standard_normal((units, batch))
    told = dead_share(batch, c, threshold=threshold)
    assert abs((u <= threshold).all(axis=1).mean() - told) < 5.0 * sqrt(told * (1.0 - told) / units)


def test_dead_units_of_a_real_relu_layer_are_those_of_its_correlation():
    n, batch, c = 40_000, 16, 0.9
    rng = np.random.default_rng(5)
    x = sqrt(c) * rng.standard_normal((1, 200)) + sqrt(1.0 - c) * rng.standard_normal((batch, 200))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    cosines = x @ x.T
    measured = ((rng.standard_normal((n, 200)) @ x.T) <= 0.0).all(axis=1).mean()
    told = dead_share(batch, (cosines.sum() - batch) / (batch * (batch - 1)))
    # The inputs' own correlations scatter by 0.01, which moves the share by 1 %.
    assert abs(measured - told) < 5.0 * sqrt(told / n) + 0.02 * told


def test_a_negative_correlation_counts_as_none():
    assert dead_share(4, -0.2) == dead_share(4, 0.0) == 1.0 / 16.0


def test_the_share_grows_with_correlation_and_threshold_and_falls_with_the_batch():
    shares = [dead_share(64, c) for c in (0.0, 0.3, 0.6, 0.9, 0.99, 1.0)]
    assert shares == sorted(shares)
    assert dead_share(64, 0.9, threshold=1.0) > dead_share(64, 0.9) > dead_share(256, 0.9)


def test_a_net_of_narrow_layers_dies_as_often_as_drawn():
    nets, widths = 20_000, [3, 4, 3]
    rng = np.random.default_rng(7)
    dead = np.zeros(nets, dtype=bool)
    x = np.ones((nets, 2))
    for n in widths:
        x = np.maximum(np.einsum("nij,nj->ni", rng.standard_normal((nets, n, x.shape[1])), x), 0.0)
        dead |= ~x.any(axis=1)
        x[dead] = 1.0  # what is behind a dead layer does not count
    told = dead_net_probability(widths)
    assert abs(dead.mean() - told) < 5.0 * sqrt(told * (1.0 - told) / nets)


def test_tiny_probabilities_of_wide_layers_keep_their_digits():
    assert dead_layer_probability(100) == pytest.approx(2.0**-100)
    assert dead_net_probability([100] * 10) == pytest.approx(10.0 * 2.0**-100, rel=1e-12)


@pytest.mark.parametrize("q", [0.1, 1.0, 9.0])
@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_tanh_and_sigmoid_saturate_as_their_closed_forms(q, share):
    tau = sqrt(1.0 - share)
    assert saturation_probability("tanh", q, share=share) == pytest.approx(erfc(atanh(tau) / sqrt(2.0 * q)), rel=1e-10)
    # sigmoid(x) = (1 + tanh(x / 2)) / 2.
    expected = erfc(2.0 * atanh(tau) / sqrt(2.0 * q))
    assert saturation_probability("sigmoid", q, share=share) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(("call", "end"), [("hard_tanh", 1.0), ("hard_sigmoid", 3.0), ("hard_tanh(max_val=2.0)", None)])
def test_clipped_lines_saturate_beyond_their_ends(call, end):
    q = 2.0
    expected = erfc(end / sqrt(2.0 * q)) if end else 0.5 * (erfc(1.0 / sqrt(2.0 * q)) + erfc(2.0 / sqrt(2.0 * q)))
    assert saturation_probability(call, q) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["sin", "gelu", "softsign", "erf"])
def test_the_share_of_saturated_draws_is_met(name):
    n, q = 200_000, 3.0
    act = activation(name)
    u = sqrt(q) * np.random.default_rng(8).standard_normal(n)
    measured = (np.abs(act.slope(u)) < 0.1 * largest_slope(name)).mean()
    told = saturation_probability(name, q, share=0.1)
    assert abs(measured - told) < 5.0 * sqrt(told * (1.0 - told) / n)


@pytest.mark.parametrize(
    ("name", "slope"), [("tanh", 1.0), ("sigmoid", 0.25), ("relu", 1.0), ("sin", 1.0), ("erf", 2.0 / sqrt(pi))]
)
def test_the_largest_slope_is_the_known_one(name, slope):
    assert largest_slope(name) == pytest.approx(slope, rel=1e-10)


def test_the_largest_slope_of_gelu_is_at_the_root_of_two():
    # f'' = (2 - x^2) times the density.
    assert largest_slope("gelu") == pytest.approx(float(activation("gelu").slope([sqrt(2.0)])[0]), rel=1e-12)


@pytest.mark.parametrize(
    ("call", "threshold"),
    [
        ("relu", 0.0),
        ("relu6", 0.0),
        ("hard_swish", -3.0),
        ("hard_sigmoid", -3.0),
        ("relu_squared", 0.0),
        ("leaky_relu", None),
        ("tanh", None),
        ("elu", None),
        ("abs", None),
    ],
)
def test_one_sided_activations_are_silent_below_their_threshold(call, threshold):
    assert silent_below(call) == threshold


@pytest.mark.parametrize(
    "call",
    [
        lambda: dead_share(0, 0.5),
        lambda: dead_share(3, 1.5),
        lambda: dead_share(3, float("nan")),
        lambda: dead_layer_probability(0),
        lambda: dead_layer_probability(3, share=1.5),
        lambda: saturation_probability("tanh", 0.0),
        lambda: saturation_probability("tanh", 1.0, share=1.0),
        lambda: largest_slope("sign"),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(call):
    with pytest.raises(OptionError) as caught:
        call()
    assert "\n" not in str(caught.value)
