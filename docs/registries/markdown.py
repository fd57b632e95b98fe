"""Tables and pages in Markdown."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Sequence

MADE = "Made from the code by `./dev docs`"
# Code with a bar in it, which would end its cell.
CODE = re.compile(r"`([^`|]*\|[^`]*)`")


def cell(text: str) -> str:
    """A text as a cell of a Markdown table; a bar within code shows no backslash, here and on a forge's page."""
    text = CODE.sub(lambda code: f"<code>{html.escape(code[1], quote=False)}</code>", text.replace("``", "`"))
    return " ".join(text.replace("|", "&#124;").split())


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
