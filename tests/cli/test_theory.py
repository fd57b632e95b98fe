"""``initlab theory``: the report, its options, its picture."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from initlab.cli.main import main
from initlab.theory import ACTIVATIONS


def run(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, str, str]:
    code = main(["theory", *argv])
    out, err = capsys.readouterr()
    return code, out, err


def test_without_weights_the_edge_of_chaos_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """Of tanh at sigma_b^2 = 0.05: Schoenholz et al., arXiv 1611.01232, in more digits."""
    _, out, _ = run(capsys, "tanh", "--sigma-b2", "0.05", "--depth", "50")
    assert "At sigma_w² = 1.76095464 (the edge of chaos for this bias), sigma_b² = 0.05" in out
    assert "Edge of chaos: signals and gradients reach any depth of a wide net." in " ".join(out.split())


@pytest.mark.parametrize("name", ["tanh", "sin", "erf"])
def test_the_edge_of_chaos_at_zero_is_not_said_to_lose_the_signal(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """E z^2 falls like one over the depth: at layer 200 it is a quarter of that at layer 50."""
    out = " ".join(run(capsys, name)[1].split())
    assert "E z² falls like a power of the depth, by no factor a layer" in out
    assert "dies out" not in out
    at = {}
    for depth in (50, 200):
        told = json.loads(run(capsys, name, "--depth", f"{depth}", "--json")[1])
        at[depth] = told["layers"][-1]["q"]
    assert at[50] / at[200] == pytest.approx(4.0, rel=0.1)


def test_weights_below_the_edge_do_lose_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "dies out" in run(capsys, "tanh", "--sigma-w", "0.9")[1]


def test_a_std_is_the_root_of_a_variance(capsys: pytest.CaptureFixture[str]) -> None:
    _, by_std, _ = run(capsys, "tanh", "--sigma-w", "1.5", "--sigma-b", "0.25", "--json")
    _, by_variance, _ = run(capsys, "tanh", "--sigma-w2", "2.25", "--sigma-b2", "0.0625", "--json")
    assert by_std == by_variance
    assert json.loads(by_std)["choice"] == "given"


def test_the_half_stable_point_of_gelu_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Its q* is (3 + sqrt 17) / 2 = 3.561553."""
    _, out, _ = run(capsys, "gelu")
    assert f"half-stable at q*  {(3 + math.sqrt(17)) / 2:.7g}" in out
    assert "the edge is stable from there on only" in " ".join(out.split())


def test_an_activation_without_an_edge_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "softplus")
    assert "none no weights keep both signal and gradient" in " ".join(out.split())
    assert "phase              ordered" in out


def test_half_of_all_relu_slopes_are_zero_and_a_quarter_of_the_units_are_silent_deep_down(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, out, _ = run(capsys, "relu", "--depth", "20")
    assert "saturated          50 %" in out
    assert "silent 28.6 % of units of layer 20, on all of 64 inputs" in " ".join(out.split())


def test_a_signal_that_is_lost_says_at_which_layer(capsys: pytest.CaptureFixture[str]) -> None:
    """0.05^(l - 1) is 2e-12 at layer 10 and 1e-13 at layer 11; what is below 1e-12 counts as lost."""
    _, out, _ = run(capsys, "identity", "--sigma-w2", "0.05", "--depth", "20")
    assert "The signal is lost at layer 11 of 20." in out
    assert "the last before the signal is lost" in " ".join(out.split())


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_the_report_of_every_activation_fits_80_columns(capsys: pytest.CaptureFixture[str], name: str) -> None:
    code, out, err = run(capsys, name, "--depth", "12")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80


def test_json_is_the_whole_report(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "relu", "--depth", "3", "--json")
    data = json.loads(out)
    assert (data["description"]["name"], len(data["layers"]), data["gradient_ratio"]) == ("relu", 3, pytest.approx(1.0))


def test_the_picture_is_a_png_or_by_its_ending_an_svg(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name, start in (("a.png", b"\x89PNG"), ("a.svg", b"<svg")):
        assert run(capsys, "tanh", "--png", str(tmp_path / name))[0] == 0
        assert (tmp_path / name).read_bytes().startswith(start)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["tahn"], "Did you mean 'tanh'"),
        (["tanh", "--sigma-w2", "0"], "sigma_w2 must be above 0"),
        (["tanh", "--sigma-w2", "1", "--sigma-w", "1"], "a variance and its root (--sigma-w2, --sigma-w): give one"),
        (["tanh", "--sigma-b", "-1"], "a standard deviation of -1 (--sigma-b): give 0 or more"),
        (["tanh", "--sigma-b2", "-1"], "sigma_b2"),
        (["tanh", "--depth", "0"], "layers"),
        (["tanh", "--png", "no/such/a.png"], "cannot be written (--png)"),
        (["tanh", "--png", "a.gif"], "does not end in .png or .svg (--png)"),
    ],
    ids=" ".join,
)
def test_bad_input_is_exit_code_2_with_one_line(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *argv)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []
