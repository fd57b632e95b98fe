"""Models at their publishers' own start are not alarmed; the whole table is docs/reference/published.md."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

DOCS = Path(__file__).parents[2] / "docs"
QUICK = ("Olmo2", "GPTNeo", "DeepseekV3", "Qwen2Moe", "OpenAIGPT", "Rwkv", "XLNet", "Bit", "TransformerEncoder")


def models(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(DOCS))
    sys.modules.pop("published_models", None)
    return importlib.import_module("published_models")


@pytest.mark.parametrize("name", QUICK)
def test_a_published_start_is_healthy(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = next(one for one in models(monkeypatch).published() if one.name == name)
    if one.source == "transformers":
        pytest.importorskip("transformers")
    found = one.diagnosed()
    assert found.healthy, str(found)


def test_the_page_names_a_reason_for_every_alarm() -> None:
    rows = [line.strip("| ").split(" | ") for line in (DOCS / "reference" / "published.md").read_text().splitlines()]
    rows = [row for row in rows if row[0] in ("transformers", "keras", "torch")]
    assert len(rows) > 60
    assert [row[1] for row in rows if row[2] in ("sick", "hard") and len(row) < 5] == []
