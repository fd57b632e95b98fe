"""A lesson as lines of text, each with what it is: for the terminal at any width, and for tests."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from initlab.lessons.lesson import Bars, Lesson, Table
from initlab.report.drawing.text import number

Style = Literal["title", "heading", "text", "header", "bars", "source", "command"]

_LEVELS = "▁▂▃▄▅▆▇█"
_GAP = "·"
_LONGEST = 40
_NARROWEST = 40


class Line(NamedTuple):
    """One line of a lesson."""

    style: Style
    text: str


def lesson_lines(lesson: Lesson, *, width: int = 80) -> Iterator[Line]:
    """The lesson from title to commands, no line longer than ``width`` but for words and tables that are.

    Args:
        lesson: What to print.
        width: Columns, at least 40.
    """
    room = max(width, _NARROWEST)
    yield Line("title", lesson.title)
    for paragraph in lesson.plain:
        yield Line("text", "")
        yield from _folded("text", paragraph, room)
    yield from _heading("What was run")
    yield from _folded("text", lesson.experiment, room)
    yield Line("text", "")
    yield from table_lines(lesson.table, width=room)
    if lesson.bars is not None:
        yield Line("text", "")
        yield from bar_lines(lesson.bars, width=room)
    yield from _heading("The mathematics")
    for formula in lesson.mathematics:
        yield from _folded("text", formula.text, room, inset="  ")
        yield from _folded("source", formula.source, room, inset="      ")
    yield from _heading("Go on")
    yield from _pair("again", (lesson.command,))
    yield from _pair("try", lesson.tries)
    yield from _pair("see also", tuple(f"initlab explain {name}" for name in lesson.see_also))


def lesson_text(lesson: Lesson, *, width: int = 80) -> str:
    """The lesson as one text."""
    return "\n".join(line.text.rstrip() for line in lesson_lines(lesson, width=width)) + "\n"


def _heading(text: str) -> Iterator[Line]:
    yield Line("text", "")
    yield Line("heading", text)


def _pair(key: str, commands: tuple[str, ...]) -> Iterator[Line]:
    for place, command in enumerate(commands):
        yield Line("command", f"  {key if place == 0 else '':<9} {command}")


def _folded(style: Style, text: str, width: int, *, inset: str = "") -> Iterator[Line]:
    wrapped = textwrap.wrap(
        text, width, initial_indent=inset, subsequent_indent=inset, break_on_hyphens=False, break_long_words=False
    )
    yield from (Line(style, line) for line in wrapped)


def table_lines(table: Table, *, width: int = 80) -> Iterator[Line]:
    """Title, header and rows; the first column to the left, numbers to the right, long texts folded in the last one.

    Args:
        table: What to print.
        width: Columns.
    """
    yield from _folded("text", table.title, width)
    sizes = [
        max(len(cell) for cell in (name, *column)) for name, column in zip(table.header, table.columns, strict=True)
    ]
    left = [_is_text(column) for column in table.columns]
    sizes[-1] = max(len(table.header[-1]), min(sizes[-1], width - sum(sizes[:-1]) - 2 * len(sizes)))
    yield from _row("header", table.header, sizes, left)
    for row in table.rows:
        yield from _row("text", row, sizes, left)


def _is_text(column: Sequence[str]) -> bool:
    """Whether a column holds words rather than numbers."""
    return not all(cell[:1].isdigit() or cell[:1] in ("-", "–", "<", ">", "") for cell in column)


def _row(style: Style, row: Sequence[str], sizes: Sequence[int], left: Sequence[bool]) -> Iterator[Line]:
    folded = textwrap.wrap(row[-1], sizes[-1]) or [""]
    for place, tail in enumerate(folded):
        parts = [*(row[:-1] if place == 0 else [""] * (len(row) - 1)), tail]
        padded = [
            part.ljust(size) if is_left else part.rjust(size)
            for part, size, is_left in zip(parts, sizes, left, strict=True)
        ]
        yield Line(style, "  " + "  ".join(padded))


def bar_lines(bars: Bars, *, width: int = 80) -> Iterator[Line]:
    """A row of blocks for each label, on one logarithmic scale, with its first and last number.

    Example:
        >>> for line in bar_lines(Bars("loss by epoch", {"a net": (1.0, 0.1, 0.01)})):
        ...     print(line.text)
        loss by epoch (log scale, 0.0100 to 1.00)
          a net  █▅▁  1.00 to 0.0100
    """
    known = [v for line in bars.lines.values() for v in line if math.isfinite(v) and v > 0]
    low, high = (min(known), max(known)) if known else (1.0, 1.0)
    yield from _folded("text", f"{bars.title} (log scale, {number(low)} to {number(high)})", width)
    labels = max(len(label) for label in bars.lines)
    longest = min(_LONGEST, width - labels - 26)
    for label, values in bars.lines.items():
        blocks = "".join(_block(v, low, high) for v in _thinned(values, longest))
        yield Line("bars", f"  {label:<{labels}}  {blocks}  {number(values[0])} to {number(values[-1])}")


def _thinned(values: Sequence[float], most: int) -> list[float]:
    """At most so many of the values, evenly spaced, the first and the last among them."""
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def _block(value: float, low: float, high: float) -> str:
    if not (math.isfinite(value) and value > 0):
        return _GAP
    # Less than a factor 10 between the ends is no drama, and is not drawn as one.
    span = max(math.log(high / low), math.log(10.0))
    middle = 0.5 * (math.log(high) + math.log(low))
    at = 0.5 + (math.log(value) - middle) / span
    return _LEVELS[min(int(at * len(_LEVELS)), len(_LEVELS) - 1)]
