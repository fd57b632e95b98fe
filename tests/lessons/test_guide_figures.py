"""The guide's figures as specifications: every axis is named, lines are told apart without colour, data are finite."""

from __future__ import annotations

import importlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
FIGURES = [
    *("activations", "constant-curves", "correlation-by-layer", "gelu-map", "gradient-by-layer", "norm-gradient"),
    *("phase-diagram", "recurrent-gradient", "residual-growth", "saturation-histograms", "signal-by-layer"),
    *("singular-values", "start-curves", "token-cosine"),
]


@pytest.fixture(scope="module")
def computed() -> Iterator[Any]:
    sys.path.insert(0, str(DOCS))
    try:
        module = importlib.import_module("computed")
        for name in ("lessons", "depth_figures", "start_figures"):
            importlib.import_module(f"facts.{name}")
        yield module
    finally:
        sys.path.remove(str(DOCS))


@pytest.fixture(params=FIGURES)
def spec(request: pytest.FixtureRequest, computed: Any) -> dict[str, Any]:
    return computed.rounded(computed._FIGURES[request.param]())


def encodings(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if isinstance(part.get("encoding"), dict):
            yield part["encoding"]
        for value in part.values():
            yield from encodings(value)
    elif isinstance(part, list):
        for value in part:
            yield from encodings(value)


def values(part: Any) -> Iterator[dict[str, Any]]:
    if isinstance(part, dict):
        if isinstance(part.get("values"), list) and part["values"] and isinstance(part["values"][0], dict):
            yield from part["values"]
        for value in part.values():
            yield from values(value)
    elif isinstance(part, list):
        for value in part:
            yield from values(value)


def test_a_figure_names_its_axes_and_holds_finite_numbers(spec: dict[str, Any]) -> None:
    assert spec["title"]["text"]
    assert all(encoding[axis]["title"] for encoding in encodings(spec) for axis in ("x", "y"))
    rows = list(values(spec))
    assert rows
    numbers = [v for row in rows for v in row.values() if not isinstance(v, str)]
    assert all(v is not None and math.isfinite(v) for v in numbers)
    assert len(json.dumps(spec)) < 600_000


def test_lines_differ_in_colour_and_in_dash(spec: dict[str, Any]) -> None:
    for encoding in encodings(spec):
        if "strokeDash" not in encoding:
            continue
        colour = encoding["stroke" if "stroke" in encoding else "color"]
        styles = zip(colour["scale"]["range"], map(tuple, encoding["strokeDash"]["scale"]["range"]), strict=True)
        names = colour["scale"]["domain"]
        assert len(set(styles)) == len(names) == len(set(names))


def test_every_topic_gives_its_numbers_table_and_command(computed: Any) -> None:
    page = Path("guide.md")
    assert computed.text_of("truncated-normal", "cut_std-5", page) == "0.87963"
    assert computed.text_of("truncated-normal", "lost-percent", page) == "77.4\u00a0%"
    assert computed.text_of("truncated-normal", "command", page) == "```console\ninitlab explain truncated-normal\n```"
    assert "| --- |" in computed.text_of("truncated-normal", "table", page)
