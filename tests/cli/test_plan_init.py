"""``initlab plan`` and ``initlab init`` on models that a user's module builds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import initlab
from initlab.cli.main import main

NET = """
from torch import nn
import torch

def build():
    return nn.Sequential(nn.Linear(4, 200), nn.BatchNorm1d(200), nn.ReLU(), nn.Linear(200, 3))

def with_example():
    return build(), torch.zeros(2, 4)

def with_targets():
    return *with_example(), torch.zeros(2)

def wrong_example():
    return build(), torch.zeros(2, 5)
"""
ARCH = """
from initlab import Mlp

net = Mlp((4, 200, 3))
number = 3

def build():
    return net

def nothing():
    pass

def broken():
    raise RuntimeError("no such\\nfile")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three modules of the user's, gone from Python's memory after the test."""
    names = {"net_module": NET, "arch_module": ARCH, "torn_module": "import no_such_package\n"}
    for name, text in names.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_factory_that_gives_targets_too_is_planned_as_one_that_gives_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [run(capsys, "plan", f"net_module:{name}") for name in ("with_targets", "with_example")]
    assert given[0] == given[1]
    assert given[0][0] == 0


def test_plan_prints_a_row_a_parameter(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    code, out, _ = run(capsys, "plan", "arch_module:build", "--scheme", "he_normal")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == [
        "parameter",
        "0/weight",
        "0/bias",
        "1/weight",
        "1/bias",
        "initialised",
    ]
    assert "N(0, 0.1^2)" in out


def test_plan_fits_eighty_columns_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    _, out, _ = run(capsys, "plan", "net_module:with_example")
    assert max(map(len, out.splitlines())) <= 80
    assert "1.weight" in out


def test_plan_as_json_is_the_plan_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "plan", "arch_module:build", "--json")
    assert json.loads(out) == initlab.plan(initlab.Mlp((4, 200, 3)), "auto").to_dict()


def test_a_model_in_the_module_itself_is_taken_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "plan", "arch_module:net") == run(capsys, "plan", "arch_module:build")


def test_plan_reads_a_torch_model_with_its_example(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "plan", "net_module:with_example", "--exclude", "0.*")
    assert (code, err) == (0, "")
    assert "excluded by '0.*'" in out
    assert "3.weight" in out


def test_init_writes_what_initialize_makes_under_the_models_own_names(
    capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    argv = ("init", "net_module:build", "--scheme", "he_normal", "--seed", "7", "--out", "w.safetensors")
    code, out, _ = run(capsys, *argv)
    assert (code, out) == (0, "w.safetensors: 9 tensors, scheme he_normal, seed 7\n")

    import torch
    from net_module import build  # type: ignore[import-not-found]

    net = initlab.initialize(build(), "he_normal", seed=7)
    written = {name: torch.from_numpy(array) for name, array in load_file(project / "w.safetensors").items()}
    assert set(written) == set(net.state_dict())
    assert all(torch.equal(written[name], value) for name, value in net.state_dict().items())


def test_the_file_says_how_it_was_made(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    run(capsys, "init", "arch_module:build", "--scheme", "ones", "--seed", "1", "--out", "w.safetensors")
    with safe_open(project / "w.safetensors", framework="np") as file:
        assert file.metadata() == {"scheme": "ones", "seed": "1", "initlab": initlab.__version__}
    assert np.array_equal(load_file(project / "w.safetensors")["0/weight"], np.ones((200, 4), np.float32))


def test_init_without_a_seed_tells_the_one_it_used(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    _, out, _ = run(capsys, "init", "net_module:build", "--out", "a.safetensors")
    seed = out.split()[-1]
    run(capsys, "init", "net_module:build", "--seed", seed, "--out", "b.safetensors")
    first, second = (load_file(project / f"{name}.safetensors") for name in "ab")
    assert np.array_equal(first["0.weight"], second["0.weight"])


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("plan", "arch_module"), "names no function"),
        (("plan", "no_module:build"), "there is no module 'no_module'"),
        (("plan", "arch_module.sub:build"), "there is no module 'arch_module.sub'"),
        (("plan", "torn_module:build"), "importing 'torn_module' failed: No module named 'no_such_package'"),
        (("plan", "arch_module:buidl"), "there is no 'buidl'"),
        (("plan", "arch_module:nothing"), "returned None"),
        (("plan", "arch_module:broken"), "raised RuntimeError: no such file"),
        (("plan", "arch_module:number"), "int is not a model"),
        (("plan", "arch_module:build", "--scheme", "he_norml"), "Did you mean 'he_normal'"),
        (("plan", "arch_module:build", "--include", "7*"), "'7*' matches no parameter (include)"),
        (("plan", "net_module:wrong_example"), "example"),
        (("init", "arch_module:build", "--out", "w.safetensors"), "give one"),
        (("init", "arch_module:build", "--seed", "0", "--scheme", "dirac", "--out", "w.safetensors"), "dirac"),
        (("init", "arch_module:build", "--seed", "-1", "--out", "w.safetensors"), "seed"),
        (("init", "arch_module:build", "--seed", "0", "--out", "no/such/w.safetensors"), "cannot be written"),
        (("init", "arch_module:build", "--seed", "0"), "Missing option"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], project: Path, argv: tuple[str, ...], expected: str
) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("initlab: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert not list(project.glob("*.safetensors"))


ODD = """
from torch import nn
import torch

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.odd = nn.Linear(4, 3), nn.Parameter(torch.randn(5, 7))
    def forward(self, x):
        return self.fc(x)
"""


@pytest.mark.filterwarnings("default::initlab.core.errors.IncompleteWarning")  # a notice of the command line
def test_strict_refuses_with_exit_code_2_and_writes_nothing_where_init_else_gives_a_notice(
    project: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "odd_module.py").write_text(ODD)
    monkeypatch.delitem(sys.modules, "odd_module", raising=False)
    for command in (["plan"], ["init", "--out", "w.safetensors", "--seed", "3"]):
        assert main([*command, "odd_module:Net", "--scheme", "he_normal", "--strict"]) == 2
        assert "70 % of the trainable numbers" in capsys.readouterr().err  # 35 of 50
    assert not (project / "w.safetensors").exists()
    assert main(["init", "--out", "w.safetensors", "--seed", "3", "odd_module:Net", "--scheme", "he_normal"]) == 0
    assert "initlab: notice: 70 % of the trainable numbers" in capsys.readouterr().err


def test_plan_diff_prints_what_two_schemes_treat_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "net_module:build", "--diff", "normal(std=0.5)", "torch", "--exclude", "0.*"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "- 3.weight  initialise N(0, 0.5^2)"
    assert [line[:1] for line in printed] == ["-", "+"] * 2
    assert [line.split()[1] for line in printed] == ["3.weight"] * 2 + ["3.bias"] * 2


def test_plan_diff_of_two_names_of_one_law_says_that_nothing_differs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "net_module:build", "--diff", "he_normal", "he_normal"]) == 0
    assert capsys.readouterr().out == "no parameter is treated otherwise by he_normal than by he_normal\n"
    assert main(["plan", "net_module:build", "--diff", "zeros", "ones", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["a"], found["b"], len(found["diff"])) == ("zeros", "ones", 4)
