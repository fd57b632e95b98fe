"""The floors of the house are checked by import-linter; here it is checked that import-linter catches a break."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINTER = Path(sys.executable).with_name("lint-imports")

FLOORS = "An import points down the floors only"
CIRCLES = "No circle in a room"
FRAMEWORKS = "A framework is imported in its own folder only"
NUMPY_ALONE = "The mathematics needs NumPy alone"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package, with the project file that holds the contracts."""
    ignored = shutil.ignore_patterns("__pycache__", "data", "vendor")
    shutil.copytree(ROOT / "src" / "initlab", tmp_path / "initlab", ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(house: Path) -> tuple[int, set[str]]:
    """The linter's exit code, and the names of the contracts it found broken."""
    command = [str(LINTER), "--config", "pyproject.toml", "--no-cache"]
    done = subprocess.run(command, cwd=house, capture_output=True, text=True, check=False)
    assert "Contracts:" in done.stdout, done.stdout + done.stderr
    return done.returncode, set(re.findall(r"^(.+) BROKEN\b", done.stdout, re.MULTILINE))


def plant(house: Path, path: str, line: str) -> None:
    file = house / "initlab" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    for folder in file.parents:
        if folder == house:
            break
        (folder / "__init__.py").touch()
    file.write_text(f'"""Planted."""\n\n{line}\n', encoding="utf-8")


def test_the_package_keeps_every_contract(house: Path) -> None:
    assert broken_contracts(house) == (0, set())


@pytest.mark.parametrize(
    ("path", "line", "contract"),
    [
        ("core/planted.py", "import initlab.theory", FLOORS),
        ("theory/planted.py", "from initlab import schemes", FLOORS),
        ("schemes/planted.py", "import initlab.tasks", FLOORS),
        ("tasks/planted.py", "import initlab.frameworks.jax", FLOORS),
        ("study/planted.py", "def late() -> None:\n    import initlab.report", FLOORS),
        ("probing/planted.py", "import initlab.study", FLOORS),
        ("annex/planted.py", "X = 1", FLOORS),
        ("core/draws/planted.py", "import initlab.core.laws", CIRCLES),
        ("probing/show/planted.py", "def late() -> None:\n    from initlab.probing import profile", CIRCLES),
        ("schemes/planted.py", "import torch", FRAMEWORKS),
        ("study/planted.py", "import jax.numpy as jnp", FRAMEWORKS),
        ("frameworks/planted.py", "import keras", FRAMEWORKS),
        ("frameworks/jax/planted.py", "import torch", FRAMEWORKS),
        ("frameworks/torch/planted.py", "from jax import lax", FRAMEWORKS),
        ("theory/planted.py", "import pandas", NUMPY_ALONE),
    ],
)
def test_a_planted_import_breaks_its_contract(house: Path, path: str, line: str, contract: str) -> None:
    plant(house, path, line)
    code, broken = broken_contracts(house)
    assert code != 0
    assert contract in broken


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("theory/planted.py", "import initlab.core"),
        ("schemes/planted.py", "import initlab.theory\nimport numpy"),
        ("core/laws/planted.py", "import initlab.core.draws"),
        ("core/planted.py", "import numba\nimport scipy.linalg"),
        ("frameworks/jax/planted.py", "import jax.numpy\nimport optax"),
        ("frameworks/torch/planted.py", "import torch.nn"),
        ("study/planted.py", "import initlab.frameworks.jax"),
        ("probing/planted.py", "import initlab.frameworks"),
    ],
)
def test_an_import_that_points_down_breaks_nothing(house: Path, path: str, line: str) -> None:
    plant(house, path, line)
    assert broken_contracts(house) == (0, set())
