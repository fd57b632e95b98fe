"""Two studies side by side, as text for a terminal and as a page."""

from __future__ import annotations

import textwrap
from pathlib import Path

from initlab.core.files import write_whole
from initlab.report.drawing.markup import element, join, table, text
from initlab.report.drawing.text import folded_call, p_value, share, visible, without_folders
from initlab.report.study.difference import Change, Difference, interval_text
from initlab.report.study.html import page_html
from initlab.report.study.sections import Section
from initlab.report.study.tables import NARROWEST_NAME

_NOTE = (
    "Second minus first, paired, on the seeds of both; p and the 95 % intervals hold for all schemes at once. A run "
    "that diverged is worse than every run that finished: its pair is tested by signed ranks, the difference is that "
    "of the seeds where both finished, and there is no interval."
)


def difference_text(found: Difference, *, width: int = 80) -> str:
    """What differs, as plain text of at most so many columns.

    Args:
        found: Two studies.
        width: Columns of characters, 70 or more.

    Returns:
        Lines without trailing spaces.
    """
    lines = [_sides(found, place) for place in ("first", "second")]
    if found.asked:
        lines += ["", "Asked differently"]
        longest = max(len(visible(key)) for key, _, _ in found.asked)
        for key, one, other in found.asked:
            told = f"{visible(key):<{longest}}  {visible(one)} → {visible(other)}"
            lines += textwrap.wrap(told, width, initial_indent="  ", subsequent_indent=" " * (longest + 4))
    else:
        lines += ["", "Both were asked the same."]
    if found.changes:
        lines += ["", *_table(found, width)]
        lines += textwrap.wrap(f"Scores are {found.score}. {_NOTE}", width)
    for label, schemes in (("Only in the first", found.missing), ("Only in the second", found.added)):
        if schemes:
            lines += textwrap.wrap(f"{label}: {', '.join(map(visible, schemes))}", width, subsequent_indent="  ")
    lines += ["", *textwrap.wrap(found.conclusion, width)]
    return "\n".join(line.rstrip() for line in lines)


def _sides(found: Difference, place: str) -> str:
    side = found.first if place == "first" else found.second
    return f"{place + ':':<8}{visible(side.name)}, {side.seeds} seeds, {visible(side.folder)}"


def _cells(change: Change) -> tuple[str, ...]:
    said = f"{share(change.pair.difference, signed=True)}{interval_text(change.pair)}"
    return share(change.first), share(change.second), said, p_value(change.pair.p), change.verdict


def _table(found: Difference, width: int) -> list[str]:
    heading = ("first", "second", "difference [95 %]", "p", "verdict")
    rows = [heading, *(_cells(change) for change in found.changes)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    left = max(NARROWEST_NAME, width - sum(widths) - 2 * len(widths))
    names = [["scheme"], *(list(folded_call(visible(change.scheme), left)) for change in found.changes)]
    room = max(len(part) for name in names for part in name)
    lines = []
    for name, row in zip(names, rows, strict=True):
        *above, last = name
        lines += above
        cells = [f"{cell:>{size}}" for cell, size in zip(row[:-1], widths[:-1], strict=True)]
        lines.append("  ".join([f"{last:<{room}}", *cells, row[-1]]))
    return [lines[0], "─" * max(map(len, lines)), *lines[1:]]


def write_difference(path: str | Path, found: Difference) -> Path:
    """The file shows what differs, as one page that asks the network for nothing.

    Args:
        path: Where to; what it held before is replaced, as a whole.
        found: Two studies.

    Returns:
        The path.
    """
    target = Path(path)
    write_whole(target, difference_html(found).encode("utf-8"))
    return target


def difference_html(found: Difference) -> str:
    """The page as one string of HTML; every name in it is escaped."""
    lead = element(
        "section", element("h2", text("The answer")), element("p", text(found.conclusion)), class_="answer", id="answer"
    )
    title = f"{found.first.name} and {found.second.name}: what differs"
    shown = [_question(found), *([_changes(found)] if found.changes else []), *_alone(found)]
    return page_html(title, shown, lead=lead)


def _question(found: Difference) -> Section:
    sides = [
        (place, side.name, f"{side.seeds}", without_folders(side.folder))
        for place, side in (("first", found.first), ("second", found.second))
    ]
    parts = [element("div", table(("study", "name", "seeds", "folder"), sides), class_="words")]
    if found.asked:
        rows = [(key, without_folders(one), without_folders(other)) for key, one, other in found.asked]
        parts.append(element("div", table(("asked", "first", "second"), rows), class_="words"))
    else:
        parts.append(element("p", text("Both were asked the same.")))
    return Section("asked", "What was asked differently", join(parts))


def _changes(found: Difference) -> Section:
    heading = ("scheme", "first", "second", "difference [95 % interval]", "p", "verdict", "better\nworse\nequal")
    rows = [(c.scheme, *_cells(c), f"{c.pair.wins} / {c.pair.losses} / {c.pair.ties}") for c in found.changes]
    diverged = [c for c in found.changes if any(c.diverged)]
    said = [element("p", text(f"Scores are {found.score}. {_NOTE}"), class_="note")]
    if diverged:
        told = ", ".join(f"{c.scheme} {c.diverged[0]} and {c.diverged[1]}" for c in diverged)
        said.append(element("p", text(f"Runs that diverged, in the first and the second: {told}."), class_="note"))
    return Section("changes", "Scheme by scheme", join([table(heading, rows), *said]))


def _alone(found: Difference) -> list[Section]:
    sides = (("first", found.missing), ("second", found.added))
    told = [element("p", text(f"Only in the {side}: {', '.join(schemes)}.")) for side, schemes in sides if schemes]
    return [Section("alone", "Schemes of one study alone", join(told))] if told else []
