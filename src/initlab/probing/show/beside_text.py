"""Several profiles of one model as one table: a row a layer, the numbers of each beside the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape

from initlab.probing.measure.metrics import LayerRow
from initlab.probing.records import Verdict
from initlab.probing.show.diagnosis_text import VERDICTS
from initlab.probing.show.profile_text import compact, plain

_LAYER, _PAIR, _ABREAST = 20, 20, 3


@dataclass(frozen=True)
class Column:
    """What a table tells of one profile.

    Attributes:
        verdict: On the model.
        alarms: How many.
        loss: The first; NaN where there is none.
        signal: E[z^2] of the last hidden layer over that of the first, as measured.
        gradient: The squared norm of the gradient at the first hidden layer over that at the last.
        rows: A row for every weighted layer, in order of use.
    """

    verdict: Verdict
    alarms: int
    loss: float
    signal: float
    gradient: float
    rows: tuple[LayerRow, ...]


def beside_text(columns: Mapping[str, Column]) -> str:
    """A table of 80 columns for each three profiles: verdict, first loss, and signal and gradient of every layer."""
    named = list(columns.items())
    tables = (dict(named[at : at + _ABREAST]) for at in range(0, len(named), _ABREAST))
    told = ["\n".join(line.rstrip() for line in _table(some)) for some in tables]
    return "\n\n".join([*told, "E[z²]: the weighted sums, E[g²]: the loss's gradient by them, as measured"])


def _table(columns: Mapping[str, Column]) -> Iterator[str]:
    yield from _head(columns)
    yield f"{'layer':<{_LAYER}}" + f"{'E[z²]':>{_PAIR // 2}}{'E[g²]':>{_PAIR // 2}}" * len(columns)
    for path, numbers in _rows(columns):
        yield f"{_cut(path):<{_LAYER}}" + "".join(f"{number:>{_PAIR // 2}}" for number in numbers)


def _head(columns: Mapping[str, Column]) -> Iterator[str]:
    for title, cells in _facts(columns):
        yield f"{title:<{_LAYER}}" + "".join(f"{_cut(cell, _PAIR):>{_PAIR}}" for cell in cells)


def _facts(columns: Mapping[str, Column]) -> Iterator[tuple[str, list[str]]]:
    """Of each profile its name, its verdict, its alarms, its first loss and its ratios."""
    shown = columns.values()
    yield "", [plain(name) for name in columns]
    yield "verdict", [VERDICTS[one.verdict] for one in shown]
    yield "alarms", [str(one.alarms) for one in shown]
    if any(one.loss == one.loss for one in shown):
        yield "first loss", [compact(one.loss) for one in shown]
    yield "signal, last/first", [compact(one.signal) for one in shown]
    yield "gradient², 1st/last", [compact(one.gradient) for one in shown]


def _rows(columns: Mapping[str, Column]) -> Iterator[tuple[str, list[str]]]:
    for rows in zip(*(one.rows for one in columns.values()), strict=True):
        numbers = [number for row in rows for number in (row.signal.measured, row.gradient.measured)]
        yield plain(rows[0].path), [compact(number) for number in numbers]


def _cut(text: str, width: int = _LAYER) -> str:
    """The text, its beginning left out where it is too long: layers differ at their end."""
    return text if len(text) < width else "…" + text[-(width - 2) :]


def beside_html(columns: Mapping[str, Column]) -> str:
    """The same as a table for a notebook; every name in it is data."""

    def row(cells: list[str], *, tag: str = "td", span: int = 1) -> str:
        first, *rest = (escape(cell) for cell in cells)
        told = "".join(f'<{tag} colspan="{span}">{cell}</{tag}>' for cell in rest)
        return f'<tr><{tag} style="text-align:left">{first}</{tag}>{told}</tr>'

    head = [row([title, *cells], tag="th", span=2) for title, cells in _facts(columns)]
    titles = row(["layer", *["E[z²]", "E[g²]"] * len(columns)], tag="th")
    body = [row([path, *numbers]) for path, numbers in _rows(columns)]
    return f'<table style="text-align:right">{"".join([*head, titles, *body])}</table>'
