"""Several profiles of one model as one table: a row a layer, the numbers of each beside the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from initlab.probing.measure.metrics import Compared, LayerRow
from initlab.probing.records import Verdict
from initlab.probing.show.diagnosis_text import VERDICTS
from initlab.probing.show.profile_text import compact, plain

_LAYER, _PAIR, _ABREAST = 20, 20, 3


@dataclass(frozen=True, eq=False)
class Side:
    """What of a profile stands beside others.

    Attributes:
        verdict: What the model is.
        alarms: How many were found.
        loss: The first loss; NaN where there is none.
        signal: Its signal ratio.
        gradient: Its gradient ratio.
        rows: Its layers.
    """

    verdict: Verdict
    alarms: int
    loss: float
    signal: Compared
    gradient: Compared
    rows: Sequence[LayerRow]


def beside_text(sides: Mapping[str, Side]) -> str:
    """A table of 80 columns for each three profiles: verdict, first loss, and signal and gradient of every layer."""
    named = list(sides.items())
    tables = (dict(named[at : at + _ABREAST]) for at in range(0, len(named), _ABREAST))
    told = ["\n".join(line.rstrip() for line in _table(some)) for some in tables]
    return "\n\n".join([*told, "E[z²]: the weighted sums, E[g²]: the loss's gradient by them, as measured"])


def _table(sides: Mapping[str, Side]) -> Iterator[str]:
    yield from _head(sides)
    yield f"{'layer':<{_LAYER}}" + f"{'E[z²]':>{_PAIR // 2}}{'E[g²]':>{_PAIR // 2}}" * len(sides)
    for path, numbers in _rows(sides):
        yield f"{_cut(path):<{_LAYER}}" + "".join(f"{number:>{_PAIR // 2}}" for number in numbers)


def _head(sides: Mapping[str, Side]) -> Iterator[str]:
    for title, cells in _facts(sides):
        yield f"{title:<{_LAYER}}" + "".join(f"{_cut(cell, _PAIR):>{_PAIR}}" for cell in cells)


def _facts(sides: Mapping[str, Side]) -> Iterator[tuple[str, list[str]]]:
    """Of each profile its name, its verdict, its first loss and its alarms."""
    yield "", [plain(name) for name in sides]
    yield "verdict", [VERDICTS[side.verdict] for side in sides.values()]
    yield "alarms", [str(side.alarms) for side in sides.values()]
    if any(side.loss == side.loss for side in sides.values()):
        yield "first loss", [compact(side.loss) for side in sides.values()]
    yield "signal, last/first", [compact(side.signal.measured) for side in sides.values()]
    yield "gradient², 1st/last", [compact(side.gradient.measured) for side in sides.values()]


def _rows(sides: Mapping[str, Side]) -> Iterator[tuple[str, list[str]]]:
    for rows in zip(*(side.rows for side in sides.values()), strict=True):
        numbers = [number for row in rows for number in (row.signal.measured, row.gradient.measured)]
        yield plain(rows[0].path), [compact(number) for number in numbers]


def _cut(text: str, width: int = _LAYER) -> str:
    """The text, its beginning left out where it is too long: layers differ at their end."""
    return text if len(text) < width else "…" + text[-(width - 2) :]


def beside_html(sides: Mapping[str, Side]) -> str:
    """The same as a table for a notebook; every name in it is data."""

    def row(cells: list[str], *, tag: str = "td", span: int = 1) -> str:
        first, *rest = (escape(cell) for cell in cells)
        told = "".join(f'<{tag} colspan="{span}">{cell}</{tag}>' for cell in rest)
        return f'<tr><{tag} style="text-align:left">{first}</{tag}>{told}</tr>'

    head = [row([title, *cells], tag="th", span=2) for title, cells in _facts(sides)]
    titles = row(["layer", *["E[z²]", "E[g²]"] * len(sides)], tag="th")
    body = [row([path, *numbers]) for path, numbers in _rows(sides)]
    return f'<table style="text-align:right">{"".join([*head, titles, *body])}</table>'
