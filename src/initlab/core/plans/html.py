"""A plan as an HTML table for notebooks: no colours but the page's own, and every name in it is data."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from initlab.core.plans.text import HEADER, Cells

# What is not drawn stands back, and what cannot be drawn stands out.
_ROW_STYLES = {"keep": "opacity:.65", "refuse": "font-weight:bold"}
_CELL = "padding:.15em .8em .15em 0;text-align:left;vertical-align:top;background:transparent"
_CODE = f"{_CELL};font-family:monospace;white-space:nowrap"
_WORDS = frozenset({"role", "action", "why"})


def plan_html(rows: Iterable[Cells], notes: Iterable[str], *, account: str = "", seed: int | None = None) -> str:
    """The rows under a header, the notes behind them, the last seed and the account.

    Args:
        rows: A record a parameter.
        notes: Sentences.
        account: A sentence on what becomes of the model's numbers.
        seed: The seed that was last drawn from; None where nothing was drawn.

    Example:
        >>> cells = Cells("<b>/weight", "dense", "3x4", "4", "- -> relu", "initialise", "zeros", "0", "zeros")
        >>> "&lt;b&gt;/weight" in plan_html([cells], [])
        True
    """
    head = "".join(f'<th style="{_CELL}">{_text(title)}</th>' for title in HEADER)
    body = "".join(map(_row, rows))
    last = [] if seed is None else [f"last seed: {seed}"]
    said = "".join(
        f"<p>{_text(sentence)}</p>"
        for sentence in (*(f"note: {note}" for note in notes), *last, *([account] if account else []))
    )
    head = f'<thead><tr style="border-bottom:1px solid currentColor">{head}</tr></thead>'
    table = f'<table style="border-collapse:collapse;color:inherit">{head}<tbody>{body}</tbody></table>'
    return f'<div style="overflow-x:auto">{table}{said}</div>'


def _row(cells: Cells) -> str:
    style = _ROW_STYLES.get(cells.action, "")
    columns = zip(HEADER, cells, strict=True)
    return (
        f'<tr style="{style};background:transparent">'
        + "".join(f'<td style="{_CELL if name in _WORDS else _CODE}">{_text(cell)}</td>' for name, cell in columns)
        + "</tr>"
    )


def _text(content: str) -> str:
    """Escaped, and without the characters that change how others are shown."""
    return escape("".join(char if char.isprintable() else "�" for char in content))
