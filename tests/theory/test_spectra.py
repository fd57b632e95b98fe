"""Jacobian spectra: closed edges and moments, and singular values of real products."""

from math import exp, inf, pi, sqrt

import numpy as np
import pytest
from scipy.special import erf

from initlab.core.errors import OptionError
from initlab.theory import (
    activation,
    fuss_catalan_moment,
    jacobian_edge,
    jacobian_mean,
    jacobian_spectrum,
    jacobian_variance,
)


@pytest.mark.parametrize("depth", [1, 2, 4, 20])
def test_the_edge_of_a_linear_gaussian_net_is_that_of_fuss_and_catalan(depth):
    expected = (depth + 1.0) ** (depth + 1) / depth**depth
    assert jacobian_edge("identity", depth, sigma_w2=1.0, q=1.0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("depth", [3, 4, 20])
def test_the_edges_of_he_relu_nets_are_their_closed_forms(depth):
    orthogonal = depth**depth / (depth - 1.0) ** (depth - 1)
    z = (sqrt(depth**2 + 1.0) - depth + 1.0) / (2.0 * depth)
    gaussian = (1.0 + z) * (1.0 + 2.0 * z) ** depth / z
    for weights, expected in (("orthogonal", orthogonal), ("gaussian", gaussian)):
        found = jacobian_edge("relu", depth, sigma_w2=2.0, q=1.0, weights=weights)
        assert found == pytest.approx(expected, rel=1e-6)


def test_the_edges_of_four_layers_are_the_known_numbers():
    assert jacobian_edge("identity", 4, sigma_w2=1.0, q=1.0) == pytest.approx(12.21, abs=5e-3)
    assert jacobian_edge("relu", 4, sigma_w2=2.0, q=1.0, weights="orthogonal") == pytest.approx(9.48, abs=5e-3)
    assert jacobian_edge("relu", 4, sigma_w2=2.0, q=1.0) == pytest.approx(21.86, abs=5e-3)


def test_an_orthogonal_linear_net_is_an_isometry():
    found = jacobian_spectrum("identity", 30, sigma_w2=1.0, q=1.0, weights="orthogonal")
    assert (found.mean, found.relative_variance) == (pytest.approx(1.0), pytest.approx(0.0, abs=1e-12))
    assert found.largest == pytest.approx(1.0, rel=1e-5)


def test_an_unbounded_slope_has_no_edge():
    assert jacobian_edge("square", 3, sigma_w2=1.0, q=1.0) == inf


@pytest.mark.parametrize("q", [0.1, 2.0])
def test_erf_and_hard_tanh_have_their_closed_variances(q):
    # f = erf(sqrt(pi)/2 x): mu_1 = 1/sqrt(1 + pi q), mu_2 = 1/sqrt(1 + 2 pi q); hard tanh: both erf(1/sqrt(2 q)).
    f = lambda x: activation("erf")(sqrt(pi) / 2.0 * x)  # noqa: E731
    ratio = (1.0 + pi * q) / sqrt(1.0 + 2.0 * pi * q)
    assert jacobian_variance(f, 7, q=q, weights="orthogonal") == pytest.approx(7.0 * (ratio - 1.0), rel=1e-8)
    inside = float(erf(1.0 / sqrt(2.0 * q)))
    assert jacobian_variance("hard_tanh", 7, q=q) == pytest.approx(7.0 / inside, rel=1e-10)


def test_tanh_nets_approach_an_isometry_as_their_signal_shrinks_and_relu_nets_never_do():
    small, large = (jacobian_variance("tanh", 10, q=q, weights="orthogonal") for q in (1e-4, 1.0))
    assert small < 1e-6 < large
    assert jacobian_variance("relu", 10, q=1e-4, weights="orthogonal") == pytest.approx(10.0)


def test_the_moments_of_fuss_and_catalan_are_those_of_the_spectrum():
    # m_2 / m_1^2 - 1 is the relative variance L; binom(3 k, k) / (2 k + 1) = 1, 1, 3, 12, 55.
    assert [fuss_catalan_moment(2, k) for k in range(5)] == [1.0, 1.0, 3.0, 12.0, 55.0]
    for depth in (1, 5, 40):
        assert fuss_catalan_moment(depth, 2) - 1.0 == pytest.approx(jacobian_variance("identity", depth, q=1.0))


def squared_singular_values(f: str, depth: int, q: float, *, orthogonal: bool, nets: int, n: int) -> np.ndarray:
    rng, act, found = np.random.default_rng(4), activation(f), []
    for _ in range(nets):
        jacobian = np.eye(n)
        for _ in range(depth):
            w = rng.standard_normal((n, n))
            if orthogonal:
                q_factor, r = np.linalg.qr(w)
                w = q_factor * np.sign(np.diag(r))
            else:
                w /= sqrt(n)
            jacobian = act.slope(sqrt(q) * rng.standard_normal(n))[:, None] * (w @ jacobian)
        found.append(np.linalg.eigvalsh(jacobian @ jacobian.T))
    return np.array(found)


@pytest.mark.parametrize("orthogonal", [True, False])
@pytest.mark.parametrize(("f", "q"), [("relu", 1.0), ("tanh", 0.5)])
def test_the_singular_values_of_real_products_have_the_told_moments(f, q, orthogonal):
    depth, nets, n = 4, 8, 90
    weights = "orthogonal" if orthogonal else "gaussian"
    values = squared_singular_values(f, depth, q, orthogonal=orthogonal, nets=nets, n=n)
    means = values.mean(axis=1)
    told = jacobian_mean(f, depth, sigma_w2=1.0, q=q)
    assert abs(means.mean() - told) < 5.0 * means.std() / sqrt(nets)
    ratios = values.var(axis=1) / means**2
    # The ratio of a finite net is biased by order 1 / n.
    expected = jacobian_variance(f, depth, q=q, weights=weights)
    assert abs(ratios.mean() - expected) < 5.0 * ratios.std() / sqrt(nets) + 10.0 / n
    edge = jacobian_edge(f, depth, sigma_w2=1.0, q=q, weights=weights)
    # The largest of a finite net falls short by a share of order n^(-2/3), 0.05 for n = 90.
    assert abs(values.max(axis=1).mean() / edge - 1.0) < 8.0 * n ** (-2.0 / 3.0)


def test_deep_nets_on_the_edge_of_chaos_keep_the_mean_and_spread_with_depth():
    found = jacobian_spectrum("tanh", 50, sigma_w2=1.760954639606739, q=0.5700478816407641)
    assert found.mean == pytest.approx(1.0, rel=1e-9)
    assert found.relative_variance > 50.0
    assert found.largest_squared > exp(1.0) * 50.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: jacobian_mean("relu", 0, sigma_w2=2.0, q=1.0),
        lambda: jacobian_variance("sign", 3, q=1.0),
        lambda: jacobian_edge("sign", 3, sigma_w2=1.0, q=1.0),
        lambda: fuss_catalan_moment(2, -1),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(call):
    with pytest.raises(OptionError) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("slope", [0.5, 3.0])
def test_a_slope_and_weights_that_undo_it_have_the_edge_of_the_identity(slope):
    found = jacobian_edge(lambda x: slope * x, 4, sigma_w2=1.0 / slope**2, q=1.7)
    assert found == pytest.approx(5.0**5 / 4.0**4, rel=1e-6)
