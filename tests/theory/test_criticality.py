import json
from math import inf, pi, sqrt
from pathlib import Path

import pytest

from initlab.core.errors import OptionError
from initlab.theory import (
    chi_1,
    correlation_map,
    edge_of_chaos,
    fixed_point,
    half_stable_point,
    moments,
    q_star,
    variance_map,
)

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())


@pytest.mark.parametrize(("name", "row"), [(n, row) for n, rows in GOLDEN["edge_of_chaos"].items() for row in rows])
def test_every_golden_point_of_the_edge_of_chaos_is_met_to_1e_10(name, row):
    point = edge_of_chaos(name, sigma_b2=float(row["sigma_b2"]))
    for quantity, golden in row.items():
        assert getattr(point, quantity) == pytest.approx(float(golden), rel=1e-10)
    assert point.is_stable == (float(row["chi_q"]) <= 1.0)


@pytest.mark.parametrize("row", GOLDEN["off_critical"], ids=lambda row: f"{row['act']}-{row['sigma_w2']}")
def test_every_golden_fixed_point_off_the_edge_is_met_to_1e_10(row):
    point = fixed_point(row["act"], sigma_w2=row["sigma_w2"], sigma_b2=row["sigma_b2"])
    ours = {
        "q_star": point.q_star,
        "chi_1": point.chi_1,
        "chi_q": point.chi_q,
        "c_star": point.c_star,
        "chi_c_star": point.chi_c_star,
        "xi_q": point.xi_q,
        "xi_c": point.xi_c,
        "xi_grad": point.xi_gradient,
    }
    for quantity, value in ours.items():
        assert value == pytest.approx(row[quantity], rel=1e-10)


def test_the_half_stable_point_of_gelu_is_its_closed_form():
    point, golden = half_stable_point("gelu"), GOLDEN["half_stable"]["gelu"]
    assert point.q_star == pytest.approx((3.0 + sqrt(17.0)) / 2.0, rel=1e-10)
    assert point.sigma_w2 == pytest.approx(float(golden["sigma_w2"]), rel=1e-10)
    assert point.sigma_b2 == pytest.approx(float(golden["sigma_b2"]), rel=1e-10)


@pytest.mark.parametrize("name", ["silu", "mish", "quick_gelu"])
def test_smooth_gates_are_unstable_below_their_half_stable_point_and_stable_above(name):
    bias = half_stable_point(name).sigma_b2
    assert not edge_of_chaos(name, sigma_b2=0.9 * bias).is_stable
    assert edge_of_chaos(name, sigma_b2=1.1 * bias).is_stable


@pytest.mark.parametrize("name", ["tanh", "erf", "arctan", "relu"])
def test_an_edge_of_one_kind_has_no_half_stable_point(name):
    assert half_stable_point(name) is None


def test_silu_and_quick_gelu_have_the_same_critical_weight_for_they_are_one_function_rescaled():
    # quick_gelu(x) = silu(1.702 x) / 1.702, so q* scales by 1.702^-2.
    silu, quick = half_stable_point("silu"), half_stable_point("quick_gelu")
    assert quick.sigma_w2 == pytest.approx(silu.sigma_w2, rel=1e-9)
    assert quick.q_star * 1.702**2 == pytest.approx(silu.q_star, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "sigma_w2"),
    [("relu", 2.0), ("leaky_relu(negative_slope=0.2)", 2.0 / 1.04), ("identity", 1.0), ("abs", 1.0)],
)
def test_a_homogeneous_activation_is_critical_without_bias_only(call, sigma_w2):
    assert edge_of_chaos(call, sigma_b2=0.0).sigma_w2 == pytest.approx(sigma_w2, rel=1e-14)
    assert edge_of_chaos(call, sigma_b2=0.1) is None


@pytest.mark.parametrize(("name", "sigma_w2"), [("tanh", 1.0), ("elu", 1.0), ("relu6", 2.0), ("gelu", 4.0)])
def test_without_bias_the_edge_ends_where_the_network_is_linear(name, sigma_w2):
    point = edge_of_chaos(name, sigma_b2=0.0)
    assert point.q_star == 0.0
    assert point.sigma_w2 == pytest.approx(sigma_w2, rel=1e-9)
    assert point.is_stable == (name != "gelu")


def test_softplus_has_no_edge_of_chaos():
    assert all(edge_of_chaos("softplus", sigma_b2=b) is None for b in (0.0, 0.1, 10.0))


def test_the_edge_of_sigmoid_begins_at_weights_of_variance_103():
    # For large q: E f^2 -> 1/2 and E f'^2 -> (1/6) / sqrt(2 pi q), as int f'^2 dx = int_0^1 s (1 - s) ds = 1/6; so
    # sigma_b2 = q - 3 sqrt(2 pi q) + O(1), which is positive from about q = 18 pi on.
    assert edge_of_chaos("sigmoid", q=40.0) is None
    assert edge_of_chaos("sigmoid", sigma_b2=0.0).sigma_w2 == pytest.approx(103.0, rel=1e-3)
    far = edge_of_chaos("sigmoid", q=1e6)
    assert far.sigma_b2 == pytest.approx(1e6 - 3.0 * sqrt(2.0 * pi * 1e6), rel=1e-3)


@pytest.mark.parametrize(("name", "q"), [("tanh", 0.7), ("mish", 5.0), ("hard_tanh", 2.0)])
def test_at_the_edge_the_gradient_factor_is_one_and_the_variance_stays(name, q):
    point = edge_of_chaos(name, q=q)
    assert chi_1(name, point.sigma_w2, q) == pytest.approx(1.0, rel=1e-14)
    assert variance_map(name, q, sigma_w2=point.sigma_w2, sigma_b2=point.sigma_b2) == pytest.approx(q, rel=1e-13)


@pytest.mark.parametrize(("sigma_w2", "fate"), [(1.9, 0.0), (2.1, inf)])
def test_the_signal_of_relu_dies_out_below_two_and_explodes_above(sigma_w2, fate):
    assert q_star("relu", sigma_w2=sigma_w2) == fate
    with pytest.raises(OptionError, match=r"^the signal of 'relu' (dies out|explodes)[^\n]*$"):
        fixed_point("relu", sigma_w2=sigma_w2)


def test_torchs_gain_of_tanh_is_chaotic():
    point = fixed_point("tanh", sigma_w2=(5.0 / 3.0) ** 2)
    assert point.phase == "chaotic"
    assert point.chi_1 > 1.2
    assert point.c_star == 0.0  # an odd function without bias sends every pair of inputs to correlation 0


def test_torchs_gain_of_selu_settles_far_below_variance_one():
    point = fixed_point("selu", sigma_w2=0.75**2)
    assert sqrt(moments("selu", point.q_star).variance) == pytest.approx(0.19957, abs=1e-5)
    assert point.chi_1 == pytest.approx(1.00367, abs=1e-5)


@pytest.mark.parametrize(("name", "sigma_w2", "sigma_b2"), [("hard_tanh", 3.0, 0.2), ("erf", 3.0, 0.1)])
def test_a_chaotic_fixed_point_maps_to_itself_and_attracts(name, sigma_w2, sigma_b2):
    p = fixed_point(name, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    mapped = correlation_map(name, p.c_star, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=p.q_star)
    assert mapped == pytest.approx(p.c_star, abs=1e-12)
    assert p.phase == "chaotic"
    assert p.chi_c_star < 1.0 < p.chi_1


def test_the_edge_is_asked_for_at_one_point():
    for wrong in ({}, {"q": 1.0, "sigma_b2": 0.1}):
        with pytest.raises(OptionError, match="either sigma_b2 or q"):
            edge_of_chaos("tanh", **wrong)
