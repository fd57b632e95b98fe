"""The lessons' numbers against closed forms: what theory says of infinite width, within what a finite net strays."""

from __future__ import annotations

import math

import pytest

from initlab.lessons import learn


def log_band(widths: list[int], draws: int, *, k: float = 5.0) -> float:
    """How far the log of a geometric mean over draws may lie from 0: bias -k b / 2 and 5 standard errors.

    b = sum of 1 / width; k = 5 for ReLU, 2 for linear nets. Hanin & Rolnick 2018, arXiv 1803.01719.
    """
    b = sum(1.0 / n for n in widths)
    return k * b / 2 + 5 * math.sqrt(k * b / draws)


def near(measured: float, theory: float, band: float) -> bool:
    return abs(math.log(measured / theory)) <= band


def test_a_linear_chain_multiplies_the_variance_by_n_var_w_a_layer() -> None:
    n = learn("variance").numbers
    assert n["small_theory"] == pytest.approx(0.64**20)  # 100 * 0.08^2
    assert n["large_theory"] == pytest.approx(1.69**20)  # 100 * 0.13^2
    for label in ("small", "right", "large"):
        assert near(n[f"{label}_measured"], n[f"{label}_theory"], log_band([100] * 21, 6, k=2.0))


def test_a_relu_net_halves_the_squared_gradient_at_every_glorot_layer() -> None:
    n = learn("vanishing-gradients").numbers
    assert n["relu_glorot_theory"] == pytest.approx(0.5**19)
    assert n["relu_he_theory"] == pytest.approx(1.0)
    for key in ("relu_glorot", "relu_he", "tanh", "sigmoid"):
        assert near(n[f"{key}_measured"], n[f"{key}_theory"], log_band([100] * 19, 6))


def test_a_sigmoid_passes_at_most_a_quarter_of_a_gradient() -> None:
    n = learn("vanishing-gradients").numbers
    assert n["sigmoid_steepest"] == pytest.approx(0.25)
    assert n["sigmoid_theory"] < (1 / 16) ** 19
    assert n["sigmoid_loss_end"] == pytest.approx(math.log(10), abs=0.02)


def test_gradients_explode_by_two_a_relu_layer_at_twice_hes_variance() -> None:
    n = learn("exploding-gradients").numbers
    assert n["relu_4_theory"] == pytest.approx(2.0**19)
    assert near(n["relu_4_measured"], n["relu_4_theory"], log_band([100] * 19, 6))
    assert n["tanh_4_chi"] > 1.0
    assert n["step_8"] >= 1


def test_saturated_shares_are_those_of_the_normal_distribution() -> None:
    n = learn("saturation").numbers
    closed = math.erfc(math.atanh(math.sqrt(0.95)) / math.sqrt(2 * 100.0))  # |tanh u| > sqrt(0.95), u ~ N(0, 100)
    assert n["tanh_far"] == pytest.approx(closed, rel=1e-9)
    assert n["hard_tanh_near"] == pytest.approx(math.erfc(1 / math.sqrt(2)), rel=1e-9)
    for act in ("sigmoid", "tanh", "softsign", "hard_tanh", "relu", "gelu"):
        # 60 000 values, of which 600 rows are independent of each other and 600 units are.
        assert n[f"{act}_measured"] == pytest.approx(n[f"{act}_far"], abs=5 * math.sqrt(0.25 / 600))


def test_powers_of_an_orthogonal_matrix_neither_stretch_nor_shrink() -> None:
    n = learn("recurrent-nets").numbers
    assert n["orthogonal_least"] == pytest.approx(1.0, abs=1e-9)
    assert n["orthogonal_most"] == pytest.approx(1.0, abs=1e-9)
    assert n["identity_least"] == n["identity_most"] == 1.0
    assert n["normal_1_least"] < 1e-6 < 10.0 < n["normal_1_most"]
    assert n["orthogonal_highest"] / n["orthogonal_lowest"] < n["normal_1_highest"] / n["normal_1_lowest"]
    assert n["orthogonal_highest"] < 1.0


def test_from_zeros_no_gradient_reaches_any_weight() -> None:
    n = learn("symmetry").numbers
    assert n["zeros_hidden_gradient"] == 0.0
    assert n["zeros_units"] == 1.0
    # Only the output's bias learns, so the loss cannot fall below the entropy of the classes.
    assert n["class_entropy"] <= n["zeros_loss"] == pytest.approx(n["class_entropy"], abs=0.01)


def test_a_constant_start_stays_at_rank_one() -> None:
    n = learn("constants").numbers
    assert (n["constant_units"], n["constant_rank"]) == (1.0, 1.0)
    assert (n["ones_units"], n["ones_rank"]) == (1.0, 1.0)
    assert n["zeros_rank"] == 0.0
    assert n["glorot_units"] == n["hidden_units"]
    assert n["constant_accuracy"] < 0.5 < n["glorot_accuracy"]


def test_a_zero_output_starts_at_the_loss_of_a_guess_and_learns_one_step_later() -> None:
    n = learn("when-zero-is-right").numbers
    assert n["zero_loss_start"] == pytest.approx(math.log(10), abs=1e-12)
    assert n["zero_gradient_before"] == 0.0 < n["zero_gradient_after"]
    assert n["error_zero"] == pytest.approx(1.0, abs=5 * math.sqrt(2 / 1000))
    assert n["error_drawn"] == pytest.approx(2.0, abs=5 * math.sqrt(8 / 1000))
    assert near(n["stream_drawn"], 2.0**20, log_band([100] * 20, 6))


def test_random_scales_give_the_powers_that_the_variance_rule_says() -> None:
    n = learn("random").numbers
    assert n["standard_power"] == 100.0
    assert n["hundredth_power"] == pytest.approx(0.01)
    assert n["uniform_power"] == pytest.approx(100 * 0.1**2 / 12)
    for key in ("standard", "hundredth", "uniform"):
        theory = (n[f"{key}_power"] / 2) ** 19 * n[f"{key}_power"]
        assert near(n[f"{key}_relu_signal"], theory, log_band([100] * 20, 6))


def test_glorot_lies_between_the_two_rules_it_joins() -> None:
    n = learn("xavier").numbers
    assert (n["in_forward_theory"], n["in_backward_theory"]) == pytest.approx((1.0, 1 / 8))
    assert (n["out_forward_theory"], n["out_backward_theory"]) == pytest.approx((8.0, 1.0))
    assert (n["glorot_forward_theory"], n["glorot_backward_theory"]) == pytest.approx(((4 / 3) ** 3, (2 / 3) ** 3))
    for key in ("in", "out", "glorot"):
        for part in ("forward", "backward"):
            assert near(n[f"{key}_{part}"], n[f"{key}_{part}_theory"], log_band([64, 32, 16, 16], 24, k=2.0))


def test_he_keeps_what_glorot_halves() -> None:
    n = learn("he").numbers
    assert n["relu_second"] == pytest.approx(0.5)
    assert n["he_theory"] == pytest.approx(1.0)
    assert n["glorot_theory"] == pytest.approx(0.5**19)
    assert near(n["he_signal"], 1.0, log_band([100] * 20, 6))
    assert n["he_loss"] < n["glorot_loss"]


def test_selu_keeps_mean_zero_and_variance_one_under_lecun() -> None:
    n = learn("lecun").numbers
    assert n["selu_theory"] == pytest.approx(1.0, abs=1e-6)  # Klambauer et al. 2017: the fixed point is (0, 1)
    assert n["selu_chi"] == pytest.approx(1.0715749925, rel=1e-9)
    assert abs(n["selu_mean"]) < 5 / math.sqrt(6 * 24)
    assert n["selu_variance"] == pytest.approx(1.0, abs=0.2)


def test_orthogonal_layers_spread_singular_values_by_l_under_relu_and_not_at_all_without() -> None:
    n = learn("orthogonal").numbers
    depth = n["depth"]
    theory = [n[f"{key}_theory"] for key in ("linear_normal", "linear_orthogonal", "relu_normal", "relu_orthogonal")]
    assert theory == pytest.approx([depth, 0.0, 2 * depth, depth])  # Pennington et al. 2017, arXiv 1711.04735
    assert n["linear_orthogonal_spread"] == 0.0
    assert n["linear_orthogonal_kept"] == 1.0
    for key in ("linear_normal", "relu_normal", "relu_orthogonal"):
        assert n[f"{key}_spread"] == pytest.approx(n[f"{key}_theory"], rel=0.3)  # width 64, depth 8


def test_the_identity_changes_nothing_and_leaves_zeros_where_a_layer_widens() -> None:
    n = learn("identity").numbers
    assert n["change"] == 0.0
    assert n["wide_zero"] == n["wide_zero_after"] == n["wide_units"] - 64
    assert n["wide_distinct"] == 65


def test_a_cut_at_two_sigma_takes_the_std_that_the_formula_says() -> None:
    n = learn("truncated-normal").numbers
    density = math.exp(-2.0) / math.sqrt(2 * math.pi)
    closed = math.sqrt(1 - 4 * density / math.erf(math.sqrt(2)))
    assert n["cut_std"] == pytest.approx(closed, rel=1e-12)
    assert n["keras_std"] == pytest.approx(0.02 * closed)
    assert n["he_std"] == pytest.approx(math.sqrt(2 / 256))
    assert n["keras_furthest"] <= 2.0 < n["normal_furthest"]


def test_framework_defaults_are_those_of_their_sources() -> None:
    n = learn("framework-differences").numbers
    assert n["default_torch"] == pytest.approx(1 / math.sqrt(3 * 256))  # U(+-1 / sqrt(fan_in))
    assert n["default_keras"] == pytest.approx(math.sqrt(2 / (256 + 128)))  # glorot_uniform
    assert n["default_jax"] == pytest.approx(1 / math.sqrt(256))  # flax: lecun_normal
    assert (n["normal_torch"], n["normal_keras"], n["normal_jax"]) == (1.0, 0.05, 0.01)
    assert n["he_normal_torch"] == pytest.approx(n["he_normal_jax"])


def test_the_exact_gain_repels_where_the_slope_is_above_one() -> None:
    n = learn("rules-of-thumb").numbers
    assert n["gelu_slope"] == pytest.approx(1.14406, abs=1e-5)
    assert n["silu_slope"] == pytest.approx(1.17259, abs=1e-5)
    assert n["relu_slope"] == pytest.approx(1.0)
    for act in ("gelu", "silu"):
        assert n[f"{act}_low"] < 0.5 < 2.0 < n[f"{act}_high"]
    assert n["tanh_low"] == pytest.approx(n["tanh_high"], rel=1e-9)
    assert n["output_mean"] == pytest.approx(1 / math.sqrt(2 * math.pi))


def test_norms_multiply_the_gradient_by_their_factors() -> None:
    n = learn("normalisation").numbers
    assert n["relu_batch_theory"] == pytest.approx(math.pi / (math.pi - 1) * 22 / 21, rel=1e-6)  # 24 rows
    assert n["tanh_layer_theory"] == pytest.approx(1.177807, abs=1e-6)
    for key in ("relu_none", "relu_batch", "relu_layer", "tanh_layer"):
        assert n[f"{key}_factor"] == pytest.approx(n[f"{key}_theory"], rel=0.05)
    assert n["loss_1"] < n["loss_10"]


def test_residual_streams_grow_as_the_sum_of_variances_says() -> None:
    n = learn("residual").numbers
    assert n["one_signal_theory"] == pytest.approx(2.0**20)
    assert n["root_signal_theory"] == pytest.approx(1.05**20)
    assert n["prenorm_signal_theory"] == pytest.approx(21.0)
    for key in ("plain", "one", "root", "half", "tanh", "prenorm"):
        for part in ("signal", "gradient"):
            assert near(n[f"{key}_{part}"], n[f"{key}_{part}_theory"], log_band([100] * 20, 6))


def test_clipping_keeps_an_exploding_net_finite_and_does_not_move_a_vanishing_one() -> None:
    n = learn("clipping").numbers
    assert n["diverged_step"] >= 1
    assert n["loud_clipped_accuracy"] < n["he_accuracy"]
    assert n["faint_clipped_end"] == pytest.approx(n["faint_end"], abs=0.01)


def test_dropout_multiplies_the_variance_by_one_over_the_share_kept() -> None:
    n = learn("dropout").numbers
    assert n["factor"] == pytest.approx(1 / 0.8)
    assert n["critical"] == pytest.approx(1.6)
    # Noise on the units adds to the relative variance of a sum: k = 5 / keep and a little more.
    band = log_band([100] * 15, 12, k=7.0)
    assert near(n["he_measured"], n["he_theory"], band)
    assert near(n["critical_measured"], 1.0, band)


def test_a_penalty_forgets_the_scale_of_the_start() -> None:
    n = learn("regularisation").numbers
    assert n["memory"] == pytest.approx(1 / (2 * 0.05 * 0.01))
    assert n["big_norm"] / n["he_norm"] > 2.0 > n["big_l2_norm"] / n["he_l2_norm"]
    assert n["he_l1_small"] > 3 * n["he_small"]


def test_good_schemes_part_in_deep_nets_only() -> None:
    n = learn("trade-offs").numbers
    assert n["gap_shallow"] < 0.05
    assert n["he_deep"] - n["lecun_deep"] > 0.2


def test_draws_depend_on_seed_and_name_alone() -> None:
    n = learn("reproducibility").numbers
    assert (n["again"], n["grown"], n["part"]) == (1.0, 1.0, 1.0)
    assert n["other_seed"] < 0.01
    assert n["generator"] == 0.0
    assert n["training"] == 0.0


def test_a_transformer_starts_as_theory_says() -> None:
    n = learn("transformers").numbers
    assert n["stream_theory"] == pytest.approx(25.0)
    assert n["scaled_theory"] == pytest.approx(2.0)
    for key in ("stream", "scaled"):
        assert near(n[key], n[f"{key}_theory"], log_band([64] * 24, 6))
    assert n["loss_wide_theory"] == pytest.approx(73.5, abs=0.1)
    # The deviation of one label's loss is about sqrt(512): 256 labels.
    assert n["loss_wide"] == pytest.approx(n["loss_wide_theory"], abs=5 * math.sqrt(512 / 256))
    assert n["loss_small"] == pytest.approx(n["loss_small_theory"], abs=5 * math.sqrt(0.2 / 256))
    assert n["cosine_skip"] < 0.5 < n["cosine_2"]


def test_the_textbook_claims_fail_as_the_exact_numbers_say() -> None:
    n = learn("textbook-errors").numbers
    assert (n["slope_zero"], n["slope_most"]) == pytest.approx((1.0, 1.0))
    assert n["slope_three"] == pytest.approx(1 - math.tanh(3.0) ** 2)
    assert n["off_tenth"] == n["off_he"] == n["off_ten"] == pytest.approx(0.5, abs=5 * math.sqrt(0.25 / 256))
    assert n["ones_rank"] == 1.0
    assert n["forward_gain"] == pytest.approx(1.5925374197)
    assert n["backward_gain"] == pytest.approx(1 / math.sqrt(0.4644029024))
    assert n["gain_q"] == pytest.approx(1.17848, abs=1e-5)
    assert n["gain_factor"] == pytest.approx(1.20983, abs=1e-5)
    assert near(n["gain_measured"], n["gain_theory"], log_band([100] * 49, 6))
    assert n["norm_factor"] == pytest.approx(math.pi / (math.pi - 1))
    assert n["norm_zeros"] < 0.2 < n["norm_he"]
