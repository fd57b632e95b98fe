import json
from functools import cache
from math import sqrt
from pathlib import Path

import mpmath as mp
import numpy as np
import pytest

from initlab.core.errors import OptionError
from initlab.theory import (
    ACTIVATIONS,
    activation,
    backward_gain,
    centered_gain,
    chi_1,
    describe_activation,
    forward_gain,
    moments,
    variance_slope,
)

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())
GAINS = {"forward_gain": forward_gain, "centered_gain": centered_gain, "backward_gain": backward_gain}


def close(value: float, golden: str | float) -> bool:
    return value == pytest.approx(float(golden), rel=1e-10, abs=1e-13)


@pytest.mark.parametrize(("call", "quantity"), [(c, q) for c, row in GOLDEN["moments"].items() for q in row])
def test_every_golden_moment_is_met_to_1e_10(call, quantity):
    assert close(getattr(moments(call), quantity), GOLDEN["moments"][call][quantity])


@pytest.mark.parametrize("call", GOLDEN["gains"])
def test_every_golden_gain_is_met_to_1e_10(call):
    golden = GOLDEN["gains"][call]
    for name, gain in GAINS.items():
        assert close(gain(call), golden[name])


@pytest.mark.parametrize("call", GOLDEN["gains"])
def test_every_golden_slope_is_met_to_1e_10(call):
    golden = GOLDEN["gains"][call]
    assert close(variance_slope(call), golden["variance_slope"])
    assert close(chi_1(call, forward_gain(call) ** 2), golden["chi_1"])


@pytest.mark.parametrize(("name", "row"), [(n, row) for n, rows in GOLDEN["moments_at_q"].items() for row in rows])
def test_every_golden_moment_at_another_variance_is_met_to_1e_10(name, row):
    m = moments(name, row["q"])
    assert close(m.second, row["second"])
    assert close(m.slope_second, row["slope_second"])


@pytest.mark.parametrize("call", GOLDEN["gains"])
def test_a_plain_function_gives_the_gains_of_the_registered_one(call):
    f = activation(call).f
    for name, gain in GAINS.items():
        assert gain(lambda x: f(x)) == pytest.approx(float(GOLDEN["gains"][call][name]), rel=1e-10)


@cache
def second_moment_by_mpmath(name: str) -> float:
    definitions = {
        "celu(alpha=2.0)": lambda x: x if x > 0 else 2 * mp.expm1(x / 2),
        "gelu_tanh": lambda x: x / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (x + mp.mpf("0.044715") * x**3))),
        "quick_gelu": lambda x: x / (1 + mp.exp(-mp.mpf("1.702") * x)),
        "mish": lambda x: x * mp.tanh(mp.log1p(mp.exp(x))),
        "softsign": lambda x: x / (1 + abs(x)),
        "hard_sigmoid": lambda x: min(max(x / 6 + mp.mpf(1) / 2, 0), 1),
        "hard_swish": lambda x: x * min(max(x / 6 + mp.mpf(1) / 2, 0), 1),
        "arctan": mp.atan,
        "asinh": mp.asinh,
        "tanhshrink": lambda x: x - mp.tanh(x),
        "telu": lambda x: x * mp.tanh(mp.exp(x)),
        "sparse_plus": lambda x: 0 if x <= -1 else x if x >= 1 else (x + 1) ** 2 / 4,
    }
    f = definitions[name]
    with mp.workdps(20):
        return float(mp.quad(lambda x: f(x) ** 2 * mp.npdf(x), [-14, -6, -3, -1, 0, 1, 3, 6, 14]))


@pytest.mark.parametrize(
    "call",
    [
        "celu(alpha=2.0)",
        "gelu_tanh",
        "quick_gelu",
        "mish",
        "softsign",
        "hard_sigmoid",
        "hard_swish",
        "arctan",
        "asinh",
        "tanhshrink",
        "telu",
        "sparse_plus",
    ],
)
def test_forward_gains_without_a_closed_form_agree_with_mpmath(call):
    assert forward_gain(call) == pytest.approx(1.0 / sqrt(second_moment_by_mpmath(call)), rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.01, 0.2, 1.0, -1.0])
def test_the_gain_of_a_bent_line_is_that_of_he(slope):
    he = sqrt(2.0 / (1.0 + slope**2))
    call = f"leaky_relu(negative_slope={slope})"
    assert forward_gain(call) == pytest.approx(he, rel=1e-14)
    assert backward_gain(call) == pytest.approx(he, rel=1e-14)


@pytest.mark.parametrize("factor", [0.01, 3.0])
def test_a_scaled_function_has_the_gain_scaled_down(factor):
    assert forward_gain(lambda x: factor * np.tanh(x)) == pytest.approx(forward_gain("tanh") / factor, rel=1e-12)


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if n != "sign"])
def test_the_centered_gain_is_no_smaller_than_the_forward_gain(name):
    assert centered_gain(name) >= forward_gain(name) * (1.0 - 1e-14)


@pytest.mark.parametrize(("name", "sigma_w2", "q"), [("tanh", 1.5, 0.4), ("gelu", 2.0, 3.0), ("hard_tanh", 1.3, 2.0)])
def test_the_variance_slope_is_the_derivative_of_the_variance_map(name, sigma_w2, q):
    step = 1e-4 * q
    below, above = (sigma_w2 * moments(name, q + d).second for d in (-step, step))
    assert variance_slope(name, sigma_w2, q) == pytest.approx((above - below) / (2.0 * step), rel=1e-6)


def test_gelu_at_its_exact_gain_repels_the_signal_and_tanh_attracts_it():
    def after(name: str, start: float, layers: int) -> float:
        q, weight = start, forward_gain(name) ** 2
        for _ in range(layers):
            q = weight * moments(name, q).second
        return q

    assert after("gelu", 1.01, 30) - 1.0 == pytest.approx(0.01 * variance_slope("gelu") ** 30, rel=0.2)
    assert abs(after("tanh", 1.01, 30) - 1.0) < 1e-10


def test_the_slope_factor_of_a_wide_random_layer_is_chi_1():
    # Var of the estimate: (E f'^4 - (E f'^2)^2) / n.
    n, q, sigma_w2 = 200_000, 1.7, 1.3
    m = moments("tanh", q)
    z = np.random.default_rng(3).normal(size=n)
    measured = sigma_w2 * np.mean(activation("tanh").slope(sqrt(q) * z) ** 2)
    error = sigma_w2 * sqrt((m.slope_fourth - m.slope_second**2) / n)
    assert abs(measured - chi_1("tanh", sigma_w2, q)) < 5.0 * error


@pytest.mark.parametrize(
    ("gain", "f"),
    [
        (forward_gain, lambda x: 0.0 * x),
        (centered_gain, lambda x: 0.0 * x + 0.3),
        (backward_gain, "sign"),
        (backward_gain, lambda x: np.where(x > 0.2, 1.0, -3.0)),
    ],
    ids=["zero", "constant", "sign", "steps"],
)
def test_an_infinite_gain_is_one_line_that_says_so(gain, f):
    with pytest.raises(OptionError, match=r"^the (forward|centered|backward) gain of '[^\n]*' is infinite[^\n]*$"):
        gain(f)


def test_a_forward_gain_needs_no_slope():
    # E |z| = sqrt(2 / pi); the slope of a root is not square-integrable.
    assert forward_gain(lambda x: np.sqrt(np.abs(x))) == pytest.approx((np.pi / 2.0) ** 0.25, rel=1e-12)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_weight_variance_below_zero_is_refused(bad):
    with pytest.raises(OptionError, match="sigma_w2 must be 0 or more"):
        chi_1("relu", bad)
    with pytest.raises(OptionError, match="sigma_w2 must be 0 or more"):
        variance_slope("relu", bad)


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_a_description_holds_the_gains_and_is_plain_json(name):
    record = json.loads(json.dumps(describe_activation(name).to_dict(), allow_nan=False))
    assert record["name"] == name
    assert record["forward_gain"] == forward_gain(name)
    assert (record["backward_gain"] is None) == (name == "sign")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gelu", ["above 1", "repels", "5.2 layers"]),  # ln 2 / ln 1.14406 = 5.15
        ("tanh", ["attracts", "0.46 %"]),
        ("elu", ["attracts", "6.0 layers"]),  # ln 2 / -ln 0.89097 = 6.0
        ("relu", ["neither attracts nor repels"]),
        ("sign", ["reaches in one layer"]),
        ("cos", ["alternating sides"]),
    ],
)
def test_the_description_says_what_the_slope_of_the_variance_means(name, words):
    assert all(word in describe_activation(name).signal for word in words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gelu", ["grows", "doubled after 10.0 layers"]),  # ln 2 / ln 1.07203 = 9.97
        ("softplus", ["shrinks", "halved after one layer or less"]),
        ("relu", ["keeps its size"]),
        ("sign", ["No gradient passes"]),
    ],
)
def test_the_description_says_what_happens_to_gradients(name, words):
    assert all(word in describe_activation(name).gradient for word in words)


def test_the_zero_function_is_described_without_an_error():
    d = describe_activation(lambda x: 0.0 * x)
    assert d.forward_gain is None
    assert d.variance_slope is None
    assert "no signal passes" in d.signal
