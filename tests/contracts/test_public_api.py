"""A change of the API is always meant: public signatures are the snapshot's, and what is deprecated goes in time."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from initlab.core.deprecation import InitlabDeprecationWarning, deprecated, is_due
from initlab.core.errors import OptionError

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "contracts" / "public_api.py"
SNAPSHOT = SCRIPT.with_suffix(".txt")

PRINT = "import sys; sys.path.insert(0, sys.argv[1]); import public_api; "


def interface(change: str = "") -> str:
    """The interface as a process of its own sees it: what other tests register is not in it."""
    code = f"{PRINT}{change}print(public_api.interface(), end='')"
    command = [sys.executable, "-c", code, str(SCRIPT.parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_public_signatures_are_those_of_the_snapshot() -> None:
    then, now = (set(text.splitlines()) for text in (SNAPSHOT.read_text(encoding="utf-8"), interface()))
    gone, new = sorted(then - now), sorted(now - then)
    assert (gone, new) == ([], []), "the public interface differs: if that is meant, ./dev api writes it anew"


@pytest.mark.parametrize(
    "change",
    [
        "import initlab; initlab.__all__.remove('watch'); ",
        "import initlab; initlab.plan = lambda model, scheme='auto': None; ",
        "import initlab; del initlab.Comparison.table; ",
        "import initlab.cli.main as m; m.app.registered_commands.pop(); ",
    ],
    ids=["a name", "an argument", "a method", "a command"],
)
def test_a_change_of_the_interface_changes_the_snapshot(change: str) -> None:
    assert interface(change) != SNAPSHOT.read_text(encoding="utf-8")


# Deprecation


def removals(source: str) -> Iterator[str]:
    """The versions of removal that a module's decorators name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "deprecated":
            yield from (ast.literal_eval(word.value) for word in node.keywords if word.arg == "removal")


PLANTED = "@deprecated(since='0.0.1', removal={!r}, instead='g')\ndef f(): pass\n"


@pytest.mark.parametrize(("removal", "due"), [("0.1.0", True), ("0.0.2", True), ("99.0.0", False)])
def test_a_name_whose_version_of_removal_is_reached_is_found(removal: str, due: bool) -> None:
    assert [is_due(named) for named in removals(PLANTED.format(removal))] == [due]


def test_no_deprecated_name_outlives_its_version_of_removal() -> None:
    sources = (ROOT / "src").rglob("*.py")
    found = [(path.name, named) for path in sources for named in removals(path.read_text(encoding="utf-8"))]
    assert [(name, removal) for name, removal in found if is_due(removal)] == []


@deprecated(since="0.2.0", removal="0.4.0", instead="initlab.half(x, by=2)")
def half(x: float, *, by: float = 2.0) -> float:
    """Half of it."""
    return x / by


def test_a_deprecated_function_works_and_names_what_to_write() -> None:
    with pytest.warns(
        InitlabDeprecationWarning, match=r"half is .* 0\.2\.0 .* 0\.4\.0: write initlab\.half\(x, by=2\)"
    ):
        assert half(9.0, by=3.0) == 3.0
    assert (half.__name__, half.__doc__) == ("half", "Half of it.")


def test_the_warning_points_at_the_line_that_calls_and_is_shown_by_default() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        half(1.0)
    assert caught[0].filename == __file__
    assert issubclass(caught[0].category, FutureWarning)  # Python hides DeprecationWarning outside of __main__


@pytest.mark.parametrize("removal", ["0.2.0", "0.1.9"])
def test_a_removal_that_is_not_later_is_refused(removal: str) -> None:
    with pytest.raises(OptionError, match="not later than since"):
        deprecated(since="0.2.0", removal=removal, instead="x")


def test_a_removal_that_is_no_version_is_refused() -> None:
    with pytest.raises(OptionError, match="'next year' is no version"):
        deprecated(since="0.2.0", removal="next year", instead="x")
