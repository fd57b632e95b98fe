"""Tables and pages in Markdown."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

MADE = "Made from the code by `./dev docs`"


def cell(text: str) -> str:
    """A text as a cell of a Markdown table."""
    return " ".join(text.replace("``", "`").replace("|", "\\|").split())


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *[[cell(c) for c in row] for row in rows]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def page(title: str, said: str, *parts: str) -> str:
    """A page: its title, what it is made from, and its parts."""
    return "\n".join([f"# {title}\n", f"{said}\n", *parts])


def first_line(thing: object) -> str:
    """The first line of a docstring."""
    return (inspect.getdoc(thing) or "").split("\n", 1)[0]
