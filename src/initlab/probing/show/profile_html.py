"""A profile as one HTML table for a notebook; every name in it is data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from initlab.probing.measure.metrics import Compared, LayerRow
from initlab.probing.records import Evidence
from initlab.probing.show.profile_svg import profile_svg
from initlab.probing.show.profile_text import HEALTH, compact, heading, measured, plain

_PAIRS = ("E[z²]", "E[a²]", "E[g²]")
_CELL = "padding:.1em .6em;background:transparent;white-space:nowrap"
# A red with a contrast of 4 and more on white and on black.
_OFF = f' style="{_CELL};color:#d93a2b;font-weight:600"'


def profile_html(evidence: Evidence, rows: Sequence[LayerRow]) -> str:
    """The heading, a picture and a row a layer; numbers that are off theory are red and end in an exclamation mark."""
    first, *rest = heading(evidence, rows)
    caption = "<br>".join([f"<b>{escape(first)}</b>", *(escape(" ".join(line.split())) for line in rest)])
    titles = [f'<th colspan="2" style="{_CELL}">{title}<br>theory | measured</th>' for title in _PAIRS]
    titles += [f'<th style="{_CELL}">{escape(column.title)}</th>' for column in HEALTH]
    body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
    notes = "".join(f"<p>note: {escape(plain(note))}</p>" for note in evidence.notes)
    head = f'<tr style="border-bottom:1px solid currentColor"><th style="{_CELL}">layer</th>{"".join(titles)}</tr>'
    table = f'<table style="text-align:right;border-collapse:collapse;color:inherit">{head}{body}</table>'
    return f'<div style="overflow-x:auto"><p>{caption}</p>{profile_svg(rows)}{table}{notes}</div>'


def _cells(row: LayerRow) -> Iterable[str]:
    yield f'<td style="{_CELL};text-align:left">{escape(plain(row.path))}</td>'
    for number in (row.signal, row.after, row.gradient):
        yield from _pair(number)
    for column in HEALTH:
        yield f'<td style="{_CELL}">{escape(column.cell(row))}</td>'


def _pair(number: Compared) -> Iterable[str]:
    plainly = f' style="{_CELL}"'
    yield f"<td{plainly}>{compact(number.predicted)}</td>"
    yield f"<td{_OFF if number.is_off else plainly}>{measured(number)}</td>"
