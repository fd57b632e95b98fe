"""Schemes on weights that are not square, with means, cuts and activations that differ: which number goes where."""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import pytest

from initlab.core.facts.spec import ParamSpec
from initlab.schemes import scheme

WIDE = ParamSpec(shape=(24, 54), f_in="tanh", f_out="relu")  # fan_out 24, fan_in 54
GRADIENT = sqrt(2.0)  # 1 / sqrt(E relu'(z)^2)
SIGNAL = 1.5925374197228312  # of tanh


@pytest.mark.parametrize("name", ["exact_gain_normal", "exact_gain_uniform", "exact_gain_orthogonal"])
def test_an_exact_gain_backward_is_that_of_the_activation_behind_over_the_fan_out(name: str) -> None:
    assert scheme(name, gain="backward")(WIDE).std(WIDE.shape) == pytest.approx(GRADIENT / sqrt(24))
    assert scheme(name, gain="forward")(WIDE).std(WIDE.shape) == pytest.approx(SIGNAL / sqrt(54))


@pytest.mark.parametrize("name", ["exact_gain_normal", "exact_gain_uniform", "exact_gain_orthogonal"])
def test_a_mode_that_is_given_takes_the_place_of_the_gains_own(name: str) -> None:
    assert scheme(name, gain="backward", mode="fan_in")(WIDE).std(WIDE.shape) == pytest.approx(GRADIENT / sqrt(54))
    assert scheme(name, gain="forward", mode="fan_out")(WIDE).std(WIDE.shape) == pytest.approx(SIGNAL / sqrt(24))
    assert scheme(name, mode="fan_avg")(WIDE).std(WIDE.shape) == pytest.approx(SIGNAL / sqrt(39))


def density(z: float) -> float:
    return exp(-0.5 * z * z) / sqrt(2.0 * pi)


def share_below(z: float) -> float:
    return 0.5 + 0.5 * erf(z / sqrt(2.0))


@pytest.mark.parametrize(
    ("dialect", "low", "high"),
    # Bounds 0.1 and 0.9 about a mean of 0.3 with std 0.4: PyTorch's are values, the others' count from the mean.
    [("torch", -0.5, 1.5), ("keras", 0.1, 0.9), (None, 0.1, 0.9)],
)
def test_a_truncated_normal_with_a_mean_is_cut_where_its_framework_cuts(
    dialect: str | None, low: float, high: float
) -> None:
    law = scheme("truncated_normal(std=0.4, mean=0.3, low=0.1, high=0.9)", dialect=dialect)(WIDE)
    inside = share_below(high) - share_below(low)
    shift = (density(low) - density(high)) / inside
    spread = 1.0 + (low * density(low) - high * density(high)) / inside - shift * shift
    assert law.bounds(WIDE.shape) == (pytest.approx(0.3 + 0.4 * low), pytest.approx(0.3 + 0.4 * high))
    assert law.mean(WIDE.shape) == pytest.approx(0.3 + 0.4 * shift)
    assert law.std(WIDE.shape) == pytest.approx(0.4 * sqrt(spread))
