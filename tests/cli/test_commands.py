"""The command line as a person meets it: what is printed, where, and the exit code."""

from __future__ import annotations

import json

import pytest

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
        (("compare",), "nothing to compare"),
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


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys) == run(capsys, "--help")


@pytest.mark.parametrize("kind", ["schemes", "studies", "tasks", "activations"])
def test_every_list_has_its_items_with_words_as_text_and_as_json(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    _, out, _ = run(capsys, "list", kind, "--json")
    items = json.loads(out)
    _, text, _ = run(capsys, "list", kind)
    assert len(items) >= 4
    assert all(items.values())
    assert all(name in text for name in items)


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
