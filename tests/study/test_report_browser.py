"""The report in a real browser: drawn, silent, and without a request."""

from __future__ import annotations

import csv
import html
import io
import json
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from tests.study.report_data import Study, large_study, renamed, small_study

from initlab.core.training.dataset import Dataset
from initlab.report.study.html import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: the report is not opened")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--enable-logging=stderr",
    "--v=0",
    "--virtual-time-budget=20000",
)
# Study, width of the window, and whether the reader prefers dark pages.
VISITS = {"few": (small_study, 1200, 0), "narrow": (small_study, 500, 0), "many-dark": (large_study, 1200, 1)}


@dataclass(frozen=True)
class Visit:
    dom: str
    console: list[str]
    requests: set[str]


def _visit(page: Path, folder: Path, *, width: int = 1200, dark: int = 0) -> Visit:
    log = folder / "net.json"
    command = [
        str(CHROMIUM),
        *QUIET,
        f"--user-data-dir={folder / 'profile'}",
        f"--log-net-log={log}",
        f"--window-size={width},3000",
        f"--blink-settings=preferredColorScheme={1 - dark}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(done.stdout, console, _requested(log.read_text()))


def _requested(log: str) -> set[str]:
    """Addresses that a page asked for; what the browser asks for itself has "not an origin" as its initiator."""
    asked = re.findall(r'"initiator":"([^"]*)".*?"url":"([^"]*)"', log)
    inside = ("file:", "data:", "blob:")
    return {url for initiator, url in asked if initiator != "not an origin" and not url.startswith(inside)}


def _write(folder: Path, study: Study) -> Path:
    page = folder / "report.html"
    return write_report(page, study.design, study.records, study.analysis, study.facts, "initlab compare iris")


def _charts(dom: str) -> list[str]:
    return re.findall(r'<div class="chart[^"]*" id="(chart-[\w-]+)"', dom)


def _drawn(dom: str) -> int:
    """Charts that hold a drawing with at least one mark."""
    parts = re.split(r'<div class="chart', dom)[1:]
    return sum('class="marks"' in part and "mark-" in part for part in parts)


@pytest.mark.parametrize("name", list(VISITS))
def test_every_chart_is_drawn_without_a_word_on_the_console_and_without_a_request(tmp_path, name):
    make, width, dark = VISITS[name]
    visit = _visit(_write(tmp_path, make()), tmp_path, width=width, dark=dark)
    charts = _charts(visit.dom)
    assert len(charts) >= 7
    assert _drawn(visit.dom) == len(charts)
    assert visit.console == []
    assert visit.requests == set()


def test_a_request_of_a_page_would_be_seen(tmp_path):
    page = tmp_path / "report.html"
    page.write_text("<!DOCTYPE html><img src='http://example.invalid/a'><script>console.log('b')</script>")
    visit = _visit(page, tmp_path)
    assert visit.requests == {"http://example.invalid/a"}
    assert len(visit.console) == 1


def test_a_hostile_name_runs_nothing(tmp_path):
    evil = "x</script><img src=http://example.invalid/a onerror=\"document.title='owned'\">'];datum.a=1//"
    visit = _visit(_write(tmp_path, renamed(small_study(), "he_normal", evil)), tmp_path)
    assert "<title>Four ways" in visit.dom
    assert _drawn(visit.dom) == len(_charts(visit.dom))
    assert visit.console == []
    assert visit.requests == set()


def _looked_up(page: Path, folder: Path, *, width: int, expression: str) -> object:
    """The value of an expression of ``inner``, the drawn page in a frame of that width.

    A headless window is never as narrow as a phone; a frame is.
    """
    outer = folder / "outer.html"
    outer.write_text(
        f"""<!DOCTYPE html><iframe src="{page.name}" style="width:{width}px;height:2000px;border:0"></iframe>
        <pre id="out"></pre><script>
        const pause = (time) => new Promise((done) => setTimeout(done, time));
        addEventListener("load", async () => {{
          const inner = document.querySelector("iframe").contentDocument;
          while (!inner.documentElement.dataset.drawn) await pause(50);
          document.getElementById("out").textContent = JSON.stringify(await ({expression})(inner));
        }});
        </script>"""
    )
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={folder / 'profile'}", "--allow-file-access-from-files"]
    command += ["--dump-dom", outer.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found: object = json.loads(html.unescape(re.search(r'<pre id="out">(.*?)</pre>', done.stdout).group(1)))
    return found


def test_no_drawing_is_wider_than_its_place_on_a_phone(tmp_path):
    expression = """(inner) => ({page: inner.documentElement.scrollWidth, drawings:
        [...inner.querySelectorAll(".chart svg.marks")].map(
            (svg) => [svg.getBoundingClientRect().right, svg.viewBox.baseVal.width])})"""
    found = _looked_up(_write(tmp_path, large_study()), tmp_path, width=390, expression=expression)
    assert found["page"] <= 390
    assert found["drawings"]
    # Nor is one scaled down: its own width fits as well.
    assert all(right <= 390 and own <= 390 for right, own in found["drawings"])


def test_a_click_on_a_name_brings_out_its_line(tmp_path):
    expression = """async (inner) => {
        inner.querySelectorAll(".legend button")[2].click();
        await pause(300);
        const lines = inner.querySelectorAll("#chart-score .mark-line path");
        return [...lines].map((line) => Number(line.getAttribute("opacity")));
    }"""
    found = _looked_up(_write(tmp_path, small_study()), tmp_path, width=1000, expression=expression)
    assert found == [0.1, 0.1, 1, 0.1]


FORMULAS = (("=1+1", "+1", "-1", "@SUM(A1)"), (" =1", "\t=1", 'a,"b"', "x\r\n=1"))


def _links(page: Path, folder: Path) -> dict[str, str]:
    """The CSV of every figure."""
    expression = """(inner) => Object.fromEntries([...inner.querySelectorAll(".save a[download$='.csv']")].map(
        (link) => [link.download, decodeURIComponent(link.href.split(",").slice(1).join(","))]))"""
    found = _looked_up(page, folder, width=1000, expression=expression)
    assert isinstance(found, dict)
    return found


def test_the_numbers_of_every_figure_are_there_as_csv(tmp_path):
    study = small_study()
    page = _write(tmp_path, study)
    sheets = _links(page, tmp_path)
    assert len(sheets) == len(re.findall(r'class="chart"', page.read_text()))
    rows = list(csv.DictReader(io.StringIO(sheets["score.csv"].removeprefix("\ufeff"))))
    assert len(rows) == 4 * 51
    curve = [row for row in rows if row["scheme"] == "he_normal"]
    expected = study.records[-1].curves["test_accuracy"]
    assert [int(row["epoch"]) for row in curve] == list(range(51))
    assert float(curve[-1]["low"]) <= expected[-1] <= float(curve[-1]["high"])
    bins = list(csv.DictReader(io.StringIO(sheets["histogram-weight-1.csv"].removeprefix("\ufeff"))))
    # Four schemes, three layers, 33 bins; the value that closes the last bin is none.
    assert len(bins) == 4 * 3 * 33


@pytest.mark.parametrize("names", FORMULAS)
def test_no_name_is_a_formula_in_a_csv(tmp_path, names):
    study = small_study()
    for old, new in zip(study.design.schemes, names, strict=True):
        study = renamed(study, old, new)
    sheet = _links(_write(tmp_path, study), tmp_path)["final.csv"].removeprefix("\ufeff")
    rows = list(csv.DictReader(io.StringIO(sheet)))
    # A dot a seed that finished, and a mean with its interval for each scheme.
    assert len(rows) == 4 * 5 - 1 + 4
    assert len({row["scheme"] for row in rows}) == 4
    assert [row["scheme"] for row in rows if row["scheme"].strip().startswith(("=", "+", "-", "@"))] == []
    assert all(float(row["score"] or row["mean"]) > 0 for row in rows)


def test_a_figure_is_saved_as_png_and_as_svg_with_dark_letters(tmp_path):
    expression = """async (inner) => {
        const view = inner.defaultView, saved = [], made = [];
        view.HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href.slice(0, 22)]); };
        view.URL.createObjectURL = (blob) => { made.push(blob); return "blob:made"; };
        const figure = inner.getElementById("chart-final").closest("figure");
        for (const link of figure.querySelectorAll(".save a[download$='g']")) {
            link.dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true}));
        }
        while (saved.length < 2) await pause(50);
        return [saved.sort(), await made[0].text()];
    }"""
    saved, svg = _looked_up(_write(tmp_path, small_study()), tmp_path, width=1000, expression=expression)
    assert saved == [["final.png", "data:image/png;base64,"], ["final.svg", "blob:made"]]
    assert svg.startswith("<svg")
    assert "#222222" in svg
    assert "currentColor" not in svg
    assert "Final test accuracy (share of rows)" in svg


def test_a_saved_learning_curve_has_the_legend_that_the_page_draws_beside_it(tmp_path):
    expression = """async (inner) => {
        const view = inner.defaultView, made = [];
        view.HTMLAnchorElement.prototype.click = function () {};
        view.URL.createObjectURL = (blob) => { made.push(blob); return "blob:made"; };
        const figure = inner.getElementById("chart-score").closest("figure");
        figure.querySelector(".save a[download$='svg']").dispatchEvent(new MouseEvent("click", {cancelable: true}));
        while (made.length < 1) await pause(50);
        return made[0].text();
    }"""
    svg = _looked_up(_write(tmp_path, small_study()), tmp_path, width=1000, expression=expression)
    for scheme in small_study().design.schemes:
        assert f">{scheme}</text>" in svg


def test_a_chart_keeps_its_name_for_those_who_hear_the_page(tmp_path):
    dom = _visit(_write(tmp_path, small_study()), tmp_path).dom
    labels = re.findall(r'<div class="chart[^"]*" id="chart-score"[^>]* aria-label="([^"]+)"', dom)
    assert labels == ["Test accuracy (share of rows)"]


def test_what_is_said_of_a_scheme_that_never_gets_there_stands_beside_the_drawing(tmp_path):
    expression = """(inner) => {
        const chart = inner.getElementById("chart-time");
        const edge = chart.querySelector(".background").getBoundingClientRect().right;
        const words = [...chart.querySelectorAll("text")].filter((text) => text.textContent.startsWith("never"));
        const place = words.map((text) => text.getBoundingClientRect());
        return place.map((box) => [box.left >= edge, box.right <= chart.getBoundingClientRect().right]);
    }"""
    for width in (390, 1200):
        found = _looked_up(_write(tmp_path, small_study()), tmp_path, width=width, expression=expression)
        assert found
        assert all(both == [True, True] for both in found)


def test_the_numbers_of_every_picture_are_there_as_csv(tmp_path):
    study = small_study(seeds=1)
    x = np.linspace(0, 1, 30 * 4, dtype=np.float32).reshape(30, 4)
    y = np.arange(30, dtype=np.int32) % 3
    names = ("=1+1", "b", "c")
    dataset = Dataset("images", x, y, x, y, class_names=names, image_shape=(2, 2))
    weights = np.arange(16, dtype=np.float32).reshape(2, 2, 4) - 8
    weights[1, 1, 3] = np.inf
    records = [replace(run, predictions=y, first_weights=weights) for run in study.records]
    page = tmp_path / "report.html"
    write_report(page, study.design, records, study.analysis, study.facts, "", dataset=dataset)
    expression = """async (inner) => {
        const view = inner.defaultView, made = [];
        view.HTMLAnchorElement.prototype.click = function () {};
        view.URL.createObjectURL = (blob) => { made.push(blob); return "blob:made"; };
        for (const link of inner.querySelectorAll(".save a[download^='picture-'][download$='.csv']")) {
            link.dispatchEvent(new MouseEvent("click", {cancelable: true}));
        }
        return Promise.all(made.map((blob) => blob.text()));
    }"""
    examples, start, end, *_ = _looked_up(page, tmp_path, width=1000, expression=expression)
    rows = list(csv.DictReader(io.StringIO(examples.removeprefix("\ufeff"))))
    assert [row["true"] for row in rows[:3]] == ["'=1+1", "b", "c"]
    assert len(rows) == 25
    told = list(csv.DictReader(io.StringIO(start.removeprefix("\ufeff"))))
    # Two units of two by two pixels; sixteen bits hold a weight to 8 / 32767 of the largest.
    assert [float(row["weight"]) for row in told] == pytest.approx(range(-8, 0), abs=8 / 32767)
    assert told[-1] | {"weight": ""} == {"unit": "2", "row": "2", "column": "2", "weight": ""}
    assert next(reversed(list(csv.DictReader(io.StringIO(end.removeprefix("\ufeff"))))))["weight"] == ""


def test_the_layers_of_a_scheme_stand_side_by_side_on_a_page_of_paper(tmp_path):
    expression = """(inner) => {
        const panels = [...inner.querySelectorAll("#chart-histogram-weight-1 .mark-area path")];
        return new Set(panels.map((path) => Math.round(path.getBoundingClientRect().left))).size;
    }"""
    # 19 cm of an A4 page are 718 pixels; the study has three layers.
    assert _looked_up(_write(tmp_path, small_study()), tmp_path, width=718, expression=expression) == 3
