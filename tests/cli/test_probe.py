"""``initlab probe`` on models that a user's module builds."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from initlab.cli.main import main

NETS = """
import torch
from torch import nn

X = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
Y = torch.arange(64) % 10

def default():
    layers = [m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10))

def he():
    torch.manual_seed(0)
    net = default()
    for module in net:
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.bias)
    nn.init.normal_(net[-1].weight, std=0.01)
    return net, X, Y

def hard():
    torch.manual_seed(0)
    layers = [m for _ in range(11) for m in (nn.Linear(64, 64), nn.ReLU())]
    return nn.Sequential(*layers, nn.Linear(64, 10)), X

def sick():
    net = default()
    for module in net:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
    return net, X

def same():
    return he()[0], X[:1].repeat(64, 1)

def conv():
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))

def five():
    return nn.Sequential(nn.Linear(64, 5))

def narrow():
    return nn.Linear(3, 10), X

def alone():
    return nn.Sequential(nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10)), X[:1]

def holes():
    return he()[0], X / 0

def frozen():
    return default().requires_grad_(False), X

def word():
    return "model", X

def misfit():
    return he()[0], X, Y[:5]

def raises():
    raise KeyError("gone")
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "probed_module.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "probed_module", raising=False)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["probe", f"probed_module:{argv[0]}", *argv[1:]])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_healthy_model_is_exit_code_0_with_profile_and_verdict_in_80_columns(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "he")
    assert (code, err) == (0, "")
    assert out.startswith("Sequential is healthy")
    code, out, err = run(capsys, "he", "--table")
    assert (code, err) == (0, "")
    assert "cross entropy" in out
    assert out.startswith("Sequential is healthy")
    assert max(map(len, out.splitlines())) <= 80


def test_an_alarm_is_exit_code_3_and_names_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "sick")
    assert code == 3
    assert out.startswith("Sequential is sick: ")
    assert "ALARM  vanishing gradient" in out
    assert '          initlab.initialize(model, "he_normal", seed=0)  # tried: mends it\n' in out
    assert "# tried" not in run(capsys, "sick", "--no-try-mends")[1]


def test_a_model_that_is_hard_to_train_is_exit_code_3_where_it_is_strict(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "hard")
    assert code == 0
    assert out.startswith("Sequential is hard to train: ")
    assert "       hence vanishing gradient: " in out
    assert run(capsys, "hard", "--strict")[0] == 3
    assert json.loads(run(capsys, "hard", "--json")[1])["diagnosis"]["verdict"] == "hard"


def test_a_batch_of_one_sample_many_times_is_not_judged(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "same")
    assert code == 3
    assert out.startswith("Sequential is not judged: ")
    assert "NOTE   equal samples" in out


def test_json_holds_profile_and_diagnosis_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "sick", "--json")
    data = json.loads(out)
    assert code == 3
    assert data["diagnosis"]["healthy"] is False
    assert len(data["profile"]["rows"]) == 9


def test_other_limits_make_another_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "sick", "--limits", "fade_hard=1e60, fade_sick=1e61, cosine_alarm=1e-30")
    assert code == 0
    assert "limits that are not the defaults: fade_hard 1e+60, fade_sick 1e+61" in out


def test_a_seed_makes_two_probes_of_a_drawn_model_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = (run(capsys, "sick", "--seed", seed, "--json")[1] for seed in ("1", "1", "2"))
    assert first == second != third


def test_a_data_set_is_a_batch_with_its_targets(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "default", "--data", "digits", "--table")
    assert "9 weighted layers, 128 samples" in out
    assert "cross entropy" in out


def test_images_reach_a_convolution_with_a_channel(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "conv", "--data", "digits", "--table")
    assert code in (0, 3)
    assert "2 weighted layers, 128 samples" in out


def test_targets_of_a_data_set_that_do_not_fit_are_left_out_with_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, err = run(capsys, "five", "--data", "digits", "--table")
    assert "targets do not fit the model's output" in err
    assert "cross entropy" not in out


def test_an_npz_file_is_a_batch(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    np.savez(project / "batch.npz", x=np.ones((7, 64), np.float32), y=np.arange(7))
    _, out, _ = run(capsys, "default", "--data", "batch.npz", "--json")
    profile = json.loads(out)["profile"]
    assert (profile["samples"], profile["loss"]["kind"]) == (7, "cross_entropy")


def test_pictures_and_page_are_written(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    run(capsys, "he", "--png", "a.png", "--html", "a.html")
    assert (project / "a.png").read_bytes().startswith(b"\x89PNG")
    page = (project / "a.html").read_text()
    assert "Sequential is healthy" in page
    assert "initlab probe probed_module:he" in page


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["narrow"], "the model does not take the batch"),
        (["alone"], "a batch norm in training needs more than one value a channel (batch): give two samples or more"),
        (["holes"], "numbers that are NaN or infinite (batch)"),
        (["frozen"], "no parameter takes a gradient: all are frozen: set requires_grad"),
        (["word"], "str is not a model that initlab knows: give a torch.nn.Module"),
        (["misfit"], "targets of shape (5,) do not fit an output of shape (64, 10) (targets): give one class"),
        (["raises"], "'probed_module:raises' raised KeyError: 'gone'"),
        (["missing"], "probed_module"),
        (["default", "--data", "digts"], "Did you mean 'digits'"),
        (["default", "--data", "iris"], "the model does not take the batch"),
        (["default", "--data", "no.npz"], "there is no such file (no.npz)"),
        (["default", "--data", "probed_module.npz"], "cannot be read"),
        (["default", "--data", "other.npz"], "no array x among z"),
        (["he", "--limits", "ratoi=3"], "Did you mean 'ratio'"),
        (["he", "--limits", "ratio"], "the limit 'ratio' (--limits): write it like ratio=10"),
        (["he", "--limits", "ratio=-1"], "give a positive number"),
        (["he", "--seed", "-1"], "the seed must be a whole number of 0 or more, got -1"),
        (["he", "--png", "a.jpg"], "'a.jpg' does not end in .png or .svg (--png): name it a.png"),
        (["he", "--html", "no/a.html"], "cannot be written (--html)"),
    ],
    ids=" ".join,
)
def test_bad_input_is_exit_code_2_with_one_line_and_writes_nothing(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], project: Path
) -> None:
    (project / "probed_module.npz").write_bytes(b"PK\x03\x04 torn")
    np.savez(project / "other.npz", z=np.ones(3))
    before = sorted(path.name for path in project.iterdir() if path.name != "__pycache__")
    code, out, err = run(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("initlab: error: ")
    assert said in err
    assert sorted(path.name for path in project.iterdir() if path.name != "__pycache__") == before


def test_schemes_are_tried_beside_the_models_own_weights(capsys: pytest.CaptureFixture[str], project: Path) -> None:
    code, out, err = run(capsys, "sick", "--try", "he_normal,uniform(low=-0.2, high=0.2)", "--png", "both.svg")
    assert (code, err) == (3, "")
    assert out.startswith("Sequential is sick: ")
    head = next(line for line in out.splitlines() if line.strip().startswith("own"))
    assert head.split()[:2] == ["own", "he_normal"]
    assert "verdict                             sick             healthy" in out
    assert "he_normal" in (project / "both.svg").read_text(encoding="utf-8")
    code, out, _ = run(capsys, "sick", "--try", "he_normal", "--json")
    assert json.loads(out)["tried"]["he_normal"]["diagnosis"]["verdict"] == "healthy"
    code, out, err = run(capsys, "sick", "--try", "he_norml")
    assert (code, out, err.count("\n")) == (2, "", 1)
