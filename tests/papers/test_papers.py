"""Every row of ``initlab paper``: it gives the verdict that stands, a changed constant takes it away, it tells all."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path

import pytest
from scipy.integrate import quad
from scipy.optimize import brentq

import initlab
from initlab.cli.main import main
from initlab.core.errors import OptionError, UnknownNameError
from initlab.papers import PAPERS, PaperResult
from initlab.papers.out_of_reach import OUT_OF_REACH
from initlab.papers.paper import VERDICTS, at_least, at_most, near, verdict_of
from initlab.papers.text import list_text

PAGE = Path(__file__).parents[2] / "docs" / "papers.md"
# Rows of more than about a second: they run in a soak.
SLOW = frozenset(
    {
        "de-smith2020-identity",
        "dong2021-rank-collapse",
        "fixup2019-update",
        "glorot2010-jacobian",
        "hanin2018-lognormal",
        "he2015-22-layers",
        "he2015-30-layers",
        "klambauer2017-fixed-point",
        "lee2025-tanh-fixed-point",
        "pennington2017-isometry",
        "pennington2017-spectra",
        "saxe2014-depth",
        "selu-gain",
        "xiao2018-10000-layers",
        "xiong2020-layer-norm",
        "yang2019-batch-norm",
    }
)
ROWS = [pytest.param(name, marks=pytest.mark.soak) if name in SLOW else name for name in PAPERS]


@cache
def run(name: str) -> PaperResult:
    return initlab.paper(name)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_gives_the_verdict_that_stands(name: str) -> None:
    result = run(name)
    assert result.verdict == PAPERS[name].recorded, str(result)
    assert result.seconds < 60.0


@pytest.mark.parametrize("name", ROWS)
def test_a_changed_constant_takes_the_verdict_away(name: str) -> None:
    row = PAPERS[name]
    broken = initlab.paper(name, constants=row.breaks)
    assert all(row.constants[key] != value for key, value in row.breaks.items())
    assert broken.verdict != row.recorded, str(broken)


@pytest.mark.parametrize("name", ROWS)
def test_a_rows_tolerance_is_wider_than_twice_its_error(name: str) -> None:
    for line in run(name).lines:
        if line.error and line.check.is_two_sided:
            assert line.check.high - line.check.low >= 4.0 * line.error, line


@pytest.mark.parametrize("name", ROWS)
def test_a_figure_has_named_axes_and_finite_numbers(name: str) -> None:
    figure = run(name).figure
    assert figure.title
    assert figure.x
    assert figure.y
    data = figure.to_dict()
    points = [p for part in (data["lines"], data["dots"]) for line in part.values() for p in line]
    assert len(points) >= 2
    assert all(math.isfinite(v) for p in points for v in p)
    assert len(json.dumps(figure.spec())) < 100_000


@pytest.mark.parametrize("name", ROWS)
def test_a_result_fits_a_terminal_and_is_plain_data(name: str) -> None:
    text = str(run(name))
    assert max(map(len, text.splitlines())) <= 80
    data = json.loads(json.dumps(run(name).to_dict(), allow_nan=False))
    assert data["verdict"] in VERDICTS
    assert [n["what"] for n in data["numbers"]] == [c.what for c in PAPERS[name].checks]
    assert all(n["why"] for n in data["numbers"])


@pytest.mark.parametrize("name", list(PAPERS))
def test_a_row_says_what_is_claimed_where_and_what_breaks_it(name: str) -> None:
    row = PAPERS[name]
    assert re.search(r"\b(19|20)\d\d\b", row.citation)
    assert row.claim.endswith(".")
    assert row.quoted
    assert any(c.side == "paper" for c in row.checks)
    assert (row.recorded == "holds") == (not row.remark)
    sides = {"holds": {"paper"}, "holds with a condition": {"paper", "condition"}, "differs": {"paper", "correction"}}
    assert {c.side for c in row.checks} <= sides[row.recorded] | {"correction"}


def test_the_list_fits_a_terminal_and_names_every_row_and_what_cannot_be_had() -> None:
    text = list_text()
    assert max(map(len, text.splitlines())) <= 80
    assert all(re.search(rf"^{name} ", text, re.MULTILINE) for name in PAPERS)
    flat = " ".join(text.split())
    assert all(one.claim in flat and one.takes in flat for one in OUT_OF_REACH)


def test_rows_that_an_unreachable_claim_points_to_are_there() -> None:
    assert {one.nearest for one in OUT_OF_REACH} - {""} <= set(PAPERS)


@pytest.mark.parametrize(
    ("paper", "condition", "correction", "verdict"),
    [
        (1.0, 9.0, 9.0, "holds"),
        (2.0, 1.0, None, "holds with a condition"),
        (2.0, 1.0, 1.0, "holds with a condition"),
        (2.0, None, 1.0, "differs"),
        (2.0, None, 2.0, "not reproduced"),
        (2.0, 2.0, None, "not reproduced"),
        (2.0, 1.0, 2.0, "not reproduced"),
        (float("nan"), None, None, "not reproduced"),
    ],
)
def test_a_verdict_is_read_off_what_is_met(
    paper: float, condition: float | None, correction: float | None, verdict: str
) -> None:
    sides = {"paper": paper, "condition": condition, "correction": correction}
    given = {side: value for side, value in sides.items() if value is not None}
    checks = tuple(near(side, side, 1.0, 0.1, "given", side=side) for side in given)  # type: ignore[arg-type]
    assert verdict_of(checks, given) == verdict


def test_an_open_interval_has_one_end() -> None:
    assert at_least("x", "x", 2.0, "").is_met(2.0)
    assert not at_least("x", "x", 2.0, "").is_met(1.9)
    assert at_most("x", "x", 2.0, "").is_met(-1e9)
    assert not at_most("x", "x", 2.0, "").is_met(float("nan"))


def _mean(f: object, q: float) -> float:
    weight = 1.0 / math.sqrt(2.0 * math.pi)
    return float(quad(lambda z: f(math.sqrt(q) * z) * weight * math.exp(-z * z / 2), -12, 12, epsabs=1e-13)[0])


@pytest.mark.parametrize(
    ("name", "key", "sigma_b2"),
    [
        ("schoenholz2017-tanh-edge", "sigma_w2", 0.05),
        ("xiao2018-tanh-edge", "sigma_w2", 2.01e-5),
        ("poole2016-transition", "sigma_w", 0.09),
        ("hayou2019-tanh-edge", "sigma_w", 0.04),
    ],
)
def test_the_edges_are_those_of_scipys_integrals(name: str, key: str, sigma_b2: float) -> None:
    def excess(q: float) -> float:
        slope = _mean(lambda u: (1.0 - math.tanh(u) ** 2) ** 2, q)
        return (q - sigma_b2) / _mean(lambda u: math.tanh(u) ** 2, q) * slope - 1.0

    q = brentq(excess, sigma_b2 * 1.001, 5.0, xtol=1e-13)
    weight = (q - sigma_b2) / _mean(lambda u: math.tanh(u) ** 2, q)
    ours = next(line.ours for line in run(name).lines if line.check.key == key)
    assert ours == pytest.approx(weight if key == "sigma_w2" else math.sqrt(weight), rel=1e-8)


def test_an_unknown_row_or_constant_is_refused_in_one_line() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'elu-constant'"):
        initlab.paper("elu-constants")
    with pytest.raises(OptionError, match="no constant 'beta': it has alpha"):
        initlab.paper("elu-constant", constants={"beta": 1.0})
    with pytest.raises(OptionError, match="seed"):
        initlab.paper("elu-constant", seed=-1)


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["elu-constant"], 0, "elu-constant: holds"),
        (["elu-constant", "--set", "alpha=1.2"], 3, "recorded is: holds"),
        (["elu-constant", "--json"], 0, '"verdict": "holds"'),
        ([], 0, "schoenholz2017-tanh-edge"),
        (["--json"], 0, '"out_of_reach"'),
    ],
)
def test_the_command_says_so_and_ends_with(
    capsys: pytest.CaptureFixture[str], argv: list[str], code: int, said: str
) -> None:
    assert main(["paper", *argv]) == code
    assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["elu-constant", "--all"], "give one of them"),
        (["--set", "alpha=1"], "name the row"),
        (["elu-constant", "--set", "alpha"], "not NAME=VALUE"),
        (["elu-constant", "--set", "alpha=inf"], "not NAME=VALUE"),
        (["--png", "x.png"], "a list has no figure"),
        (["elu-constant", "--png", "x.txt"], "does not end in"),
        (["elu-constnt"], "Did you mean"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    argv: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["paper", *argv]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_the_command_draws_the_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "elu.svg"
    assert main(["paper", "elu-constant", "--png", str(target)]) == 0
    assert "What ELU keeps of a signal" in target.read_text()


def test_the_page_has_every_row_with_its_verdict_and_figure() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name in PAPERS:
        block = re.search(rf"<!-- paper: {name} -->\n(.*?)<!-- /paper -->", text, re.DOTALL)
        assert block, name
        assert f"**{PAPERS[name].recorded}**" in block[1]
        assert (PAGE.parent / "images" / "papers" / f"{name}.svg").exists()


def _rows_of_the_page() -> dict[str, str]:
    """The heading, as the site links it, above each row of the page."""
    found, head = {}, ""
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            head = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", line).strip().lower()).strip("-")
        elif match := re.fullmatch(r"<!-- paper: ([\w-]+) -->", line):
            found[match[1]] = head
    return found


@pytest.mark.parametrize("page", sorted(PAGE.parent.glob("guide/*.md")), ids=lambda page: page.stem)
def test_the_guide_links_each_paper_it_cites_to_its_rows(page: Path) -> None:
    text, headings = page.read_text(encoding="utf-8"), _rows_of_the_page()
    linked = dict(re.findall(r"\[`([\w-]+)`\]\(\.\./papers\.md#([\w-]+)\)", text))
    assert linked == {name: headings[PAPERS.canonical(name)] for name in linked}
    cited = {number for name in PAPERS for number in re.findall(r"arXiv (\d{4}\.\d{5})", PAPERS[name].citation)}
    for number in cited & set(re.findall(r"\d{4}\.\d{5}", text)):
        assert {name for name in PAPERS if number in PAPERS[name].citation} & set(linked), number


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1, 7])
@pytest.mark.parametrize("name", list(PAPERS))
def test_another_seed_gives_the_same_verdict(name: str, seed: int) -> None:
    result = initlab.paper(name, seed=seed)
    assert result.verdict == PAPERS[name].recorded, str(result)
