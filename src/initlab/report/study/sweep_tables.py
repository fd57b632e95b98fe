"""The table of a sweep: for a terminal, as plain text, and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib.resources import files
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from initlab.report.drawing.text import count_of, folded_call, round_to, visible
from initlab.report.study.tables import estimate_text
from initlab.study.sweep_table import SweepRow, SweepTable, power

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

LEAST_NAME = 14
DEPTH_CELL, GAP = 13, 1
NUMBER_HEADINGS = ("gradient\nratio", "in\ntheory", "test accuracy\n[95 % interval]", "trains")
"""What stands above the cells of ``remedy_cells`` after the first."""


def sweep_notes(table: SweepTable) -> str:
    """What the columns mean; one text for the terminal, a notebook and the page."""
    starred = not table.has_remedies and any(0 < row.diverged < row.runs for row in table.rows)
    return (
        f"Mean over {count_of(table.seeds, 'seed')} of the test accuracy after training; bold where it reaches 90 % of "
        "the best on the same data and beats every guess of one class for all. Gradient ratio: mean square of dL/dz at "
        "the first hidden layer over that at the last, z what the activation takes, before the first step (of a "
        "recurrent net: first step over last); 1 is ideal, and not enough: a net may keep its gradient and still make "
        "all inputs alike. Adam, which divides a gradient by its own size, bears more than SGD, until the gradient is "
        f"lost in rounding.{' * some of the runs diverged.' if starred else ''}"
    )


def sweep_layout(table: SweepTable, *, width: int) -> Group:
    """A renderable for ``rich``: a block a group, then the notes.

    Where a sweep goes over depths a row is a scheme, with accuracy and gradient ratio side by side under each depth;
    else a row is a remedy.

    Args:
        table: The sweep.
        width: Columns of characters.
    """
    from rich.console import Group
    from rich.text import Text

    blocks = [_remedies(table)] if table.has_remedies else [_by_depth(table, width)]
    title = Text(f"{visible(table.title)}; {count_of(table.seeds, 'seed')}", style="bold")
    return Group(title, Text(), *blocks, Text(), Text(sweep_notes(table), style="dim"))


def _by_depth(table: SweepTable, width: int) -> Table:
    from rich.text import Text

    depths = depths_of(table)
    drawn = _empty_table("scheme", [f"depth {depth}\naccur.  ratio" for depth in depths])
    room = max(LEAST_NAME, width - (DEPTH_CELL + GAP) * len(depths) - GAP)
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        for scheme, cells in schemes_by_depth(table, group):
            name = "\n".join(folded_call(visible(scheme), room))
            drawn.add_row(Text(name), *(Text() if row is None else _depth_cell(row) for row in cells))
        drawn.add_section()
    return drawn


def schemes_by_depth(table: SweepTable, group: str) -> list[tuple[str, list[SweepRow | None]]]:
    """Each scheme of a group with its cell at every depth of the sweep; None where there is none."""
    found = {(row.scheme, row.depth): row for row in table.of(group)}
    schemes = dict.fromkeys(row.scheme for row in table.of(group))
    return [(scheme, [found.get((scheme, depth)) for depth in depths_of(table)]) for scheme in schemes]


def depths_of(table: SweepTable) -> list[int]:
    """The depths of a sweep, in order."""
    return list(dict.fromkeys(row.depth for row in table.rows))


def _depth_cell(row: SweepRow) -> Text:
    from rich.text import Text

    return Text(f"{_short_accuracy(row)} {power(row.ratio):>6} ", style="bold" if row.trains else "dim")


def _short_accuracy(row: SweepRow) -> str:
    """Five characters."""
    if row.accuracy.mean is None:
        return "div. " if row.diverged else "fail."
    return f"{row.accuracy.mean:.2f}{'*' if row.diverged else ' '}"


def cell_headings(table: SweepTable) -> list[str]:
    """What stands above ``cell_rows``; a heading may have two lines."""
    if table.has_remedies:
        return ["remedy", "network", *NUMBER_HEADINGS]
    return ["scheme", "network", *(f"depth {depth}\naccuracy (ratio)" for depth in depths_of(table))]


def cell_rows(table: SweepTable) -> list[list[tuple[str, bool]]]:
    """The table for a notebook: cells, each with whether it stands out, which it does where the network trains."""
    rows: list[list[tuple[str, bool]]] = []
    for group in table.groups:
        if table.has_remedies:
            for row in table.of(group):
                first, *others = (cell.replace("\n", ", ") for cell in remedy_cells(row))
                rows.append([(cell, row.trains) for cell in (first, group, *others)])
            continue
        for scheme, cells in schemes_by_depth(table, group):
            told = [("", False) if c is None else (_accuracy_and_ratio(c), c.trains) for c in cells]
            rows.append([(scheme, False), (group, False), *told])
    return rows


def _accuracy_and_ratio(row: SweepRow) -> str:
    return f"{_short_accuracy(row).strip()} ({power(row.ratio)})"


def _remedies(table: SweepTable) -> Table:
    from rich.text import Text

    drawn = _empty_table("remedy", NUMBER_HEADINGS)
    for group in table.groups:
        drawn.add_row(Text(visible(group), style="bold italic"))
        for row in table.of(group):
            style = "bold" if row.trains else ""
            drawn.add_row(*(Text(cell, style=style) for cell in remedy_cells(row)))
        drawn.add_section()
    return drawn


def remedy_cells(row: SweepRow) -> tuple[str, ...]:
    """The cells of one row: what was done, the ratio, the ratio in theory, the accuracy, and whether it trains."""
    trains = "yes" if row.trains else "no"
    return visible(row.label), power(row.ratio), power(row.predicted), accuracy_text(row), trains


def accuracy_text(row: SweepRow) -> str:
    """The accuracy with its interval, and how many runs diverged.

    Example:
        >>> from initlab.study.records import Estimate
        >>> none = Estimate(None, None, None, (None,))
        >>> accuracy_text(SweepRow("a", "b", "plain", 9, "zeros", 1.0, 1.0, none, 0.1, 3, 3, 0, False))
        '3 of 3 diverged'
    """
    lost = f"{row.diverged} of {row.runs} diverged" if row.diverged else ""
    if row.accuracy.mean is None:
        return lost or "failed"
    return f"{estimate_text(row.accuracy)}\n{lost}" if lost else estimate_text(row.accuracy)


def _empty_table(first: str, headings: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    drawn = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    drawn.add_column(first, vertical="bottom", no_wrap=True)
    for heading in headings:
        drawn.add_column(heading, justify="right", vertical="bottom", no_wrap=True)
    return drawn


def sweep_text(table: SweepTable, *, width: int = 80) -> str:
    """The table as plain text without colours, no line longer than the width.

    Args:
        table: The sweep.
        width: Columns of characters.
    """
    from rich.console import Console

    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False, force_terminal=False)
    with console.capture() as capture:
        console.print(sweep_layout(table, width=width))
    return "\n".join(line.rstrip() for line in capture.get().rstrip().splitlines())


def sweep_json(table: SweepTable, folder: str | PurePath) -> dict[str, Any]:
    """What ``--json`` prints: plain dicts, lists, strings and finite numbers, as ``sweep_schema()`` describes.

    Args:
        table: The sweep.
        folder: Where the records lie.

    Returns:
        A dict for ``json.dumps(..., allow_nan=False)``; a number that does not exist is None.
    """
    return {
        "sweep": table.name,
        "title": table.title,
        "folder": str(folder),
        "seeds": table.seeds,
        "verdict": list(table.verdict),
        "gradient_ratio": "mean square of dL/dz at the first hidden layer over that at the last, before training",
        "rows": [_row_json(row) for row in table.rows],
    }


def _row_json(row: SweepRow) -> dict[str, Any]:
    plain = asdict(row)
    plain["gradient_ratio"] = round_to(plain.pop("ratio"), digits=15)
    plain["gradient_ratio_predicted"] = round_to(plain.pop("predicted"), digits=15)
    estimate = plain.pop("accuracy")
    plain["test_accuracy"] = {**estimate, "per_seed": list(estimate["per_seed"])}
    return plain


def sweep_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what ``initlab compare depth --json`` prints.

    Example:
        >>> sweep_schema()["title"]
        'initlab compare depth --json'
    """
    schema: dict[str, Any] = json.loads((files("initlab.report") / "sweep.schema.json").read_text(encoding="utf-8"))
    return schema
