"""``initlab.torch``, ``initlab.keras`` and ``initlab.jax`` are there, and import their framework only when asked."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import initlab

FORMS = {"torch": "init_", "keras": "Initializer", "jax": "initializer"}


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(("framework", "name"), FORMS.items())
def test_a_form_is_an_attribute_and_a_module(framework: str, name: str) -> None:
    pytest.importorskip(framework)
    assert getattr(initlab, framework) is import_module(f"initlab.{framework}")
    assert callable(getattr(getattr(initlab, framework), name))


@pytest.mark.parametrize(("framework", "others"), [("torch", ["jax", "keras"]), ("jax", ["keras", "torch"])])
def test_a_form_imports_no_other_framework(framework: str, others: list[str]) -> None:
    pytest.importorskip(framework)
    code = f"import sys, initlab; initlab.{framework}; print([name for name in {others} if name in sys.modules])"
    assert run(code) == "[]\n"


def test_a_star_import_leaves_the_frameworks_names_alone() -> None:
    assert FORMS.keys() & set(initlab.__all__) == set()
    assert FORMS.keys() <= set(dir(initlab))


@pytest.mark.parametrize("framework", FORMS)
def test_without_the_framework_the_extra_is_named_in_one_line(framework: str) -> None:
    code = f"""
import sys
sys.modules[{framework!r}] = None
import initlab
try:
    initlab.{framework}
except initlab.InitlabError as error:
    print(error)
"""
    assert run(code) == f"initlab.{framework} needs {framework}: pip install 'initlab[{framework}]'\n"
