"""Several profiles of one model as one table: a row a layer, the numbers of each beside the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import TYPE_CHECKING

from initlab.probing.show.diagnosis_text import VERDICTS
from initlab.probing.show.profile_text import compact, plain

if TYPE_CHECKING:
    from initlab.probing.profile import Profile

_LAYER, _PAIR, _ABREAST = 20, 20, 3


def beside_text(profiles: Mapping[str, Profile]) -> str:
    """A table of 80 columns for each three profiles: verdict, first loss, and signal and gradient of every layer."""
    named = list(profiles.items())
    tables = (dict(named[at : at + _ABREAST]) for at in range(0, len(named), _ABREAST))
    told = ["\n".join(line.rstrip() for line in _table(some)) for some in tables]
    return "\n\n".join([*told, "E[z²]: the weighted sums, E[g²]: the loss's gradient by them, as measured"])


def _table(profiles: Mapping[str, Profile]) -> Iterator[str]:
    yield from _head(profiles)
    yield f"{'layer':<{_LAYER}}" + f"{'E[z²]':>{_PAIR // 2}}{'E[g²]':>{_PAIR // 2}}" * len(profiles)
    for path, numbers in _rows(profiles):
        yield f"{_cut(path):<{_LAYER}}" + "".join(f"{number:>{_PAIR // 2}}" for number in numbers)


def _head(profiles: Mapping[str, Profile]) -> Iterator[str]:
    for title, cells in _facts(profiles):
        yield f"{title:<{_LAYER}}" + "".join(f"{_cut(cell, _PAIR):>{_PAIR}}" for cell in cells)


def _facts(profiles: Mapping[str, Profile]) -> Iterator[tuple[str, list[str]]]:
    """Of each profile its name, its verdict, its first loss and its alarms."""
    diagnoses = [profile.diagnose() for profile in profiles.values()]
    losses = [profile.evidence.reading.loss for profile in profiles.values()]
    yield "", [plain(name) for name in profiles]
    yield "verdict", [VERDICTS[diagnosis.verdict] for diagnosis in diagnoses]
    yield "alarms", [str(len(diagnosis.alarms)) for diagnosis in diagnoses]
    if any(loss == loss for loss in losses):
        yield "first loss", [compact(loss) for loss in losses]
    yield "signal, last/first", [compact(profile.signal_ratio.measured) for profile in profiles.values()]
    yield "gradient², 1st/last", [compact(profile.gradient_ratio.measured) for profile in profiles.values()]


def _rows(profiles: Mapping[str, Profile]) -> Iterator[tuple[str, list[str]]]:
    for rows in zip(*(profile.rows for profile in profiles.values()), strict=True):
        numbers = [number for row in rows for number in (row.signal.measured, row.gradient.measured)]
        yield plain(rows[0].path), [compact(number) for number in numbers]


def _cut(text: str, width: int = _LAYER) -> str:
    """The text, its beginning left out where it is too long: layers differ at their end."""
    return text if len(text) < width else "…" + text[-(width - 2) :]


def beside_html(profiles: Mapping[str, Profile]) -> str:
    """The same as a table for a notebook; every name in it is data."""

    def row(cells: list[str], *, tag: str = "td", span: int = 1) -> str:
        first, *rest = (escape(cell) for cell in cells)
        told = "".join(f'<{tag} colspan="{span}">{cell}</{tag}>' for cell in rest)
        return f'<tr><{tag} style="text-align:left">{first}</{tag}>{told}</tr>'

    head = [row([title, *cells], tag="th", span=2) for title, cells in _facts(profiles)]
    titles = row(["layer", *["E[z²]", "E[g²]"] * len(profiles)], tag="th")
    body = [row([path, *numbers]) for path, numbers in _rows(profiles)]
    return f'<table style="text-align:right">{"".join([*head, titles, *body])}</table>'
