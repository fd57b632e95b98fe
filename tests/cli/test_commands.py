"""The command line as a person meets it: what is printed, where, and the exit code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from initlab.cli.kinds import KINDS
from initlab.cli.main import main


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("show", "he_norml"), "Did you mean 'he_normal'"),
        (("compare", "irsi"), "Did you mean 'iris'"),
        (("theory", "reluu"), "Did you mean 'relu'"),
        (("list", "scheems"), "Did you mean 'schemes'"),
        (("compare", "iris", "--schemes", "he_norml"), "Did you mean 'he_normal'"),
        (("compare", "iris", "--schemes", "he_normal(mood=fan_in)"), "has no option 'mood'"),
        (("compare", "iris", "--schemes", "he_normal("), "not a name with options"),
        (("compare", "iris", "--schemes", "dirac"), "dirac"),
        (("compare", "iris", "--seeds", "0"), "seeds"),
        (("compare", "iris", "--epochs", "-1"), "epochs"),
        (("compare", "iris", "--jobs", "0"), "jobs"),
        (("compare", "iris", "--seeds", "two"), "--seeds"),
        (("compare", "mnist", "--data", "no/such/folder"), "no/such/folder"),
        (("compare", "--data", "digits"), "nothing to compare"),
        (("comparison",), "No such command"),
        (("compare", "iris", "--sed", "3"), "No such option"),
    ],
)
def test_bad_input_is_one_line_with_exit_code_2_and_writes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path, argv: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("initlab: error: ")
    assert err.count("\n") == 1
    assert expected in err
    assert list(tmp_path.iterdir()) == []


def test_an_out_that_is_a_file_is_refused_and_left_alone(capsys: pytest.CaptureFixture[str], tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    code, _, err = run(capsys, "compare", "iris", "--seeds", "1", "--out", str(tmp_path / "file"))
    assert code == 2
    assert "is a file" in err
    assert (tmp_path / "file").read_text() == "mine"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(f"\n  {name} " in out for name in ("compare", "list", "show", "theory"))


def test_the_list_of_commands_cuts_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "--help")
    groups = out.split("\nLearn:")[1].strip().splitlines()
    commands = [line for line in groups if line and not line.endswith(":")]
    assert len(commands) > 10
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize(("argv", "command"), [(("museum",), "initlab museum"), (("show",), "initlab show")])
def test_a_misused_command_names_its_own_help(
    capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], command: str
) -> None:
    code, _, err = run(capsys, *argv)
    assert code == 2
    assert err.endswith(f": see {command} --help\n")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("show he_", ["he_normal", "he_uniform"]),
        ("show xavier_n", ["xavier_normal", "xavier_normal_"]),
        ("explain vani", ["vanishing-gradients"]),
        ("list st", ["studies"]),
        ("show wan", ["wandb"]),
        ("show dead", ["dead-units"]),
        ("plan own:build --scheme glorot", ["glorot_normal", "glorot_uniform"]),
        ("mu", ["museum"]),
        ("compare mn", ["mnist", "mnist-sgd"]),
        ("compare iris --schemes zeros,lecun_", ["zeros,lecun_normal", "zeros,lecun_uniform"]),
        ("theory ge", ["gelu", "gelu_tanh"]),
    ],
)
def test_bash_completes_commands_and_the_names_they_take(tmp_path: Path, words: str, offered: list[str]) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash on the path: its completion is not tried")
    command = tmp_path / "initlab"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m initlab "$@"\n')
    command.chmod(0o755)
    typed = ["initlab", *words.split()]
    # What the shell does when the Tab key is pressed.
    script = (
        'eval "$(initlab --show-completion bash)"\n'
        f"COMP_WORDS=({' '.join(typed)}); COMP_CWORD={len(typed) - 1}; _initlab_completion initlab\n"
        "printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    # Typer would else look for the shell among this test's own ancestors.
    environment = {**os.environ, "PATH": path, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(
        [bash, "--norc", "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_of_its_own(shell: str) -> None:
    environment = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    words = [sys.executable, "-m", "initlab", "--show-completion", shell]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert f"_INITLAB_COMPLETE=complete_{shell}" in done.stdout


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == run(capsys, "--help")


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_list_has_its_items_with_words_as_text_and_as_json(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    _, out, _ = run(capsys, "list", kind, "--json")
    items = json.loads(out)
    _, text, _ = run(capsys, "list", kind)
    assert len(items) >= 3
    assert all(items.values())
    assert all(name in text for name in items)


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("mnist-sgd", "study", {"command": "initlab compare mnist-sgd"}),
        ("xavier_normal", "scheme", {"call": "glorot_normal(gain=1.0)"}),
        ("breast-cancer", "data set", {"features": 30, "classes": 2}),
        ("swish", "activation", {"call": "silu"}),
        ("gpt", "recipe", {"call": "gpt2(std=0.02)"}),
        ("torch.nn", "layer", {}),
        ("dead-units", "check", {"stage": "units"}),
        ("weights_and_biases", "tracker", {"what": "One run of W&B, in the study's group."}),
    ],
)
def test_show_knows_each_kind_by_name_and_by_other_names(
    capsys: pytest.CaptureFixture[str], name: str, kind: str, said: dict[str, object]
) -> None:
    code, out, _ = run(capsys, "show", name, "--json")
    shown = json.loads(out)
    assert code == 0
    assert shown["kind"] == kind
    assert {key: shown[key] for key in said} == said
    _, text, _ = run(capsys, "show", name)
    assert f"({kind})" in text


def test_show_offers_the_nearest_name_of_any_kind(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "saturated-unit")
    assert (code, out) == (2, "")
    assert "Did you mean 'saturated-units'" in err


def test_show_finds_a_scheme_by_its_framework_name(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "kaiming_normal_", "--json")
    shown = json.loads(out)
    assert shown["name"] == "he_normal"
    assert "1502.01852" in shown["source"]
    assert shown["options"] == {"mode": "fan_in", "negative_slope": 0.0}


def test_theory_says_what_a_slope_above_one_means(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "theory", "gelu")
    assert "1.533530441" in out
    assert "1.144063197" in out
    assert "repels" in out


@pytest.mark.parametrize("argv", [("list", "schemes"), ("show", "sparse"), ("theory", "selu")])
def test_lines_fit_eighty_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = run(capsys, *argv)
    assert max(map(len, out.splitlines())) <= 80
