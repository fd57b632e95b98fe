import json
from math import acos, asin, exp, pi, sin, sinh, sqrt
from pathlib import Path

import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.theory import (
    activation,
    chi_1,
    correlation_map,
    correlation_slope,
    moments,
    pair_moment,
    variance_map,
    variance_slope,
)

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
CORRELATIONS = [-1.0, -0.99, -0.3, 0.0, 0.5, 0.9, 0.99, 0.999999, 1.0]


@pytest.mark.parametrize(("name", "row"), [(n, row) for n, rows in GOLDEN["correlation"].items() for row in rows])
def test_every_golden_pair_moment_is_met(name, row):
    assert pair_moment(name, row["c"]) == pytest.approx(row["value"], rel=1e-12, abs=1e-15)
    assert pair_moment(name, row["c"], of="slope") == pytest.approx(row["slope"], rel=1e-12)


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_a_bent_line_has_the_arc_cosine_kernel(c, slope):
    # Cho & Saul, NIPS 2009, degree 1 and 0.
    q, theta, even, odd = 2.3, acos(c), (slope**2 + 1.0) / 2.0, (slope - 1.0) ** 2 / (2.0 * pi)
    call = f"leaky_relu(negative_slope={slope})"
    assert pair_moment(call, c, q) == pytest.approx(
        q * (even * c + odd * (sin(theta) - theta * c)), rel=1e-11, abs=1e-13
    )
    exact_slope = even - (slope - 1.0) ** 2 * theta / (2.0 * pi)
    assert pair_moment(call, c, q, of="slope") == pytest.approx(exact_slope, rel=1e-9, abs=1e-13)


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize("q", [0.1, 1.0, 30.0])
def test_erf_and_sine_have_their_closed_kernels(c, q):
    assert pair_moment("erf", c, q) == pytest.approx(
        2.0 / pi * asin(2.0 * q * c / (1.0 + 2.0 * q)), rel=1e-12, abs=1e-14
    )
    assert pair_moment("sin", c, q) == pytest.approx(exp(-q) * sinh(q * c), rel=1e-11, abs=1e-13)


@pytest.mark.parametrize("name", ["hard_tanh", "selu", "gelu", "sign"])
def test_the_kernel_runs_from_the_squared_mean_to_the_second_moment(name):
    m = moments(name)
    assert pair_moment(name, 0.0) == pytest.approx(m.mean**2, rel=1e-12, abs=1e-15)
    assert pair_moment(name, 1.0) == m.second
    assert pair_moment(name, 1.0 - 1e-9) == pytest.approx(m.second, rel=1e-4)


@pytest.mark.parametrize("name", ["hard_tanh", "elu", "softsign"])
@pytest.mark.parametrize("c", [0.4, 0.97])
def test_the_slope_of_the_kernel_is_the_kernel_of_the_slope(name, c):
    step, q = 1e-4, 1.4
    rise = pair_moment(name, c + step, q) - pair_moment(name, c - step, q)
    assert pair_moment(name, c, q, of="slope") == pytest.approx(rise / (2.0 * step * q), rel=1e-5)


def test_the_pair_moment_of_a_wide_layer_is_met_by_simulation():
    n, c, q = 400_000, 0.7, 1.5
    rng = np.random.default_rng(5)
    z, w = rng.normal(size=(2, n))
    f = activation("mish")
    products = f(sqrt(q) * z) * f(sqrt(q) * (c * z + sqrt(1.0 - c * c) * w))
    assert abs(products.mean() - pair_moment(f, c, q)) < 5.0 * products.std() / sqrt(n)


@pytest.mark.parametrize(("start", "row"), GOLDEN["relu_he_iterates"].items())
def test_the_correlation_map_of_he_relu_iterates_as_its_closed_form(start, row):
    c, at = float(start), {}
    for layer in range(1, 21):
        c = correlation_map("relu", c, sigma_w2=2.0, q=1.0)
        at[str(layer)] = c
    for layer, golden in row.items():
        if layer in at:
            assert at[layer] == pytest.approx(golden, abs=1e-12)


@pytest.mark.parametrize(("name", "sigma_w2", "q"), [("tanh", 1.5, 0.4), ("gelu", 2.0, 3.0)])
def test_the_slopes_of_the_maps_are_chi_1_and_v_prime(name, sigma_w2, q):
    step = 1e-4
    rise = variance_map(name, q + step, sigma_w2=sigma_w2) - variance_map(name, q - step, sigma_w2=sigma_w2)
    assert rise / (2.0 * step) == pytest.approx(variance_slope(name, sigma_w2, q), rel=1e-6)
    assert correlation_slope(name, 1.0, sigma_w2=sigma_w2, q=q) == pytest.approx(chi_1(name, sigma_w2, q), rel=1e-14)


@pytest.mark.parametrize("c", [1.0000001, -2.0, float("nan")])
def test_what_is_no_correlation_is_refused(c):
    with pytest.raises(OptionError, match="from -1 to 1"):
        pair_moment("relu", c)
