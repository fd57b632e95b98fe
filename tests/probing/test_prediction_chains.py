"""Predictions against chains of dense layers in NumPy, run forwards and backwards."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from tests.probing.chains import Chain, plain_chain

from initlab.core.facts.spec import ModelSpec
from initlab.core.signals.readings import Place, Reading
from initlab.core.signals.sums import sums_of
from initlab.probing.measure.metrics import Compared, gradient_at, signal_at
from initlab.probing.predict.predict import expect_places
from initlab.probing.profile import Profile
from initlab.probing.records import Evidence, Expected
from initlab.theory import edge_of_chaos

TANH_GAIN = 1.5925374197228312
ALIKE_AT_ZERO = 1.0 / math.pi  # of two ReLU layers' outputs whose inputs are orthogonal


def at(evidence: Evidence, path: str) -> Expected:
    index = next(i for i, place in enumerate(evidence.reading.places) if place.path == path)
    return evidence.expected[index]


def numbers(evidence: Evidence) -> list[Compared]:
    """Every signal and gradient that was predicted and measured."""
    found = [of(evidence, i) for i in range(len(evidence.reading.places)) for of in (signal_at, gradient_at)]
    return [number for number in found if number.predicted is not None and math.isfinite(number.measured)]


@pytest.mark.parametrize("depth", [10, 20, 50])
def test_tanh_at_its_forward_gain_has_the_predicted_gradient_ratio_within_a_factor_2(depth: int) -> None:
    found = [
        Profile(
            plain_chain("tanh", [64, *[128] * depth, 10], var=TANH_GAIN**2, rows=32, seed=seed)
        ).gradient_ratio.ratio
        for seed in range(2)
    ]
    assert 0.5 < math.exp(np.mean(np.log(found))) < 2.0


def test_tanh_at_its_forward_gain_is_predicted_to_grow_by_chi_1_a_layer() -> None:
    evidence = plain_chain("tanh", [64, *[512] * 12, 10], var=TANH_GAIN**2)
    # theory.md, section 2.8: chi_1 = 1.177807; the actual weights' sizes stray by 1 in 500.
    early, late = at(evidence, "fc1").gradient, at(evidence, "fc11").gradient
    assert early is not None
    assert late is not None
    assert (early / late) ** 0.1 == pytest.approx(1.177807, rel=0.01)


def test_tanh_on_the_edge_of_chaos_is_predicted_to_keep_signal_and_gradient() -> None:
    point = edge_of_chaos("tanh", sigma_b2=0.05)
    assert point is not None
    profile = Profile(
        plain_chain(
            "tanh", [64, *[128] * 30, 10], var=point.sigma_w2, first=point.q_star - 0.05, bias=math.sqrt(0.05), seed=1
        )
    )
    signal, gradient = profile.signal_ratio.predicted, profile.gradient_ratio.predicted
    assert signal is not None
    assert gradient is not None
    assert 0.8 < signal < 1.25
    assert 0.3 < gradient < 3.0


@pytest.mark.parametrize("f", ["relu", "gelu", "tanh"])
def test_measurements_lie_within_three_deviations_of_theory(f: str) -> None:
    found = [n for seed in range(4) for n in numbers(plain_chain(f, [32, *[128] * 10, 10], var=2.0, seed=seed))]
    # Three deviations hold 997 of 1000 normal numbers; those of one net hang together.
    assert sum(number.is_off for number in found) <= 0.02 * len(found)


def test_the_scatter_of_a_deep_relu_net_is_that_of_finite_width() -> None:
    logs = [
        math.log(Profile(plain_chain("relu", [64, *[64] * 20, 10], var=2.0, rows=4, seed=seed)).signal_ratio.measured)
        for seed in range(40)
    ]
    predicted = plain_chain("relu", [64, *[64] * 20, 10], var=2.0, rows=4)
    told = at(predicted, "fc19").scatter
    # The std of 40 draws has a relative error of 1 / sqrt(80): 0.56 at five deviations.
    assert np.std(logs, ddof=1) == pytest.approx(told, rel=5.0 / math.sqrt(80.0))


def test_rows_that_have_nothing_in_common_are_alike_by_one_over_pi_behind_relu() -> None:
    evidence = plain_chain("relu", [4096, 64, 10], var=2.0, rows=8)
    assert at(evidence, "fc0:relu").cosine == pytest.approx(ALIKE_AT_ZERO, abs=0.02)


def test_batch_norm_before_relu_multiplies_the_gradient_by_pi_over_pi_minus_1() -> None:
    evidence = plain_chain("relu", [64, *[256] * 8, 10], var=2.0, rows=400, norm="batch")
    early, late = at(evidence, "fc1").gradient, at(evidence, "fc7").gradient
    assert early is not None
    assert late is not None
    assert (early / late) ** (1 / 6) == pytest.approx(math.pi / (math.pi - 1.0) * 398 / 397, rel=0.01)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_norms_give_the_gradients_that_are_measured(norm: str) -> None:
    found = [
        n
        for seed in range(3)
        for n in numbers(plain_chain("tanh", [64, *[128] * 8, 10], var=5.0, norm=norm, seed=seed))
    ]
    assert sum(number.is_off for number in found) <= 0.02 * len(found)


def test_large_biases_move_the_point_at_which_the_activation_works() -> None:
    chain = Chain(np.random.default_rng(0))
    top = chain.act(chain.dense(chain.start(chain.rng.normal(size=(400, 64))), 400, var=1.0), "relu")
    evidence = chain.end()
    weights = dict(evidence.weights)
    weights["fc0.bias"] = replace(weights["fc0.bias"], std=0.0, mean=-3.0, largest=3.0)
    moved = expect_places(evidence.reading, evidence.spec, weights)[top]
    # E max(z - 3, 0)^2 = 10 Phi(-3) - 3 phi(3).
    density = math.exp(-4.5) / math.sqrt(2.0 * math.pi)
    assert moved.square == pytest.approx(10.0 * 0.5 * math.erfc(3.0 / math.sqrt(2.0)) - 3.0 * density, rel=0.15)


def test_weights_of_zero_predict_a_signal_of_zero() -> None:
    evidence = plain_chain("relu", [8, 16, 16, 4], var=0.0, first=0.0)
    assert at(evidence, "fc1").square == 0.0
    assert at(evidence, "fc0").gradient == 0.0


def test_weights_beyond_all_bounds_raise_nothing() -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        evidence = plain_chain("exp", [8, 16, 16, 16, 4], var=1e4)
    assert all(math.isfinite(found.square) for found in evidence.expected.values())


def test_what_theory_does_not_know_goes_on_from_the_measurement_with_its_reason() -> None:
    values = [np.random.default_rng(0).normal(size=(16, 8)), np.full((16, 8), 3.0)]
    places = (Place("input", "x", shape=(16, 8)), Place("unknown", "sort", (0,), (16, 8)))
    reading = Reading(places, (1,), dict(enumerate(map(sums_of, values))), {}, {}, 0.0, 0.0, "random")
    found = expect_places(reading, ModelSpec(()), {})[1]
    assert (found.square, found.is_measured) == (9.0, True)
    assert found.why


def test_an_activation_that_nobody_knows_goes_on_from_the_measurement() -> None:
    evidence = plain_chain("relu", [8, 16, 4], var=2.0)
    places = tuple(replace(place, f=None) for place in evidence.reading.places)
    found = expect_places(replace(evidence.reading, places=places), evidence.spec, evidence.weights)
    index = next(i for i, place in enumerate(places) if place.kind == "activation")
    assert found[index].is_measured
    assert found[index].square == evidence.reading.forward[index].square
    assert found[index - 1].gradient_why


def chained(kinds: list[Place], start: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> dict[int, Expected]:
    """Expectations of places that stand behind an input and need no parameters."""
    places = (Place("input", "x", shape=start.shape), *kinds)
    reading = Reading(places, (len(kinds),), {0: sums_of(start)}, {len(kinds): sums_of(start)}, {}, 0.0, 0.0, "random")
    return expect_places(reading, ModelSpec(()), {})


def test_dropout_raises_the_signal_and_the_gradient_by_one_over_keep() -> None:
    x = np.random.default_rng(0).normal(size=(16, 8))
    found = chained([Place("dropout", "d", (0,), (16, 8), facts={"rate": 0.2})], x)
    assert found[1].square == pytest.approx(found[0].square / 0.8)
    assert found[0].gradient == pytest.approx(float((x**2).mean()) / 0.8)


def test_a_value_added_to_itself_has_four_times_the_square_and_the_gradient() -> None:
    x = np.random.default_rng(0).normal(size=(16, 8))
    found = chained([Place("sum", "s", (0, 0), (16, 8))], x)
    assert found[1].square == pytest.approx(4.0 * found[0].square)
    assert found[0].gradient == pytest.approx(4.0 * float((x**2).mean()))


def test_a_mean_over_pools_divides_the_gradient_by_the_square_of_their_size() -> None:
    places = (
        Place("input", "x", shape=(2, 4, 6)),
        Place("pool", "p", (0,), (2, 4, 2), facts={"how": "mean", "size": 3.0}),
    )
    x, y = np.ones((2, 4, 6)), np.ones((2, 4, 2))
    reading = Reading(places, (1,), {0: sums_of(x), 1: sums_of(y)}, {1: sums_of(y)}, {}, 0.0, 0.0, "random")
    assert expect_places(reading, ModelSpec(()), {})[0].gradient == pytest.approx(1.0 / 9.0)


def test_the_terms_of_a_sum_that_depend_on_one_another_are_not_added_up() -> None:
    norm = Place("norm", "n", (0,), (16, 8), facts={"norm": "layer", "eps": 0.0})
    found = chained([norm, Place("sum", "s", (0, 1), (16, 8))], np.random.default_rng(0).normal(size=(16, 8)))
    assert 2 not in found  # nothing was measured there
