"""``initlab audit`` and ``initlab lock`` on models that a user's module builds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from initlab.cli.main import main

NET = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(40, 200), nn.ReLU(), nn.Linear(200, 30))

def reseeded():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(40, 200), nn.ReLU(), nn.Linear(200, 30))

def scaled():
    net = reseeded()
    with torch.no_grad():
        net[2].weight *= 1.5
    return net

def other():
    return nn.Sequential(nn.Linear(41, 200), nn.ReLU(), nn.Linear(200, 30))
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "audited_module.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "audited_module", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def test_a_right_model_is_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "audit", "audited_module:build", "--recipe", "torch")
    assert (code, out) == (0, "audit of Sequential against torch: nothing is wrong\nok       4 of 4\n")


def test_a_wrong_model_is_exit_code_3_and_says_what_it_looks_like(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "audit", "audited_module:build", "--scheme", "he_normal")
    assert (code, err) == (3, "")
    assert "looks like torch's default" in out


def test_a_wrong_model_as_json_is_exit_code_3_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "audit", "audited_module:scaled", "--recipe", "torch", "--json")
    data = json.loads(out)
    assert (code, data["ok"]) == (3, False)
    assert [row["name"] for row in data["parameters"] if row["verdict"] == "wrong"] == ["2.weight"]


def test_a_lock_holds_a_reseeded_model_to_its_laws_and_exactly_to_its_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run(capsys, "lock", "audited_module:build", "--out", "net.json")
    assert (code, out) == (0, "net.json: lock of Sequential (torch): 4 parameters, no seed known\n")
    assert run(capsys, "audit", "audited_module:reseeded", "--lock", "net.json")[0] == 0
    assert run(capsys, "audit", "audited_module:reseeded", "--lock", "net.json", "--exact")[0] == 3
    assert run(capsys, "audit", "audited_module:build", "--lock", "net.json", "--exact")[0] == 0
    assert run(capsys, "audit", "audited_module:scaled", "--lock", "net.json")[0] == 3


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["build"], "0 declarations: give one of --recipe, --scheme and --lock"),
        (["build", "--recipe", "torch", "--scheme", "zeros"], "2 declarations"),
        (["build", "--recipe", "gpt3"], "unknown recipe 'gpt3': Did you mean 'gpt'?"),
        (["build", "--scheme", "he_norml"], "unknown scheme 'he_norml': Did you mean 'he_normal'?"),
        (["build", "--lock", "gone.json"], "cannot read the lock file: No such file or directory (gone.json)"),
        (["build", "--recipe", "torch", "--exact"], "only a lock has digests (exact)"),
    ],
    ids=" ".join,
)
def test_bad_input_is_exit_code_2_and_one_line(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "audit", f"audited_module:{argv[0]}", *argv[1:])
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_a_lock_of_another_model_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "lock", "audited_module:build")
    code, _, err = run(capsys, "audit", "audited_module:other", "--lock", "initlab.lock.json")
    assert code == 2
    assert "the lock is of another model: it has '0/weight' of shape (200, 40), the model has shape (200, 41)" in err


def test_a_recipe_given_as_a_scheme_is_pointed_to_its_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "nowhere:build", "--scheme", "gpt2"]) == 2
    assert capsys.readouterr().err == ("initlab: error: 'gpt2' is a recipe and no scheme (--scheme): --recipe gpt2\n")
