"""Facts that a user gives about parameters: what they may be, and what is one line of error."""

from __future__ import annotations

import pytest

from initlab.core.errors import InitlabError, OptionError
from initlab.core.facts.spec import ParamSpec
from initlab.frameworks.reading.overrides import overridden

PARAMS = (
    ParamSpec(path="0/weight", shape=(4, 4), native="0.weight"),
    ParamSpec(path="0/bias", shape=(4,), role="bias", native="0.bias", layer_shape=(4, 4)),
    ParamSpec(path="enc/fc/weight", shape=(4, 4), native="enc/fc/kernel"),
)


@pytest.mark.parametrize("pattern", ["0.weight", "0/weight", "0", "0*ght"])
def test_a_pattern_matches_either_name_and_a_layers_weight(pattern: str) -> None:
    assert [p.f_in for p in overridden(PARAMS, {pattern: {"f_in": "gelu"}})] == ["gelu", None, None]


def test_a_layers_name_in_keras_spelling_matches_its_weight() -> None:
    assert overridden(PARAMS, {"enc/*": {"f_in": "gelu"}})[2].f_in == "gelu"


def test_the_last_pattern_wins() -> None:
    assert overridden(PARAMS, {"*": {"f_in": "gelu"}, "0": {"f_in": "relu"}})[0].f_in == "relu"


def test_a_list_is_as_good_as_a_tuple() -> None:
    assert overridden(PARAMS, {"0": {"blocks": [2, 2]}})[0].blocks == (2, 2)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (3, "3 is no mapping"),
        ([("0", {"f_in": "gelu"})], "is no mapping"),
        ({"0": None}, "None is no mapping of facts"),
        ({"0": {3: "gelu"}}, "unknown fact '3'"),
        ({"0": {"f_in": 3}}, "f_in cannot be 3"),
        ({"0": {"groups": True}}, "a whole number"),
        ({"0": {"in_moment": -1.0}}, "above 0"),
        ({"0": {"branch": 2}}, "an initlab.core.facts.spec.Branch or None"),
        ({"0": {"role": "densely"}}, "dense, conv"),
        ({"0": {"shape": (4,)}}, "unknown fact 'shape'"),
        ({"0": {"groups": 3}}, "does not fit"),
        ({"7": {}}, "'7' matches no parameter"),
    ],
)
def test_what_cannot_be_is_one_line(overrides: object, text: str) -> None:
    with pytest.raises(InitlabError) as error:
        overridden(PARAMS, overrides)  # type: ignore[arg-type]
    assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_without_parameters_matches_no_pattern() -> None:
    with pytest.raises(OptionError, match="no parameters"):
        overridden((), {"*": {}})
