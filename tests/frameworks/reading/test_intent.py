"""Which values are meant to stay: told by descriptions and numbers alone, whatever the framework."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from initlab.core.facts.spec import Branch, ParamSpec
from initlab.frameworks.reading.intent import Present, intents

RNG = np.random.default_rng(3)
LAST, FIRST = Branch(2, 2, 3, is_last=True), Branch(1, 2, 3, is_last=False)


class Numbers:
    """Numbers that count how often they were asked for whole."""

    def __init__(self, values: object) -> None:
        self.values, self.whole = np.asarray(values, np.float32).reshape(-1), 0

    def __call__(self, *, first: bool = False) -> np.ndarray:
        self.whole += not first
        return self.values[:1] if first else self.values


def weight(path: str, **facts: object) -> ParamSpec:
    return ParamSpec(**{"path": path, "native": path, "shape": (3, 5), **facts})


def told(*rows: tuple[ParamSpec, object], **known: bool) -> list[str]:
    """The reasons for the first rows, beside two weights that are drawn."""
    drawn = [(weight("one"), RNG.normal(size=15)), (weight("two"), RNG.normal(size=15))]
    params, values = zip(*rows, *drawn, strict=True)
    return intents(params, [Present(Numbers(v), **known) for v in values])[: len(rows)]


def test_a_zero_weight_is_meant_at_the_end_of_a_branch_alone() -> None:
    zeros = np.zeros(15)
    ends = weight("b", branch=LAST), weight("a", branch=FIRST), weight("c")
    assert told((ends[0], zeros)) == [
        "the last layer of its residual branch starts at zero, so the block starts as the identity"
    ]
    assert told((ends[1], zeros)) == [""]
    assert told((ends[2], zeros)) == [""]


def test_a_weight_with_one_number_that_is_not_zero_is_not_zero() -> None:
    values = np.zeros(15)
    values[-1] = 1e-8
    assert told((weight("b", branch=LAST), values)) == [""]


def test_zeros_say_nothing_where_all_weights_are_zero() -> None:
    rows = [(weight(f"w{i}", branch=LAST), np.zeros(15)) for i in range(4)]
    assert all(told(*rows))  # four of six
    params, values = zip(*rows, strict=True)
    assert not any(intents(params, [Present(Numbers(v)) for v in values]))


def test_a_zero_norm_scale_is_meant_where_it_ends_a_branch_alone() -> None:
    scale = weight("n", shape=(5,), role="norm_scale")
    assert told((replace(scale, branch=LAST), np.zeros(5))) == [
        "the norm's scale starts at zero, so its residual branch starts closed"
    ]
    assert told((scale, np.zeros(5))) == [""]
    assert told((replace(scale, branch=FIRST), np.zeros(5))) == [""]


def test_a_value_of_initlabs_own_is_nobodys_intent() -> None:
    assert told((weight("b", branch=LAST), np.zeros(15)), is_own=True) == [""]


def test_a_reason_that_is_known_stays() -> None:
    assert told((weight("p", role="scale", shape=(5,), intent="a slope"), np.zeros(5))) == ["a slope"]


BIAS = ParamSpec(path="head/bias", native="head.bias", shape=(3,), role="bias", layer_shape=(3, 16))
ONE = replace(BIAS, shape=(1,), layer_shape=(1, 16))
SHARES = np.log([0.7, 0.2, 0.1])


@pytest.mark.parametrize(
    ("bias", "values", "chance"),
    [
        (BIAS, [-4.6, -4.6, -4.6], "0.00995"),  # 1 / (1 + exp(4.6))
        (BIAS, [0.4, 0.4, 0.4], "0.599"),
        (BIAS, SHARES, None),
        (BIAS, [3.0, -0.5, 3.0], None),
        (BIAS, [0.0, 0.0, 0.0], None),
        (BIAS, [-1000.0, -1000.0, -1000.0], "9.86e-305"),  # exp(-700): beyond it no float64
        (ONE, [-0.86], "0.297"),  # 1 / (1 + exp(0.86))
        (ONE, [3.0], "0.953"),
        (ONE, [np.log(0.01 / 0.99)], "0.01"),
        (ONE, [np.log(0.97 / 0.03)], "0.97"),
        (ONE, [-1.0137], None),  # no number that a person writes
        (ONE, [np.log(0.0123 / 0.9877)], None),
        (ONE, [0.1], None),  # a first step of an optimiser
    ],
)
def test_an_output_bias_is_meant_by_exact_structure_alone(bias: ParamSpec, values: list[float], chance: str) -> None:
    expected = f"the output starts at the prior probability {chance}" if chance else ""
    assert told((bias, values), is_head=True) == [expected]
    inside = f"the biases start at {np.float32(values[0]):.4g}" if chance else ""
    assert told((bias, values)) == [inside]  # behind it are other weights
    assert told((bias, values), is_head=True, is_own=True) == [""]


GATES = ParamSpec(path="lstm/bias", native="lstm.bias", shape=(8,), role="bias", blocks=(2, 2, 2, 2))


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0, 0, 1, 1, 0, 0, 0, 0], "the gates' biases start at 0, 1, 0, 0"),
        ([0.3, 0.2, 1, 1, -0.1, 0.4, 0.2, 0.1], "the gates' biases start at ..., 1, ..., ..."),
        ([0, 0, 0.1, 0.2, 0, 0, 0, 0], ""),
        ([0.3, 0.2, 1, 2, -0.1, 0.4, 0.2, 0.1], ""),
        ([1, 1, 1, 1, 1, 1, 1, 1], "the biases start at 1"),
        ([0, 0, 0, 0, 0, 0, 0, 0], ""),
    ],
)
def test_a_bias_that_is_one_number_in_each_gate_is_meant(values: list[float], text: str) -> None:
    assert told((GATES, values)) == [text]
    attention = told((replace(GATES, layer_kind="attention"), values))
    assert attention == [text if text == "the biases start at 1" else ""]


@pytest.mark.parametrize(
    ("name", "shape", "start", "text"),
    [
        ("gamma", (1, 5, 1, 1), 1e-5, "a branch's scale starts at 1e-05"),
        ("gamma", (1, 5, 1, 1), 0.0, "a gate starts at zero, so its branch starts closed"),
        ("gamma", (1, 5, 1, 1), 0.6, "a branch's scale starts at 0.6"),
        ("gamma", (1,), 0.6, ""),
        ("gamma", (5, 5), 0.0, ""),
        ("mass", (1, 5, 1, 1), 0.0, ""),
    ],
)
def test_a_gate_is_known_by_its_role_or_its_name(name: str, shape: tuple[int, ...], start: float, text: str) -> None:
    p = ParamSpec(path=name, native=name, shape=shape, role="unknown")
    assert told((p, np.full(p.size, start))) == [text]


def test_a_weight_is_read_whole_only_where_its_first_number_is_zero() -> None:
    drawn, zero = Numbers(RNG.normal(size=15)), Numbers(np.zeros(15))
    intents([weight("a"), weight("b")], [Present(drawn), Present(zero)])
    assert (drawn.whole, zero.whole) == (0, 1)


def test_a_bias_of_no_entries_says_nothing() -> None:
    assert told((replace(BIAS, shape=(0,), layer_shape=(0, 16)), []), is_head=True) == [""]


def test_zeros_are_meant_where_they_cut_the_signal_off_nowhere() -> None:
    zeros = np.zeros(15)
    assert told((weight("a"), zeros), may_be_zero=True) == [
        "zero weights close a branch or a gate, and the signal goes on beside it"
    ]
    assert told((weight("a"), zeros), may_be_zero=True, is_head=True) == ["the output starts at zero"]
    assert told((weight("a"), zeros), may_be_zero=True, is_own=True) == [""]
    assert told((weight("a", role="embedding"), zeros), may_be_zero=True) == [""]


DIRECTIONS = np.array([[1.0, 0.0], [0.5, 1.0], [-1.0, 0.25]])
GRID = np.stack([DIRECTIONS * k for k in (1, 2, 3, 4)], axis=1)  # heads, points, 2


@pytest.mark.parametrize(
    ("values", "why"),
    [
        (np.eye(2, 3).ravel(), "an affine map starts as the identity"),
        (np.eye(3, 4).ravel(), "an affine map starts as the identity"),
        (np.eye(2, 3).ravel() + 1e-3, ""),
        (GRID.ravel(), "sampling points start on a grid"),
        ((GRID + 0.01).ravel(), ""),
        (RNG.normal(size=24), ""),
    ],
    ids=["affine", "affine in space", "trained affine", "grid", "trained grid", "drawn"],
)
def test_an_exact_pattern_in_a_bias_is_meant_and_the_zero_weights_that_leave_the_layer_to_it(
    values: np.ndarray, why: str
) -> None:
    bias = ParamSpec(path="loc/bias", native="loc.bias", shape=(len(values),), role="bias")
    found = told((bias, values), (weight("loc.weight"), np.zeros(15)), layer="loc")
    assert found == [why, "zero weights leave the layer's start to its designed bias" if why else ""]


def test_what_an_author_marked_stays_whoever_wrote_it_last() -> None:
    assert told((weight("a"), RNG.normal(size=15)), is_pinned=True) == [
        "its author marked it as not to be initialised again"
    ]


@pytest.mark.parametrize(("start", "why"), [(1.0, ""), (0.0, ""), (0.1, "the norm's scale starts at 0.1")])
def test_a_norms_scale_is_meant_where_it_is_one_number_that_is_no_default(start: float, why: str) -> None:
    assert told((weight("n", shape=(5,), role="norm_scale"), np.full(5, start))) == [why]


@pytest.mark.parametrize("role", ["scale", "norm_scale", "bias"])
@pytest.mark.parametrize("value", [1e-42, 3e30, np.inf, np.nan])
def test_one_number_everywhere_that_no_weight_holds_is_no_design(role: str, value: float) -> None:
    def plain(at: float) -> list[str]:
        return told((weight("g", shape=(5,), role=role), np.full(5, at)))

    assert plain(value) == [""]
    assert all(plain(0.25))
