"""What holds for the whole test run."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from initlab.tasks.places import cache_folder

os.environ.setdefault("KERAS_BACKEND", "jax")  # before any test or doctest imports Keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# JAX compiles each operation that a test tries alone, for tens of milliseconds: kept for the other processes of a run,
# and for the next run.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "tests" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

ROOT = Path(__file__).resolve().parent
TESTS = ROOT / "tests"

Listing = dict[str, tuple[int, int]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="also run the tests that take minutes")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    # --doctest-modules imports every .py file; those beside the tests may be scripts that a test starts.
    script = collection_path.suffix == ".py" and not collection_path.name.startswith(("test_", "conftest"))
    return True if script and TESTS in collection_path.parents else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--soak"):
        return
    for item in items:
        if "soak" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run it with --soak"))


@pytest.fixture(autouse=True)
def _doctest_folder(request: pytest.FixtureRequest) -> None:
    """An example in a docstring runs in a folder of its own, so that a file it writes by name lands there."""
    if isinstance(request.node, pytest.DoctestItem):
        folder = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)


# No test writes into the checkout


def checkout(root: Path) -> Listing | None:
    """What lies in a checkout beside its committed state, with size and time of writing; None where git is absent.

    That is every file that differs from the last commit or is new to git, and every entry of the root. Entries of the
    root that start with a dot and that git ignores are left out: caches of the tools.
    """
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "-C", str(root), "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    changed = [entry[3:] for entry in done.stdout.split("\0") if entry]
    entries = [path.name for path in root.iterdir() if not path.name.startswith(".") and path.name != "__pycache__"]
    return {name: _stamp(root / name) for name in (*changed, *entries)}


def _stamp(path: Path) -> tuple[int, int]:
    """Size and time of writing in ns; of a folder only that it is one: programs write their bytecode into folders."""
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return (0, 0) if path.is_dir() else (found.st_size, found.st_mtime_ns)


def difference(before: Listing, after: Listing) -> list[str]:
    """The names that are in one listing alone, or that were written in between."""
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))


CHECKOUT = pytest.StashKey[Listing | None]()


def pytest_sessionstart(session: pytest.Session) -> None:
    if not hasattr(session.config, "workerinput"):  # pytest-xdist: the process that starts the workers looks
        session.config.stash[CHECKOUT] = checkout(ROOT)


def pytest_sessionfinish(session: pytest.Session) -> None:
    before = session.config.stash.get(CHECKOUT, None)
    after = None if before is None else checkout(ROOT)
    written = difference(before, after) if before is not None and after is not None else []
    if written:
        report: Callable[..., None] = session.config.pluginmanager.get_plugin("terminalreporter").write_line
        report("")
        report(f"ERROR: the checkout changed while the tests ran: {', '.join(written)}", red=True)
        report("A test wrote there, which is to use tmp_path; or it was edited, then run the tests again.", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
