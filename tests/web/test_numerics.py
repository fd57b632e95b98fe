"""The page's numerics against initlab's, and its build; where Node is there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from initlab.web import PAGE

ROOT = Path(__file__).resolve().parents[2]
NODE = shutil.which("node")

pytestmark = pytest.mark.skipif(
    NODE is None or not (ROOT / "web" / "node_modules" / "initlab-stamp").exists(),
    reason="needs Node and web/node_modules: apt install nodejs npm, then ./dev test",
)


def node(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(NODE), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def test_draws_theory_schemes_and_training_are_initlabs() -> None:
    done = node("--test", "web/tests/numerics.test.mjs")
    assert done.returncode == 0, done.stdout


def test_a_build_gives_the_files_that_are_committed(tmp_path: Path) -> None:
    assert node("web/build.mjs", tmp_path).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in PAGE.iterdir())
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (PAGE / path.name).read_bytes(), "run ./dev web and commit what it writes"
