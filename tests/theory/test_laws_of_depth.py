"""What depth does: laws at the edge of chaos, tangent kernels, curves, phase diagrams and the whole report."""

import json
from math import acos, inf, pi, sin, sqrt

import numpy as np
import pytest

from initlab.core.errors import InitlabError, OptionError
from initlab.theory import (
    ACTIVATIONS,
    ChainLayer,
    activation,
    chain_signals,
    correlation_map,
    critical_curve,
    edge_law,
    edge_of_chaos,
    fixed_point,
    forward_gain,
    half_stable_point,
    layer_curve,
    moments,
    origin_law,
    pair_moment,
    phase_diagram,
    q_star,
    tangent_kernels,
    theory_report,
    variance_map,
)
from initlab.theory.closed_kernels import closed_kernel
from initlab.theory.rules import moment_table, rule_moments, rule_pair_moment

SMOOTH = ["tanh", "gelu", "selu", "hard_tanh", "mish", "sigmoid", "relu"]


def test_correlations_of_tanh_go_to_one_like_beta_over_the_layer():
    point = edge_of_chaos("tanh", sigma_b2=0.05)
    law = edge_law("tanh", sigma_w2=point.sigma_w2, q=point.q_star)
    assert (law.power, round(law.coefficient, 5)) == (1, 6.17113)
    c, layers = 0.999, 300
    start = 1.0 / (1.0 - c)
    for _ in range(layers):
        c = correlation_map("tanh", c, sigma_w2=point.sigma_w2, sigma_b2=point.sigma_b2, q=point.q_star)
    # 1 / (1 - c) grows by 1 / beta a layer.
    assert (1.0 / (1.0 - c) - start) / layers == pytest.approx(1.0 / law.coefficient, rel=2e-3)


@pytest.mark.parametrize(("call", "sigma_w2"), [("relu", 2.0), ("leaky_relu(negative_slope=0.2)", 2.0 / 1.04)])
def test_correlations_of_bent_lines_go_to_one_like_the_inverse_square(call, sigma_w2):
    law = edge_law(call, sigma_w2=sigma_w2, q=1.7)
    c, layers = 0.9, 3000
    for _ in range(layers):
        c = correlation_map(call, c, sigma_w2=sigma_w2, q=1.7)
    assert law.power == 2
    # (1 - c)^(-1/2) grows by coefficient^(-1/2) a layer, up to a logarithm.
    grown = (1.0 - c) ** -0.5 - 0.1**-0.5
    assert grown / layers == pytest.approx(law.coefficient**-0.5, rel=1e-2)


def test_the_law_of_relu_is_nine_pi_squared_over_two():
    assert edge_law("relu", sigma_w2=2.0, q=5.0).coefficient == pytest.approx(4.5 * pi**2)


@pytest.mark.parametrize(("name", "q"), [("hard_tanh", 0.8), ("selu", 0.9), ("relu6", 3.0)])
def test_the_map_of_a_kinked_activation_bends_as_its_law_says(name, q):
    point = edge_of_chaos(name, q=q)
    s = 2.0 / sqrt(edge_law(name, sigma_w2=point.sigma_w2, q=q).coefficient)
    epsilon = 1e-5
    mapped = correlation_map(name, 1.0 - epsilon, sigma_w2=point.sigma_w2, sigma_b2=point.sigma_b2, q=q)
    # e' = e - s e^(3/2) + O(e^2).
    assert (epsilon - (1.0 - mapped)) / epsilon**1.5 == pytest.approx(s, rel=0.02)


def test_a_line_has_no_law_and_a_jump_is_refused():
    assert edge_law("identity", sigma_w2=1.0, q=1.0) is None
    with pytest.raises(OptionError, match="jumps"):
        edge_law("hard_shrink", sigma_w2=1.0, q=1.0)


def test_without_bias_a_tanh_signal_falls_like_half_over_the_layer():
    a, b = origin_law("tanh")
    q, gradient, at = 1.0, 1.0, {}
    for layer in range(1, 1201):
        gradient *= rule_moments(activation("tanh"), q).slope_second
        q = variance_map("tanh", q, sigma_w2=1.0)
        at[layer] = (q * layer, gradient)
    assert at[1200][0] == pytest.approx(a, rel=5e-3)
    assert at[600][1] / at[1200][1] == pytest.approx(2.0**b, rel=1e-2)


def bowed(x):
    """Of this function f' = 1, f'' = 0.6 and f''' = -2 at 0."""
    return np.tanh(x) + 0.3 * np.square(x)


def test_of_a_function_that_is_not_odd_the_gradient_falls_by_a_power_of_its_own():
    # v = -(f' f''' + 3/4 f''^2) = 1.73 and g = -(f' f''' + f''^2) = 1.64.
    a, b = origin_law(bowed)
    assert (a, b) == (pytest.approx(1.0 / 1.73, rel=1e-3), pytest.approx(1.64 / 1.73, rel=1e-3))


def test_the_origin_law_counts_by_the_slope_at_zero():
    # f(x) = 2 tanh(x / 2): f' = 1 and f''' = -1/2, so v = g = 1/2; twice it has f' = 2 and f''' = -1, and the same.
    for f in (lambda x: 2.0 * np.tanh(0.5 * x), lambda x: 4.0 * np.tanh(0.5 * x)):
        assert origin_law(f) == (pytest.approx(2.0, rel=1e-3), pytest.approx(1.0, rel=1e-3))


def test_the_origin_law_knows_which_functions_it_does_not_hold_for():
    for name in ("relu", "gelu", "sigmoid", "square"):
        with pytest.raises(OptionError):
            origin_law(name)


@pytest.mark.parametrize("call", ["relu", "leaky_relu(negative_slope=0.3)", "abs", "identity", "erf", "gelu", "sin"])
@pytest.mark.parametrize("c", [-1.0, -0.6, 0.0, 0.7, 0.999])
def test_closed_kernels_are_the_integrals_that_a_plain_function_needs(call, c):
    act, q = activation(call), 1.6
    plain = activation(lambda x: act(x))
    value, slope = closed_kernel(act)(q, c)
    assert closed_kernel(plain) is None
    assert value == pytest.approx(pair_moment(plain, c, q), rel=1e-9, abs=1e-11)
    if call not in ("relu", "abs", "leaky_relu(negative_slope=0.3)"):
        assert slope == pytest.approx(pair_moment(plain, c, q, of="slope"), rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("call", ["relu", "gelu", "erf", "sin", "cos", "square", "identity", "abs"])
def test_closed_kernels_end_at_the_moments(call):
    for q in (0.3, 5.0):
        m = moments(call, q)
        assert closed_kernel(activation(call))(q, 1.0) == pytest.approx((m.second, m.slope_second), rel=1e-11)
        assert closed_kernel(activation(call))(q, 0.0)[0] == pytest.approx(m.mean**2, abs=1e-11)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n not in ("exp", "sin", "cos", "snake")])
def test_the_fixed_rule_agrees_with_the_refined_integrals(name):
    act = activation(name)
    for q in (0.3, 1.0, 30.0):
        try:
            refined = moments(act, q)
        except InitlabError:
            continue
        quick = rule_moments(act, q)
        scale = max(refined.second, 1e-300)
        assert quick.second == pytest.approx(refined.second, rel=1e-10)
        assert quick.slope_second == pytest.approx(refined.slope_second, rel=1e-10)
        assert abs(quick.second_rate - refined.second_rate) < 1e-10 * scale / q + 1e-10 * abs(refined.second_rate)


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("c", [-0.7, 0.3, 0.97, 0.9999])
def test_the_fixed_rule_of_pairs_agrees_with_the_refined_integrals(name, c):
    for q in (0.4, 3.0):
        refined = pair_moment(name, c, q)
        assert abs(rule_pair_moment(activation(name), c, q) - refined) < 1e-8 * moments(name, q).second


def test_the_table_stops_where_moments_overflow():
    table = moment_table(activation("exp"))
    assert np.all(np.isfinite(table.second))
    assert len(table.q) < 58


@pytest.mark.parametrize("name", SMOOTH)
def test_curves_are_the_chain_of_equal_wide_layers(name):
    sigma_w2, sigma_b2, depth = forward_gain(name) ** 2, 0.05, 12
    chain = [ChainLayer(None, 1.0), *[ChainLayer(name, sigma_w2, sigma_b2)] * (depth - 1)]
    signals = list(chain_signals(chain))
    points = layer_curve(name, depth, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    for point, signal in zip(points, signals, strict=True):
        assert (point.q, point.correlation) == pytest.approx((signal.q, signal.correlation), rel=1e-7, abs=1e-7)
        # The chain tells the first layer's gradient over this one's.
        assert points[0].gradient / point.gradient == pytest.approx(signal.gradient, rel=1e-7)


def test_a_curve_ends_where_the_signal_is_lost():
    assert len(layer_curve("square", 50, sigma_w2=1.0)) < 15


def test_real_tanh_nets_at_the_forward_gain_have_the_told_gradients():
    """chi_1 = 1.178 a layer: not an edge of chaos."""
    depth, width, nets, gain, rng = 20, 150, 40, forward_gain("tanh"), np.random.default_rng(8)
    logs = np.empty(nets)
    for net in range(nets):
        zs, weights = [rng.standard_normal(width)], []
        for _ in range(depth - 1):
            weights.append(rng.standard_normal((width, width)) * gain / sqrt(width))
            zs.append(weights[-1] @ np.tanh(zs[-1]))
        back = last = rng.standard_normal(width)
        for w, z in zip(reversed(weights), reversed(zs[:-1]), strict=True):
            back = (w.T @ back) * (1.0 - np.tanh(z) ** 2)
        logs[net] = np.log(np.mean(back**2) / np.mean(last**2))
    told = np.log(layer_curve("tanh", depth, sigma_w2=gain**2)[0].gradient)
    assert told == pytest.approx(19 * np.log(1.1778072), rel=1e-6)
    assert abs(logs.mean() + 0.5 * logs.var() - told) < 5.0 * logs.std() / sqrt(nets) + 0.2


@pytest.mark.parametrize("name", ["tanh", "silu", "hard_tanh"])
def test_the_phase_diagram_tells_chi_at_the_fixed_point(name):
    found = phase_diagram(name, sigma_w=[0.7, 1.1, 1.6], sigma_b=[0.2, 0.5])
    for b, row in zip(found.sigma_b, found.chi_1, strict=True):
        for w, chi in zip(found.sigma_w, row, strict=True):
            if q_star(name, sigma_w2=w * w, sigma_b2=b * b) == inf:
                assert chi is None
            else:
                assert chi == pytest.approx(fixed_point(name, sigma_w2=w * w, sigma_b2=b * b).chi_1, rel=2e-2)


def test_the_phase_diagram_of_relu_has_no_fixed_point_beyond_its_edge():
    found = phase_diagram("relu", sigma_w=[1.0, 2.0], sigma_b=[0.3])
    assert found.chi_1 == ((pytest.approx(0.5), None),)
    assert [p.sigma_w2 for p in found.edge] == [pytest.approx(2.0)]


def test_the_critical_curve_passes_through_the_edge_of_chaos():
    curve = critical_curve("tanh")
    weights, biases = [p.sigma_w2 for p in curve], [p.sigma_b2 for p in curve]
    assert np.interp(0.05, biases, weights) == pytest.approx(1.760954639606739, rel=1e-2)
    assert not critical_curve("softplus")


def test_sigmoid_is_critical_at_weights_beyond_103_only_and_softplus_nowhere():
    curve = critical_curve("sigmoid")
    assert min(p.q_star for p in curve) > 45.0
    assert min(p.sigma_w2 for p in curve) > 103.0
    point = edge_of_chaos("sigmoid", sigma_b2=0.0)
    assert point.is_stable
    assert variance_map("sigmoid", point.q_star, sigma_w2=point.sigma_w2) == pytest.approx(point.q_star, rel=1e-12)
    assert edge_of_chaos("softplus", sigma_b2=1.0) is None


@pytest.mark.parametrize(
    ("name", "q"), [("gelu", (3.0 + sqrt(17.0)) / 2.0), ("mish", 1.67016913), ("silu", 14.3201736)]
)
def test_half_stable_points_lie_where_both_slopes_are_one(name, q):
    point = half_stable_point(name)
    assert point.q_star == pytest.approx(q, rel=1e-8)
    assert point.chi_q == pytest.approx(1.0, abs=1e-11)


def test_the_tangent_kernel_of_a_he_net_is_depth_times_its_signal():
    kernels = tangent_kernels("relu", 12, sigma_w2=2.0, q=1.5)
    assert [k.theta for k in kernels] == pytest.approx([1.5 * layer for layer in range(1, 13)])


def test_the_tangent_kernel_of_a_pair_is_that_of_two_layers_by_hand():
    # Jacot et al.: Theta_2 = K_2 + K_1 K'_2 with the arc-cosine kernels.
    c = 0.3
    theta = acos(c)
    value, slope = (sin(theta) + (pi - theta) * c) / pi, (pi - theta) / pi
    last = tangent_kernels("relu", 2, sigma_w2=2.0, correlation=c)[-1]
    assert (last.k, last.theta_pair) == pytest.approx((value, value + c * slope))


def test_the_tangent_kernel_is_the_mean_of_real_gradients():
    n, nets, rng = 400, 200, np.random.default_rng(1)
    x, y = np.array([1.0, 0.0]), np.array([0.6, 0.8])
    found = np.empty(nets)
    for net in range(nets):
        w, v = rng.standard_normal((n, 2)), rng.standard_normal(n)
        u, t = w @ x, w @ y
        # f = v . tanh(W x) / sqrt n: the gradients by v and by W.
        by_v = np.tanh(u) @ np.tanh(t) / n
        found[net] = by_v + (x @ y) * np.mean(v**2 / np.cosh(u) ** 2 / np.cosh(t) ** 2)
    told = tangent_kernels("tanh", 2, sigma_w2=1.0, correlation=0.6)[-1].theta_pair
    assert abs(found.mean() - told) < 5.0 * found.std() / sqrt(nets)


def test_the_report_of_tanh_chooses_the_edge_of_chaos_and_says_so():
    found = theory_report("tanh", sigma_b2=0.05, depth=50)
    assert found.choice == "edge of chaos"
    assert found.sigma_w2 == pytest.approx(1.760954639606739, rel=1e-12)
    assert found.fixed_point.phase == "critical"
    assert len(found.layers) == 50
    assert found.verdict.startswith("Edge of chaos")


def test_the_report_of_torchs_tanh_gain_says_chaotic():
    found = theory_report("tanh", sigma_w2=25.0 / 9.0)
    assert found.choice == "given"
    assert found.fixed_point.phase == "chaotic"
    # chi_1 = 1.2098 at the fixed point: 1.4e4 in 50 layers, up to the first layers' way there.
    assert 5e3 < found.gradient_ratio < 3e4


def test_the_report_of_gelu_falls_back_to_its_gain_and_warns_of_the_repelling_point():
    found = theory_report("gelu")
    assert found.choice == "forward gain"
    assert "repels" in found.verdict


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_a_report_that_is_plain_json(name):
    text = json.dumps(theory_report(name, sigma_b2=0.01, depth=5).to_dict(), allow_nan=False)
    assert json.loads(text)["description"]["name"] == name


def test_a_plain_function_has_a_report():
    assert theory_report(lambda x: np.tanh(2.0 * x), depth=4).fixed_point is None  # sigma_w^2 = 1/4, q* = 0


@pytest.mark.parametrize("options", [{"depth": 0}, {"sigma_w2": 0.0}, {"sigma_b2": -1.0}, {"sigma_w2": float("nan")}])
def test_arguments_out_of_range_are_refused_in_one_line(options):
    with pytest.raises(OptionError) as caught:
        theory_report("tanh", **options)
    assert "\n" not in str(caught.value)


def test_a_phase_diagram_has_thirty_weights_up_to_three_and_twenty_one_biases_up_to_one():
    found = phase_diagram("relu")
    assert found.sigma_w == pytest.approx([0.1 * k for k in range(1, 31)])
    assert found.sigma_b == pytest.approx([0.05 * k for k in range(21)])
    assert (len(found.chi_1), {len(row) for row in found.chi_1}) == (21, {30})
    assert found.chi_1[7][9] == pytest.approx(0.5)  # sigma_w^2 / 2 at sigma_w = 1


@pytest.mark.parametrize(("sigma_w2", "q"), [(0.0, 1.3), (1.3, 0.0), (1.3, -1.0)])
def test_an_edge_without_weights_or_without_a_signal_is_refused(sigma_w2, q):
    with pytest.raises(OptionError, match="give variances above 0"):
        edge_law("tanh", sigma_w2=sigma_w2, q=q)
