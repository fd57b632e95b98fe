"""The examples do what their docstrings say: scripts in processes of their own, notebooks cell by cell."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOTEBOOKS = ("audit_transformer", "iris_keras", "mend_tanh")
# No example may wait for a network: a port that nobody listens at answers at once.
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")

# Carries a notebook out as Jupyter does: all cells in one namespace, the last value of each asked how it shows itself.
RUNNER = """
import ast, json, sys
shown = {}
for path in sys.argv[1:]:
    notebook, space = json.load(open(path, encoding="utf-8")), {"__name__": "__main__"}
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        body = ast.parse("".join(cell["source"])).body
        last = body.pop() if isinstance(body[-1], ast.Expr) else None
        exec(compile(ast.Module(body, []), path, "exec"), space)
        value = None if last is None else eval(compile(ast.Expression(last.value), path, "eval"), space)
        if value is not None:
            shown[f"{path}#{type(value).__name__}#{len(shown)}"] = value._repr_html_()
json.dump(shown, open("shown.json", "w"))
"""


def ran(arguments: list[str | Path], folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **OFFLINE, "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def script(name: str, folder: Path) -> str:
    return ran([EXAMPLES / f"{name}.py"], folder)


def test_zeros_learn_no_more_than_how_common_the_classes_are_in_keras(tmp_path: Path) -> None:
    table = script("iris_keras", tmp_path)
    zeros = float(re.search(r"^zeros +(\d\.\d+)", table, re.MULTILINE)[1])
    he = float(re.search(r"^he_normal +(\d\.\d+)", table, re.MULTILINE)[1])
    assert zeros <= 11 / 30 < 0.8 < he  # the commonest class has 11 of the 30 rows that test
    assert (tmp_path / "runs" / "iris-keras" / "report.html").exists()


def test_weights_of_std_1_are_found_before_training_and_lose_in_every_seed(tmp_path: Path) -> None:
    said = script("mnist_torch", tmp_path)
    assert re.search(r"^HARD   output scale", said, re.MULTILINE)
    assert re.search(r"^normal\(std=1\.0\).* 6/6 ", said, re.MULTILINE)


def test_a_deep_tanh_net_is_mended(tmp_path: Path) -> None:
    said = script("mend_tanh", tmp_path)
    ratios = re.findall(r"first layer over last: (\S+), theory (\S+)", said)
    (broken, broken_theory), (mended, _) = [(float(a), float(b)) for a, b in ratios]
    assert broken > 1000
    assert 0.5 < broken / broken_theory < 2
    assert 0.1 < mended < 10
    assert said.rstrip().endswith("healthy")


def test_the_audit_finds_what_was_never_scaled_and_what_was_tampered_with(tmp_path: Path) -> None:
    said = script("audit_transformer", tmp_path)
    assert "12 of 77 parameters are wrong" in said
    assert "never got its 1/sqrt(2L)" in said
    assert "nothing is wrong" in said
    assert "1 of 77 parameters is wrong\nwrong    blocks.3.mlp.c_fc.weight" in said


def test_a_custom_activation_keeps_its_signal_at_its_own_gain_alone(tmp_path: Path) -> None:
    said = script("custom_activation", tmp_path)
    ratios = dict(re.findall(r"^(he_normal|auto) +E\[z²\].*?: (\S+), theory", said, re.MULTILINE))
    assert float(ratios["he_normal"]) < 1e-3
    assert 0.1 < float(ratios["auto"]) < 10
    assert "bend -> bend" in said


@cache
def content(name: str) -> dict:
    return json.loads((EXAMPLES / f"{name}.ipynb").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_the_form_of_nbformat_4_5_and_no_outputs(name: str) -> None:
    notebook = content(name)
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    cells = notebook["cells"]
    assert len({cell["id"] for cell in cells}) == len(cells)
    assert all(re.fullmatch(r"[a-zA-Z0-9-_]{1,64}", cell["id"]) for cell in cells)
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len(code) >= 3
    assert cells[0]["cell_type"] == "markdown"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_prints_no_object_that_can_show_itself(name: str) -> None:
    for cell in content(name)["cells"]:
        if cell["cell_type"] == "code":
            last = ast.parse("".join(cell["source"])).body[-1]
            shown = ast.unparse(last)
            assert not re.fullmatch(r"print\(\w+\)", shown)


def test_notebooks_run_and_their_values_show_themselves(tmp_path: Path) -> None:
    ran(["-c", RUNNER, *(EXAMPLES / f"{name}.ipynb" for name in NOTEBOOKS)], tmp_path)
    shown = json.loads((tmp_path / "shown.json").read_text(encoding="utf-8"))
    kinds = [key.split("#")[1] for key in shown]
    assert sorted(set(kinds)) == ["Audit", "BoundPlan", "Comparison", "Diagnosis", "Profile"]
    assert all(
        html.count("<svg") == (kind in ("Comparison", "Profile"))
        for kind, html in zip(kinds, shown.values(), strict=True)
    )
    assert not any("<script" in html or "src=" in html for html in shown.values())
