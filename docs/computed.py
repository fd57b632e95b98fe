"""Numbers and figures of the pages, computed by initlab: what a text quotes is compared with what a run gives.

In a page a number stands between two comments that no reader sees, ``<!--:page.name-->1.178<!--/-->``. The functions of
``docs/facts`` compute it; ``docs/build.py`` writes it, and ``docs/build.py --check`` says where a text has another.
"""

from __future__ import annotations

import importlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
FACT = re.compile(r"<!--:([a-z0-9_-]+)\.([a-z0-9_-]+)-->(.*?)<!--/-->", re.DOTALL)
BLOCK = re.compile(r"<!-- begin: ([a-z0-9_-]+)\.([a-z0-9_-]+) -->\n(.*?)<!-- end -->", re.DOTALL)

Computed = Mapping[str, str]
Spec = dict[str, Any]

_FACTS: dict[str, Callable[[], Computed]] = {}
_FIGURES: dict[str, Callable[[], Spec]] = {}
_DONE: dict[str, Computed] = {}


def facts(group: str) -> Callable[[Callable[[], Computed]], Callable[[], Computed]]:
    """Registers a function that gives the texts of one group, by name: numbers as they are to be read, or blocks."""

    def register(function: Callable[[], Computed]) -> Callable[[], Computed]:
        if group in _FACTS:
            raise ValueError(f"two functions give the facts '{group}'")
        _FACTS[group] = function
        return function

    return register


def figure(name: str) -> Callable[[Callable[[], Spec]], Callable[[], Spec]]:
    """Registers a function that gives the Vega-Lite specification of ``images/guide/NAME.svg``, its data inline."""

    def register(function: Callable[[], Spec]) -> Callable[[], Spec]:
        if name in _FIGURES:
            raise ValueError(f"two functions draw the figure '{name}'")
        _FIGURES[name] = function
        return function

    return register


def load() -> None:
    """Import every module of ``docs/facts``."""
    for path in sorted((DOCS / "facts").glob("*.py")):
        if path.stem != "__init__":
            importlib.import_module(f"facts.{path.stem}")


def text_of(group: str, name: str, page: Path) -> str:
    """What a run gives for one fact."""
    if group not in _FACTS:
        raise KeyError(f"{page.name}: no function of docs/facts gives '{group}'")
    if group not in _DONE:
        _DONE[group] = _FACTS[group]()
    if name not in _DONE[group]:
        raise KeyError(f"{page.name}: '{group}' has no fact '{name}': there are {', '.join(_DONE[group])}")
    return _DONE[group][name]


def filled(page: Path) -> str:
    """The page with every number and block as a run gives it."""
    text = page.read_text(encoding="utf-8")
    text = FACT.sub(lambda m: f"<!--:{m[1]}.{m[2]}-->{text_of(m[1], m[2], page)}<!--/-->", text)
    return BLOCK.sub(
        lambda m: f"<!-- begin: {m[1]}.{m[2]} -->\n{text_of(m[1], m[2], page).rstrip()}\n<!-- end -->", text
    )


def pages() -> Iterator[Path]:
    """The pages that may quote a number."""
    yield DOCS.parent / "README.md"
    yield from sorted(DOCS.rglob("*.md"))


def stale_pages() -> list[str]:
    """The facts that a page quotes otherwise than a run gives them, in words."""
    found = []
    for page in pages():
        text = page.read_text(encoding="utf-8")
        for pattern in (FACT, BLOCK):
            for match in pattern.finditer(text):
                given = text_of(match[1], match[2], page)
                if match[3].strip() != given.strip():
                    found.append(
                        f"{page.relative_to(DOCS.parent)}: {match[1]}.{match[2]} is {given!r}, not {match[3]!r}"
                    )
    return found


def write_figures(draw: Callable[[Spec], bytes]) -> None:
    """Draw every figure, and keep its specification beside it."""
    folder = DOCS / "images" / "guide"
    folder.mkdir(parents=True, exist_ok=True)
    for name, function in _FIGURES.items():
        spec = rounded(function())
        (folder / f"{name}.svg").write_bytes(draw(spec))
        (folder / f"{name}.json").write_text(json.dumps(spec, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def stale_figures() -> list[str]:
    """The figures whose numbers are not those of a run, up to 1 %."""
    folder = DOCS / "images" / "guide"
    found = []
    for name, function in _FIGURES.items():
        kept = folder / f"{name}.json"
        if not kept.exists() or not (folder / f"{name}.svg").exists():
            found.append(f"the figure '{name}' was not drawn")
        elif not _close(json.loads(kept.read_text(encoding="utf-8")), rounded(function())):
            found.append(f"the figure '{name}' shows other numbers than a run gives")
    return found


def rounded(value: Any) -> Any:
    """A specification with its numbers to 5 digits; what is not finite becomes null, as JSON has no name for it."""
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    number = float(value)
    return float(f"{number:.5g}") if math.isfinite(number) else None


def _close(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_close(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-2, abs_tol=1e-6)
    return bool(one == other)
