"""A profile as one HTML table for a notebook; every name in it is data."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING

from initlab.probing.metrics import Compared, LayerRow
from initlab.probing.profile_text import HEALTH, compact, heading, measured, plain

if TYPE_CHECKING:
    from initlab.probing.profile import Profile

_PAIRS = ("E[z²]", "E[a²]", "E[g²]")
_OFF = ' style="color:#b3261e;font-weight:600"'


def profile_html(profile: Profile) -> str:
    """The heading and a row a layer; numbers that are off theory are red and end in an exclamation mark."""
    first, *rest = heading(profile)
    caption = "<br>".join([f"<b>{escape(first)}</b>", *(escape(" ".join(line.split())) for line in rest)])
    titles = [f'<th colspan="2">{title}<br>theory | measured</th>' for title in _PAIRS]
    titles += [f"<th>{escape(column.title)}</th>" for column in HEALTH]
    rows = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in profile.rows)
    notes = "".join(f"<p>note: {escape(plain(note))}</p>" for note in profile.evidence.notes)
    head = f"<tr><th>layer</th>{''.join(titles)}</tr>"
    return f'<div><p>{caption}</p><table style="text-align:right">{head}{rows}</table>{notes}</div>'


def _cells(row: LayerRow) -> Iterable[str]:
    yield f'<td style="text-align:left">{escape(plain(row.path))}</td>'
    for number in (row.signal, row.after, row.gradient):
        yield from _pair(number)
    for column in HEALTH:
        yield f"<td>{escape(column.cell(row))}</td>"


def _pair(number: Compared) -> Iterable[str]:
    yield f"<td>{compact(number.predicted)}</td>"
    yield f"<td{_OFF if number.is_off else ''}>{measured(number)}</td>"
