"""A plan's account: numbers and not rows, asked for or not."""

from __future__ import annotations

import warnings

import pytest

from initlab.core.errors import IncompleteError, IncompleteWarning
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.plans.account import ASKED, Kept, Row, account
from initlab.core.plans.plan import Consent, Plan, Rule, make_plan
from initlab.schemes import scheme

# 6 * 10 + 10 * 10 + 40 * 1 = 200 numbers
PARAMS = (
    ParamSpec(path="0/weight", shape=(6, 10), native="fc.weight"),
    ParamSpec(path="1/weight", shape=(10, 10), native="out.weight"),
    ParamSpec(path="1/bias", shape=(40,), role="bias", native="out.bias"),
)
HE = Rule("*", scheme("he_normal"), "he_normal")


def planned(*more: ParamSpec, **options: object) -> Plan:
    return make_plan(ModelSpec((*PARAMS, *more)), [HE], **options)  # type: ignore[arg-type]


def unknown(size: int, **facts: object) -> ParamSpec:
    return ParamSpec(path="odd", shape=(size,), native="experts.up", role="unknown", **facts)  # type: ignore[arg-type]


def test_a_plan_ends_with_what_becomes_of_the_numbers_and_not_of_the_rows() -> None:
    assert str(planned(unknown(600))).splitlines()[-1] == (
        "initialised 25 %; kept 75 %: 1 parameter of unknown role (experts.up)"
    )
    assert str(planned()).splitlines()[-1] == "initialised 100 % of 200 numbers"


def test_a_shared_parameter_counts_once() -> None:
    twin = ParamSpec(path="twin", shape=(10, 10), native="twin.weight", tied_to="1/weight")
    assert (planned(twin).account.size, planned(twin).account.kept) == (200, 0.0)


@pytest.mark.parametrize(
    ("size", "is_complained_of"),
    [pytest.param(2, False, id="2 of 202: 0.990 %"), pytest.param(3, True, id="3 of 203: 1.48 %")],
)
def test_above_one_percent_a_strict_plan_is_refused_and_any_other_warns(size: int, is_complained_of: bool) -> None:
    found = planned(unknown(size)).account
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found.warn(stacklevel=1)
    assert [one.category for one in caught] == [IncompleteWarning] * is_complained_of
    assert all(one.filename == __file__ and "experts.up" in str(one.message) for one in caught)
    if not is_complained_of:
        return found.check()
    with pytest.raises(IncompleteError, match=r"1\.5 % of the trainable .* of unknown role \(experts\.up\)"):
        found.check()


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(unknown(600, intent="zero on purpose"), id="design"),
        pytest.param(unknown(600, frozen=True), id="frozen"),
        pytest.param(unknown(600, tied_to="1/weight"), id="tied"),
    ],
)
def test_what_its_author_wants_to_stay_is_no_ones_complaint(asked: ParamSpec) -> None:
    planned(asked).account.check()


def test_what_the_user_excludes_or_does_not_name_is_no_complaint() -> None:
    planned(unknown(600), consent=Consent(exclude=("experts.*",))).account.check()
    rules = [Rule("out.weight", scheme("he_normal"), "he_normal")]
    make_plan(ModelSpec((*PARAMS, unknown(600))), rules, named_only=True).account.check()


def test_frozen_numbers_are_none_that_could_have_been_trained() -> None:
    frozen = ParamSpec(path="base", shape=(100, 100), native="base.weight", frozen=True)
    with pytest.raises(IncompleteError, match=r"^4\.8 %"):  # 10 of 210, and not of 10210
        planned(frozen, unknown(10)).account.check()


def test_what_cannot_be_drawn_is_no_design() -> None:
    with pytest.raises(IncompleteError, match="that cannot be drawn"):
        planned(unknown(600, intent="complex numbers are not drawn", is_obstacle=True)).account.check()


@pytest.mark.parametrize("why", [*sorted(ASKED - {"tied"}), "unknown", "unruled", "undrawn"])
def test_each_reason_has_words_and_a_name(why: Kept) -> None:
    assert "(w)" in str(account([Row("w", 3, why)]))


def test_a_mapping_keeps_what_no_pattern_matches() -> None:
    rules = [Rule("out.*", scheme("orthogonal"), "orthogonal")]
    plan = make_plan(ModelSpec(PARAMS), rules, named_only=True)
    assert [(entry.action, entry.kept) for entry in plan] == [
        ("keep", "unnamed"),
        ("initialise", None),
        ("initialise", None),  # the pattern names the bias as well, which follows its role
    ]


def test_a_star_in_a_mapping_names_all() -> None:
    assert [entry.action for entry in make_plan(ModelSpec(PARAMS), [HE], named_only=True)] == ["initialise"] * 3
