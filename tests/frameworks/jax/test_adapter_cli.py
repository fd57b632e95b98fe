"""The commands on Flax models that a user's module builds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from initlab.cli.main import main

NET = """
import numpy as np
from flax import linen, nnx

def build():
    rngs = nnx.Rngs(0)
    return nnx.Sequential(nnx.Linear(64, 32, rngs=rngs), nnx.relu, nnx.Linear(32, 10, rngs=rngs))

def linen_module():
    return linen.Dense(3)
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module of the user's."""
    (tmp_path / "flax_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "flax_net", raising=False)
    return tmp_path


def test_a_plan_names_the_parameters_as_flax_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "flax_net:build", "--json"]) == 0
    assert "layers.2.kernel" in capsys.readouterr().out


def test_weights_are_written_in_the_layout_of_flax(project: Path) -> None:
    assert main(["init", "flax_net:build", "--seed", "3", "--out", "w.safetensors"]) == 0
    assert load_file(project / "w.safetensors")["layers.0.kernel"].shape == (64, 32)


def test_a_flax_model_is_probed_on_a_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "flax_net:build", "--data", "digits", "--json"]) in (0, 3)
    assert "layers.0" in json.dumps(json.loads(capsys.readouterr().out))


def test_a_linen_module_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "flax_net:linen_module"]) == 2
    said = capsys.readouterr().err.strip()
    assert "flax.nnx.bridge.ToNNX" in said
    assert "\n" not in said
