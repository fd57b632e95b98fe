"""``auto`` on models of several outputs, of frozen parts, and with tables that feed no stream."""

from __future__ import annotations

from dataclasses import replace

import pytest

from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import Branch, ModelSpec, ParamSpec
from initlab.core.laws import Constant, Normal
from initlab.core.plans.plan import Plan, make_plan
from initlab.schemes.rules import make_rules


def planned(model: ModelSpec, schemes: str | dict[str, str] = "auto") -> Plan:
    rules, notes = make_rules(model, schemes)
    return make_plan(model, rules, notes=notes)


def silu_net(*, frozen: bool) -> ModelSpec:
    spec = Mlp((64, *(64,) * 50, 10), activation="silu", bias=False).spec()
    return ModelSpec(tuple(replace(p, frozen=frozen and p.path != "50/weight") for p in spec.params))


def test_nothing_is_said_of_the_depth_of_frozen_layers() -> None:
    assert planned(silu_net(frozen=False)).notes
    assert not planned(silu_net(frozen=True)).notes


def test_nothing_is_said_of_layers_that_another_scheme_draws() -> None:
    assert not planned(silu_net(frozen=False), {"*": "auto", "[0-9]/*": "zeros", "[0-4][0-9]/*": "zeros"}).notes


def test_a_chain_goes_on_behind_a_frozen_part_from_an_input_of_its_activation() -> None:
    spec = Mlp((64, 64, 64, 64, 10), activation="relu").spec()
    half = ModelSpec(tuple(replace(p, frozen=p.path.startswith(("0/", "1/"))) for p in spec.params))
    plan = planned(half)
    assert [row.action for row in plan if row.param.is_weight] == ["keep", "keep", "initialise", "initialise"]
    assert plan["2/weight"].std == pytest.approx((2 / 64) ** 0.5)


def test_a_table_of_another_width_than_the_streams_keeps_the_rule_of_tables() -> None:
    params = (
        ParamSpec(path="tokens/weight", shape=(60, 32), role="embedding"),
        ParamSpec(path="block/distances/weight", shape=(32, 4), role="embedding"),
        ParamSpec(path="block/q/weight", shape=(32, 32), branch=Branch(1, 2, 2, is_last=False)),
    )
    plan = planned(ModelSpec(params))
    assert plan["tokens/weight"].law == Normal(1.0)
    assert plan["block/distances/weight"].law == Normal(0.02)


def test_a_hidden_activation_behind_a_returned_weight_makes_it_no_output() -> None:
    seen = ParamSpec(path="0/weight", shape=(10, 100), f_out="relu", is_output=True)
    assert planned(ModelSpec((seen,)))["0/weight"].std == pytest.approx(0.1)


def test_a_plan_of_activations_with_options_keeps_to_its_columns() -> None:
    f = "leaky_relu(negative_slope=0.1)"
    p = ParamSpec(path="decoder/block/weight", shape=(16, 8, 3, 3), role="conv", f_in=f, f_out=f)
    text = planned(ModelSpec((p,)), "he_normal").text(width=80)
    assert "leaky_relu(0.1) -> leaky_relu(0.1)" in text
    assert max(map(len, text.splitlines())) <= 80


def test_the_first_layer_of_a_homogeneous_regression_net_shares_its_variance_with_its_biases() -> None:
    plan = planned(Mlp((8, 60, 50, 1), activation="relu").spec())
    assert plan["0/weight"].std == pytest.approx((2 / 3 / 8) ** 0.5)
    assert plan["0/bias"].std == pytest.approx(3**-0.5)
    assert plan["1/weight"].std == pytest.approx((2 / 60) ** 0.5)  # the signal is 1 as before
    assert plan["1/bias"].law == plan["2/bias"].law == Constant(0.0)


@pytest.mark.parametrize(
    ("outputs", "activation", "bias"), [(3, "relu", True), (1, "tanh", True), (1, "gelu", True), (1, "relu", False)]
)
def test_classes_bent_activations_and_layers_without_biases_leave_the_first_layer_its_gain(
    outputs: int, activation: str, bias: bool
) -> None:
    plan = planned(Mlp((8, 60, outputs), activation=activation, bias=bias).spec())
    assert plan["0/weight"].std == pytest.approx(8**-0.5)


def test_a_probability_and_a_bias_that_stays_leave_the_first_layer_its_gain() -> None:
    spec = Mlp((8, 60, 1), activation="relu").spec()
    chance = ModelSpec(tuple(replace(p, f_out="sigmoid") if p.path == "1/weight" else p for p in spec.params))
    held = ModelSpec(tuple(replace(p, frozen=p.path == "0/bias") for p in spec.params))
    assert [planned(one)["0/weight"].std for one in (chance, held)] == pytest.approx([8**-0.5] * 2)
