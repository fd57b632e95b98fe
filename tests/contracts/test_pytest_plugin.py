"""The pytest plugin as a project meets it: a pytest of its own, which loads this plugin alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

TESTS = """
import pytest
import torch
from initlab.pytest_plugin import assert_init_healthy as check
from torch import nn

HE = (2 / 64) ** 0.5
X = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
WIDE = {"ratio": 1e30, "cosine_alarm": 1e-30, "dead_net": 1.0, "dead_layer": 1.0}

def net(std):
    torch.manual_seed(0)
    made = nn.Sequential(*(m for _ in range(8) for m in (nn.Linear(64, 64), nn.ReLU())), nn.Linear(64, 10))
    for module in made:
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=std)
            nn.init.zeros_(module.bias)
    nn.init.normal_(made[-1].weight, std=0.01)
    return made

def test_function():
    assert check(net(HE), X).gradient_ratio.measured > 0.1

def test_fixture(assert_init_healthy):
    assert_init_healthy(net(HE), X, torch.arange(64) % 10)

def test_fixture_of_a_sick_net(assert_init_healthy):
    assert_init_healthy(net(0.01), X)

def test_function_raises():
    with pytest.raises(AssertionError, match="is sick"):
        check(net(0.01), X)

@pytest.fixture
def std():
    return 0.01

@pytest.mark.init_healthy
def test_marked():
    return net(HE), X

@pytest.mark.init_healthy
def test_marked_with_targets():
    return net(HE), X, torch.arange(64) % 10

@pytest.mark.init_healthy
def test_marked_sick(std):
    return net(std), X

@pytest.mark.init_healthy
def test_marked_hard():
    return net(0.05), X

@pytest.mark.init_healthy(strict=True)
def test_marked_hard_and_strict():
    return net(0.05), X

@pytest.mark.init_healthy(limits=WIDE)
@pytest.mark.parametrize("scale", [0.7, 1.0])
def test_marked_with_wide_limits(scale):
    return net(scale * HE), X

class TestNet:
    @pytest.mark.init_healthy
    def test_marked_method(self):
        return net(HE), X

@pytest.mark.init_healthy
def test_marked_returns_nothing():
    net(HE)

@pytest.mark.init_healthy(0.5)
def test_marked_with_an_argument():
    return net(HE), X
"""


@dataclass(frozen=True)
class Session:
    """What a pytest said of its tests."""

    outcomes: dict[str, str]
    text: str


def run(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-p", "initlab.pytest_plugin", "-p", "no:cacheprovider", *options]
    # Whether or not the plugin is installed, it is loaded once.
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_nets.py").write_text(TESTS)
    text = run(folder, "-v", "-W", "error", "--strict-markers")
    found = re.findall(r"^test_nets\.py::(\S+) (\w+)", text, re.MULTILINE)
    return Session(dict(found), text)


@pytest.mark.parametrize("name", ["test_function", "test_fixture", "test_function_raises"])
def test_function_and_fixture_pass_a_healthy_net_and_raise_for_a_sick_one(session: Session, name: str) -> None:
    assert session.outcomes[name] == "PASSED"


def test_a_sick_net_fails_with_the_diagnosis(session: Session) -> None:
    assert session.outcomes["test_fixture_of_a_sick_net"] == "FAILED"
    assert "vanishing forward signal" in session.text
    assert 'initlab.initialize(model, "he_normal", seed=0)' in session.text


@pytest.mark.parametrize("name", ["test_marked", "test_marked_with_targets", "TestNet::test_marked_method"])
def test_a_marked_test_that_returns_a_healthy_net_passes(session: Session, name: str) -> None:
    assert session.outcomes[name] == "PASSED"


def test_a_marked_test_that_returns_a_sick_net_fails_without_a_line_of_the_plugin(session: Session) -> None:
    assert session.outcomes["test_marked_sick"] == "FAILED"
    assert "pytest_plugin.py" not in session.text


def test_a_net_that_is_hard_to_train_fails_where_the_marker_is_strict(session: Session) -> None:
    assert session.outcomes["test_marked_hard"] == "PASSED"
    assert session.outcomes["test_marked_hard_and_strict"] == "FAILED"


def test_limits_of_the_marker_are_those_that_count(session: Session) -> None:
    named = [name for name in session.outcomes if name.startswith("test_marked_with_wide_limits")]
    assert [session.outcomes[name] for name in named] == ["PASSED", "PASSED"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("test_marked_returns_nothing", "returned NoneType: return (model, batch[, targets])"),
        ("test_marked_with_an_argument", "takes limits, strict, unseen only"),
    ],
)
def test_a_marker_that_is_used_wrongly_fails_with_the_fix(session: Session, name: str, said: str) -> None:
    assert session.outcomes[name] == "FAILED"
    assert said in session.text


def test_the_marker_is_listed(tmp_path: Path) -> None:
    assert "@pytest.mark.init_healthy(limits=None, strict=False, unseen=None)" in run(tmp_path, "--markers")


def test_loading_the_plugin_imports_two_modules_of_ours_and_none_that_is_heavy() -> None:
    code = (
        "import sys, json, pytest; before = set(sys.modules); import initlab.pytest_plugin; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert {name.partition(".")[0] for name in loaded} & {"numpy", "scipy", "torch", "keras", "jax", "typer"} == set()
    assert [name for name in loaded if name.startswith("initlab.")] == ["initlab._version", "initlab.pytest_plugin"]
