"""Formulas as the site shows them: letters, indices and powers, and nothing that Markdown would take for its own."""

from __future__ import annotations

import html
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def typeset() -> Iterator[Any]:
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("typeset")
    finally:
        sys.path.remove(str(DOCS))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1.03e-06", "1.03\u00a0×\u00a010⁻⁶"),
        ("4.48e+05 times", "4.48\u00a0×\u00a010⁵ times"),
        ("1e-07", "10⁻⁷"),
        ("12.5 % of 8", "12.5\u00a0% of 8"),
        ("he_normal at 0.854", "he_normal at 0.854"),
    ],
)
def test_a_number_is_written_with_a_power_of_ten_and_stays_in_one_piece(typeset: Any, text: str, shown: str) -> None:
    assert typeset.quantities(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("chi_1 = sigma_w^2 / 2", "χ<sub>1</sub> = σ<sub>w</sub><sup>2</sup> / 2"),
        ("W_(l+1)^T delta_(l+1)", "W<sub>l+1</sub><sup>T</sup> δ<sub>l+1</sub>"),
        ("dL/dz_l <= 1", "dL/dz<sub>l</sub> ≤ 1"),
        ("W ~ U(-l, l), l = sqrt(6 / fan_in)", "W \u223c U(−l, l), l = √(6 / fan_in)"),
        ("1/sqrt(2L), 1/sqrt(fan_in)", "1/√(2L), 1/√fan_in"),
        ("s (1 - s) < e", "s (1 − s) &lt; e"),
        ("f(sqrt(q*) z)", "f(√(q&#42;) z)"),
        ("trunc_normal_ and __init__", "trunc_normal&#95; and &#95;&#95;init&#95;&#95;"),
    ],
)
def test_a_formula_has_its_letters_indices_and_powers(typeset: Any, text: str, shown: str) -> None:
    assert typeset.formula(text) == shown


def test_a_number_of_arxiv_is_a_link(typeset: Any) -> None:
    assert (
        typeset.source("He 2015, arXiv:1502.01852") == "He 2015, [arXiv 1502.01852](https://arxiv.org/abs/1502.01852)"
    )


def test_no_formula_of_a_page_keeps_what_only_a_terminal_needs() -> None:
    pages = [*(DOCS / "guide").glob("*.md"), DOCS / "reference" / "schemes.md"]
    spans = [
        span for page in pages for span in re.findall(r'<span class="formula">(.*?)</span>', page.read_text("utf-8"))
    ]
    plain = [html.unescape(re.sub(r"</?su[bp]>", "", span)) for span in spans]
    assert len(plain) > 60
    assert [text for text in plain if re.search(r"\^|<=|>=|\bsqrt\b|\bsigma|\bchi|[a-z]_\d", text)] == []
