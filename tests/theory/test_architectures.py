"""Residual sums, norms, dropout and attention: closed forms, and real networks in NumPy."""

from itertools import islice
from math import acos, asin, e, exp, log, pi, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from initlab.core.errors import OptionError
from initlab.theory import (
    activation,
    attention_logit_variance,
    attention_sharpness,
    batch_norm_factor,
    correlation_map,
    dropout_correlation_map,
    dropout_critical_weight,
    dropout_point,
    dropout_variance_map,
    layer_norm_factor,
    moments,
    post_norm_factor,
    pre_norm_stream,
    rank_collapse_depth,
    residual_growth,
    residual_stream,
    token_cosines,
)

Array = NDArray[np.float64]


def test_residual_he_blocks_double_the_signal_and_at_one_over_root_depth_grow_by_e():
    whole = residual_stream("relu", 10, sigma_w2=2.0)[-1]
    assert (whole.q, whole.gradient) == (pytest.approx(2.0**10), pytest.approx(2.0**10))
    deep = residual_stream("relu", 5000, sigma_w2=2.0, branch_scale=5000**-0.5)[-1]
    assert deep.q == pytest.approx(e, rel=1e-3)
    assert residual_growth(5000, branch_scale=5000**-0.5) == pytest.approx(deep.q, rel=1e-9)


def test_branches_and_skips_of_unit_total_keep_the_variance():
    alpha = 0.4
    states = residual_stream("relu", 30, sigma_w2=2.0, branch_scale=alpha, skip_scale=sqrt(1.0 - alpha**2))
    assert states[-1].q == pytest.approx(1.0)
    assert states[-1].gradient == pytest.approx(1.0)


def test_a_tanh_stream_grows_linearly_and_its_gradient_like_the_exponential_of_a_root():
    """Yang & Schoenholz, arXiv 1712.08969."""
    states = residual_stream("tanh", 1200, sigma_w2=1.0)
    # E tanh(sqrt(q) z)^2 -> 1 - 2 / sqrt(2 pi q).
    assert states[1200].q - states[1199].q == pytest.approx(1.0 - 2.0 / sqrt(2.0 * pi * 1200), abs=2e-3)
    # chi_1(q) -> (4/3) / sqrt(2 pi q) and q = l: ln gradient -> (8/3) sqrt(l / (2 pi)) + const.
    rise = log(states[1200].gradient / states[300].gradient)
    assert rise == pytest.approx(8.0 / 3.0 * (sqrt(1200) - sqrt(300)) / sqrt(2.0 * pi), rel=0.05)


def test_correlations_in_a_scaled_residual_net_survive_depth():
    plain = residual_stream("relu", 100, sigma_w2=2.0, branch_scale=1.0)[-1].correlation
    scaled = residual_stream("relu", 100, sigma_w2=2.0, branch_scale=0.1)[-1].correlation
    assert plain > 0.95 > 0.4 > scaled > 0.2


def real_residual(depth: int, width: int, nets: int, alpha: float) -> tuple[Array, Array]:
    """ln of the stream's growth and of the squared gradient's, of ReLU residual nets, one of each a net."""
    rng, growth, gradient = np.random.default_rng(1), np.empty(nets), np.empty(nets)
    for net in range(nets):
        x = rng.standard_normal(width)
        start, slopes, weights = np.mean(x**2), [], []
        for _ in range(depth):
            weights.append(rng.standard_normal((width, width)) * sqrt(2.0 / width))
            slopes.append(x > 0.0)
            x = x + alpha * weights[-1] @ np.maximum(x, 0.0)
        back = last = rng.standard_normal(width)
        for w, slope in zip(reversed(weights), reversed(slopes), strict=True):
            back = back + alpha * slope * (w.T @ back)
        growth[net], gradient[net] = log(np.mean(x**2) / start), log(np.mean(back**2) / np.mean(last**2))
    return growth, gradient


def test_real_residual_nets_grow_as_told():
    depth, width, nets = 12, 100, 60
    told = log(residual_growth(depth, branch_scale=0.5))
    for found in real_residual(depth, width, nets, 0.5):
        # A finite width lowers the mean logarithm by half its variance.
        assert abs(found.mean() + 0.5 * found.var() - told) < 5.0 * found.std() / sqrt(nets)


@pytest.mark.parametrize(("name", "factor"), [("relu", 1.0), ("gelu", 1.072), ("tanh", 1.178), ("identity", 1.0)])
def test_the_layer_norm_factor_is_the_known_one(name, factor):
    assert layer_norm_factor(name) == pytest.approx(factor, abs=5e-4)


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "sigmoid", "sin", "elu", "hard_tanh"])
def test_batch_norm_makes_gradients_grow_unless_the_activation_is_a_line(name):
    assert batch_norm_factor(name) > 1.0 + 1e-3
    assert batch_norm_factor(lambda x: 3.0 * x - 1.0) == pytest.approx(1.0, rel=1e-9)


def through_batch_norms(weights, x):
    """The factor of a squared gradient by a layer of batch norm and ReLU, over the net."""
    kept = []
    for w in weights:
        z = x @ w.T
        spread = z.std(0)
        normed = (z - z.mean(0)) / spread
        kept.append((w, normed, spread))
        x = np.maximum(normed, 0.0)
    gradient = np.random.default_rng(4).standard_normal(x.shape)
    sizes = []
    for w, normed, spread in reversed(kept):
        g = gradient * (normed > 0.0)
        by_sum = (g - g.mean(0) - normed * (g * normed).mean(0)) / spread
        sizes.append(np.square(by_sum).sum())
        gradient = by_sum @ w
    return (sizes[-1] / sizes[0]) ** (1.0 / (len(kept) - 1))


def test_the_factor_of_batch_norm_with_relu_is_for_independent_random_weights():
    """Independent and random, or orthogonal, whatever their size: pi / (pi - 1) = 1.47; not for others."""
    rng, width, depth = np.random.default_rng(3), 120, 20
    x = rng.standard_normal((300, width))

    def turns():
        return np.linalg.qr(rng.standard_normal((width, width)))[0]

    normal = through_batch_norms([0.7 * rng.standard_normal((width, width)) for _ in range(depth)], x)
    assert 1.3 < normal < pi / (pi - 1.0) + 0.1  # a width of 120 leaves a part of it
    assert 1.35 < through_batch_norms([5.0 * turns() for _ in range(depth)], x) < pi / (pi - 1.0) + 0.1
    assert through_batch_norms([np.eye(width)] * depth, x) < 1.3
    half = [np.linalg.qr(rng.standard_normal((width // 2, width // 2)))[0] for _ in range(depth)]
    mirrored = [np.block([[w, -w], [-w, w]]) for w in half]
    # A linear net: what the norm takes out, a mean and a size, is all that is lost.
    half_x = x[:, : width // 2]
    assert 0.9 < through_batch_norms(mirrored, np.hstack([half_x, -half_x])) < 1.01


def test_the_batch_norm_factor_of_relu_is_pi_over_pi_less_one():
    assert batch_norm_factor("relu") == pytest.approx(pi / (pi - 1.0), rel=1e-12)


def normalised_gradients(f: str, *, batch_norm: bool, batch: int, width: int, depth: int, nets: int) -> Array:
    """The log factor of the squared gradient a layer, one a net, of ``W -> norm -> f``."""
    act, rng, found = activation(f), np.random.default_rng(4), np.empty(nets)
    axis = 0 if batch_norm else 1
    for net in range(nets):
        a, steps = act(rng.standard_normal((batch, width))), []
        for _ in range(depth):
            w = rng.standard_normal((width, width)) / sqrt(width)
            z = a @ w
            z -= z.mean(axis=axis, keepdims=True)
            deviation = np.sqrt(np.square(z).mean(axis=axis, keepdims=True))
            z /= deviation
            steps.append((w, z, deviation))
            a = act(z)
        back = rng.standard_normal((batch, width))
        norms = []
        for w, z, deviation in reversed(steps):
            g = back * act.slope(z)
            g = g - g.mean(axis=axis, keepdims=True) - z * (g * z).mean(axis=axis, keepdims=True)
            norms.append(np.square(g / deviation).mean())
            back = (g / deviation) @ w.T
        found[net] = log(norms[-1] / norms[0]) / (depth - 1)
    return found


@pytest.mark.parametrize(("f", "batch_norm"), [("relu", True), ("tanh", True), ("relu", False), ("tanh", False)])
def test_gradients_of_real_normalised_nets_grow_by_the_factor(f, batch_norm):
    nets, width, batch = 8, 120, 60
    logs = normalised_gradients(f, batch_norm=batch_norm, batch=batch, width=width, depth=7, nets=nets)
    told = log(batch_norm_factor(f, batch=batch) if batch_norm else layer_norm_factor(f))
    # What is left out is of order 1 / width a layer.
    assert abs(logs.mean() - told) < 5.0 * logs.std() / sqrt(nets) + 4.0 / width


def test_the_finite_batch_factor_of_a_linear_layer_is_met_by_draws():
    """(B - 2) / (B - 3): the backward pass of one linear batch norm on independent inputs."""
    batch, units, rng = 8, 400_000, np.random.default_rng(6)
    z, g = rng.standard_normal((2, units, batch))
    z -= z.mean(axis=1, keepdims=True)
    variance = np.square(z).mean(axis=1, keepdims=True)
    z /= np.sqrt(variance)
    g = g - g.mean(axis=1, keepdims=True) - z * (g * z).mean(axis=1, keepdims=True)
    factors = (np.square(g) / variance).mean(axis=1)
    told = batch_norm_factor("identity", batch=batch)
    assert told == pytest.approx(6.0 / 5.0)
    assert abs(factors.mean() - told) < 5.0 * factors.std() / sqrt(units)


def transformer_like(*, post: bool, depth: int, width: int, nets: int) -> tuple[Array, Array]:
    """ln of the stream's last mean square and of its squared gradient's ratio, with branches W2 relu(W1 norm x)."""
    rng, growth, gradient = np.random.default_rng(9), np.empty(nets), np.empty(nets)

    def norm(x: Array) -> Array:
        return x / sqrt(np.mean(x**2))

    def norm_back(g: Array, x: Array) -> Array:
        y = norm(x)
        return (g - y * np.mean(g * y)) / sqrt(np.mean(x**2))

    for net in range(nets):
        x = norm(rng.standard_normal(width))
        tape = []
        for _ in range(depth):
            w1, w2 = (rng.standard_normal((width, width)) * sqrt(k / width) for k in (1.0, 2.0))
            hidden = w1 @ (x if post else norm(x))
            total = x + w2 @ np.maximum(hidden, 0.0)
            tape.append((w1, w2, x, hidden, total))
            x = norm(total) if post else total
        back = last = rng.standard_normal(width)
        for w1, w2, before, hidden, total in reversed(tape):
            back = norm_back(back, total) if post else back
            branch = w1.T @ ((w2.T @ back) * (hidden > 0.0))
            back = back + (branch if post else norm_back(branch, before))
        growth[net], gradient[net] = log(np.mean(x**2)), log(np.mean(back**2) / np.mean(last**2))
    return growth, gradient


def test_the_stream_of_a_pre_norm_net_grows_linearly_and_its_gradient_with_it():
    nets, depth = 40, 12
    growth, gradient = transformer_like(post=False, depth=depth, width=120, nets=nets)
    told = pre_norm_stream(depth)[-1]
    assert told.q == 13.0
    for found, value in ((growth, told.q), (gradient, told.gradient)):
        assert abs(found.mean() + 0.5 * found.var() - log(value)) < 5.0 * found.std() / sqrt(nets) + 0.02


def test_a_post_norm_sublayer_keeps_what_branch_and_skip_pass_together():
    nets, depth = 40, 12
    _, gradient = transformer_like(post=True, depth=depth, width=120, nets=nets)
    assert post_norm_factor(branch_slope=1.0) == 1.0
    assert post_norm_factor(branch_slope=0.0) == 0.5
    assert abs(gradient.mean() + 0.5 * gradient.var()) < 5.0 * gradient.std() / sqrt(nets) + 0.1


def test_dropout_parts_two_passes_of_one_input():
    keep, sigma_w2, sigma_b2 = 0.8, 1.3, 0.2
    at = dropout_point("tanh", keep=keep, sigma_w2=sigma_w2, sigma_b2=sigma_b2)
    q = at.q_star
    assert dropout_variance_map("tanh", q, keep=keep, sigma_w2=sigma_w2, sigma_b2=sigma_b2) == pytest.approx(q)
    told = dropout_correlation_map("tanh", 1.0, keep=keep, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=q)
    assert told == pytest.approx(1.0 - (1.0 - keep) * (1.0 - sigma_b2 / q))
    assert correlation_map("tanh", at.c_star, sigma_w2=sigma_w2, sigma_b2=sigma_b2, q=q) == pytest.approx(at.c_star)
    assert at.c_star < told < 1.0


def test_the_dropout_point_of_relu_is_that_of_its_equations():
    # q = w q / (2 keep) + b and chi_1 = w / (2 keep): 0.3 / 0.25 and 0.75.
    at = dropout_point("relu", keep=0.8, sigma_w2=1.2, sigma_b2=0.3)
    assert (at.q_star, at.chi_1) == (pytest.approx(1.2), pytest.approx(0.75))
    # The slope of the correlation has no 1 / keep: w E 1(u) 1(v), the kernel of degree 0.
    slope = 1.2 * (0.25 + asin(at.c_star) / (2.0 * pi))
    assert at.xi_c == pytest.approx(-1.0 / log(slope))


def test_dropout_without_bias_leaves_relu_a_correlation_below_one():
    weight = dropout_critical_weight("relu", keep=0.7)
    at = dropout_point("relu", keep=0.7, sigma_w2=weight, sigma_b2=0.0)
    assert (at.q_star, at.chi_1) == (pytest.approx(1.0), pytest.approx(1.0))
    mapped = 0.7 * (sqrt(1.0 - at.c_star**2) + at.c_star * (pi - acos(at.c_star))) / pi
    assert at.c_star == pytest.approx(mapped)


def test_dropout_leaves_no_infinite_depth_at_what_was_the_edge_of_chaos():
    point = dropout_point("tanh", keep=0.95, sigma_w2=1.760954639606739, sigma_b2=0.05)
    assert point.xi_c < 10.0


@pytest.mark.parametrize("keep", [0.5, 0.9, 1.0])
def test_the_critical_weight_of_relu_under_dropout_is_twice_the_share_kept(keep):
    weight = dropout_critical_weight("relu", keep=keep)
    assert weight == pytest.approx(2.0 * keep)
    assert dropout_variance_map("relu", 3.0, keep=keep, sigma_w2=weight) == pytest.approx(3.0)


def test_two_passes_of_a_real_dropout_layer_have_the_told_variance_and_correlation():
    n, width, keep, q = 100, 1000, 0.7, 1.3
    rng, f = np.random.default_rng(2), activation("tanh")
    a = f(sqrt(q) * rng.standard_normal(width))
    masks = (rng.random((2, width)) < keep) / keep
    u, v = (masks * a) @ rng.standard_normal((width, n * 100)) / sqrt(width)
    # One input: the sums over its units scatter with the masks, std about 1.5 / sqrt(width) of either.
    told = dropout_variance_map("tanh", q, keep=keep, sigma_w2=1.0)
    assert np.mean(u * u) == pytest.approx(told, rel=5.0 * 1.5 / sqrt(width))
    assert np.mean(u * v) == pytest.approx(moments("tanh", q).second, rel=5.0 * 1.5 / sqrt(width))


def test_equal_logits_attend_evenly_and_large_ones_to_one_token():
    even, sharp = attention_sharpness(128, 0.0), attention_sharpness(128, 1e6)
    assert (even.square_sum, even.entropy) == (1.0 / 128, even.ceiling)
    assert sharp.square_sum > 0.98
    assert sharp.entropy < 0.02
    assert (sharp.floor, sharp.ceiling) == (0.0, log(128))


def attend(x: Array, s: float, rng: np.random.Generator) -> tuple[Array, Array]:
    width = x.shape[1]
    query, key, value = (x @ rng.standard_normal((width, width)) / sqrt(width) for _ in range(3))
    logits = s * query @ key.T / sqrt(width)
    a = np.exp(logits - logits.max(axis=1, keepdims=True))
    a /= a.sum(axis=1, keepdims=True)
    out = a @ value
    return logits, out / np.sqrt(np.square(out).mean(axis=1, keepdims=True))


def cosine(x: Array) -> float:
    gram = x @ x.T / x.shape[1]
    return float((gram.sum() - np.trace(gram)) / (len(x) * (len(x) - 1)))


@pytest.mark.parametrize("s", [0.5, 1.0, 2.0])
def test_two_layers_of_real_attention_make_tokens_alike_as_told(s):
    tokens, width, nets, rng = 32, 256, 8, np.random.default_rng(3)
    _, one, two = islice(token_cosines(tokens, logit_variance=s * s), 3)
    first, second, variances = [], [], []
    for _ in range(nets):
        x = rng.standard_normal((tokens, width))
        x /= np.sqrt(np.square(x).mean(axis=1, keepdims=True))
        logits, x = attend(x, s, rng)
        variances.append(logits.var())
        first.append(cosine(x))
        second.append(cosine(attend(x, s, rng)[1]))
    told = attention_logit_variance(query_variance=s * s)
    assert np.mean(variances) == pytest.approx(told, rel=5.0 * np.std(variances) / told / sqrt(nets) + 0.01)
    # Told for infinite width (tokens / width is 1/8) and as a ratio of means, where sharp rows differ among themselves.
    assert np.mean(first) == pytest.approx(one, rel=0.15 if s <= 1.0 else 0.5)
    assert 0.5 < (1.0 - np.mean(second)) / (1.0 - two) < 2.5


@pytest.mark.parametrize("start", [0.0, 0.5])
def test_tokens_of_a_narrow_model_are_pulled_apart_by_their_queries(start):
    tokens, width, nets, rng = 384, 96, 8, np.random.default_rng(5)
    found = []
    for _ in range(nets):
        x = sqrt(1.0 - start) * rng.standard_normal((tokens, width)) + sqrt(start) * rng.standard_normal((1, width))
        x /= np.sqrt(np.square(x).mean(axis=1, keepdims=True))
        before = cosine(x)
        found.append((before, cosine(attend(x, 1.0, rng)[1])))
    mean = float(np.mean([c for c, _ in found]))
    apart = 1.0 - np.mean([c for _, c in found])
    narrow, wide = (
        1.0 - [*islice(token_cosines(tokens, logit_variance=1.0, correlation=max(mean, 0.0), width=w), 2)][1]
        for w in (width, None)
    )
    # A net strays from the mean of nets: its matrices pull all tokens alike or apart.
    assert apart == pytest.approx(narrow, rel=0.2 if start else 0.05)
    assert apart > 1.2 * wide if not start else abs(apart - narrow) < abs(apart - wide)


def test_a_width_far_above_the_tokens_changes_nothing():
    wide = [*islice(token_cosines(64, logit_variance=0.5, width=10**9), 4)]
    assert wide == pytest.approx([*islice(token_cosines(64, logit_variance=0.5), 4)], abs=1e-7)
    assert rank_collapse_depth(512, logit_variance=1.0, width=8) > rank_collapse_depth(512, logit_variance=1.0)


def test_attention_without_a_skip_path_collapses_in_three_layers_and_with_a_scaled_branch_in_none():
    assert rank_collapse_depth(256, logit_variance=1.0) == 3
    assert rank_collapse_depth(256, logit_variance=1.0, branch_scale=100**-0.5, most=100) is None
    assert rank_collapse_depth(256, logit_variance=1.0, correlation=1.0) == 0


def test_a_branch_of_one_over_root_depth_leaves_tokens_apart():
    """Noci et al., arXiv 2206.03126: the total update keeps a finite size."""
    *_, last = islice(token_cosines(1000, logit_variance=0.1, branch_scale=0.1), 101)
    # Little attention sharpness: q' = q + alpha^2 c, so c -> 1 - O(e^-1) at most.
    assert last < 1.0 - exp(-1.5)


@pytest.mark.parametrize(
    "call",
    [
        lambda: residual_stream("relu", -1, sigma_w2=2.0),
        lambda: residual_growth(-1),
        lambda: pre_norm_stream(3, start=0.0),
        lambda: post_norm_factor(branch_variance=-1.0),
        lambda: batch_norm_factor("relu", batch=3),
        lambda: layer_norm_factor(lambda x: 0.0 * x),
        lambda: dropout_point("tanh", keep=0.0, sigma_w2=1.0),
        lambda: dropout_point("relu", keep=0.5, sigma_w2=3.0),
        lambda: attention_sharpness(0, 1.0),
        lambda: token_cosines(3, logit_variance=1.0, correlation=-0.5),
        lambda: token_cosines(3, logit_variance=1.0, width=0),
    ],
)
def test_arguments_out_of_range_are_refused_in_one_line(call):
    with pytest.raises(OptionError) as caught:
        call()
    assert "\n" not in str(caught.value)
