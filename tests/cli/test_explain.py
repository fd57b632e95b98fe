"""``initlab explain`` as a reader meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from initlab.cli.main import main
from initlab.lessons import LESSONS


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(argv)
    out, err = capsys.readouterr()
    return code, out, err


def test_without_a_topic_all_are_listed_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain")
    lines = out.splitlines()
    assert code == 0
    assert len(lines) == len(LESSONS) + 1
    assert all(any(line.startswith(name) and LESSONS[name].title in line for line in lines) for name in LESSONS)


def test_the_list_as_json_is_that_of_the_registry(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "explain", "--json")
    assert list(json.loads(out)) == list(LESSONS)


def test_a_lesson_shows_its_parts_in_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "explain", "glorot")
    assert code == 0
    parts = ("Xavier (Glorot)", "What was run", "The mathematics", "Go on", "initlab explain xavier")
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    assert max(map(len, out.splitlines())) <= 80


def test_a_lesson_as_json_has_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "explain", "truncated-normal", "--json")
    assert json.loads(out)["numbers"]["cut_std"] == pytest.approx(0.879625661)


def test_an_unknown_topic_is_one_line_that_offers_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "explain", "vanishing-gradiants")
    assert (code, out) == (2, "")
    assert "Did you mean 'vanishing-gradients'" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "coloured"), [({"FORCE_COLOR": "1"}, True), ({"NO_COLOR": "1"}, False), ({}, False)]
)
def test_colour_is_for_terminals_that_want_it(variables: dict[str, str], coloured: bool) -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE")}
    command = [sys.executable, "-m", "initlab", "explain", "truncated-normal"]
    done = subprocess.run(command, env={**kept, **variables}, capture_output=True, text=True, check=True)
    assert ("\x1b[3" in done.stdout) is coloured


@pytest.mark.parametrize(
    ("word", "topic"),
    {
        "Kaiming": "he",
        "Xavier uniform": "xavier",
        "sqrt(5)": "framework-differences",
        "normalization": "normalisation",
        "generalization": "trade-offs",
        "Generalisation": "trade-offs",
        "overfitting": "trade-offs",
        "dying ReLU": "textbook-errors",
        "covariate shift": "normalisation",
        "regularization": "regularisation",
        "initialisation": "why-initialization",
    }.items(),
)
def test_a_topic_is_found_by_its_usual_word_and_told(word: str, topic: str, capsys, monkeypatch) -> None:
    monkeypatch.setattr("initlab.cli.explain._print_lesson", lambda _: None)
    assert main(["explain", word]) == 0
    assert f"'{word}' is told under '{topic}': " in capsys.readouterr().err
    assert main(["explain", topic]) == 0
    assert capsys.readouterr().err == ""
