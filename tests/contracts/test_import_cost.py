"""Importing initlab is cheap, and so is asking its command line for help."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FRAMEWORKS = {"jax", "jaxlib", "keras", "optax", "tensorflow", "torch"}
HEAVY = FRAMEWORKS | {"numba", "pandas", "pooch", "pyarrow", "rich", "scipy", "typer", "vl_convert"}


def modules_after(statements: str) -> set[str]:
    """The top-level packages that a new interpreter has loaded after these statements."""
    tail = "\nimport json, sys\nprint(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    command = [sys.executable, "-c", statements + tail]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_initlab_loads_no_heavy_package() -> None:
    assert modules_after("import initlab") & HEAVY == set()


def test_listing_the_public_names_loads_no_heavy_package() -> None:
    assert modules_after("import initlab\ndir(initlab)\ninitlab.__version__") & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["compare", "--help"]], ids=" ".join)
def test_the_command_line_answers_without_numpy_or_a_framework(arguments: list[str]) -> None:
    start = f"""
import sys
sys.argv = ["initlab", *{arguments!r}]
from initlab.cli.main import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
assert not code, code
"""
    assert modules_after(start) & (FRAMEWORKS | {"numpy", "pandas", "scipy"}) == set()


@pytest.mark.parametrize(("framework", "missing"), [("jax", ["flax", "torch", "keras"]), ("keras", ["flax", "torch"])])
def test_initlabs_own_networks_train_without_the_packages_that_only_other_models_need(
    framework: str, missing: list[str]
) -> None:
    pytest.importorskip(framework)
    start = f"""
import os, sys
os.environ["KERAS_BACKEND"] = "jax"
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing!r}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from initlab.frameworks import FRAMEWORKS
assert callable(FRAMEWORKS[{framework!r}].trainer())
"""
    assert framework in modules_after(start)
