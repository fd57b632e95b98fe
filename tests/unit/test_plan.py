"""Plans: a row for every parameter, the last match wins, a shape that does not fit is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from initlab.core.errors import OptionError, ShapeError
from initlab.core.facts.arch import Mlp
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.laws import Constant, Normal
from initlab.core.plans.plan import Consent, Rule, make_plan
from initlab.schemes import scheme


def rule(pattern: str, name: str) -> Rule:
    bound = scheme(name)
    return Rule(pattern, bound, bound.label, bound.scheme.with_biases)


MODEL = Mlp((4, 8, 3), norm="layer").spec()


def test_every_parameter_has_a_row_in_the_models_order() -> None:
    assert [entry.param.path for entry in make_plan(MODEL, [rule("*", "zeros")])] == [p.path for p in MODEL.params]


def test_a_named_scheme_rules_weights_alone() -> None:
    plan = make_plan(MODEL, [rule("*", "he_normal")])
    assert plan["0/weight"].std == pytest.approx((2 / 4) ** 0.5)
    assert plan["0/bias"].law == Constant(0.0)
    assert plan["norm_0/scale"].law == Constant(1.0)


def test_the_last_match_wins() -> None:
    plan = make_plan(MODEL, [rule("*", "he_normal"), rule("1/*ight", "normal(std=0.5)"), rule("1/weight", "zeros")])
    assert plan["1/weight"].law == Constant(0.0)


def test_torch_default_rules_the_biases_too() -> None:
    plan = make_plan(MODEL, [rule("*", "torch_default")])
    assert plan["0/bias"].law is not None
    assert plan["0/bias"].law.bounds((8,)) == (-0.5, 0.5)


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(OptionError, match=r"'2/\*' matches no parameter"):
        make_plan(MODEL, [rule("2/*", "zeros")])


def test_a_shape_that_a_scheme_cannot_take_is_refused_and_not_drawn() -> None:
    spec = ModelSpec((ParamSpec(path="c/weight", shape=(4, 4, 3), role="conv"),))
    plan = make_plan(spec, [rule("*", "identity")])
    assert plan["c/weight"].action == "refuse"
    with pytest.raises(ShapeError, match="c/weight"):
        plan.draw(0)


def test_unknown_roles_are_kept_and_say_so() -> None:
    spec = ModelSpec((ParamSpec(path="gate", shape=(4,), role="unknown"),))
    entry = make_plan(spec, [rule("*", "zeros")])["gate"]
    assert (entry.action, entry.why) == ("keep", "role unknown")


def test_a_tied_weight_is_kept() -> None:
    spec = ModelSpec((ParamSpec(path="a", shape=(4, 4)), ParamSpec(path="b", shape=(4, 4), tied_to="a")))
    assert make_plan(spec, [rule("*", "he_normal")])["b"].action == "keep"


def test_embeddings_follow_their_own_rule_unless_named() -> None:
    spec = ModelSpec((ParamSpec(path="e/weight", shape=(10, 4), role="embedding"),))
    assert make_plan(spec, [rule("*", "he_normal")])["e/weight"].law == Normal(0.02)
    assert make_plan(spec, [rule("e/*", "normal(std=1.0)")])["e/weight"].law == Normal(1.0)


def test_a_diff_names_only_what_differs() -> None:
    first = make_plan(MODEL, [rule("*", "he_normal")])
    second = make_plan(MODEL, [rule("*", "he_normal"), rule("1/weight", "zeros")])
    assert [line.split("  ")[0] for line in first.diff(second)] == ["- 1/weight", "+ 1/weight"]
    assert first.diff(first) == []


def test_a_new_layer_changes_no_other_layer() -> None:
    small = make_plan(Mlp((4, 8, 3)).spec(), [rule("*", "he_normal")]).draw(7)
    large = make_plan(Mlp((4, 8, 3, 5)).spec(), [rule("*", "he_normal")]).draw(7)
    assert all(np.array_equal(small[path], large[path]) for path in small)


def test_a_printed_plan_shows_each_parameter_with_its_law() -> None:
    text = make_plan(Mlp((4, 8, 3)).spec(), [rule("*", "he_normal")]).text(width=120)
    assert [line.split()[0] for line in text.splitlines()] == [
        "parameter",
        "0/weight",
        "0/bias",
        "1/weight",
        "1/bias",
        "initialised",
    ]


CLAIMED = ModelSpec(
    (
        ParamSpec(path="base/weight", shape=(4, 4), native="base.weight", frozen=True),
        ParamSpec(path="lora/weight", shape=(4, 4), native="lora.B", intent="LoRA B starts at zero"),
        ParamSpec(path="head/weight", shape=(3, 4), native="head.weight"),
        ParamSpec(path="head/bias", shape=(3,), role="bias", native="head.bias", layer_shape=(3, 4)),
    )
)
EVERYTHING = [rule("*", "he_normal")]


def kept(consent: Consent) -> dict[str, str]:
    return {e.param.native: e.why for e in make_plan(CLAIMED, EVERYTHING, consent=consent) if e.action == "keep"}


def test_frozen_parameters_and_those_meant_to_stay_are_kept_and_say_why() -> None:
    assert kept(Consent()) == {"base.weight": "frozen", "lora.B": "LoRA B starts at zero"}


def test_a_kept_parameter_is_not_drawn() -> None:
    assert set(make_plan(CLAIMED, EVERYTHING).draw(0)) == {"head/weight", "head/bias"}


def test_reinit_takes_everything() -> None:
    assert kept(Consent(reinit=True)) == {}


def test_include_takes_what_it_matches_and_nothing_else() -> None:
    assert kept(Consent(include=("lora*",))) == {"base.weight": "frozen"}


def test_exclude_wins_over_include_and_names_its_glob() -> None:
    assert kept(Consent(include=("*",), exclude=("head.*",))) == {
        "head.weight": "excluded by 'head.*'",
        "head.bias": "excluded by 'head.*'",
    }


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_glob_that_matches_nothing_is_an_error_that_shows_a_name(option: str) -> None:
    with pytest.raises(OptionError, match=rf"'tail\*' matches no parameter \({option}\): .*'base.weight'"):
        make_plan(CLAIMED, EVERYTHING, consent=Consent(**{option: ("tail*",)}))


def test_a_glob_over_a_whole_layer_rules_its_weights_and_leaves_norms_and_biases_to_their_role() -> None:
    plan = make_plan(MODEL, [rule("*", "zeros"), rule("*0*", "normal(std=0.5)")])
    assert plan["0/weight"].law == Normal(0.5)
    assert plan["0/bias"].law == Constant(0.0)
    assert plan["norm_0/scale"].law == Constant(1.0)


def test_a_glob_that_matches_no_weight_rules_what_it_matches() -> None:
    plan = make_plan(MODEL, [rule("*/bias", "constant(value=0.25)")])
    assert plan["0/bias"].law == plan["norm_0/bias"].law == Constant(0.25)


TIED = ModelSpec(
    (
        ParamSpec(path="emb/weight", shape=(9, 4), role="embedding", native="emb.weight"),
        ParamSpec(path="head/weight", shape=(9, 4), tied_to="emb/weight", native="head.weight"),
    )
)


def test_two_schemes_for_one_shared_parameter_are_an_error() -> None:
    with pytest.raises(OptionError, match=r"'head\.weight' and 'emb\.weight' are one parameter with two schemes"):
        make_plan(TIED, [rule("emb.*", "normal(std=1.0)"), rule("head.*", "zeros")])


def test_one_scheme_by_both_names_of_a_shared_parameter_is_none() -> None:
    plan = make_plan(TIED, [rule("emb.*", "normal(std=1.0)"), rule("head.*", "normal(std=1.0)")])
    assert plan["emb.weight"].law == Normal(1.0)


def test_a_scheme_for_all_weights_is_no_second_scheme_of_a_shared_parameter() -> None:
    assert make_plan(TIED, [rule("*", "he_normal")])["emb.weight"].law == Normal(0.02)


def test_a_printed_row_shows_role_fan_and_the_activations_around_the_weight() -> None:
    lines = make_plan(Mlp((4, 8, 8, 3)).spec(), EVERYTHING).text(width=120).splitlines()
    assert lines[3].split()[:8] == ["1/weight", "dense", "8x8", "8", "relu", "->", "relu", "initialise"]


def test_a_plan_as_data_holds_every_row_and_survives_json() -> None:
    rows = json.loads(json.dumps(make_plan(CLAIMED, EVERYTHING).to_dict()))["parameters"]
    assert [row["name"] for row in rows] == [p.native for p in CLAIMED.params]
    assert (rows[0]["action"], rows[0]["std"], rows[2]["fan_in"]) == ("keep", None, 4.0)


def long_names(depth: int) -> ModelSpec:
    """Names of up to 60 characters, a law of many blocks, and a note of many words."""
    name = ".".join(["transformer", *(f"block_{k}" for k in range(depth)), "projection"])
    wide = ParamSpec(path="a/w", shape=(768, 3072), f_in="gelu_tanh", f_out="gelu_tanh", native=f"{name}.weight")
    gates = ParamSpec(path="b/w", shape=(96, 24), blocks=(32, 64), native="rnn.weight")
    bias = ParamSpec(path="a/b", shape=(768,), role="bias", layer_shape=(768, 3072), native=f"{name}.bias")
    return ModelSpec((wide, gates, bias), notes=("a note of many words " * 8,))


@pytest.mark.parametrize("width", [70, 80, 100])
@pytest.mark.parametrize("depth", [0, 2, 4])
@pytest.mark.parametrize("name", ["he_normal", "truncated_normal", "orthogonal"])
def test_a_printed_plan_fits_its_width(name: str, depth: int, width: int) -> None:
    text = make_plan(long_names(depth), [rule("*", name)]).text(width=width)
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize("width", [60, 80, 100, 300])
def test_a_printed_plan_leaves_nothing_out_at_any_width(width: int) -> None:
    plan = make_plan(long_names(3), [rule("*", "he_normal(mode=fan_out)")])
    words = set(plan.text(width=width).split())
    for entry in plan:
        assert {entry.param.native, entry.param.role, f"{entry.std:.4g}", *entry.why.split()} <= words
        assert {*str(entry.law).split(), "x".join(map(str, entry.param.shape))} <= words
    assert {"3072", "gelu_tanh", *plan.notes[0].split()} <= words


def test_a_wide_terminal_gets_a_line_a_parameter_and_a_narrow_one_two() -> None:
    plan = make_plan(MODEL, EVERYTHING)
    assert len(plan.text(width=150).splitlines()) == 1 + len(plan) + 1
    assert len(plan.text(width=80).splitlines()) == 2 + 2 * len(plan) + 1


def test_a_plan_is_printed_for_the_terminals_width_and_for_80_columns_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = make_plan(MODEL, EVERYTHING)
    monkeypatch.setenv("COLUMNS", "150")
    assert str(plan) == plan.text(width=150)
    monkeypatch.delenv("COLUMNS")
    assert str(plan) == plan.text(width=80)


def test_a_kept_row_says_so_at_every_width() -> None:
    plan = make_plan(CLAIMED, EVERYTHING)
    for width in (60, 200):
        assert sum("keep" in line for line in plan.text(width=width).splitlines()) == 2
