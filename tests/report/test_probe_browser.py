"""The page of a probe in a real browser: drawn, silent, without a request, and not cut on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.study.test_report_browser import CHROMIUM, _charts, _drawn, _looked_up, _visit
from torch import nn

from initlab.api.probing import picture, probe

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path: the page is not opened")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = nn.Sequential(*(m for _ in range(5) for m in (nn.Linear(16, 16), nn.Tanh())), nn.Linear(16, 4))
    batch = torch.randn(32, 16)
    found = probe(net, batch, torch.arange(32) % 4, histograms=True)
    return picture(found, tmp_path_factory.mktemp("page") / "probe.html", model=net, batch=batch)


def test_every_chart_is_drawn_without_a_word_on_the_console_and_without_a_request(page: Path) -> None:
    visit = _visit(page, page.parent, dark=1)
    assert _drawn(visit.dom) == len(_charts(visit.dom)) == 7
    assert visit.console == []
    assert visit.requests == set()


def test_no_drawing_is_wider_than_a_phone(page: Path) -> None:
    expression = """(inner) => ({page: inner.documentElement.scrollWidth, drawings:
        [...inner.querySelectorAll(".chart svg.marks")].map(
            (svg) => [svg.getBoundingClientRect().right, svg.viewBox.baseVal.width])})"""
    found = _looked_up(page, page.parent, width=390, expression=expression)
    assert found["page"] <= 390
    assert all(right <= 390 and own <= 390 for right, own in found["drawings"])
