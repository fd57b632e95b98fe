from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from tests.study.report_data import IRIS, large_study, renamed, small_study

from initlab.core.errors import ResourceError
from initlab.core.facts.arch import Mlp
from initlab.core.training.dataset import Dataset
from initlab.report.study.facts import dataset_facts, layer_facts
from initlab.report.study.html import VENDORED, report_html, write_report
from initlab.report.study.story import explanations

COMMAND = "initlab compare iris --seeds 5"
EVIL = "</script><script>alert(1)</script>\"'{{7*7}}${x}`<img src=x onerror=alert(2)>\u2028\u2029\x1b[31m\x00&amp;-->"


class Page(HTMLParser):
    """Collects elements, texts and the content of scripts."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts[-1] += data
        elif self._inside != "style":
            self.text += data

    def runnable(self) -> list[str]:
        kinds = [attrs.get("type") for tag, attrs in self.elements if tag == "script"]
        return [script for script, kind in zip(self.scripts, kinds, strict=True) if kind is None]

    def blocks(self) -> list[object]:
        kinds = [attrs.get("type") for tag, attrs in self.elements if tag == "script"]
        found = zip(self.scripts, kinds, strict=True)
        return [json.loads(script) for script, kind in found if kind == "application/json"]


def _html(study, *, command=COMMAND):
    return report_html(study.design, study.records, study.analysis, study.facts, command=command, folder="a")


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(_html(small_study()))


@pytest.mark.parametrize("study", [small_study, large_study])
def test_a_report_is_smaller_than_two_megabytes(tmp_path, study):
    made = study(seeds=20)
    path = write_report(tmp_path / "report.html", made.design, made.records, made.analysis, made.facts, COMMAND)
    assert path.stat().st_size < 2_000_000


def test_a_report_names_study_schemes_data_and_answer(page):
    study = small_study()
    facts = ("4 → 64 → 32 → 3", "2,499 parameters", "120 rows to train", IRIS.source, COMMAND)
    for said in (*study.design.schemes, *facts):
        assert said in page.text
    assert study.analysis.conclusion.replace(" %", "\u00a0%") in page.text


def test_a_report_lists_every_layer_with_its_fans(page):
    # 4 * 64 + 64 numbers in the first hidden layer.
    assert re.search(r"hidden 1\s*64 × 4\s*320\s*relu\s*4\s*64", page.text)


def test_a_report_says_which_run_diverged_and_when(page):
    assert re.search(r"normal\(std=0\.05\)2divergedstep 37loss became nan at step 37", page.text)


def test_a_report_names_the_environment(page):
    assert "jax0.7.0" in page.text.replace("\n", "")


def test_every_chart_has_its_data_in_the_page(page):
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    charts = [attrs["id"] for _, attrs in page.elements if attrs.get("class") == "chart"]
    assert len(charts) >= 7
    assert all(f"{chart}-spec" in ids for chart in charts)


def test_every_anchor_of_the_contents_exists(page):
    ids = {attrs["id"] for _, attrs in page.elements if "id" in attrs}
    targets = [attrs["href"] for tag, attrs in page.elements if tag == "a"]
    assert targets
    assert all(target.startswith("#") and target[1:] in ids for target in targets)


def test_no_element_of_a_report_loads_anything(page):
    for tag, attrs in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert "src" not in attrs
        assert not any(name.startswith("on") for name in attrs)


def test_the_policy_allows_the_scripts_of_the_page_and_nothing_else(page):
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    digests = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in page.runnable()]
    assert rules["default-src"] == "'none'"
    assert rules["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert "unsafe-eval" not in policy


def test_a_report_asks_for_no_source_map(page):
    assert "sourceMappingURL=" not in "".join(page.scripts)


@pytest.mark.parametrize("old", ["zeros", "he_normal"])
def test_a_hostile_scheme_name_adds_no_element_and_no_script(page, old):
    attacked = Page(_html(renamed(small_study(), old, EVIL)))
    assert [tag for tag, _ in attacked.elements if tag not in ("wbr",)] == [
        tag for tag, _ in page.elements if tag not in ("wbr",)
    ]
    assert attacked.runnable() == page.runnable()


def test_hostile_text_anywhere_adds_no_element(page):
    study = small_study()
    facts = replace(study.facts, name=EVIL, source=EVIL, digest=EVIL, class_names=(EVIL, EVIL, EVIL))
    records = tuple(replace(r, reason=EVIL, env={EVIL: EVIL}) for r in study.records)
    design = replace(study.design, name=EVIL, title=EVIL, output_scheme=EVIL, bias_scheme=EVIL, framework=EVIL)
    analysis = replace(study.analysis, study=EVIL, conclusion=EVIL)
    attacked = Page(report_html(design, records, analysis, facts, command=EVIL, folder=EVIL))
    allowed = {tag for tag, _ in page.elements}
    assert {tag for tag, _ in attacked.elements} <= allowed
    assert attacked.runnable() == page.runnable()
    assert len(attacked.blocks()) == len(page.blocks())


def test_a_hostile_name_is_shown_as_it_is_without_its_invisible_characters():
    html = _html(renamed(small_study(), "he_normal", EVIL))
    assert "{{7*7}}${x}`<img src=x onerror=alert(2)>" in Page(html).text
    assert not set("\u2028\u2029\x1b\x00") & set(html)


def test_folders_of_the_machine_are_not_in_a_report():
    study = small_study()
    reason = "cannot read /home/zebedee/secret/data.idx, C:\\Users\\zebedee\\x.idx"
    env = {"python": "/opt/zebedee/bin/python"}
    records = tuple(replace(r, status="failed", reason=reason, env=env) for r in study.records)
    command = "initlab compare iris --out /home/zebedee/runs --data ~/zebedee/mnist"
    html = _html(replace(study, records=records), command=command)
    for part in ("zebedee", "/home", "/opt", "Users"):
        assert part not in html
    assert "--out …/runs --data …/mnist" in Page(html).text


def test_zeros_are_explained_from_the_numbers_of_the_run():
    study = small_study()
    (paragraph,) = explanations(study.design, study.records, study.facts)
    assert paragraph.heading == "Only the output bias learns under zeros"
    # 41 of 120 training rows and 9 of 30 test rows are versicolor.
    for said in ("exactly 0", "all 5 seeds", "'versicolor' (9 of 30 test rows = 0.300)", "(41 of 120 rows)"):
        assert said in paragraph.text


def test_units_that_start_equal_are_explained():
    study = large_study()
    headings = [p.heading for p in explanations(study.design, study.records, study.facts)]
    assert headings == ["Only the output bias learns under zeros", "All units of a layer start equal under ones"]


def test_a_scheme_that_learns_is_not_explained_away():
    study = small_study()
    design = replace(study.design, schemes=study.design.schemes[1:])
    assert explanations(design, study.records, study.facts) == ()


def test_a_constant_prediction_that_is_not_the_most_frequent_class_is_not_called_so():
    study = small_study()
    other = np.zeros(30, np.int32)
    records = [replace(r, predictions=other) for r in study.records if r.spec.scheme == "zeros"]
    (paragraph,) = explanations(study.design, records, study.facts)
    assert "'setosa' (10 of 30 test rows = 0.333)" in paragraph.text
    assert "most frequent" not in paragraph.text


def test_seeds_that_answer_with_different_classes_are_not_said_to_give_the_same():
    study = small_study()
    zeros = [r for r in study.records if r.spec.scheme == "zeros"]
    records = [replace(r, predictions=np.full(30, r.spec.seed % 2, np.int32)) for r in zeros]
    (paragraph,) = explanations(study.design, records, study.facts)
    assert "which depends on the seed: 'setosa' (10 of 30" in paragraph.text
    assert "or 'versicolor' (9 of 30" in paragraph.text


def test_a_study_where_every_run_failed_still_has_a_report():
    study = small_study()
    records = tuple(
        replace(r, status="failed", reason="killed", curves={}, layers={}, histograms=(), predictions=None)
        for r in study.records
    )
    assert "killed" in Page(_html(replace(study, records=records))).text


def test_one_seed_one_scheme_and_one_epoch_have_a_report():
    study = small_study(seeds=1, epochs=1)
    design = replace(study.design, schemes=("zeros",))
    analysis = replace(study.analysis, rows=study.analysis.rows[:1], best="zeros", pairs=())
    records = [r for r in study.records if r.spec.scheme == "zeros"]
    assert "1 scheme × 1 seed" in Page(_html(replace(study, design=design, records=records, analysis=analysis))).text


def test_a_report_is_replaced_as_a_whole(tmp_path, monkeypatch):
    study = small_study()
    path = tmp_path / "report.html"
    path.write_text("before")

    def torn(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", torn)
    with pytest.raises(ResourceError, match="no space"):
        write_report(path, study.design, study.records, study.analysis, study.facts, COMMAND)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_report_is_the_same_bytes_each_time():
    assert _html(small_study()) == _html(small_study())


def test_vendored_scripts_have_the_hashes_that_their_licence_page_says():
    folder = files("initlab.report") / "vendor"
    listed = dict(re.findall(r"\| `([\w.-]+)` \|.*\| `([0-9a-f]{64})` \|", (folder / "LICENSES.md").read_text()))
    assert set(listed) == set(VENDORED)
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_vendored_scripts_stay_below_their_share_of_the_page():
    folder = files("initlab.report") / "vendor"
    assert sum(len((folder / name).read_bytes()) for name in VENDORED) < 1_200_000


def test_vendored_scripts_cannot_end_their_element_early():
    for name in VENDORED:
        source = (files("initlab.report") / "vendor" / name).read_text(encoding="utf-8").lower()
        assert "</script" not in source
        assert "<!--" not in source
        assert "\r" not in source


def test_vl_convert_draws_with_the_vendored_versions():
    vl_convert = pytest.importorskip("vl_convert", reason="vl-convert-python is not installed")
    from initlab.report.drawing.png import VEGA_LITE

    listed = (files("initlab.report") / "vendor" / "LICENSES.md").read_text()
    vega_lite = re.search(r"\| vega-lite \| ([\d.]+) \|", listed).group(1)
    assert vega_lite.rsplit(".", 1)[0] == VEGA_LITE
    assert VEGA_LITE in vl_convert.get_vegalite_versions()


def test_facts_count_the_rows_of_every_class():
    y = np.array([2, 0, 2, 2], np.int32)
    x = np.zeros((4, 5), np.float32)
    data = Dataset("toy", x, y, x[:2], y[:2], class_names=("a", "b", "c"))
    facts = dataset_facts(data)
    assert (facts.train_counts, facts.test_counts) == ((1, 0, 3), (1, 0, 1))


@pytest.mark.parametrize("norm", ["none", "layer"])
def test_the_layers_of_the_summary_hold_all_parameters(norm):
    arch = Mlp((7, 5, 3, 2), norm=norm)
    assert sum(layer.parameters for layer in layer_facts(arch)) == arch.parameters
