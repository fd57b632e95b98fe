"""The watch over the checkout sees what a test writes there, and nothing else."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="the watch is off where git is absent")


@pytest.fixture(scope="module")
def watch() -> ModuleType:
    """The root's conftest as a module of its own."""
    spec = importlib.util.spec_from_file_location("watched_conftest", ROOT / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout with one committed file and one that is being worked on."""
    root = tmp_path / "a clone"
    (root / "src").mkdir(parents=True)
    (root / "src" / "kept.py").write_text("kept = 1\n", encoding="utf-8")
    (root / ".gitignore").write_text("/runs/\n.cache/\n", encoding="utf-8")
    git = ["git", "-C", str(root), "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "first"]):
        subprocess.run([*git, *command], check=True, capture_output=True)
    (root / "draft.md").write_text("a draft\n", encoding="utf-8")
    return root


def write(path: Path, text: str = "other\n") -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


WRITES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a new file": (lambda root: write(root / "initlab.lock.json"), ["initlab.lock.json"]),
    "a new file in a folder": (lambda root: write(root / "src" / "new.csv"), ["src/new.csv"]),
    "a committed file": (lambda root: write(root / "src" / "kept.py"), ["src/kept.py"]),
    "a committed file's end": (lambda root: (root / "src" / "kept.py").unlink(), ["src/kept.py"]),
    "a draft": (lambda root: write(root / "draft.md", "a tract\n"), ["draft.md"]),
    "a folder that git ignores": (lambda root: write(root / "runs" / "x.json"), ["runs"]),
    "a tool's cache": (lambda root: write(root / ".cache" / "x"), []),
    "nothing": (lambda root: None, []),
}


@pytest.mark.parametrize("case", WRITES)
def test_what_is_written_into_a_checkout_is_seen(watch: ModuleType, clone: Path, case: str) -> None:
    work, seen = WRITES[case]
    os.utime(clone / "draft.md", ns=(1, 1))  # so that a second writing has another time, however coarse the clock
    before = watch.checkout(clone)
    work(clone)
    assert watch.difference(before, watch.checkout(clone)) == seen


def test_a_folder_that_is_no_checkout_is_not_watched(watch: ModuleType, tmp_path: Path) -> None:
    assert watch.checkout(tmp_path) is None


@pytest.mark.parametrize(("path", "code"), [("'stray.txt'", 1), ("tmp_path / 'stray.txt'", 0)])
def test_a_run_whose_test_writes_into_the_checkout_fails(clone: Path, path: str, code: int) -> None:
    shutil.copy(ROOT / "conftest.py", clone)
    test = f"def test_of_a_file(tmp_path):\n    open({path}, 'w').close()\n"
    write(clone / "tests" / "test_writes.py", test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:initlab", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    assert ("the checkout changed while the tests ran: stray.txt" in done.stdout) == bool(code)


def test_an_example_that_writes_a_file_by_name_leaves_the_checkout_alone(clone: Path) -> None:
    shutil.copy(ROOT / "conftest.py", clone)
    write(clone / "src" / "kept.py", '"""\n>>> open("by_name.txt", "w").close()\n"""\n')
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:initlab", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--doctest-modules", "src"], cwd=clone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
