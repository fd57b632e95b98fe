"""A plan as text: a line a parameter where the terminal is wide enough, else two, facts above and outcome below."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from shutil import get_terminal_size
from textwrap import wrap
from typing import NamedTuple

_NARROWEST = 40
_LONGEST_LAW = 28
_GAP, _INDENT = "  ", "    "


class Cells(NamedTuple):
    """What is printed of one parameter."""

    name: str
    role: str
    shape: str
    fan: str
    around: str
    action: str
    law: str
    std: str
    why: str


HEADER = Cells("parameter", "role", "shape", "fan", "from -> to", "action", "law", "std", "why")


def plan_text(
    rows: Iterable[Cells], notes: Iterable[str], *, width: int | None = None, account: str = "", seed: int | None = None
) -> str:
    """The rows under a header, the notes behind them, the last seed and the account, within ``width`` columns.

    One line a parameter where the longest fits. Else two: what it is, and below, indented, its law or else the action,
    and why; a reason that is too long goes on in its own column. A name too long for its column has a line to itself.

    Args:
        rows: A record a parameter.
        notes: Sentences.
        width: Columns, 40 or more; the terminal's where left out, and 80 where there is none.
        account: A sentence on what becomes of the model's numbers.
        seed: The seed that was last drawn from; None where nothing was drawn.

    Example:
        >>> cells = Cells("0/weight", "dense", "3x4", "4", "- -> relu", "initialise", "zeros", "0", "zeros")
        >>> print(plan_text([cells], [], width=50))
        parameter  role   shape  fan  from -> to
            law    std  why
        0/weight   dense  3x4    4    - -> relu
            zeros  0    zeros
    """
    columns = max(get_terminal_size().columns if width is None else width, _NARROWEST)
    table = [HEADER, *rows]
    lines = _single(table)
    if max(map(len, lines)) > columns:
        lines = list(_double(table, columns))
    lines += [line for note in notes for line in _hanging("note: ", note, columns)]
    lines += [] if seed is None else [f"last seed: {seed}"]
    return "\n".join([*lines, *(_hanging("", account, columns) if account else [])])


def _single(table: Sequence[Cells]) -> list[str]:
    widths = [_longest(column) for column in list(zip(*table, strict=True))[:-1]]
    return [_join(cells, [*widths, 0]) for cells in table]


def _double(table: Sequence[Cells], columns: int) -> Iterator[str]:
    """Facts and outcome, each in columns of their own."""
    # A law says that it is drawn; what is not says why not.
    facts, outcomes = [cells[1:5] for cells in table], [(cells.law or cells.action, cells.std) for cells in table]
    inner = [_longest(column) for column in zip(*facts, strict=True)]
    room = columns - sum(inner) - len(_GAP) * len(inner)
    fitting = [len(cells.name) for cells in table if len(cells.name) <= room]
    name_width = max(fitting, default=len(_INDENT))
    # A law of many parts does not move the columns of all others.
    outer = [_longest(cell for cell in column if len(cell) <= _LONGEST_LAW) for column in zip(*outcomes, strict=True)]
    for cells, fact, outcome in zip(table, facts, outcomes, strict=True):
        if len(cells.name) > name_width:
            yield cells.name
        yield _join((cells.name if len(cells.name) <= name_width else "", *fact), [name_width, *inner])
        head = _INDENT + _join(outcome, outer, is_padded=True) + _GAP
        if len(head) > columns // 2 + len(_INDENT) and len(head) + len(cells.why) > columns:
            yield head.rstrip()
            head = _INDENT * 2
        yield from _hanging(head, cells.why, columns)


def _join(cells: Sequence[str], widths: Sequence[int], *, is_padded: bool = False) -> str:
    line = _GAP.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return line if is_padded else line.rstrip()


def _longest(column: Iterable[str]) -> int:
    return max(map(len, column))


def _hanging(head: str, text: str, columns: int) -> list[str]:
    """A text behind its head, folded into the columns that the head leaves."""
    folded = wrap(text, columns, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False)
    return folded or [head.rstrip()]
