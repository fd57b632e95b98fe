"""Registries and calls: names, aliases, nearest names, options in one string."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlab.core.calls import format_call, parse_call, split_calls
from initlab.core.errors import InitlabError, OptionError, UnknownNameError
from initlab.core.registry import Registry
from initlab.schemes import SCHEMES


@pytest.fixture
def colours() -> Registry[int]:
    registry = Registry[int]("colour", listing="initlab list colours")
    registry.add("dark_red", 1, aliases=("maroon",))
    registry.add("sky_blue", 2)
    return registry


def test_the_nearest_name_is_offered(colours: Registry[int]) -> None:
    with pytest.raises(UnknownNameError) as error:
        colours["dark_rad"]
    assert str(error.value) == ("unknown colour 'dark_rad': Did you mean 'dark_red'? All of them: initlab list colours")


def test_the_nearest_alias_is_offered_as_it_is_spelled(colours: Registry[int]) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'maroon'"):
        colours["marroon"]


def test_of_spellings_that_match_alike_the_first_is_offered() -> None:
    registry = Registry[int]("colour")
    registry.add("sea_green", 1, aliases=("SeaGreen", "teal", "teal_"))
    for typed, meant in (("sea_greeen", "sea_green"), ("teall", "teal")):
        with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}'"):
            registry[typed]


@pytest.mark.parametrize(
    ("typed", "meant"), [("xavier_uniformm", "xavier_uniform"), ("kaimming_normal", "kaiming_normal")]
)
def test_a_misspelt_alias_of_a_scheme_is_told_the_alias(typed: str, meant: str) -> None:
    with pytest.raises(UnknownNameError, match=f"Did you mean '{meant}'"):
        SCHEMES[typed]


def test_a_name_far_from_all_offers_none(colours: Registry[int]) -> None:
    with pytest.raises(UnknownNameError) as error:
        colours["xyzzy"]
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("spelling", ["DarkRed", "dark-red", "DARK_RED", "Maroon"])
def test_case_and_underscores_do_not_matter(colours: Registry[int], spelling: str) -> None:
    assert colours[spelling] == 1


def test_a_taken_alias_is_refused_and_nothing_is_added(colours: Registry[int]) -> None:
    with pytest.raises(OptionError, match="is taken"):
        colours.add("crimson", 3, aliases=("maroon",))
    assert "crimson" not in colours


def test_every_error_is_one_line() -> None:
    assert "\n" not in str(InitlabError("a\nb", where="c\nd", fix="e\n\nf"))


VALUES = st.one_of(st.booleans(), st.integers(-99, 99), st.floats(allow_nan=False, allow_infinity=False), st.none())


@given(st.dictionaries(st.sampled_from(["std", "mean", "mode", "gain"]), VALUES))
def test_a_call_reads_back_as_it_was_written(options: dict[str, object]) -> None:
    assert parse_call(format_call("normal", options)) == ("normal", options)  # type: ignore[arg-type]


NOT_CALLS = ["", "a b", "f(1)", "f(x=1", "f(x=[1])", "f(**x)", "1", "f(x=1,x=2)", "f(x=__import__('os'))"]


@pytest.mark.parametrize("text", NOT_CALLS)
def test_what_is_not_a_call_is_refused(text: str) -> None:
    with pytest.raises(OptionError):
        parse_call(text)


def test_commas_inside_parentheses_do_not_split() -> None:
    assert split_calls("a(b=1, c='x,y'), d") == ["a(b=1, c='x,y')", "d"]
