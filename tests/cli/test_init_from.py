"""``initlab init --from``: what a weights file has is loaded, what it lacks is drawn, and nothing is done in part."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

import initlab
from initlab.cli.main import main
from initlab.core.errors import DataError
from initlab.core.facts.spec import ModelSpec, ParamSpec
from initlab.core.plans.given import matched

TORCH = """
import torch
from torch import nn

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.head = nn.Embedding(7, 5), nn.Linear(5, 7)
        self.head.weight = self.table.weight
    def forward(self, x):
        return self.head(self.table(x))

def build():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3))
"""
KERAS = """
import keras

def build():
    keras.utils.set_random_seed(3)
    layers = keras.layers
    norm = layers.BatchNormalization(name="norm")
    dense = [layers.Dense(6, name="first"), layers.Dense(3, name="last")]
    return keras.Sequential([keras.Input((4,)), dense[0], norm, dense[1]], name="net")
"""
FLAX = """
from flax import nnx

class Net(nnx.Module):
    def __init__(self, rngs):
        self.first, self.norm = nnx.Linear(4, 6, rngs=rngs), nnx.BatchNorm(6, rngs=rngs)
        self.last = nnx.Linear(6, 3, rngs=rngs)
    def __call__(self, x):
        return self.last(nnx.relu(self.norm(self.first(x))))

def build():
    return Net(nnx.Rngs(3))
"""
NETS = {"torch": TORCH, "keras": KERAS, "flax": FLAX}


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a module for each framework, gone from Python's memory after the test."""
    for name, text in NETS.items():
        (tmp_path / f"from_{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, f"from_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(("init", *argv))
    out, err = capsys.readouterr()
    return code, out, err


def whole(capsys: pytest.CaptureFixture[str], kind: str) -> dict[str, NDArray[np.generic]]:
    """All arrays of a model that nothing is missing of."""
    assert run(capsys, f"from_{kind}:build", "--seed", "5", "--out", "whole.safetensors")[0] == 0
    return load_file("whole.safetensors")


@pytest.mark.parametrize("kind", NETS)
def test_what_the_file_has_is_loaded_and_what_it_lacks_is_drawn_by_plan(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    held = whole(capsys, kind)
    weights = [name for name, array in held.items() if array.ndim == 2]
    lost, kept = weights
    rng = np.random.default_rng(7)
    floats = {name: array for name, array in held.items() if array.dtype.kind == "f"}
    given = {name: rng.normal(size=a.shape).astype(a.dtype) for name, a in floats.items() if name != lost}
    save_file(given, "part.safetensors")
    argv = (f"from_{kind}:build", "--from", "part.safetensors", "--seed", "9", "--out", "new.safetensors")
    code, out, err = run(capsys, *argv, "--missing", "he_normal")
    assert (code, err) == (0, "")
    new = load_file("new.safetensors")
    assert new.keys() == held.keys()
    assert all(np.array_equal(new[name], array) for name, array in given.items())
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "he_normal" in rows[lost]
    assert "from part.safetensors" in rows[kept]
    alone = initlab.draw(
        initlab.scheme("he_normal")(ParamSpec(shape=(6, 4))), (6, 4), seed=9, path=_path(kind), dtype="float32"
    )
    assert np.array_equal(new[lost], alone if kind == "torch" else alone.T)


def _path(kind: str) -> str:
    return "0/weight" if kind == "torch" else "first/weight"


def test_without_a_scheme_what_is_missing_is_refused(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    held = whole(capsys, "torch")
    save_file({name: array for name, array in held.items() if name != "3.bias"}, "part.safetensors")
    code, out, err = run(capsys, "from_torch:build", "--from", "part.safetensors", "--out", "new.safetensors")
    assert (code, out) == (2, "")
    assert "part.safetensors lacks 1 parameter, 3.bias (--from)" in err
    assert not (project / "new.safetensors").exists()


def test_a_shared_parameter_is_given_under_any_one_of_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    table = np.random.default_rng(1).normal(size=(7, 5)).astype(np.float32)
    argv = (
        "from_torch:Tied",
        "--from",
        "tied.safetensors",
        "--missing",
        "auto",
        "--seed",
        "2",
        "--out",
        "t.safetensors",
    )
    for name in ("table.weight", "head.weight"):
        save_file({name: table}, "tied.safetensors")
        assert run(capsys, *argv)[0] == 0
        assert np.array_equal(load_file("t.safetensors")["head.weight"], table)
    save_file({"table.weight": table, "head.weight": table + 1}, "tied.safetensors")
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert "table.weight, head.weight are one parameter, and differ" in err


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"0.wieght": np.ones((6, 4), np.float32)}, "1 array that the model does not have: 0.wieght"),
        ({"0.weight": np.ones((4, 6), np.float32)}, "1 array is transposed: 0.weight (4, 6), the model has (6, 4)"),
        ({"0.weight": np.ones((6, 5), np.float32)}, "1 array is of another shape: 0.weight (6, 5)"),
        ({"0.weight": np.ones((6, 4), np.int64)}, "1 array is of another type: 0.weight int64"),
    ],
)
def test_an_array_that_does_not_fit_is_named_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], project: Path, change: Mapping[str, NDArray[np.generic]], expected: str
) -> None:
    save_file({**whole(capsys, "torch"), **change}, "odd.safetensors")
    argv = ("from_torch:build", "--from", "odd.safetensors", "--missing", "auto", "--out", "new.safetensors")
    code, out, err = run(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not (project / "new.safetensors").exists()


def test_no_array_is_put_into_a_model_where_one_does_not_fit() -> None:
    spec = ModelSpec((ParamSpec("0/weight", (2, 3), native="w"), ParamSpec("0/bias", (2,), role="bias", native="b")))
    state = {"w": np.ones((2, 3)), "b": np.ones(2)}
    with pytest.raises(DataError, match="another shape"):
        matched(spec, state, {"b": np.zeros(2), "w": np.ones((4, 3))})
    assert matched(spec, state, {"b": np.zeros(2)}).missing == ("w",)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("--from", "none.safetensors"), "there is no file 'none.safetensors'"),
        (("--from", "from_torch.py"), "cannot be read as safetensors"),
        (("--from", "none.safetensors", "--scheme", "auto"), "--from and --scheme"),
        (("--missing", "auto"), "nothing is missing without --from"),
    ],
)
def test_a_wrong_option_is_one_line(
    capsys: pytest.CaptureFixture[str], project: Path, argv: tuple[str, ...], expected: str
) -> None:
    code, out, err = run(capsys, "from_torch:build", "--out", "new.safetensors", *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert expected in err
    assert not (project / "new.safetensors").exists()
