"""Chains of layers: closed forms of the recursions, and the scatter of real finite nets."""

from __future__ import annotations

from math import acos, inf, log, pi, sin, sqrt

import numpy as np
import pytest
from numpy.typing import NDArray

from initlab.core.errors import UnknownNameError
from initlab.theory import ChainLayer, activation, chain_signals, edge_of_chaos, follow_chain, forward_gain
from initlab.theory.chain import share_off

# 1 / (E tanh(z)^2) and E tanh'(z)^2 by 32-digit quadrature.
TANH_GAIN2, TANH_CHI = 1.5925374197228314**2, 1.1778072323041806


def chain(f: str, sigma_w2: float, depth: int, *, sigma_b2: float = 0.0, width: float = inf) -> list[ChainLayer]:
    first = ChainLayer(None, 1.0, 0.0, width)
    return [first, *[ChainLayer(f, sigma_w2, sigma_b2, width)] * (depth - 1)]


def test_a_relu_layer_of_unit_weights_halves_signal_and_gradient() -> None:
    signals = list(chain_signals(chain("relu", 1.0, 6)))
    assert [s.q for s in signals] == pytest.approx([2.0**-k for k in range(6)])
    assert [s.gradient for s in signals] == pytest.approx([2.0**-k for k in range(6)])


def test_relu_correlations_follow_the_arc_cosine_kernel() -> None:
    """Cho & Saul, NeurIPS 2009: c' = (sin t + (pi - t) cos t) / pi with cos t = c."""
    c, expected = 0.0, []
    for _ in range(30):
        expected.append(c)
        c = (sin(acos(c)) + (pi - acos(c)) * c) / pi
    signals = chain_signals(chain("relu", 2.0, 30))
    assert [s.correlation for s in signals] == pytest.approx(expected, abs=1e-9)


def test_a_tanh_gradient_grows_by_chi_each_layer_at_the_forward_gain() -> None:
    *_, last = chain_signals(chain("tanh", TANH_GAIN2, 20))
    assert last.q == pytest.approx(1.0)
    assert last.gradient == pytest.approx(TANH_CHI**19, rel=1e-9)


def test_an_edge_of_chaos_keeps_signal_and_gradient_exactly() -> None:
    point = edge_of_chaos("tanh", q=1.0)
    assert point is not None
    first = ChainLayer(None, 1.0 - point.sigma_b2, point.sigma_b2)
    *_, last = chain_signals([first, *[ChainLayer("tanh", point.sigma_w2, point.sigma_b2)] * 99])
    assert (last.q, last.gradient) == pytest.approx((1.0, 1.0))


def test_behind_a_norm_the_gradient_factor_is_slope_over_value_whatever_the_weights() -> None:
    """W -> LayerNorm -> tanh: E f'^2 / E f^2 = 1.178 a layer."""
    for sigma_w2 in (0.1, 1.0, 7.0):
        layers = [ChainLayer(None, sigma_w2, normalised=True), *[ChainLayer("tanh", sigma_w2, normalised=True)] * 9]
        *_, last = chain_signals(layers)
        assert last.q == 1.0
        assert last.gradient == pytest.approx(TANH_CHI**9, rel=1e-9)


def test_the_scatter_of_a_relu_net_is_five_over_the_width_each_layer() -> None:
    """Hanin & Rolnick, arXiv 1803.01719: ln(q_L / q_1) has variance 5 sum 1/n, and so has the gradient."""
    *_, last = chain_signals(chain("relu", 2.0, 11, width=100))
    assert last.scatter == pytest.approx(sqrt(10 * 5 / 100))
    assert last.gradient_scatter == pytest.approx(sqrt(10 * 5 / 100))


def test_pooling_behind_an_activation_lessens_the_signal_by_its_share() -> None:
    layers = [ChainLayer(None, 1.0), ChainLayer("relu", 2.0, share=0.25)]
    assert [s.q for s in chain_signals(layers)] == pytest.approx([1.0, 0.25])


def measured(f: str, depth: int, width: int, nets: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ln of the signal's and the squared gradient's ratio of last to first layer, one of each a net."""
    act, gain, rng = activation(f), forward_gain(f), np.random.default_rng(3)
    signal, gradient = np.empty(nets), np.empty(nets)
    for net in range(nets):
        zs, weights = [rng.standard_normal(width)], []
        for _ in range(depth - 1):
            weights.append(rng.standard_normal((width, width)) * gain / sqrt(width))
            zs.append(weights[-1] @ act(zs[-1]))
        last = back = rng.standard_normal(width)
        for w, z in zip(reversed(weights), reversed(zs[:-1]), strict=True):
            back = (w.T @ back) * act.slope(z)
        signal[net] = np.log(np.mean(zs[-1] ** 2) / np.mean(zs[0] ** 2))
        gradient[net] = np.log(np.mean(back**2) / np.mean(last**2))
    return signal, gradient


@pytest.mark.parametrize("f", ["relu", "tanh", "gelu"])
def test_real_nets_scatter_as_predicted(f: str) -> None:
    nets, width, depth = 400, 100, 5
    signal, gradient = measured(f, depth, width, nets)
    *_, told = chain_signals(chain(f, forward_gain(f) ** 2, depth, width=width))
    # Both ends are means over `width` normal numbers: each adds the variance 2 / width to what the weights do, but for
    # the first signal, which enters the prediction as its own noise.
    for found, var in ((signal, told.scatter**2 + 2 / width), (gradient, told.gradient_scatter**2)):
        assert found.var() == pytest.approx(var, rel=5 * sqrt(2 / nets) + 0.1)


def test_the_breach_names_the_first_layer_and_what_left_its_limits() -> None:
    breach = follow_chain(chain("tanh", TANH_GAIN2, 50)).breach
    assert breach is not None
    assert (breach.layer, breach.quantity) == (16, "gradient")  # 1.1778^14 < 10 < 1.1778^15


def test_correlations_may_merge_in_a_shallow_chain_but_not_in_a_deep_one() -> None:
    same = [ChainLayer(None, 1e-4, 1.0)]
    more = ChainLayer("identity", 1.0)
    assert follow_chain([*same, more, more]).breach is None
    breach = follow_chain([*same, more, more, more]).breach
    assert breach is not None
    assert breach.quantity == "correlation"


def test_a_repelling_fixed_point_shows_in_the_scatter_of_a_narrow_net() -> None:
    """GELU at the forward gain: E[z^2] = 1 on average, but V'(1) = 1.144 a layer for what strays from it."""
    gain2 = forward_gain("gelu") ** 2
    assert follow_chain(chain("gelu", gain2, 20, width=1e9)).breach is None
    breach = follow_chain(chain("gelu", gain2, 20, width=256)).breach
    assert breach is not None
    assert breach.quantity == "signal scatter"


@pytest.mark.parametrize(("f", "sigma_w2"), [("relu", 0.0), ("exp", 2.0), ("square", 1e9)])
def test_a_signal_that_dies_or_explodes_is_a_breach(f: str, sigma_w2: float) -> None:
    course = follow_chain([ChainLayer(None, 1.0), *[ChainLayer(f, sigma_w2)] * 9])
    assert course.breach is not None
    assert course.breach.quantity == "signal"


def test_an_unknown_activation_is_an_error_and_no_lost_signal() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'relu'"):
        follow_chain([ChainLayer(None, 1.0), ChainLayer("relv", 1.0)])


@pytest.mark.parametrize(("depth", "width"), [(12, 16), (20, 64)])
def test_the_share_of_draws_that_chance_puts_off_is_that_of_nets_that_were_drawn(depth: int, width: int) -> None:
    layers = [ChainLayer(None, 1.0, fan_in=width), *[ChainLayer("relu", 2.0, fan_in=width)] * (depth - 1)]
    last = list(chain_signals(layers))[-1]
    stated = share_off(last.q, last.scatter, ratio=10.0)
    nets, rng = 400, np.random.default_rng(5)
    x = rng.normal(size=(nets, width, 1))
    z = rng.normal(size=(nets, width, width)) / sqrt(width) @ x
    first = np.square(z).mean((1, 2))
    for _ in range(depth - 1):
        z = rng.normal(size=(nets, width, width)) * sqrt(2 / width) @ np.maximum(z, 0.0)
    off = np.mean(np.abs(np.log(np.square(z).mean((1, 2)) / first)) > log(10.0))
    assert abs(off - stated) < 4.0 * sqrt(stated * (1.0 - stated) / nets)
