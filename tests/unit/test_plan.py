"""Plans: a row for every parameter, the last match wins, a shape that does not fit is refused."""

from __future__ import annotations

import numpy as np
import pytest

from initlab.core.arch import Mlp
from initlab.core.errors import OptionError, ShapeError
from initlab.core.laws import Constant, Normal
from initlab.core.plan import Rule, make_plan
from initlab.core.spec import ModelSpec, ParamSpec
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
    text = str(make_plan(Mlp((4, 8, 3)).spec(), [rule("*", "he_normal")]))
    assert [line.split()[0] for line in text.splitlines()] == ["parameter", "0/weight", "0/bias", "1/weight", "1/bias"]
