"""The page's built files belong to its sources, and what it takes from initlab is current; without Node."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from initlab.web import PAGE

ROOT = Path(__file__).resolve().parents[2]
WEB = ROOT / "web"
HINT = "run ./dev web and commit what it writes"


@pytest.fixture(scope="module")
def vectors() -> ModuleType:
    """The script that writes the vectors."""
    spec = importlib.util.spec_from_file_location("page_vectors", WEB / "vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
    return module


def same(a: Any, b: Any) -> bool:
    """Whether two JSON values agree: numbers to 1e-9 of their size, which covers the last bits of other machines."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)
    return bool(a == b)


def digest_of(folder: Path) -> str:
    """As ``web/build.mjs`` has it: SHA-256 over each source's path, a line end, its digest and a line end."""
    files = [path for path in (folder / "src").rglob("*") if path.is_file()]
    names = [path.relative_to(folder).as_posix() for path in files] + [
        "build.mjs",
        "package-lock.json",
        "tsconfig.json",
    ]
    whole = hashlib.sha256()
    for name in sorted(names):
        whole.update(f"{name}\n{hashlib.sha256((folder / name).read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def test_the_built_script_was_made_from_these_sources() -> None:
    head = (PAGE / "page.js").read_text(encoding="utf-8").splitlines()[0]
    assert head.endswith(f"sources: {digest_of(WEB)} */"), HINT


@pytest.mark.parametrize("name", ["index.html", "page.css", "digits.js"])
def test_what_is_only_copied_is_a_copy(name: str) -> None:
    assert (PAGE / name).read_bytes() == (WEB / "src" / name).read_bytes(), HINT


def test_the_page_weighs_less_than_300_kb_without_the_digits() -> None:
    sizes = {path.name: path.stat().st_size for path in PAGE.iterdir()}
    assert set(sizes) == {"index.html", "page.css", "page.js", "digits.js"}
    assert sum(size for name, size in sizes.items() if name != "digits.js") < 300_000


def test_the_page_asks_no_other_host() -> None:
    for path in PAGE.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "//" not in text.replace("://www.w3.org/", "") or "http" not in text.lower(), path.name


def test_the_html_holds_no_inline_script_or_style() -> None:
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    assert "<style" not in text
    assert " style=" not in text
    assert " on" not in text.split("<body>")[0]
    assert text.count("<script") == 1
    assert '<script src="page.js"></script>' in text


@pytest.mark.parametrize("part", ["draws", "theory", "laws"])
def test_the_vectors_are_what_initlab_computes(vectors: ModuleType, part: str) -> None:
    kept = json.loads(vectors.FILE.read_text(encoding="utf-8"))[part]
    assert same(json.loads(json.dumps(getattr(vectors, part)())), kept), HINT


@pytest.mark.parametrize("cases", [1, pytest.param(None, marks=pytest.mark.soak)])
def test_the_training_vectors_are_what_initlab_computes(vectors: ModuleType, cases: int | None) -> None:
    kept = json.loads(vectors.FILE.read_text(encoding="utf-8"))["training"]
    assert len(kept) == len(vectors.CASES)
    assert same(json.loads(json.dumps(vectors.training(cases))), kept[:cases]), HINT


def test_the_digits_are_initlabs(vectors: ModuleType) -> None:
    assert vectors.DIGITS.read_text(encoding="utf-8") == vectors.digits(), HINT
    assert len(vectors.digits().split('"')[1]) == 200 * 65
