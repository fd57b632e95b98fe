"""Registries and calls: names, aliases, nearest names, options in one string."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from initlab.core import registry as registry_module
from initlab.core.calls import format_call, parse_call, split_calls
from initlab.core.errors import InitlabError, OptionError, PluginWarning, UnknownNameError
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


def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **modules: str) -> Registry[int]:
    """A registry whose group has one entry point a module, each written with this code."""
    name = f"plug{tmp_path.name.replace('-', '_')}"
    info = tmp_path / f"{name}-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(
        f"[initlab.test.{name}]\n" + "".join(f"{key} = {name}_{key}\n" for key in modules)
    )
    for key, code in modules.items():
        (tmp_path / f"{name}_{key}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(registry_module, "_installed", entry_points)
    registry = Registry[int]("colour", group=f"initlab.test.{name}")
    monkeypatch.setattr(registry_module, "COLOURS_OF_A_TEST", registry, raising=False)
    return registry


ADD = "from initlab.core import registry\nregistry.COLOURS_OF_A_TEST.add({!r}, {})\n"


@pytest.mark.parametrize(
    "ask",
    [
        lambda colours: "sea_green" in list(colours),
        lambda colours: "sea_green" in colours,
        lambda colours: len(colours) == 1,
        lambda colours: colours["SeaGreen"] == 3,
    ],
    ids=["list", "in", "len", "get"],
)
def test_what_other_packages_bring_is_there_however_one_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, ask: Callable[[Registry[int]], bool]
) -> None:
    assert ask(installed(monkeypatch, tmp_path, green=ADD.format("sea_green", 3)))


def test_a_plugin_that_fails_is_said_in_one_line_and_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    colours = installed(
        monkeypatch, tmp_path, bad="raise ImportError('no paint\\nat all')", good=ADD.format("sea_green", 3)
    )
    with pytest.warns(PluginWarning, match=r"^the plug-in 'bad' of .* is left out \(.*\): ImportError: no paint$"):
        assert list(colours) == ["sea_green"]


def test_a_plugin_whose_name_is_taken_is_said_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    colours = installed(monkeypatch, tmp_path, twice=ADD.format("DarkRed", 9))
    colours.add("dark_red", 1)
    with pytest.warns(PluginWarning, match="'DarkRed' is taken by 'dark_red'"):
        assert list(colours) == ["dark_red"]
    assert colours["DarkRed"] == 1


def test_a_space_in_a_name_may_be_typed_as_a_hyphen() -> None:
    checks = Registry[int]("check")
    checks.add("dead units", 1)
    assert checks["dead-units"] == checks["Dead_Units"] == 1


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
