"""What a notebook shows: escaped, without script or network, and a bar only where there is a notebook."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from tests.study.report_data import large_study, renamed, small_study

import initlab
from initlab.api.sweeping import Swept
from initlab.core.facts.spec import ParamSpec
from initlab.core.plans.plan import Plan, PlanEntry
from initlab.probing.measure.metrics import Compared
from initlab.probing.show.profile_svg import _panel
from initlab.report.study.notebook import comparison_html, curves_svg, inline_svg
from initlab.report.study.notebook_progress import notebook_progress
from initlab.study.records import Estimate
from initlab.study.sweep_table import SweepRow, SweepTable

HOSTILE = "</script><b onload=x>\u202e\x1b[31m&"


class Tags(HTMLParser):
    """Counts the elements, and checks that each is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        if tag not in ("br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def html_of(study) -> str:
    return comparison_html(study.design, study.records, study.analysis)


def test_a_comparison_shows_answer_table_and_curves():
    study = small_study()
    html = html_of(study)
    tags = Tags(html)
    assert tags.open == []
    assert tags.names.count("svg") == 1
    assert tags.names.count("tr") == 1 + len(study.design.schemes)
    assert study.analysis.conclusion.split(",")[0] in html


def test_a_hostile_scheme_adds_no_element_to_a_comparison():
    study = small_study()
    before, after = Tags(html_of(study)), Tags(html_of(renamed(study, "glorot_normal", HOSTILE)))
    assert sorted(set(before.names)) == sorted(set(after.names))
    assert before.names.count("td") == after.names.count("td")
    assert "script" not in after.names
    assert "b" not in after.names


def test_a_comparison_asks_for_nothing_and_has_no_ground_of_its_own():
    html = html_of(small_study())
    assert not re.search(r"(src|href)=|url\((?!#)|@import", html)
    assert "currentColor" in html
    assert not re.search(r'fill="(#fff|white)', html)


def test_fourteen_schemes_stay_below_200_kilobytes():
    assert len(html_of(large_study())) < 200_000


def test_two_drawings_in_one_page_share_no_names():
    first, second = (curves_svg(s.design, s.records) for s in (small_study(), small_study(seeds=4)))
    names = [set(re.findall(r' id="([^"]+)"', drawing)) for drawing in (first, second)]
    assert names[0]
    assert not names[0] & names[1]
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= names[0]


def test_the_names_of_a_drawing_and_their_uses_change_together():
    changed = inline_svg('<svg a="1"><g id="c"/><g clip-path="url(#c)"/></svg>')
    assert re.search(r' id="(\S+)-c"/><g clip-path="url\(#\1-c\)"', changed)


def swept(*, has_remedies: bool, name: str = "he_normal") -> Swept:
    """A network that trains and one that does not, of one depth each."""

    def row(label: str, depth: int, score: float, *, trains: bool) -> SweepRow:
        accuracy = Estimate(score, None, None, (score,))
        return SweepRow("v", "tanh", label, depth, name, 1e-3, None, accuracy, score, 1, 0, 0, trains)

    rows = (row("plain", 4, 0.9, trains=True), row("clipped", 50, 0.1, trains=False))
    return Swept(SweepTable("depth", "How deep", 1, has_remedies, rows, ("It trains at 4.",)), Path("runs/depth"), "")


def test_a_sweep_over_depths_shows_verdict_table_and_curves():
    html = swept(has_remedies=False)._repr_html_()
    tags = Tags(html)
    assert tags.open == []
    assert tags.names.count("svg") == 1
    assert tags.names.count("tr") == 2  # the heading, and a row a scheme with a cell a depth
    assert "It trains at 4." in html
    assert re.search(r"font-weight:bold[^>]*>0.90 \(1e-3\)", html)
    assert re.search(r"text-align:right\">0.10 \(1e-3\)", html)


def test_a_sweep_of_remedies_shows_a_row_a_remedy():
    html = swept(has_remedies=True)._repr_html_()
    assert Tags(html).names.count("tr") == 3
    assert "clipped" in html


def test_a_sweep_asks_for_nothing_and_has_no_ground_of_its_own():
    for has_remedies in (False, True):
        html = swept(has_remedies=has_remedies)._repr_html_()
        assert not re.search(r"(src|href)=|url\((?!#)|@import", html)
        assert not re.search(r'fill="(#fff|white)', html)


def test_a_hostile_scheme_adds_no_element_to_a_sweep():
    before, after = (Tags(swept(has_remedies=False, name=name)._repr_html_()) for name in ("he_normal", HOSTILE))
    assert sorted(set(before.names)) == sorted(set(after.names))
    assert "script" not in after.names


def test_a_sweep_is_told_in_words_where_there_is_no_html():
    assert repr(swept(has_remedies=False)).endswith("Everything is in runs/depth")


def test_a_plan_is_a_table_and_its_names_are_data():
    entry = PlanEntry(ParamSpec(path=HOSTILE, shape=(2, 3), role="dense"), "refuse", None, HOSTILE)
    html = Plan((entry,), (HOSTILE,))._repr_html_()
    tags = Tags(html)
    assert tags.open == []
    assert set(tags.names) == {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_a_plan_of_a_model_tells_its_last_seed():
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(3, 2)
    plan = initlab.plan(model, "he_normal")
    assert "last seed" not in plan._repr_html_()
    plan.apply(seed=7)
    assert "last seed: 7" in plan._repr_html_()


def test_an_audit_shows_a_row_a_fault_and_no_table_where_there_is_none():
    torch = pytest.importorskip("torch")
    model = initlab.initialize(torch.nn.Linear(300, 300), "he_normal", seed=0)
    right, wrong = (initlab.audit(model, scheme)._repr_html_() for scheme in ("he_normal", "lecun_normal"))
    assert Tags(right).open == Tags(wrong).open == []
    assert "<table" not in right
    assert Tags(wrong).names.count("tr") == 2


def test_a_signal_that_holds_is_drawn_flat():
    drawn = _panel("E", [Compared(1.0, 1.0), Compared(1.0, 1.01), Compared(1.0, 0.99)], 0, "red")
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', drawn)]
    assert max(heights) - min(heights) < 2


def test_lost_and_unknown_numbers_are_left_out_of_a_picture():
    drawn = _panel("E", [Compared(None, 1.0), Compared(0.0, float("nan")), Compared(1.0, float("inf"))], 0, "red")
    assert drawn.count("<circle") == 1
    assert "nan" not in drawn


class Handle:
    def __init__(self, shown: list[dict[str, str]]) -> None:
        self.shown = shown

    def update(self, data: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(data)


@pytest.fixture
def jupyter(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    shown: list[dict[str, str]] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        shown.append(data)
        return Handle(shown)

    package, room = ModuleType("IPython"), ModuleType("IPython.display")
    package.get_ipython = lambda: SimpleNamespace(kernel=object())
    room.display = display
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", room)
    return shown


def test_a_notebook_shows_a_bar_that_goes_when_all_is_done(jupyter):
    with notebook_progress(None) as progress:
        progress(done=1, total=4, diverged=0, failed=0)
        progress(done=4, total=4, diverged=1, failed=0)
    assert [data["text/plain"] for data in jupyter] == [
        "[#####               ] 1 of 4 runs",
        "[####################] 4 of 4 runs, 1 diverged",
        "",
    ]
    assert "<progress" in jupyter[0]["text/html"]


def test_the_users_own_progress_wins_in_a_notebook(jupyter):
    own = object()
    with notebook_progress(own) as progress:
        assert progress is own
    assert jupyter == []


def test_a_terminals_ipython_shows_no_bar(jupyter):
    sys.modules["IPython"].get_ipython = lambda: SimpleNamespace()
    with notebook_progress(None) as progress:
        assert progress is None


def test_marimo_shows_a_bar(monkeypatch):
    shown: list[object] = []
    marimo = ModuleType("marimo")
    marimo.running_in_notebook = lambda: True
    marimo.Html = lambda html: html
    marimo.output = SimpleNamespace(replace=shown.append)
    monkeypatch.setitem(sys.modules, "marimo", marimo)
    with notebook_progress(None) as progress:
        progress(done=1, total=2, diverged=0, failed=0)
    assert "1 of 2 runs" in shown[0]
    assert shown[-1] is None


def test_a_script_prints_nothing_while_it_compares(tmp_path, capsys):
    initlab.compare("iris", schemes=["zeros"], seeds=1, epochs=1, jobs=1, out=tmp_path)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
